"""Recording: a run of a network as a program of NumPy operations, to read, see and export.

Its modules are imported when one of their names is first used: most programs use none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerkit.recording.costs import Profile, profile
    from layerkit.recording.program import Program
    from layerkit.recording.recorder import record
    from layerkit.recording.source import unroll
    from layerkit.recording.traces import Trace, trace

__all__ = ["Profile", "Program", "Trace", "profile", "record", "trace", "unroll"]
HOMES = {
    "Profile": "costs",
    "Program": "program",
    "Trace": "traces",
    "profile": "costs",
    "record": "recorder",
    "trace": "traces",
    "unroll": "source",
}
"""The modules of the names."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module 'layerkit.recording' has no attribute {name!r}")
        return getattr(import_module(f"layerkit.recording.{HOMES[name]}"), name)
