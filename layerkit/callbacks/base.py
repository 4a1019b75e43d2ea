"""What listens to a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerkit.config import Configurable

if TYPE_CHECKING:
    from layerkit.trainer import Trainer


class Callback(Configurable):
    """Listens to a training; a subclass overrides what it wants to hear of.

    Each method gets the `Trainer`, which knows where the training stands. Options are fields, as
    everywhere, so that a configuration file can name callbacks. What a callback remembers and needs
    after a training has been resumed goes into `state_dict`.

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

    def train_begin(self, trainer: Trainer) -> None:
        """Before the first batch, also of a training that is resumed: then there are records."""

    def train_end(self, trainer: Trainer) -> None:
        """After the last batch, also when the training is broken off."""

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
