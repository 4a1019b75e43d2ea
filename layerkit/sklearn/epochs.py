"""Training by epochs, with scikit-learn's order of random numbers and its rules to stop.

X, t, a    the examples to train on, their targets (N, D), their sample weights (or None)
rows       those of a batch
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import shuffle

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.optimizers.base import Optimizer
from layerkit.progress import Progress
from layerkit.sklearn.rules import _UncorrectedAdam, _Velocity


class Epochs:
    """The training of a perceptron for some epochs, which leaves its curves in the model.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Its network is trained.
    X, t, a : arrays
        The examples to train on.
    held_out : tuple of arrays, optional
        X, y, and the sample weights if there are any, of the examples to validate on; y as the
        user knows it.
    incremental : bool
        Whether to train for one epoch, and go on with the optimizer as it is.
    observers : sequence of Callback
        Callbacks beside those of the model.
    """

    def __init__(
        self,
        model: Any,
        X: Any,
        t: Array,
        a: Array | None,
        held_out: Any,
        incremental: bool,
        observers: Sequence[Callback],
    ) -> None:
        self.callbacks = [*(model.callbacks or ()), *observers]
        self.model, self.X, self.t, self.a, self.held_out = model, X, t, a, held_out
        N = len(t)
        self.size = min(200 if model.batch_size == "auto" else model.batch_size, N)
        self.weights = [dense.W for dense in model._dense_layers()]
        epochs, batches = 1 if incremental else model.max_iter, math.ceil(N / self.size)
        if not incremental or not hasattr(model, "_optimizer"):
            model._optimizer = new_optimizer(model, None if incremental else epochs * batches)
        score = "validation_accuracy" if is_classifier(model) else "validation_r2"
        measured = ["train_loss"] if held_out is None else ["train_loss", score]
        self.progress = Progress(model.network_, model._optimizer, epochs, batches, N, measured)

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
        model, progress, order = self.model, self.progress, np.arange(len(self.t))
        model.n_iter_ = 0
        for _ in range(progress.epochs):
            if model.shuffle:
                order = shuffle(order, random_state=model._random_state)
            self._train_epoch(order)
            if progress.leaving:
                return
            if model.solver == "sgd" and model.learning_rate == "invscaling":
                model._optimizer.lr = model.learning_rate_init / (model.t_ + 1) ** model.power_t
            if model._no_improvement_count > model.n_iter_no_change:
                if self._stops():
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
        model, progress, N = self.model, self.progress, len(self.t)
        arena, optimizer = model.network_.arena, model._optimizer
        progress.begin_epoch()
        self._tell("epoch_begin")
        for start in range(0, N, self.size):
            part = slice(start, start + self.size)
            rows = order[part] if model.shuffle else part
            t = self.t[rows]
            batch = (self.X[rows], t, None if self.a is None else self.a[rows], self.weights)
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
        model.t_ += N
        model.loss_ = progress.mean_loss
        model.loss_curve_.append(model.loss_)
        if model.verbose:
            print(f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}")
        self._count_improvement()
        values = [model.loss_, *(model.validation_scores_ or [])[-1:]]
        progress.end_epoch(dict(zip(progress.measured, values, strict=False)))
        self._tell("epoch_end")

    def _tell(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.progress)

    def _count_improvement(self) -> None:
        """Count the epochs without an improvement of at least `tol`, and keep the best weights."""
        model = self.model
        if self.held_out is not None:
            score = self._held_out_score(*self.held_out)
            model.validation_scores_.append(score)
            if model.verbose:
                print(f"Validation score: {score:f}")
        if model.early_stopping:
            stale = score < model.best_validation_score_ + model.tol
            if score > model.best_validation_score_:
                model.best_validation_score_ = score
                model._keep_best()
        else:
            stale = model.loss_ > model.best_loss_ - model.tol
            model.best_loss_ = min(model.best_loss_, model.loss_)
        model._no_improvement_count = model._no_improvement_count + 1 if stale else 0

    def _held_out_score(self, X: Any, y: Any, a: Array | None = None) -> float:
        p = self.model._activations(X)
        if not np.isfinite(p).all():
            return math.nan
        score = accuracy_score if is_classifier(self.model) else r2_score
        return float(score(y, self.model._labels(p), sample_weight=a))

    def _stops(self) -> bool:
        """Return whether to stop after too many epochs without improvement, or go on slower."""
        model = self.model
        what = "Validation score" if model.early_stopping else "Training loss"
        stops, then = True, "Stopping."
        if model.solver == "sgd" and model.learning_rate == "adaptive":
            stops = model._optimizer.lr <= 1e-6
            then = "Learning rate too small. Stopping."
            if not stops:
                model._optimizer.lr /= 5
                then = f"Setting learning rate to {model._optimizer.lr:f}"
        if model.verbose:
            print(
                f"{what} did not improve more than tol={model.tol:f} for "
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
