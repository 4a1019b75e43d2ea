"""How a network is trained: `fit` and `train`, and single steps for loops of one's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.callbacks.logs import History
from layerkit.data.mapped import Subset
from layerkit.errors import ConfigError, DataError, DivergenceError, at
from layerkit.files.checkpoints import Checkpoints
from layerkit.graph.adaptation import all_or_nothing
from layerkit.inspection.watch import check_outputs
from layerkit.metrics.metrics import Metric, check_metrics
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.training.augmentation import Augmentation
from layerkit.training.averaging import Average
from layerkit.training.batches import Arrays, Iterated, Source, open_source
from layerkit.training.class_weights import ClassWeight, example_weights
from layerkit.training.evaluation import Record
from layerkit.training.resume import Resume, describe, go_on
from layerkit.training.trainer import Trainer, Training, is_finite


def train(
    network: Network,
    optimizer: Optimizer,
    x: Any,
    t: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: ClassWeight | None = None,
    validation: Any = None,
    test: Any = None,
    epochs: int = 10,
    batch_size: int = 128,
    gradient_accumulation_steps: int = 1,
    seed: int | np.random.Generator = 0,
    average: Average | None = None,
    augmentation: Augmentation | None = None,
    metrics: Sequence[Metric] = (),
    measure_train: bool = True,
    checkpoints: Checkpoints | None = None,
    resume: Resume = False,
    callbacks: Sequence[Callback] = (),
) -> Iterator[Record]:
    """Train, and yield a record after each epoch; leave the loop to stop early.

    Every example is used once per epoch, in an order drawn anew from `seed`. All arrays are checked
    before the first step. The training begins at the weights that the network has: those of an
    earlier training are a warm start, and ``network.initialize(seed)`` draws new ones.

    Parameters
    ----------
    network : Network
        Changed in place.
    optimizer : Optimizer
        It remembers its steps: take a new one for another network.
    x, t : arrays
        Examples (N, *shape) and targets, as `Network.gradient` takes them; also mapped from files,
        as ``np.load("x.npy", mmap_mode="r")``. Without `t`, `x` is an iterable of batches (x, t)
        or (x, t, sample_weight), which is iterated anew for each epoch, or a function that returns
        one. Then `batch_size` does not matter, and what needs the length of the training, as some
        schedules, needs an iterable with a length; and the training loss of an epoch is the mean
        over its batches as they were trained on.
    sample_weight : array, optional
        How much each example counts (N,). The loss of a batch is the weighted mean.
    class_weight : "balanced", dict or list of float, optional
        How much each class counts in the gradient, by class number; multiplied with
        `sample_weight`. What is measured after an epoch does not depend on it.
    validation, test : pairs or triples of arrays, optional
        Examples, targets and perhaps sample weights to measure on as well; iterables of batches
        will do. `metrics` are of the validation set, if there is one.
    epochs, batch_size, gradient_accumulation_steps, seed, average, augmentation, metrics, \
    measure_train, checkpoints, callbacks
        As in `Training`; a Generator may stand for the seed, and a scikit-learn scorer for the name
        of a metric. With an average, the network has the averaged weights whenever a record is
        there.
    resume : bool or "force"
        Whether to go on where the newest of `checkpoints` is, if there is one: the result is then
        the same bit for bit as if the training had never stopped. Network, optimizer, data and
        options have to be those of before, unless it is "force". What else changes the last bits,
        as another BLAS, gives a `ResumeWarning`.

    Raises
    ------
    ConfigError, DataError, ShapeError
        At once, before anything has changed; for batches of an iterable, when they come.
    FileError
        When a checkpoint can't be written, or there are some and none is whole.
    DivergenceError
        When a value is not finite: with the epoch, the batch and the first layer. The network then
        has the weights from before that step, or those that were measured after an epoch.

    Examples
    --------
    >>> from layerkit.optimizers.adam import Adam
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(100, 2))
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))
    >>> for record in train(net, Adam(lr=0.05), x, x[:, 0] > 0, batch_size=10):
    ...     if record.train_accuracy > 0.95:
    ...         break
    >>> record.train_loss < 0.5
    True
    """
    _check_kinds(network, optimizer)
    check_metrics(metrics, network.loss, network.body.output_shape)
    options = Training(
        epochs=epochs,
        batch_size=batch_size,
        gradient_accumulation_steps=gradient_accumulation_steps,
        seed=_number_of(seed) if isinstance(seed, np.random.Generator) else seed,
        average=average,
        augmentation=augmentation,
        metrics=[metric for metric in metrics if isinstance(metric, str)],
        measure_train=measure_train,
        checkpoints=checkpoints,
        callbacks=list(callbacks),
    )
    rng, group = np.random.default_rng(seed), gradient_accumulation_steps
    if resume not in (False, True, "force"):
        raise ConfigError(f"resume = {resume!r}: should be False, True or 'force'")
    source = open_source(network, x, t, sample_weight, batch_size * group, group)
    sets: dict[str, Source] = {}
    for name, part in (("validation", validation), ("test", test)):
        if part is not None:
            with at(name):
                sets[name] = _open_set(network, part, name)
    if metrics and not sets:
        raise ConfigError(f"metrics = {list(metrics)}: there is no validation or test set")
    steps = None if source.batches is None else options.epochs * source.batches
    if average and steps is None:
        raise ConfigError(f"average = {average}: needs an iterable with a length")
    if resume and not checkpoints:
        raise ConfigError("resume: from where? Give checkpoints, as Checkpoints('folder')")
    if checkpoints and not resume and checkpoints.paths():
        raise ConfigError(
            f"checkpoints: {checkpoints.folder} has some of another training; resume that one, or "
            "choose another folder"
        )
    if isinstance(source, Arrays):
        count_steps(network, len(source.t), options)
        source.freeze()
        if measure_train:
            # without the weights of classes, as all that is measured
            sets = {"train": copy.copy(source)} | sets
        if source.a is not None and not source.a.any():
            raise DataError("sample_weight: no example counts")
        if class_weight is not None:
            source.a = example_weights(class_weight, network, source.t, sample_weight)
            if isinstance(class_weight, Mapping):
                options.class_weight = {str(k): weight for k, weight in class_weight.items()}
            elif isinstance(class_weight, str | list):
                options.class_weight = class_weight
    elif class_weight is not None:
        raise ConfigError("class_weight: in an iterable, each batch brings its weights: (x, t, a)")
    for part in {"train": source, **sets}.values():
        if isinstance(part, Arrays):
            network.check_layers(part.x)
        elif isinstance(part, Iterated):
            part.check_epochs(options.epochs)
    if augmentation and isinstance(source, Arrays):
        with at("augmentation"):
            augmentation.check(network.convert(source.x[:1]))
    with all_or_nothing(network):
        if not network.adapted:
            if not isinstance(source, Arrays):
                raise ConfigError(
                    "this network has parts that are fitted to the data: call network.adapt(x) "
                    "before it is trained with an iterable"
                )
            network.adapt(source.x)
        if isinstance(source, Arrays):
            check_outputs(network, network.convert(source.x[:1]))
        optimizer.bind(network.arena, steps)
        trainer = Trainer(network, optimizer, source, options, rng, sets, metrics)
        if checkpoints:
            trainer.origin = describe(trainer, class_weight)
            if resume:
                go_on(trainer, checkpoints, force=resume == "force")
    return trainer.run()


def _check_kinds(network: Any, optimizer: Any) -> None:
    """Refuse what is easily mixed up: classes for objects."""
    for name, value, kind in (("network", network, Network), ("optimizer", optimizer, Optimizer)):
        if not isinstance(value, kind):
            hint = f", as {value.__name__}()" if isinstance(value, type) else ""
            raise ConfigError(f"{name} = {value!r}: should be of type {kind.__name__}{hint}")


def _number_of(generator: np.random.Generator) -> int:
    """The seed that a generator was made of, as far as it is one number."""
    entropy = getattr(generator.bit_generator.seed_seq, "entropy", None)
    return entropy if isinstance(entropy, int) else 0


def _open_set(network: Network, given: Any, name: str) -> Source:
    """Examples to measure on: (x, t), (x, t, sample_weight), or an iterable of batches."""
    of_arrays = isinstance(given, list) and given and isinstance(given[0], np.ndarray | Subset)
    if (isinstance(given, tuple) or of_arrays) and len(given) in (2, 3):
        return Arrays(network, *given)
    if isinstance(given, np.ndarray) or not (callable(given) or hasattr(given, "__iter__")):
        raise ConfigError("should be (x, t), (x, t, sample_weight), or an iterable of batches")
    return Iterated(network, given, name=name)


def count_steps(network: Network, examples: int, training: Training) -> int:
    """The steps of a training; DataError when a batch of it is too small for a layer."""
    parts = training.gradient_accumulation_steps
    full, rest = divmod(examples, training.batch_size * parts)
    last = rest or training.batch_size * parts
    size = math.ceil(last / parts)
    smallest = last % size or size
    for address, layer in network.layers():
        if smallest < layer.smallest_batch:
            raise DataError(
                f"{address}: {type(layer).__name__} needs at least {layer.smallest_batch} examples "
                f"in a batch, but {examples:,} examples in batches of {training.batch_size} leave "
                f"a last one of {smallest}; choose another batch_size"
            )
    return training.epochs * (full + bool(rest))


def train_step(
    network: Network, optimizer: Optimizer, x: Any, t: Any, sample_weight: Any = None
) -> float:
    """Take one step of the optimizer on one batch, and return its loss from before the step.

    For loops of one's own; `train` does the same for each batch, but checks all data beforehand.

    Raises
    ------
    ConfigError, DataError, ShapeError
        As `Network.gradient`.
    DivergenceError
        When the loss or its gradient is not finite; nothing has changed then.

    Examples
    --------
    >>> from layerkit.optimizers.classic import SGD
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> losses = [train_step(net, SGD(lr=1.0), [[-1.0], [1.0]], [0, 1]) for _ in range(5)]
    >>> losses == sorted(losses, reverse=True)
    True
    """
    _check_kinds(network, optimizer)
    if optimizer.w is not network.arena.values:
        optimizer.bind(network.arena)
    gradient = partial(network.gradient, x, t, sample_weight)
    with np.errstate(all="ignore"):
        loss = gradient()
        if not is_finite(network.arena.grads):
            raise DivergenceError("the gradient is not finite; try a smaller learning rate")
        optimizer.step(network.arena.values, network.arena.grads, gradient)
    return loss


def fit(
    network: Network,
    optimizer: Optimizer,
    x: Any,
    t: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: ClassWeight | None = None,
    validation: Any = None,
    test: Any = None,
    epochs: int = 10,
    batch_size: int = 128,
    gradient_accumulation_steps: int = 1,
    seed: int | np.random.Generator = 0,
    average: Average | None = None,
    augmentation: Augmentation | None = None,
    metrics: Sequence[Metric] = (),
    measure_train: bool = True,
    checkpoints: Checkpoints | None = None,
    resume: Resume = False,
    callbacks: Sequence[Callback] = (),
) -> list[Record]:
    """Train to the end, and return the records of all epochs, also of those before a resumption.

    What is raised is that of `train`.

    Parameters
    ----------
    network, optimizer
        Changed in place.
    x, t : arrays
        Examples (N, *shape) and targets; or without `t`, an iterable of batches.
    validation, test : pairs of arrays, optional
        Examples and targets to measure on after each epoch.
    epochs, batch_size, callbacks
        As in `Training`.
    sample_weight, class_weight, gradient_accumulation_steps, seed, average, augmentation, \
    metrics, measure_train, checkpoints, resume
        As in `train`.

    Examples
    --------
    >>> from layerkit.optimizers.classic import SGD
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> records = fit(net, SGD(lr=1.0), [[-1.0], [1.0]], [0, 1], epochs=3, batch_size=2)
    >>> [record.train_accuracy for record in records][-1]
    1.0
    """
    history = History()
    for _ in train(
        network,
        optimizer,
        x,
        t,
        sample_weight=sample_weight,
        class_weight=class_weight,
        validation=validation,
        test=test,
        epochs=epochs,
        batch_size=batch_size,
        gradient_accumulation_steps=gradient_accumulation_steps,
        seed=seed,
        average=average,
        augmentation=augmentation,
        metrics=metrics,
        measure_train=measure_train,
        checkpoints=checkpoints,
        resume=resume,
        callbacks=[*callbacks, history],
    ):
        pass
    return history.records
