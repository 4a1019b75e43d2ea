"""Training: the loop, its options, and what works beside it."""

from layerkit.training.augmentation import Augmentation, ImageAugmentation
from layerkit.training.averaging import EMA, SWA, Average
from layerkit.training.evaluation import evaluate
from layerkit.training.importance import permutation_importance
from layerkit.training.loop import fit, train, train_step
from layerkit.training.options import Training
from layerkit.training.resume import ResumeWarning
from layerkit.training.trainer import Trainer

__all__ = [
    "EMA",
    "SWA",
    "Augmentation",
    "Average",
    "ImageAugmentation",
    "ResumeWarning",
    "Trainer",
    "Training",
    "evaluate",
    "fit",
    "permutation_importance",
    "train",
    "train_step",
]
