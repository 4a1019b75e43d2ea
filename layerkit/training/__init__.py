"""Training: the loop, and what stands beside it."""

from layerkit.training.augmentation import Augmentation, ImageAugmentation
from layerkit.training.averaging import EMA, SWA, Average
from layerkit.training.evaluation import Record, evaluate
from layerkit.training.loop import fit, train, train_step
from layerkit.training.resume import ResumeWarning
from layerkit.training.trainer import Trainer, Training

__all__ = [
    "EMA",
    "SWA",
    "Augmentation",
    "Average",
    "ImageAugmentation",
    "Record",
    "ResumeWarning",
    "Trainer",
    "Training",
    "evaluate",
    "fit",
    "train",
    "train_step",
]
