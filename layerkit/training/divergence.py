"""The step at which a value stopped being finite: found by going back, kept to be repeated."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import from_config, to_config
from layerkit.errors import ConfigError, DivergenceError, FileError, at
from layerkit.files.atomic import read_tensors
from layerkit.files.checkpoints import TREE, read_tree, write_tree
from layerkit.layers.base import Layer
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.training.batches import Batch
from layerkit.training.replay import Replay, generator
from layerkit.training.trainer import Trainer, Training, is_finite

KIND = "failed step"
"""What stands in a file of this kind."""


@dataclass(frozen=True)
class FailedStep:
    """A step of a training after which something was not finite, and all that it depends on.

    A `Trainer` whose training diverges has one as ``failed``.

    Parameters
    ----------
    network : Network
        As it was before the step.
    optimizer : Optimizer
    options : Training
        Those that matter for a step.
    state : dict
        Of the trainer before the step.
    batch : Batch
    loss : float
        Of the batch, as it was in the training.
    threads : int
        BLAS threads of the training.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.losses.regression import MeanSquaredError
    >>> from layerkit.optimizers.classic import SGD
    >>> from layerkit.training.loop import fit
    >>> from layerkit.callbacks.base import Callback
    >>> class Keep(Callback):
    ...     def train_end(self, trainer):
    ...         self.failed = trainer.failed
    >>> net, keep = Network(Dense(1), MeanSquaredError(), shape=(1,)), Keep()
    >>> net.arena.values = [1e30, 0]
    >>> fit(net, SGD(), [[-1.0], [1.0]], [0.0, 0.0], callbacks=[keep])
    Traceback (most recent call last):
    ...
    layerkit.errors.DivergenceError: batch 1: the loss is inf; the first value that is not finite \
is in the losses of the examples (MeanSquaredError), example 0 of the batch (number 0 of the \
training data): inf, from the outputs up to 1e+30. Try a smaller learning rate than SGD(lr=0.1) \
has, or scale the examples
    at epoch 1
    >>> keep.failed.replay().same
    True
    """

    network: Network
    optimizer: Optimizer
    options: Training
    state: dict[str, Any]
    batch: Batch
    loss: float
    threads: int

    @classmethod
    def of(cls, trainer: Trainer, batch: Batch, loss: float) -> Self:
        """The next step of a trainer, with this batch; nothing is shared with it."""
        from threadpoolctl import threadpool_info

        if batch.x.dtype != np.uint8:  # of images, there is a fourth to keep
            batch = batch._replace(x=trainer.network.convert(batch.x))
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        return cls(
            copy.deepcopy(trainer.network),
            copy.deepcopy(trainer.optimizer),
            Training(
                gradient_accumulation_steps=trainer.options.gradient_accumulation_steps,
                augmentation=trainer.options.augmentation,
            ),
            trainer.state_dict() | {"callbacks": {}},
            _copied(batch),
            loss,
            max((pool["num_threads"] for pool in pools), default=1),
        )

    def __str__(self) -> str:
        """Where it was in the training."""
        progress, epoch = self.state["progress"], len(self.state["records"]) + 1
        return (
            f"Epoch {epoch}, batch {progress['batch'] + 1}, step {progress['step'] + 1:,}: "
            f"{len(self.batch.t)} examples, {self.network.loss}, {self.optimizer}"
        )

    def replay(self) -> Replay:
        """Repeat the step on copies, looking at every value."""
        return Replay(self)

    def save(self, path: str | Path) -> None:
        """Write the step to a file, from which it can be repeated anywhere.

        Raises
        ------
        FileError
            When the file can't be written.
        """
        try:
            network: Any = to_config(self.network)
        except ConfigError:  # functions of Python, which no file can hold
            network = repr(self.network)
        tree = {
            "kind": KIND,
            "network": network,
            "optimizer": to_config(self.optimizer),
            "steps": self.optimizer.steps,
            "options": to_config(self.options),
            "state": self.state,
            "batch": self.batch._asdict(),
            "loss": self.loss,
            "threads": self.threads,
        }
        write_tree(path, tree)

    @classmethod
    def load(cls, path: str | Path, network: Network | None = None) -> Self:
        """Read what `save` wrote. Runs nothing that the file names: own parts are imported first.

        Parameters
        ----------
        path : str or Path
        network : Network, optional
            One of the same layers, for those that a file can't describe, as `Lambda`.

        Raises
        ------
        FileError
            For a file that is damaged, or holds something else.
        ConfigError
            For a network or an optimizer that can't be made here.
        """
        _, metadata = read_tensors(Path(path))
        tree = read_tree(path) if TREE in metadata else {}
        if tree.get("kind") != KIND:
            raise FileError(f"{path}: no failed step is in this file")
        try:
            with at(str(path)):
                return cls._restored(tree, network)
        except (KeyError, TypeError) as error:
            raise FileError(f"{path}: something is missing in it: {error}") from error

    @classmethod
    def _restored(cls, tree: dict[str, Any], network: Network | None) -> Self:
        """The step that `save` described."""
        if network is None and isinstance(tree["network"], str):
            raise ConfigError(
                f"{tree['network']} has functions of Python, which no file can hold: call "
                "FailedStep.load with a network of the same layers"
            )
        network = network or from_config(tree["network"], Network)
        kind: Any = Optimizer
        optimizer = from_config(tree["optimizer"], kind)
        options = from_config(tree["options"], Training)
        state = tree["state"]
        network = copy.deepcopy(network)
        found = _outline(network.arena.values, network.arena.states, _random(network))
        saved = state["generators"].keys() - {"order", "augmentation"}
        wanted = _outline(state["network"]["values"], state["network"]["states"], saved)
        if found != wanted:
            raise ConfigError(f"a network of {found}; should have {wanted}")
        network.arena.values = state["network"]["values"]
        network.arena.states = state["network"]["states"]
        for address, layer in _random(network).items():
            layer.rng = generator(state["generators"][address])
        optimizer.bind(network.arena, tree["steps"])
        optimizer.load_state_dict(state["optimizer"])
        batch = Batch(**tree["batch"])
        return cls(network, optimizer, options, state, batch, tree["loss"], tree["threads"])


def diverge(trainer: Trainer, batch: Batch | None) -> NoReturn:
    """Go back to before the step that led to a value that is not finite, and say where.

    Parameters
    ----------
    trainer : Trainer
        Gets the step as ``failed``. Its network has finite parameters then.
    batch : Batch or None
        Of the step that failed; None after the last one of an epoch.

    Raises
    ------
    DivergenceError
        Always.
    """
    here, loss = trainer.state(), trainer.loss
    batch = batch and _copied(batch)  # iterating again may overwrite it
    again, overflow = _go_back(trainer, trainer.step)
    repeated = _is_same(batch, again) and trainer.losses == here["progress"]["losses"]
    if not repeated:
        # but what layers remember may come from values that are not finite
        here["network"]["states"] = trainer.snapshot["network"]["states"]
        trainer.restore(here)
    elif overflow:  # a step before has moved the parameters too far
        step, loss = overflow
        batch, _ = _go_back(trainer, step)
    trainer.failed = batch and FailedStep.of(trainer, batch, loss)
    sentence = _explain(trainer.failed, repeated)
    if not is_finite(trainer.network.arena.values):
        trainer.restore(trainer.snapshot)
    raise DivergenceError(sentence)


def _go_back(trainer: Trainer, step: int) -> tuple[Batch | None, tuple[int, float] | None]:
    """Repeat the steps since the last snapshot up to this one, and return its batch.

    And the first step after which the parameters are not finite, with its loss, or None.
    """
    trainer.restore(trainer.snapshot)
    overflow = None
    with suppress(Exception):  # a user's iterable may fail the second time, in any way
        for batch in trainer.source.epoch(trainer.rng, trainer.batch):
            if trainer.step == step:
                return batch, overflow
            if not trainer.take_step(batch):
                break
            trainer.batch += 1
            if overflow is None and not is_finite(trainer.network.arena.values):
                overflow = trainer.step - 1, trainer.loss
    return None, overflow


def _explain(failed: FailedStep | None, repeated: bool) -> str:
    """Say of a training what has failed, and whether the steps before could be `repeated`."""
    sentence = "the parameters are not finite after the last batch"
    if failed:
        replay, batch = failed.replay(), failed.state["progress"]["batch"] + 1
        sentence = f"batch {batch}: the loss is {failed.loss}; {replay.verdict}. {replay.advice}"
    if not repeated:
        sentence += (
            ". The step could not be repeated as it was: the iterable gives other batches the "
            "second time, or a callback has changed something"
        )
    return sentence


def _random(network: Network) -> dict[str, Layer]:
    """The layers that draw random numbers, by address."""
    return {address: layer for address, layer in network.layers() if layer.random}


def _outline(values: Array, states: Array, random: Iterable[str]) -> str:
    """What tells networks of different layers apart."""
    drawing = ", ".join(sorted(random)) or "nowhere"
    return f"{len(values):,} parameters, {len(states):,} states, and random numbers in {drawing}"


def _copied(batch: Batch) -> Batch:
    """The same in arrays of its own."""
    return Batch(**{name: copy.copy(part) for name, part in batch._asdict().items()})


def _is_same(a: Batch | None, b: Batch | None) -> bool:
    """Whether two batches have the same numbers."""
    if a is None or b is None:
        return a is b
    pairs: Any = zip(a, b, strict=True)
    return all(np.array_equal(p, q) for p, q in pairs)
