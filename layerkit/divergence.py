"""Where a value stopped being finite, and the step at which it did, kept to be looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerkit.inspection import first_not_finite

if TYPE_CHECKING:
    from layerkit.sources import Batch
    from layerkit.trainer import Trainer


def explain(trainer: Trainer, batch: Batch) -> str:
    """Say where the first value is not finite when the trainer takes its next step."""
    return first_not_finite(trainer.network, trainer.network.convert(batch.x))
