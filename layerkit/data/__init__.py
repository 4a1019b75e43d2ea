"""Data sets: well-known ones, and your own files."""

from layerkit.data.datasets import Data
from layerkit.data.examples import Dataset, Examples

__all__ = ["Data", "Dataset", "Examples"]
