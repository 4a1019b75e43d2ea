"""layerkit: neural networks as layers, in NumPy."""

import types
import typing

import layerkit.exchange as _exchange
import layerkit.inspection as _inspection
import layerkit.recording as _recording
from layerkit.arrays import Array as Array
from layerkit.arrays import Shape as Shape
from layerkit.callbacks import Callback as Callback
from layerkit.callbacks import EarlyStopping as EarlyStopping
from layerkit.callbacks import ModelCheckpoint as ModelCheckpoint
from layerkit.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
from layerkit.columns import Category as Category
from layerkit.columns import Column as Column
from layerkit.columns import Date as Date
from layerkit.columns import Number as Number
from layerkit.config import *
from layerkit.errors import *
from layerkit.files.checkpoints import Checkpoints as Checkpoints
from layerkit.graph import *
from layerkit.initializers import *
from layerkit.layers import *
from layerkit.losses import *
from layerkit.network import Network as Network
from layerkit.optimizers import *
from layerkit.optimizers.schedules import *
from layerkit.parameters import *
from layerkit.progress import Progress as Progress
from layerkit.progress import Record as Record
from layerkit.training import *

__version__ = "0.1.0"
__all__ = [
    name
    for name, value in sorted(globals().items())
    if not name.startswith("_") and not isinstance(value, types.ModuleType)
]
_LATER = {name: face for face in (_exchange, _inspection, _recording) for name in face.__all__}
__all__ += _LATER

if typing.TYPE_CHECKING:
    from layerkit.exchange import *
    from layerkit.inspection import *
    from layerkit.recording import *
else:

    def __dir__() -> list[str]:
        return [*globals(), *_LATER]

    def __getattr__(name: str) -> typing.Any:
        if name in _LATER:
            return getattr(_LATER[name], name)
        from layerkit.errors import nearest

        hint = "" if name.startswith("_") else nearest(name, __all__, "layerkit")
        raise AttributeError(f"module 'layerkit' has no attribute {name!r}{hint and f'; {hint}'}")
