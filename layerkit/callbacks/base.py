"""Callbacks: objects that observe a training run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, get_args, get_type_hints

from layerkit.config.options import Configurable
from layerkit.errors import ConfigError, FileError
from layerkit.progress import Progress

HOOKS = ("train_begin", "train_end", "epoch_begin", "epoch_end", "batch_begin", "batch_end")
"""The methods of a callback that a training run calls, each with its `Progress`."""


class Callback(Configurable):
    """Base class of callbacks; a subclass overrides the methods that it needs.

    Each method is given the `Progress` of the run. Options are fields, so that a configuration file
    can name callbacks. Paths are kept as strings; in a run of the command, relative ones are inside
    the run's folder. What a callback has to remember when a training run is resumed goes into
    `state_dict`.

    Attributes
    ----------
    each_batch : bool
        Whether `batch_begin` and `batch_end` are to be called at each batch. If not, an engine that
        takes many steps in one call calls them once for these steps, and ``progress.size`` is the
        number of all their examples.

    Examples
    --------
    >>> class Losses(Callback):
    ...     every: int = 1
    ...     def train_begin(self, progress):
    ...         self.losses = []
    ...     def batch_end(self, progress):
    ...         if progress.batch % self.every == 0:
    ...             self.losses.append(progress.loss)
    >>> from layerkit import SGD, Dense, Network, SoftmaxCrossEntropy, fit
    >>> net, losses = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,)), Losses()
    >>> records = fit(net, SGD(), [[-1.0], [1.0]], [0, 1], epochs=3, callbacks=[losses])
    >>> len(losses.losses)
    3
    """

    each_batch: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in vars(cls):
            hook = re.sub("^(on_)?(train_)?(?=epoch|batch)|^on_", "", name)
            hook = re.sub("_start$", "_begin", hook.replace("step_", "batch_"))
            if name not in HOOKS and hook in HOOKS:
                raise ConfigError(
                    f"{cls.__name__}.{name}: here it is called {hook}(self, progress)"
                )
        super().__init_subclass__(**kwargs)

    def paths(self) -> dict[str, Path]:
        """Return the paths among the options, those of type ``str | Path``, by name."""
        hints = get_type_hints(type(self))
        return {
            name: Path(value)
            for name, value in self.__getstate__().items()
            if Path in get_args(hints[name]) and value
        }

    def check(self, progress: Progress) -> None:
        """Called before anything begins: raise a ConfigError for an unsuitable run."""

    def train_begin(self, progress: Progress) -> None:
        """Called before the first batch; in a resumed run, ``progress.step`` is not 0."""

    def train_end(self, progress: Progress) -> None:
        """Called once at the end, even when the training stops early or fails."""

    def epoch_begin(self, progress: Progress) -> None:
        """Called before the first batch of an epoch, or the first that is left of a resumed one."""

    def epoch_end(self, progress: Progress) -> None:
        """Called after an epoch has been measured: see ``progress.record``."""

    def batch_begin(self, progress: Progress) -> None:
        """Called before a step."""

    def batch_end(self, progress: Progress) -> None:
        """Called after a step: ``progress.loss`` is that of its ``progress.size`` examples."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: arrays and plain values, by name."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back a `state_dict`."""


def check_folder(path: str | Path) -> None:
    """Raise a FileError if the folder of a file is missing: better now than after hours."""
    if not Path(path).parent.is_dir():
        raise FileError(f"{path}: can't be written: there is no folder {Path(path).parent}")
