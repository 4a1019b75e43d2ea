"""Exchange with other libraries: networks and parameters from there, and parameters to there."""

from layerkit.exchange.sklearn_models import from_sklearn

__all__ = ["from_sklearn"]
