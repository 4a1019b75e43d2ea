"""Exchange with other libraries: networks and parameters from there, and parameters to there."""

from layerkit.exchange.sklearn_models import from_sklearn
from layerkit.exchange.state_dicts import load_state_dict, save_state_dict, state_dict

__all__ = ["from_sklearn", "load_state_dict", "save_state_dict", "state_dict"]
