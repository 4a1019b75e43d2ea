"""The options of a training run: epochs, batches, averages, checkpoints, callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.config.options import Amount, Configurable, Limits, Size
from layerkit.files.checkpoints import Checkpoints
from layerkit.training.augmentation import Augmentation
from layerkit.training.averaging import Average

Resume = bool | Literal["force"]
"""Whether to resume from a checkpoint; "force": even if it is from another training run."""
Metric = str | Callable[..., Any]
"""The name of a metric, a function of (y, predicted), or one of scikit-learn's scorers."""


class Training(Configurable):
    """The options of a training run, which are the ``[training]`` table of a configuration file.

    Parameters
    ----------
    epochs : int
        Number of times that every example is used.
    batch_size : int
        Examples that go through the network at once; the last batch of an epoch may be smaller.
    gradient_accumulation_steps : int
        Number of batches whose gradients are put together for one step of the optimizer: up to
        rounding the same as one batch of them all, in less memory.
    seed : int
        The seed of everything random in the run: initial weights, split of the data, order of the
        examples, dropout, augmentation.
    threads : int
        Number of BLAS threads. The last digits of a result depend on it.
    average : Average, optional
        The average of the weights, to evaluate with and to keep: `EMA` or `SWA`.
    augmentation : Augmentation, optional
        Random changes to the examples of each batch, such as `ImageAugmentation`.
    class_weight : "balanced", list of float or table, optional
        The weight of each class in the gradient: a list by class number, or a table by the name or
        number of the class, where the others have the weight 1. "balanced" gives all classes the
        same influence: N / (K n_k), for n_k of N examples in class k of K. What is measured after
        an epoch does not depend on it.
    target_weight : list of float or table, optional
        The weight of each of several targets in the gradient: a list in their order, or a table by
        name, where the others have the weight 1. What is measured after an epoch does not depend on
        it.
    standardize_targets : bool, optional
        Whether the network learns numeric targets as (t - mean) / std, measured on the training
        set, and predicts in their units. The loss is that of the standardized targets, without a
        unit; all metrics are in the units of the targets. By default so in a configuration file
        with ``target = "number"``, and not in Python.
    metrics : list of str
        Further metrics of the validation set, or else of the test set: names such as
        ``"f1_macro"``, ``"roc_auc"`` and ``"mae"``, or of functions of your own.
    measure_train : bool
        Whether all training examples are measured after each epoch. If not, the training loss of an
        epoch is the mean over its batches as they were trained on, and the accuracy is unknown.
    folds : int, optional
        Number of folds of a cross-validation by ``layerkit train``: for each fold a network is
        trained without its examples and measured on them; then the network of the run is
        trained.
    warm_start : str or Path, optional
        A saved network, or the folder of a run that has one: the training starts with its weights.
    engine : {"numpy", "compiled", "jax"}
        "compiled" records a step of the layers and runs it with arrays that are made once: the same
        numbers, to the last bit, in less time. "jax" compiles the recorded steps of an epoch by
        JAX, also for a GPU: the same numbers up to rounding, with other random ones.
    checkpoints : Checkpoints, optional
        When and where to save the state, from which a training run can be resumed.
    callbacks : list of Callback
        Observers of the run, such as `EarlyStopping`.

    Examples
    --------
    >>> from layerkit import from_config
    >>> table = {"epochs": 50, "average": {"type": "EMA", "decay": 0.99}}
    >>> training = from_config(table, Training)
    >>> training.epochs, training.batch_size, training.average
    (50, 128, EMA(decay=0.99))
    """

    epochs: Size = 10
    batch_size: Size = 128
    gradient_accumulation_steps: Size = 1
    seed: Annotated[int, Limits(ge=0)] = 0
    threads: Annotated[int, Limits(gt=0, lt=2**31)] = 1
    average: Average | None = None
    augmentation: Augmentation | None = None
    class_weight: Literal["balanced"] | list[Amount] | dict[str, Amount] | None = None
    target_weight: list[Amount] | dict[str, Amount] | None = None
    standardize_targets: bool | None = None
    metrics: list[str] = field(default_factory=list)
    measure_train: bool = True
    folds: Annotated[int, Limits(ge=2)] | None = None
    warm_start: str | Path | None = None
    engine: Literal["numpy", "compiled", "jax"] = "numpy"
    checkpoints: Checkpoints | None = None
    callbacks: list[Callback] = field(default_factory=list)


class Options(TypedDict, total=False):
    """The options of `train` and `fit`, for editors and type checkers; `train` explains them."""

    sample_weight: Any
    validation: Any
    test: Any
    resume: Resume
    mpi: bool
    epochs: int
    batch_size: int
    gradient_accumulation_steps: int
    seed: int | np.random.Generator
    average: Average | None
    augmentation: Augmentation | None
    class_weight: Literal["balanced"] | Mapping[Any, float] | Sequence[float] | None
    target_weight: Mapping[str, float] | Sequence[float] | None
    standardize_targets: bool
    metrics: Sequence[Metric]
    measure_train: bool
    engine: Literal["numpy", "compiled", "jax"]
    checkpoints: Checkpoints | None
    callbacks: Sequence[Callback]
