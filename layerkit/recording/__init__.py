"""Recording: a run of a network as a program of NumPy operations, to read, see and export."""

from layerkit.recording.arrays import RecordingError
from layerkit.recording.costs import Profile, profile
from layerkit.recording.program import Program
from layerkit.recording.recorder import record
from layerkit.recording.source import unroll
from layerkit.recording.trace import Trace, trace

__all__ = [
    "Profile",
    "Program",
    "RecordingError",
    "Trace",
    "profile",
    "record",
    "trace",
    "unroll",
]
