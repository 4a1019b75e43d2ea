"""Training: `train` and `fit`, which check everything and make a `Trainer`, and `train_step`."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Unpack

import numpy as np

from layerkit.config.checks import check_kind
from layerkit.errors import ConfigError, DataError, DivergenceError, at, suggestion
from layerkit.fitting import adapt, all_or_nothing, check_layers
from layerkit.inspection.mistakes import WRITES_TO_Z, calling
from layerkit.metrics.metrics import undirected
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.progress import Progress, Record
from layerkit.streams import as_seed
from layerkit.training.averaging import AveragedWeights
from layerkit.training.batches import Arrays, Source
from layerkit.training.class_weights import example_weights
from layerkit.training.divergence import Divergence
from layerkit.training.evaluation import measure_sets, metric_names
from layerkit.training.iterables import Iterated, open_set, open_source
from layerkit.training.options import Options, Training
from layerkit.training.own_parts import Tried, check_assigned, check_parts
from layerkit.training.own_rules import check_rule
from layerkit.training.resume import Checkpointing, describe, remembering, resume_training
from layerkit.training.scale import warn_about_momentum, warn_about_scale
from layerkit.training.target_weights import weights_with_targets
from layerkit.training.trainer import Attendant, Trainer, is_finite


def train(
    network: Network, optimizer: Optimizer, x: Any, t: Any = None, **options: Unpack[Options]
) -> Trainer:
    """Check everything, and return a training run: iterate over it for a record of each epoch.

    Leave the loop to stop early. Every example is used once per epoch, in an order drawn anew from
    `seed`. All arrays are checked before the first step. The training begins with the present
    weights of the network: those of an earlier training are a warm start, and
    ``network.initialize(seed)`` draws new ones, and needs a new optimizer. A second training with
    the same seed has the same order of batches: give it another, or one Generator to both, which
    draws a seed for each.

    Parameters
    ----------
    network : Network
        Changed in place.
    optimizer : Optimizer
        It remembers its steps: take a new one for another network.
    x, t : arrays
        Examples (N, *shape) and targets, as `Network.gradient` takes them; also mapped from files,
        such as ``np.load("x.npy", mmap_mode="r")``. Without `t`, `x` is an iterable of batches
        (x, t) or (x, t, sample_weight), which is iterated anew for each epoch, or a function that
        returns one. Then `batch_size` does not matter, and what needs the length of the training,
        such as some schedules, needs an iterable with a length; and the training loss of an epoch
        is the mean over its batches as they were trained on.
    sample_weight : array, optional
        How much each example counts (N,), or each of its positions or targets. The loss of a batch
        is the weighted mean.
    class_weight : "balanced", dict or list of float, optional
        How much each class counts in the gradient, by its name or number; multiplied with
        `sample_weight`. What is measured after an epoch does not depend on it.
    validation, test : pairs or triples of arrays, optional
        Examples, targets and perhaps sample weights to measure on as well; iterables of batches
        are accepted too. `metrics` are of the validation set, if there is one.
    epochs, batch_size, gradient_accumulation_steps, average, augmentation, target_weight, \
    standardize_targets, measure_train, engine, checkpoints, callbacks
        See `fit`.
    seed : int or Generator
        Seed of the order of the examples, dropout and augmentation; 0 by default. A Generator draws
        one: ``options.seed`` of the `Progress` is that number.
    metrics : list of str or function
        Further metrics of the validation set, or else of the test set: names such as "f1_macro",
        functions of (y, predicted), or scorers of scikit-learn's.
    resume : bool or "force"
        Whether to resume from the newest of `checkpoints`, if there is one: the result is then the
        same bit for bit as if the training had never stopped. Network, optimizer, data and options
        have to be the same as before, unless it is "force"; but for more epochs, where no schedule
        or average depends on their number. Other things that change the last bits,
        such as another BLAS, give a `ResumeWarning`.
    mpi : bool
        Whether the processes that MPI has started train together, each with a share of the rows of
        every batch. All have to call this in the same way.

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
    >>> from layerkit import Adam, Dense, Network, SoftmaxCrossEntropy
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(100, 2))
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))
    >>> for record in train(net, Adam(lr=0.05), x, x[:, 0] > 0, batch_size=10):
    ...     if record.train_accuracy > 0.95:
    ...         break
    >>> record.epoch, round(record.train_loss, 2)
    (2, 0.36)
    """
    for name in options:
        if name not in Options.__annotations__:
            known = sorted(Options.__annotations__)
            raise ConfigError(
                f"a training run has no option {name!r}{suggestion(name, known, Training)}"
            )
    check_kinds(network, optimizer)
    check_assigned(network, optimizer)
    training = _as_training(options)
    parts = training.gradient_accumulation_steps
    with all_or_nothing(network.arena, network.seen):
        source = open_source(
            network,
            x,
            t,
            options.get("sample_weight"),
            training.batch_size * parts,
            parts,
            learn=True,
            standardize=bool(training.standardize_targets),
        )
        sets = {
            name: open_set(network, given, name)
            for name, given in (
                ("validation", options.get("validation")),
                ("test", options.get("test")),
            )
            if given is not None
        }
        trainer = prepare(
            network,
            optimizer,
            source,
            sets,
            training,
            class_weight=options.get("class_weight"),
            metrics=options.get("metrics", ()),
            resume=options.get("resume", False),
            mpi=options.get("mpi", False),
        )
    as_seed(options.get("seed", 0))  # a Generator draws nothing for what is refused
    return trainer


def fit(
    network: Network, optimizer: Optimizer, x: Any, t: Any = None, **options: Unpack[Options]
) -> list[Record]:
    """Train to the end, and return the records of all epochs, also of those before a resumption.

    `train` says more about some of the parameters, and which errors there are.

    Parameters
    ----------
    network : Network
        Changed in place; it begins with its present weights.
    optimizer : Optimizer
        It remembers its steps: take a new one for another network.
    x, t : arrays
        Examples (N, *shape) and their targets; or for `x` alone an iterable of batches.
    sample_weight : array, optional
        How much each example counts.
    validation, test : pair of arrays, optional
        Examples and targets to measure on after each epoch, such as ``(x_test, t_test)``.
    epochs : int
        Number of times that every example is used; 10 by default.
    batch_size : int
        Number of examples for one step; 128 by default.
    gradient_accumulation_steps : int
        Number of batches whose gradients make one step; 1 by default.
    seed : int or Generator
        Seed of the order of the examples, dropout and augmentation; 0 by default.
    average : Average, optional
        Average of the weights to evaluate with and to keep, such as ``EMA()``.
    augmentation : Augmentation, optional
        Random changes of the examples, such as ``ImageAugmentation(shift=1.0)``.
    class_weight : "balanced", dict or list of float, optional
        How much each class counts in the gradient.
    target_weight : dict or list of float, optional
        How much each of several targets counts in the gradient.
    standardize_targets : bool
        Whether numbers to predict are standardized for the loss; False by default.
    metrics : list of str or function
        Further metrics of the validation set, or else of the test set, such as ``["f1_macro"]``.
    measure_train : bool
        Whether all training examples are measured after each epoch; True by default.
    engine : {"numpy", "compiled", "jax"}
        The engine that runs the steps: the layers, a recorded step, or JAX.
    mpi : bool
        Whether several processes train together, as ``mpiexec`` starts them; False by default.
    checkpoints : Checkpoints, optional
        When and where the state is saved, to resume from.
    callbacks : list of Callback
        Observers of the training, such as ``[EarlyStopping(patience=5)]``.
    resume : bool or "force"
        Whether to go on from the newest of `checkpoints`; False by default.

    Returns
    -------
    list of Record
        One for each epoch, with its losses, accuracies, metrics and seconds.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> records = fit(net, SGD(lr=1.0), [[-1.0], [1.0]], [0, 1], epochs=3, batch_size=2)
    >>> [record.train_accuracy for record in records][-1]
    1.0
    """
    return train(network, optimizer, x, t, **options).run()


def _as_training(options: Options) -> Training:
    """Return the options that a configuration file could hold; functions are left out."""
    known = {option.name for option in fields(Training)}
    given: dict[str, Any] = {name: value for name, value in options.items() if name in known}
    if isinstance(seed := options.get("seed"), np.random.Generator):
        given["seed"] = as_seed(copy.deepcopy(seed))
    weights: Any = options.get("class_weight")
    if isinstance(weights, Mapping) or hasattr(weights, "items"):  # a Series too
        weights = options["class_weight"] = dict(weights.items())
    for name in ("class_weight", "target_weight"):
        weights = given.get(name)
        if isinstance(weights, Mapping) or hasattr(weights, "items"):
            given[name] = {str(k): weight for k, weight in weights.items()}
        elif weights is not None and not isinstance(weights, str) and hasattr(weights, "__iter__"):
            given[name] = list(weights)
    if callable(own := given.get("metrics")):
        own = getattr(own, "__name__", own)
        raise ConfigError(f"metrics = {own}: should be a list such as [{own}]")
    for name in ("callbacks", "metrics"):
        if isinstance(given.get(name), tuple | list):
            given[name] = [part for part in given[name] if name != "metrics" or type(part) is str]
    return Training(**given)


def prepare(
    network: Network,
    optimizer: Optimizer,
    source: Source,
    sets: dict[str, Source],
    options: Training,
    *,
    class_weight: Any = None,
    metrics: Sequence[Any] = (),
    resume: Any = False,
    mpi: bool = False,
) -> Trainer:
    """Make the trainer of a run, before its first step: every check is made once, here.

    Parameters
    ----------
    network, optimizer
        Changed by the trainer, but not here: if something is refused, nothing has changed.
    source : Source
        The batches to train on.
    sets : dict of str to Source
        The examples to measure after each epoch: "validation", "test".
    options : Training
    class_weight, metrics, resume, mpi
        As for `train`.

    Raises
    ------
    ConfigError, DataError, ShapeError, FileError
        As `train`.
    """
    parts = options.gradient_accumulation_steps
    steps = None if source.batches is None else options.epochs * source.batches
    _check_options(options, bool(sets), metrics, resume, steps, mpi)
    ranks = None
    if mpi:
        from layerkit.training.ranks import Ranks, RankTrainer, resume_together

        ranks = Ranks()
        options = ranks.quiet(options)
    if options.standardize_targets is False and network.seen.scale is not None:
        raise ConfigError(
            "standardize_targets = False: this network has learned standardized targets; "
            "network.initialize(seed) forgets them, with its weights"
        )
    if isinstance(source, Arrays):
        count_steps(network, len(source.t), options)
        source.freeze()
        if options.measure_train:
            sets = {"train": source} | sets
        if class_weight is not None:
            source = copy.copy(source)  # what is measured does not depend on weights of classes
            source.a = example_weights(class_weight, network, source.t, source.a)
        if options.target_weight is not None:
            source = copy.copy(source)
            source.a = weights_with_targets(options.target_weight, network, source.t, source.a)
    elif class_weight is not None or options.target_weight is not None:
        which = "target_weight" if class_weight is None else "class_weight"
        raise ConfigError(f"{which}: in an iterable, each batch brings its weights: (x, t, a)")
    for name, measured in {"train": source, **sets}.items():
        with at(name):
            _check_counting(network, measured)
    progress = Progress(
        network,
        optimizer,
        options.epochs,
        source.batches,
        source.examples,
        metric_names(network, sets, metrics),
        options,
    )
    progress.undirected = undirected(metrics)
    for callback in options.callbacks:
        callback.check(progress)
    warn_about_momentum(network)
    with all_or_nothing(network.arena, optimizer):
        unchecked = {"train": source, **sets}
        if isinstance(source, Arrays) and not network.adapted:
            with source.naming():
                adapt(network.body, network.inputs, network.arena, source.x)
            del unchecked["train"]
        _check_sources(network, unchecked, options)
        if isinstance(source, Arrays):
            check_parts(network, source.x, source.t, options.augmentation)
            warn_about_scale(network, source)
        elif network.adapted:
            source = Tried(source, network, options.augmentation)
        else:
            raise ConfigError(
                "this network has layers that are fitted to the data: call network.adapt(x) "
                "before it is trained with an iterable"
            )
        optimizer.bind(network.arena, steps)
        check_rule(optimizer, network.arena)
        attendants: list[Attendant] = [Divergence()]
        if options.engine == "compiled":
            from layerkit.training.compiled import Compiled

            attendants.insert(0, engine := Compiled(network, optimizer))
            engine.check(source)
        average = None
        if options.average and steps:
            average = AveragedWeights(network.arena, options.average, steps)
            attendants.insert(0, average)
        make: Any = Trainer
        if ranks:
            make = partial(RankTrainer, ranks=ranks)
        if options.engine == "jax":
            from layerkit.training.jax_engine import JaxTrainer

            make = partial(JaxTrainer, average=average)
        trainer: Trainer = make(
            progress,
            source,
            seed=options.seed,
            parts=parts,
            augmentation=options.augmentation,
            measure=partial(measure_sets, network, sets, metrics, network.targets.names),
            callbacks=options.callbacks,
            attendants=attendants,
        )
        trainer.check()
        if options.checkpoints or ranks:
            origin = describe(trainer, sets, options, class_weight, metrics)
        if ranks:
            ranks.check_same(origin)
            origin["training"]["ranks"] = ranks.size
        if options.checkpoints:
            remembered = remembering(options.callbacks)
            checkpointing = Checkpointing(options.checkpoints, origin, remembered)
            if not ranks or not ranks.rank:
                attendants.append(checkpointing)
            if resume and ranks:
                resume_together(trainer, checkpointing, force=resume == "force")
            elif resume:
                resume_training(trainer, checkpointing, force=resume == "force")
    return trainer


def check_kinds(network: Any, optimizer: Any) -> None:
    """Raise a ConfigError for objects of other types, such as classes."""
    for name, value, kind in (("network", network, Network), ("optimizer", optimizer, Optimizer)):
        check_kind(name, value, kind, "network, optimizer, x, t")


def _check_options(
    options: Training,
    measuring: bool,
    metrics: Sequence[Any],
    resume: Any,
    steps: int | None,
    mpi: bool,
) -> None:
    """Raise a ConfigError for options that don't fit together."""
    if mpi and options.engine != "numpy":
        raise ConfigError(f"engine = {options.engine!r}: with mpi, take engine = 'numpy'")
    checkpoints = options.checkpoints
    if options.engine == "compiled" and options.gradient_accumulation_steps > 1:
        raise ConfigError(
            "engine = 'compiled': gradient_accumulation_steps = "
            f"{options.gradient_accumulation_steps} is not compiled; take engine = 'numpy'"
        )
    if resume not in (False, True, "force"):
        raise ConfigError(f"resume = {resume!r}: should be False, True or 'force'")
    if metrics and not measuring:
        raise ConfigError(
            f"metrics = {list(metrics)}: there is no validation or test set to measure them on; "
            "pass validation=(x, t)"
        )
    if options.average and steps is None:
        raise ConfigError(f"average = {options.average}: needs an iterable with a length")
    if resume and not checkpoints:
        raise ConfigError("resume: from where? Give checkpoints, such as Checkpoints('folder')")
    if checkpoints and not resume and checkpoints.paths():
        raise ConfigError(
            f"checkpoints: {checkpoints.folder} has some of another training run; "
            "resume that one, or choose another folder"
        )


def _check_sources(network: Network, sources: Mapping[str, Source], options: Training) -> None:
    """Let layers check the data beforehand, and see whether iterables can be iterated anew."""
    for source in sources.values():
        if isinstance(source, Arrays):
            with source.naming():
                check_layers(network.body, network.inputs, source.x)
        elif isinstance(source, Iterated):
            source.check_epochs(options.epochs)


def _check_counting(network: Network, source: Source) -> None:
    """Raise a DataError for examples none of which counts, whose loss would be 0."""
    if isinstance(source, Arrays):
        z = np.broadcast_to(np.zeros(()), (len(source.t), *network.body.output_shape))
        with at("loss"), calling(f"{type(network.loss).__name__}.counts", WRITES_TO_Z):
            counts = network.loss.counts(z, source.t)
        if source.a is not None and not source.a.any():
            raise DataError("no example counts: all sample weights are 0")
        if counts is not None and not counts.any():
            raise DataError("no example counts: the loss ignores all labels")


def count_steps(network: Network, examples: int, training: Training) -> int:
    """Return the number of training steps; DataError if a batch is too small for a layer."""
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

    For loops of your own. `train` does the same for each batch, but checks all data beforehand.

    Parameters
    ----------
    network : Network
        Changed in place.
    optimizer : Optimizer
        It remembers its steps: give the same one to each step.
    x, t : arrays
        The examples (N, *shape) of a batch and their targets, as `Network.gradient` takes them.
    sample_weight : array, optional
        How much each example counts in the loss (N,), or each of its positions or targets.

    Raises
    ------
    ConfigError, DataError, ShapeError
        As `Network.gradient`.
    DivergenceError
        When the loss or its gradient is not finite; the parameters have not changed then.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> sgd = SGD(lr=1.0)
    >>> losses = [train_step(net, sgd, [[-1.0], [1.0]], [0, 1]) for _ in range(5)]
    >>> [round(loss, 2) for loss in losses]
    [1.1, 0.42, 0.23, 0.16, 0.12]
    """
    check_kinds(network, optimizer)
    if optimizer.w is not network.arena.values:
        optimizer.bind(network.arena)
    gradient = partial(network.gradient, x, t, sample_weight)
    with np.errstate(all="ignore"):
        loss = gradient()
        if not is_finite(network.arena.grads):
            raise DivergenceError("the gradient is not finite; try a smaller learning rate")
        optimizer.step(network.arena.values, network.arena.grads, gradient)
    return loss
