"""Estimators for scikit-learn: any network, and its MLPClassifier and MLPRegressor."""

from layerkit.sklearn.bodies import make_layers
from layerkit.sklearn.classifier import Classifier
from layerkit.sklearn.mlp_classifier import MLPClassifier
from layerkit.sklearn.mlp_regressor import MLPRegressor
from layerkit.sklearn.regressor import Regressor

__all__ = ["Classifier", "MLPClassifier", "MLPRegressor", "Regressor", "make_layers"]
