"""Exchange with other libraries: import networks, import and export parameters.

Its modules are imported when one of their functions is first used: most programs use none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerkit.exchange.onnx.models import from_onnx
    from layerkit.exchange.sklearn_models import from_sklearn
    from layerkit.exchange.state_dicts import load_state_dict, save_state_dict, state_dict

__all__ = ["from_onnx", "from_sklearn", "load_state_dict", "save_state_dict", "state_dict"]
HOMES = {"from_onnx": "onnx.models", "from_sklearn": "sklearn_models"}
"""The modules of the functions, where it is not `state_dicts`."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'layerkit.exchange' has no attribute {name!r}")
        home = HOMES.get(name, "state_dicts")
        return getattr(import_module(f"layerkit.exchange.{home}"), name)
