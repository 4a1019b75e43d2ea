"""SeenData: the facts about its training data that a network is saved with."""

from __future__ import annotations

from typing import Any, Literal

from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.errors import DataError, listed
from layerkit.files.mapped import Subset, pieces

Pixels = Literal["bytes", "flags", "unit", "other"]
ROUNDING = 1e-5
"""The distance that computed pixels may have from 0 to 1."""


class SeenData(Configurable):
    """The facts about its training data that a network needs to predict, and is saved with.

    Attributes
    ----------
    pixels : {"bytes", "flags", "unit", "other"}, optional
        "bytes" for inputs of uint8, which are divided by 255; "flags" for bytes of 0 and 1, which
        are not; "unit" for numbers from 0 to 1, which may be pixels too; "other" for all others.
    features : list of str, optional
        The names of the columns, where the inputs were a table, such as a DataFrame.
    classes : list, optional
        The names of the classes, by class number.
    targets : list of str, optional
        The names of the targets, one for each output: those of the columns of a table.
    mean, scale : list of float, optional
        The mean and scale of each target, where targets are standardized.
    """

    pixels: Pixels | None = None
    features: list[str] | None = None
    classes: list[str] | list[bool] | None = None
    targets: list[str] | None = None
    mean: list[float] | None = None
    scale: list[float] | None = None

    def check_columns(self, columns: Any, *, learn: bool) -> None:
        """Raise a DataError for a table with other columns than in training."""
        if columns is None or not all(isinstance(name, str) for name in columns):
            return
        names = list(columns)
        if learn and self.features is None:
            self.features = names
        if self.features is not None and names != self.features:
            order = "in another order than" if sorted(names) == sorted(self.features) else "not"
            raise DataError(
                f"the columns of x, {listed(names)}, are {order} those of the training, "
                f"{listed(self.features)}: give x[network.seen.features]"
            )

    def check_targets(self, names: list[str], *, learn: bool) -> None:
        """Raise a DataError for several targets by other names than in training."""
        if len(set(names)) < len(names):
            raise DataError(f"the targets are called {listed(names)}: each needs a name of its own")
        if learn and self.targets is None:
            self.targets = names
        if self.targets is not None and len(names) > 1 and names != self.targets:
            order = "in another order than" if sorted(names) == sorted(self.targets) else "not"
            raise DataError(
                f"the targets, {listed(names)}, are {order} those of the training, "
                f"{listed(self.targets)}: give t[network.seen.targets]"
            )

    def check_pixels(self, pixels: Pixels, span: tuple[float, float], *, learn: bool) -> None:
        """Raise a DataError for bytes after other numbers, and the other way round."""
        if learn and self.pixels in (None, "unit"):
            self.pixels = pixels
        if self.pixels == "bytes" and pixels == "other":
            raise DataError(
                f"x goes from {span[0]:.6g} to {span[1]:.6g}, and the network was trained on "
                "bytes, which it divides by 255: give x as uint8, or numbers from 0 to 1"
            )
        if self.pixels in ("flags", "other") and pixels == "bytes":
            raise DataError(
                "x is uint8, whose bytes are divided by 255, and the network was trained on other "
                "numbers: give x in the same type and scale, such as x.astype(float)"
            )


def are_flags(rows: Array | Subset) -> bool:
    """Whether bytes are 0 and 1 alone, and some are 1: truth values, one-hot columns."""
    highest = 0
    for part in pieces(rows):
        if (highest := max(highest, int(part.max()))) > 1:
            break
    return highest == 1
