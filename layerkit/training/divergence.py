"""Divergence: finding, saving and replaying the step at which a value stopped being finite."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.config.tables import from_config, to_config
from layerkit.errors import ConfigError, DivergenceError, FileError, LayerkitError, at
from layerkit.files.atomic import read_tensors
from layerkit.files.checkpoints import TREE, read_tree, write_tree
from layerkit.graph.sequential import Sequential
from layerkit.guidance import is_own
from layerkit.inspection.nonfinite import Watch
from layerkit.inspection.summary import aligned
from layerkit.layers.base import Layer
from layerkit.layers.watch import replaced, watched
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.progress import Progress
from layerkit.training.batches import Batch
from layerkit.training.iterables import Iterated
from layerkit.training.options import Training
from layerkit.training.resume import expected, misfits
from layerkit.training.trainer import Attendant, Trainer, is_finite

SNAPSHOT = 100
"""Number of steps from one snapshot of the state to the next."""
KIND = "failed step"
"""The mark of a file with a failed step."""


class Divergence(Attendant):
    """Restores the state before a step that diverged, and finds the first value not finite."""

    def epoch_begin(self, trainer: Trainer) -> None:
        """Take a snapshot of the state."""
        self.snapshot = trainer.state_dict()

    def batch_end(self, trainer: Trainer, leaving: bool) -> None:
        """Take a snapshot after each SNAPSHOT steps."""
        if trainer.progress.step % SNAPSHOT == 0 and is_finite(trainer.network.arena.values):
            self.snapshot = trainer.state_dict()

    def failed(self, trainer: Trainer, batch: Batch | None) -> None:
        """Leave the step as ``progress.failed``, and the network with finite parameters.

        Raises
        ------
        DivergenceError
            Always: with the batch, and the first layer and example with a value not finite.
        """
        progress = trainer.progress
        here, loss = trainer.state_dict(), progress.loss
        batch = batch and _copied(batch)  # iterating again may overwrite it
        again, overflow = self._go_back(trainer, progress.step)
        same_sum = progress.loss_sum == here["progress"]["loss_sum"]
        repeated = _is_same(batch, again) and same_sum
        if not repeated:
            # but what layers remember may come from values that are not finite
            here["network"]["states"] = self.snapshot["network"]["states"]
            trainer.load_state_dict(here)
        elif overflow:  # a step before has moved the parameters too far
            step, loss = overflow
            batch, _ = self._go_back(trainer, step)
        progress.failed = batch and FailedStep.of(trainer, batch, loss)
        sentence = _explain(progress.failed, repeated)
        if not is_finite(trainer.network.arena.values):
            trainer.load_state_dict(self.snapshot)
        raise DivergenceError(sentence) from None

    def _go_back(
        self, trainer: Trainer, step: int
    ) -> tuple[Batch | None, tuple[int, float] | None]:
        """Repeat the steps since the last snapshot up to this one, and return its batch.

        Also return the first step that made parameters not finite, with its loss, or None.
        """
        trainer.load_state_dict(self.snapshot)
        progress, overflow = trainer.progress, None
        with suppress(Exception):  # a user's iterable may fail the second time, in any way
            for batch in trainer.batches():
                if progress.step == step:
                    return batch, overflow
                trainer.step(batch)
                progress.batch += 1
                if overflow is None and not is_finite(trainer.network.arena.values):
                    overflow = progress.step - 1, progress.loss
        return None, overflow


@dataclass(frozen=True)
class FailedStep:
    """A training step that diverged, with all that it depends on.

    It is the ``failed`` of the `layerkit.Progress` of such a training run.

    Parameters
    ----------
    network : Network
        As it was before the step.
    optimizer : Optimizer
        As it was before the step.
    options : Training
        The options that matter for a step.
    state : dict
        The state of the trainer before the step.
    batch : Batch
        The examples of the step, with their targets and weights.
    loss : float
        The loss of the batch in the training.
    threads : int
        Number of BLAS threads of the training.

    Examples
    --------
    >>> from layerkit import Callback, Dense, DivergenceError, fit, MeanSquaredError, Network, SGD
    >>> class Keep(Callback):
    ...     def train_end(self, progress):
    ...         self.failed = progress.failed
    >>> net, keep = Network(Dense(1), MeanSquaredError(), shape=(1,)), Keep()
    >>> net.arena.values = [1e30, 0]
    >>> try:
    ...     fit(net, SGD(), [[-1.0], [1.0]], [0.0, 0.0], callbacks=[keep])
    ... except DivergenceError as error:
    ...     print(f"{error.place}: {error}")
    epoch 1: batch 1: the loss is inf; the first value that is not finite is in the losses of the \
examples (MeanSquaredError), example 0 of the batch (number 1 of the training data): inf, from \
the outputs up to 1e+30. Try a smaller learning rate than SGD(lr=0.1) has, or scale the examples
    >>> keep.failed.replay().loss
    inf
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
        """Return the next step of a trainer, with this batch; all arrays are copied."""
        from threadpoolctl import threadpool_info

        if batch.x.dtype != np.uint8:  # images are kept as bytes, which need a quarter
            batch = batch._replace(x=trainer.network.inputs.convert(batch.x))
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        augmentation: Any = trainer.augmentation
        return cls(
            copy.deepcopy(trainer.network),
            copy.deepcopy(trainer.optimizer),
            Training(gradient_accumulation_steps=trainer.parts, augmentation=augmentation),
            trainer.state_dict(),
            _copied(batch),
            loss,
            max((pool["num_threads"] for pool in pools), default=1),
        )

    def __str__(self) -> str:
        """Return the position in the training."""
        epoch, batch, step = (self.state["progress"][name] for name in ("epoch", "batch", "step"))
        return (
            f"Epoch {epoch}, batch {batch + 1}, step {step + 1:,}: "
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
        except ConfigError:  # Python functions, which no file can hold
            network = repr(self.network)
        tree = {
            "kind": KIND,
            "network": network,
            "optimizer": to_config(self.optimizer),
            "steps": self.optimizer.steps,
            "options": to_config(self.options),
            "state": self.state,
            "batch": self.batch._asdict() | {"x": np.asarray(self.batch.x)},
            "loss": self.loss,
            "threads": self.threads,
        }
        write_tree(path, tree)

    @classmethod
    def load(cls, path: str | Path, network: Network | None = None) -> Self:
        """Read what `save` wrote. It runs no code: your own parts are imported before.

        Parameters
        ----------
        path : str or Path
            The file that `save` wrote.
        network : Network, optional
            One with the same layers, if a file can't describe them, such as `layerkit.Lambda`.

        Raises
        ------
        FileError
            For a file that is damaged, or holds something else.
        ConfigError
            For a network or an optimizer that can't be made here.
        """
        _, metadata = read_tensors(path)
        tree = read_tree(path) if TREE in metadata else {}
        if repr(tree.get("kind")) != repr(KIND):
            raise FileError(f"{path}: no failed step is in this file")
        try:
            with at(str(path)):
                return cls._restored(tree, network)
        except (ConfigError, FileError):
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = error if isinstance(error, LayerkitError) else repr(error)
            raise FileError(f"{path}: something is missing in it, or wrong: {reason}") from error

    @classmethod
    def _restored(cls, tree: dict[str, Any], network: Network | None) -> Self:
        """Return the step that `save` wrote."""
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
        for address, layer in _random(network).items():
            layer.rng = generator(state["generators"][address])
        optimizer.bind(network.arena, tree["steps"])
        _load_state(network, optimizer, options, state)
        failed = cls(
            network,
            optimizer,
            options,
            state,
            Batch(*(tree["batch"][name] for name in Batch._fields)),
            tree["loss"],
            tree["threads"],
        )
        _check_batch(failed)
        return failed


def _load_state(
    network: Network, optimizer: Optimizer, options: Training, state: dict[str, Any]
) -> None:
    """Restore a saved state; FileError unless it has all parts that the state of a step has."""
    trainer = _trainer(network, optimizer, options)
    like = expected(trainer, state["optimizer"]["t"])
    like["attendants"] = state["attendants"]  # none of them is needed for a step
    unfit = misfits(state, like, "the file")
    if unfit:
        raise FileError("\n  ".join(["its state is not that of a step:", *unfit]))
    trainer.load_state_dict(state)


def _check_batch(failed: FailedStep) -> None:
    """Raise a FileError unless a batch is one of the network, and was trained with threads."""
    network, (x, t, a, rows) = failed.network, failed.batch
    if x.shape != (len(t), *network.shape) or x.dtype not in (network.dtype, np.uint8):
        raise FileError(f"its examples are {x.dtype} {x.shape}; should be {network.shape} each")
    network.loss.targets(t, network.body.output_shape)
    if a is not None:
        network.loss.check_weights(a, len(t), network.body.output_shape)
    if rows is not None and (rows.shape != (len(t),) or rows.dtype.kind != "i"):
        raise FileError(
            f"its rows are {rows.dtype} {rows.shape}; should be the number of each example"
        )
    for name, kind in (("loss", float), ("threads", int)):
        if type(getattr(failed, name)) is not kind:
            raise FileError(f"{name} is {getattr(failed, name)!r}; should be a number")


def _trainer(network: Network, optimizer: Optimizer, options: Training) -> Trainer:
    """Return a trainer that takes a single step, with a batch that is at hand."""
    return Trainer(
        Progress(network, optimizer, epochs=1),
        Iterated(network, ()),
        options.seed,
        parts=options.gradient_accumulation_steps,
        augmentation=options.augmentation,
    )


def _explain(failed: FailedStep | None, repeated: bool) -> str:
    """Return a message: what has failed, and if the steps before could not be `repeated`."""
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
    """Return the layers that draw random numbers, by address."""
    return {address: layer for address, layer in network.layers() if layer.random}


def _outline(values: Array, states: Array, random: Iterable[str]) -> str:
    """Return a description that differs for networks of different layers."""
    drawing = ", ".join(sorted(random)) or "nowhere"
    return f"{len(values):,} parameters, {len(states):,} states, and random numbers in {drawing}"


def _copied(batch: Batch) -> Batch:
    """Return a copy of a batch."""
    return Batch(**{name: copy.copy(part) for name, part in batch._asdict().items()})


def _is_same(a: Batch | None, b: Batch | None) -> bool:
    """Whether two batches have the same numbers."""
    if a is None or b is None:
        return a is b
    pairs: Any = zip(a, b, strict=True)
    return all(np.array_equal(p, q) for p, q in pairs)


class Replay:
    """A replay of a step on copies: the ranges of all values, and the first one that is not finite.

    As a string, it has the range of what each layer returned, forward and backward, the gradients
    and changes of the parameters, and the verdict.

    Parameters
    ----------
    failed : FailedStep
        The step to repeat.

    Attributes
    ----------
    loss : float
        The loss of the batch in the replay.
    same : bool
        Whether that is the loss of the training, bit for bit.
    """

    def __init__(self, failed: FailedStep) -> None:
        from threadpoolctl import threadpool_limits

        self.failed = failed
        self.network, self.optimizer = copy.deepcopy((failed.network, failed.optimizer))
        self.optimizer.bind(self.network.arena, failed.optimizer.steps)
        trainer = _trainer(self.network, self.optimizer, failed.options)
        trainer.load_state_dict(failed.state)
        self.watch, w = Watch(self.network), self.network.arena.values.copy()
        self.gradient = self.network.arena.grads
        with (
            threadpool_limits(failed.threads, user_api="blas"),
            np.errstate(all="ignore"),
            watched(self.network.layers(), self.watch.look, containers=True),
            replaced(self.network, backpropagate=self._see_part()),
            replaced(self.network.loss, **self._see_loss()),
            replaced(self.optimizer, step=self._see_step()),
            suppress(DivergenceError),
        ):
            trainer.step(failed.batch)
        self.steps = self.network.arena.values - w
        self._see_params("total", self.gradient)
        self.loss, recorded = trainer.progress.loss, failed.loss
        self.same = self.loss == recorded or (math.isnan(self.loss) and math.isnan(recorded))

    def _see_part(self) -> Callable[..., tuple[float, float]]:
        """Look at the examples of a batch, or of a part of it."""
        watch, backpropagate = self.watch, self.network.backpropagate

        def see(x: Array, *others: Any, **options: Any) -> tuple[float, float]:
            watch.see("", "examples", x)
            found = backpropagate(x, *others, **options)
            # an optimizer may look at the batch again, from its first example on
            watch.start = (watch.start + len(x)) % len(self.failed.batch.x)
            return found

        return see

    def _see_loss(self) -> dict[str, Callable[..., Any]]:
        """Look at the inputs and results of the loss."""
        watch, loss = self.watch, self.network.loss
        losses, forward, backward = loss.losses, loss.forward, loss.backward

        def see_losses(z: Array, t: Array) -> Array:
            watch.see("", "z", z)
            found = losses(z, t)
            watch.see("", "losses", found)
            return found

        def see_sum(*given: Any, **options: Any) -> tuple[float, float]:
            found = forward(*given, **options)
            watch.see("", "loss", found[0], rows=False)
            return found

        def see_derivative(**options: Any) -> Array:
            dz = backward(**options)
            watch.see("", "dz", dz)
            return dz

        return {"losses": see_losses, "forward": see_sum, "backward": see_derivative}

    def _see_step(self) -> Callable[..., None]:
        """Look at the gradient, the memory of the optimizer, and the parameters."""
        watch, step = self.watch, self.optimizer.step

        def see(w: Array, g: Array, again: Callable[[], float]) -> None:
            self.gradient = g.copy()
            self._see_params("total", g)
            seen = dict(watch.seen)
            step(w, g, again)
            # an optimizer may have evaluated the batch elsewhere, where any value is acceptable
            watch.seen, watch.first = seen, None
            for slot in self.optimizer.memory.values():
                if slot.shape == w.shape:
                    self._see_params("memory", slot)
            self._see_params("update", w)

        return see

    def _see_params(self, kind: str, vector: Array) -> None:
        """Look at a vector parameter by parameter."""
        for address, part in self.network.arena.slices.items():
            self.watch.see(address, kind, vector[part], rows=False)

    @property
    def part(self) -> Configurable:
        """The part whose computation went wrong, or else the network."""
        first = self.watch.first
        if first is None:
            return self.network
        if first.kind in ("memory", "update"):
            return self.failed.optimizer
        if first.kind == "examples":
            return self.failed.options.augmentation or self.network
        return self.watch.part(first)

    @property
    def verdict(self) -> str:
        """A sentence: where the first value is not finite, and from what it was computed."""
        first = self.watch.first
        if first is None:
            return "all values are finite when the step is repeated"
        return self.watch.describe(first, self.part, self.failed.batch.rows)

    @property
    def advice(self) -> str:
        """A sentence on what to try."""
        first, own, optimizer = self.watch.first, type(self.part), self.failed.optimizer
        limit = math.sqrt(np.finfo(self.network.dtype).max)
        sizes = first.causes.values() if first else ()
        unknown = 0.0 if first and first.kind == "examples" else limit
        if max(sizes, default=unknown) < limit and is_own(own):
            return f"Numbers of this size don't explain it: look at {own.__name__}"
        examples = self.watch.seen.get(("", "examples"))
        if examples and examples.largest > limit:
            return f"Scale the examples, which go up to {examples.largest:.2g}"
        return f"Try a smaller learning rate than {optimizer} has, or scale the examples"

    def __str__(self) -> str:
        loss = f"The loss is {self.loss}"
        if self.same:
            loss += ", as in the training" if math.isnan(self.loss) else ", bit for bit as before"
        else:
            loss += (
                f", but it was {self.failed.loss}: the last digits depend on NumPy, its BLAS and "
                "the processor"
            )
        verdict = self.verdict[0].upper() + self.verdict[1:]
        return f"{self._passes()}\n\n{self._params()}\n\n{loss}.\n{verdict}.\n{self.advice}."

    def _passes(self) -> str:
        """Return the table of the values, forward and backward."""
        loss = type(self.network.loss).__name__
        layers = [
            (address, type(layer).__name__)
            for address, layer in self.network.layers()
            if not isinstance(layer, Sequential)
        ]
        rows: list[tuple[str, ...]] = [("forward", "", "smallest", "largest", "not finite", "")]
        rows.append(self._row("", "examples", "examples"))
        rows += [self._row(address, name, "y") for address, name in layers]
        rows.append(self._row("", loss, "losses"))
        rows.append(("backward", *[""] * 5))
        rows.append(self._row("", loss, "dz"))
        rows += [self._row(address, name, "dx") for address, name in reversed(layers)]
        return aligned(rows, right=(2, 3, 4))

    def _row(self, address: str, name: str, kind: str) -> tuple[str, ...]:
        numbers = self.watch.seen.get((address, kind))
        cells = ("", "", "")
        if numbers:
            ends = (numbers.low, numbers.high) if numbers.lost < numbers.size else ()
            low, high = (f"{end:.3g}" for end in ends or (math.nan, math.nan))
            cells = (low, high, f"{numbers.lost / numbers.size:.1%}")
        return address, name, *cells, self._mark(address, kind)

    def _params(self) -> str:
        """Return the table of the parameters."""
        rows: list[tuple[str, ...]] = [("parameter", "largest", "gradient, norm", "step, norm", "")]
        for address, part in self.network.arena.slices.items():
            largest = self.watch.seen[address, "value"].largest
            norms = [
                f"{np.linalg.norm(vector[part].astype(float)):.3g}"
                for vector in (self.gradient, self.steps)
            ]
            marks = [self._mark(address, kind) for kind in PARAMETER]
            rows.append((address, f"{largest:.3g}", *norms, "".join(marks)))
        return aligned(rows, right=(1, 2, 3))

    def _mark(self, address: str, kind: str) -> str:
        """Return the mark of the first value that is not finite; empty for others."""
        first = self.watch.first
        shown = first and (first.address, ROWS.get(first.kind, first.kind))
        return "<- first" if shown == (address, kind) else ""


ROWS = {"x": "y", "refused": "y", "loss": "losses", "dy": "dx"}
"""The row of the table for a kind of value that has no row of its own."""
PARAMETER = ("value", "gradient", "total", "memory", "update")
"""The kinds of values that belong to parameters."""


def generator(state: dict[str, Any]) -> np.random.Generator:
    """Return a random generator in this state.

    Raises
    ------
    FileError
        When NumPy has no such generator.
    """
    kind = getattr(np.random, state["bit_generator"], None)
    if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
        raise FileError(f"NumPy has no random generator {state['bit_generator']!r}")
    bits = kind()
    bits.state = state
    return np.random.Generator(bits)
