"""Support of scikit-learn's callbacks, which it has from version 1.9 on, for training by epochs.

An estimator with a `network_` has `CallbackSupport` as a base, and trains like this::

    def fit(self, X, y, sample_weight=None):
        ...
        with self._fit_task(X, y, sample_weight, epochs) as observers:
            train(..., callbacks=[*own_callbacks, *observers])

So `set_callbacks(ProgressBar(), ScoringMonitor(scoring="accuracy"))` works, and so do the callbacks
that a Pipeline or a search hands on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layerkit.callbacks.base import Callback
from layerkit.progress import Progress

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9, without callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: there are no callbacks to set."""


class CallbackSupport(CallbackSupportMixin):  # type: ignore[misc]
    """Base of estimators that tell scikit-learn's callbacks of their epochs: `set_callbacks`."""

    @contextmanager
    def _fit_task(
        self, X: Any, y: Any, sample_weight: Any, epochs: int
    ) -> Iterator[list[Callback]]:
        """Give the observer of the epochs, if there are callbacks to be told.

        Parameters
        ----------
        X, y, sample_weight
            As the user gave them to `fit`: callbacks that score are given them.
        epochs : int
            Their number at most; 0 if there are none.
        """
        if not vars(self).get("_skl_callbacks"):
            yield []
            return
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        told = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        try:
            fit = self._init_callback_context(max_subtasks=epochs)
            fit.call_on_fit_task_begin(**told)
            yield [_Observer(fit, told)]
            fit.call_on_fit_task_end(**told, reconstruction_attributes={})
        finally:
            # what it does around a method is the teardown at its end; around `fit`, its frame
            # would be the line that warnings point at
            with_callbacks(lambda estimator: None)(self)


class _Observer(Callback):
    """Tells scikit-learn's callbacks of each epoch, and ends the training when one wants it."""

    fit: Any
    told: dict[str, Any]

    def epoch_begin(self, progress: Progress) -> None:
        self.epoch = self.fit.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.told)

    def epoch_end(self, progress: Progress) -> None:
        def fitted() -> dict[str, Any]:  # only if one asks for it
            return {"network_": copy.deepcopy(progress.network)}

        if self.epoch.call_on_fit_task_end(**self.told, reconstruction_attributes=fitted):
            progress.stop("a callback of scikit-learn has stopped it")
