"""scikit-learn's multi-layer perceptrons, trained by layerkit: only the import is replaced."""

from layerkit.sklearn.perceptrons import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
