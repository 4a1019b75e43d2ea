"""What listens to a training: progress on the screen, records on disk."""

from layerkit.callbacks.base import Callback
from layerkit.callbacks.logs import CSVLog, History, Progress

__all__ = ["CSVLog", "Callback", "History", "Progress"]
