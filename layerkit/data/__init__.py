"""Data sets: known ones, and one's own files."""

from layerkit.data.datasets import Data, Dataset, Examples

__all__ = ["Data", "Dataset", "Examples"]
