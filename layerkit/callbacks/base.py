"""What listens to a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from layerkit.config.options import Configurable
from layerkit.errors import ConfigError, FileError
from layerkit.files.atomic import file_errors

if TYPE_CHECKING:
    from layerkit.training.trainer import Trainer


class Callback(Configurable):
    """Listens to a training; a subclass overrides what it wants to hear of.

    Each method gets the `Trainer`, which knows where the training stands. Options are fields, as
    everywhere, so that a configuration file can name callbacks. Paths are kept as text; in a run of
    the command, relative ones lie in the run's folder. What a callback remembers and needs after a
    training has been resumed goes into `state_dict`.

    Examples
    --------
    >>> class Losses(Callback):
    ...     every: int = 1
    ...     def train_begin(self, trainer):
    ...         self.losses = []
    ...     def batch_end(self, trainer):
    ...         if trainer.batch % self.every == 0:
    ...             self.losses.append(trainer.loss)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in vars(cls):
            hook = name.removeprefix("on_").replace("train_batch", "batch")
            if name != hook and hook in vars(Callback):
                raise ConfigError(f"{cls.__name__}.{name}: here it is called {hook}(self, trainer)")
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        super().__post_init__()
        paths = {name: path for name, path in vars(self).items() if isinstance(path, Path)}
        vars(self).update({name: str(path) for name, path in paths.items()})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy or a pickle has the options, and begins anew."""
        vars(self).update(state)
        self.__post_init__()

    def inside(self, folder: Path) -> Callback:
        """Return this callback, or if it has relative paths, a copy that has them in `folder`.

        A path is an option of type ``str | Path``. The folders on its way are made; FileError.
        """
        hints = get_type_hints(type(self))
        paths = {
            name: folder / value
            for name, value in self.__getstate__().items()
            if Path in get_args(hints[name]) and value and not Path(value).is_absolute()
        }
        for path in paths.values():
            with file_errors(f"{path}: can't be written"):
                path.parent.mkdir(parents=True, exist_ok=True)
        return replace(self, **paths) if paths else self

    def train_begin(self, trainer: Trainer) -> None:
        """Before the first batch, also of a training that is resumed: ``trainer.step`` is not 0."""

    def train_end(self, trainer: Trainer) -> None:
        """In the end, also when the training is broken off, by whatever and wherever."""

    def epoch_begin(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch, or the first that is left after a resumption."""

    def epoch_end(self, trainer: Trainer) -> None:
        """After an epoch has been measured: ``trainer.record``."""

    def batch_begin(self, trainer: Trainer) -> None:
        """Before a step."""

    def batch_end(self, trainer: Trainer) -> None:
        """After a step: ``trainer.loss`` of its ``trainer.size`` examples."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be kept over a resumption: arrays and plain values, by name."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""


def check_folder(path: str | Path) -> None:
    """Raise a FileError, before it costs a training, if the folder of a file is missing."""
    if not Path(path).parent.is_dir():
        raise FileError(f"{path}: can't be written: there is no folder {Path(path).parent}")
