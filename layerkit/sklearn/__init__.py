"""Networks as estimators of scikit-learn, and its multi-layer perceptrons, trained by layerkit."""

from layerkit.sklearn.bodies import make_layers
from layerkit.sklearn.classifier import MLPClassifier
from layerkit.sklearn.network_classifier import Classifier
from layerkit.sklearn.network_regressor import Regressor
from layerkit.sklearn.regressor import MLPRegressor

__all__ = ["Classifier", "MLPClassifier", "MLPRegressor", "Regressor", "make_layers"]
