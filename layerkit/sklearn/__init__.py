"""scikit-learn's multi-layer perceptrons, trained by layerkit: only the import is replaced."""

from layerkit.sklearn.classifier import MLPClassifier
from layerkit.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
