"""Training by epochs, with scikit-learn's order of random numbers and its rules to stop.

X, t, a    examples, their targets (N, D), how much each counts in the loss (or None)
rows       those of a batch
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import shuffle

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.metrics.metrics import check_metrics, measure, undirected
from layerkit.optimizers.base import Optimizer
from layerkit.progress import Progress
from layerkit.sklearn.rules import _UncorrectedAdam, _Velocity


class Examples(NamedTuple):
    """Examples to train on or to validate on.

    `sample_weight` is the user's, in all metrics; `a` has the weights of the classes, too. The
    labels are the targets as the user knows them, of examples to validate on.
    """

    X: Any
    t: Array
    sample_weight: Array | None = None
    a: Array | None = None
    labels: Any = None


class Epochs:
    """The training of a perceptron for some epochs, which leaves its curves in the model.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Its network is trained.
    trained, held_out : Examples
        The examples to train on, and to validate on, if there are any.
    incremental : bool
        Whether to train for one epoch, and go on with the optimizer as it is.
    observers : sequence of Callback
        Callbacks beside those of the model.
    """

    def __init__(
        self,
        model: Any,
        trained: Examples,
        held_out: Examples | None,
        incremental: bool,
        observers: Sequence[Callback],
    ) -> None:
        self.model, self.trained, self.held_out = model, trained, held_out
        self.callbacks = [*(model.callbacks or ()), *observers]
        self.weights = [dense.W for dense in model._dense_layers()]
        network, N = model.network_, len(trained.t)
        size = min(200 if model.batch_size == "auto" else model.batch_size, N)
        starts = list(range(0, N, size))
        if N % size and N % size < max(layer.smallest_batch for _, layer in network.layers()):
            starts = starts[:-1] or starts  # the last few go with the batch before
        self.batches = [slice(*ends) for ends in pairwise([*starts, N])]
        epochs = 1 if incremental else model.max_iter
        if not incremental or not hasattr(model, "_optimizer"):
            steps = None if incremental else epochs * len(self.batches)
            model._optimizer = new_optimizer(model, steps)
        further = check_metrics(model.metrics or [], network.loss, (model.n_outputs_,))
        self.score = "accuracy" if is_classifier(model) else "r2"
        measured = ["train_loss", *(f"train_{name}" for name in further)]
        if held_out is not None:
            measured += [
                f"validation_{name}" for name in dict.fromkeys(["loss", self.score, *further])
            ]
        self.progress = Progress(network, model._optimizer, epochs, len(self.batches), N, measured)
        self.progress.undirected = undirected(model.metrics or [])

    def run(self) -> None:
        """Train for these epochs, or until nothing improves."""
        progress = self.progress
        for callback in self.callbacks:
            callback.check(progress)
        with ExitStack() as ends:  # all of them, even if training is interrupted
            for callback in self.callbacks:
                ends.callback(callback.train_end, progress)
                callback.train_begin(progress)
            self._run()

    def _run(self) -> None:
        model, progress, order = self.model, self.progress, np.arange(len(self.trained.t))
        model.n_iter_, model.stopped_ = 0, None
        for _ in range(progress.epochs):
            if model.shuffle:
                order = shuffle(order, random_state=model._random_state)
            self._train_epoch(order)
            if progress.leaving:
                model.stopped_ = progress.stopped
                return
            if model.solver == "sgd" and model.learning_rate == "invscaling":
                model._optimizer.lr = model.learning_rate_init / (model.t_ + 1) ** model.power_t
            if model._no_improvement_count > model.n_iter_no_change:
                if self._stops():
                    model.stopped_ = f"{self._criterion} has not improved"
                    return
                model._no_improvement_count = 0
        if model.n_iter_ == model.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({model.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _train_epoch(self, order: Array) -> None:
        model, progress, examples = self.model, self.progress, self.trained
        arena, optimizer = model.network_.arena, model._optimizer
        progress.begin_epoch()
        self._tell("epoch_begin")
        for part in self.batches:
            rows = order[part] if model.shuffle else part
            t = examples.t[rows]
            a = None if examples.a is None else examples.a[rows]
            batch = (examples.X[rows], t, a, self.weights)
            self._tell("batch_begin")
            progress.size, progress.loss = len(t), model._gradient(*batch)
            optimizer.step(arena.values, arena.grads, partial(model._gradient, *batch))
            progress.loss_sum += progress.loss * len(t)
            progress.weight_sum += len(t)
            progress.batch += 1
            progress.step += 1
            self._tell("batch_end")
            if progress.leaving and progress.batch != progress.batches:
                model.loss_ = progress.mean_loss
                return
        model.n_iter_ += 1
        model.t_ += len(examples.t)
        model.loss_ = progress.mean_loss
        model.loss_curve_.append(model.loss_)
        if model.verbose:
            print(f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}")
        measured = self._measure()
        self._count_improvement()
        progress.end_epoch(measured)
        model.history_.append(replace(progress.record, epoch=len(model.history_) + 1))
        self._tell("epoch_end")

    def _measure(self) -> dict[str, float]:
        """Return all that is measured after an epoch, by name; nan where outputs are not finite."""
        model, held_out = self.model, self.held_out
        measured = dict.fromkeys(self.progress.measured, math.nan) | {"train_loss": model.loss_}
        if model.metrics:
            measured |= self._metrics("train", model._before_activation(self.trained.X))
        if held_out is None:
            return measured
        z = model._before_activation(held_out.X)
        score = math.nan
        if np.isfinite(p := model._activated(z)).all():
            measured["validation_loss"] = model._loss(z, p, held_out.t, held_out.a)
            scorer, name = (
                (accuracy_score, "accuracy") if is_classifier(model) else (r2_score, "r2")
            )
            score = float(scorer(held_out.labels, model._labels(p), sample_weight=held_out.a))
            measured[f"validation_{name}"] = score
            measured |= self._metrics("validation", z)
        model.validation_scores_.append(score)
        if model.verbose:
            print(f"Validation score: {score:f}")
        return measured

    def _metrics(self, part: str, z: Array) -> dict[str, float]:
        model, examples = self.model, self.trained if part == "train" else self.held_out
        if not model.metrics or examples is None or not np.isfinite(z).all():
            return {}
        t = model._own_targets(examples.t) if model._own_loss() else examples.t
        values = measure(model.metrics, model.network_.loss, z, t, examples.sample_weight)
        return {f"{part}_{name}": value for name, value in values.items()}

    def _tell(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.progress)
            self.progress.check_assigned()

    def _count_improvement(self) -> None:
        """Count the epochs without an improvement of at least `tol`, and keep the best weights."""
        model = self.model
        if model.early_stopping:
            score = model.validation_scores_[-1]
            stale = score < model.best_validation_score_ + model.tol
            if score > model.best_validation_score_:
                model.best_validation_score_ = score
                model._best = model._arena_state
        else:
            stale = model.loss_ > model.best_loss_ - model.tol
            model.best_loss_ = min(model.best_loss_, model.loss_)
        model._no_improvement_count = model._no_improvement_count + 1 if stale else 0

    @property
    def _criterion(self) -> str:
        return "Validation score" if self.model.early_stopping else "Training loss"

    def _stops(self) -> bool:
        """Return whether to stop after too many epochs without improvement, or go on slower."""
        model = self.model
        stops, then = True, "Stopping."
        if model.solver == "sgd" and model.learning_rate == "adaptive":
            stops = model._optimizer.lr <= 1e-6
            then = "Learning rate too small. Stopping."
            if not stops:
                model._optimizer.lr /= 5
                then = f"Setting learning rate to {model._optimizer.lr:f}"
        if model.verbose:
            print(
                f"{self._criterion} did not improve more than tol={model.tol:f} for "
                f"{model.n_iter_no_change} consecutive epochs. {then}"
            )
        return stops


def new_optimizer(model: Any, steps: int | None) -> Any:
    """Return the optimizer of a model, as its parameters say."""
    if isinstance(model.solver, Optimizer):
        optimizer = copy.deepcopy(model.solver)
        optimizer.bind(model.network_.arena, steps)
        return optimizer
    if model.solver == "sgd":
        return _Velocity(model.learning_rate_init, model.momentum, model.nesterovs_momentum)
    return _UncorrectedAdam(model.learning_rate_init, model.beta_1, model.beta_2, model.epsilon)
