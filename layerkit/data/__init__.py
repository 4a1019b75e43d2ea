"""Data sets: well-known ones, and your own files."""

from layerkit.data.datasets import Data, Dataset, Examples

__all__ = ["Data", "Dataset", "Examples"]
