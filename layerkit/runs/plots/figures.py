"""Figures: their colours, the names in them, and their files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from layerkit.files.atomic import write_atomically

TRAIN, TEST = "#0072b2", "#d55e00"
COLOURS = (
    TRAIN,
    TEST,
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#882255",
    "#999999",
    "#999933",
)
GUIDE: dict[str, Any] = {"color": "#666666", "linestyle": ":", "linewidth": 1}
"""The style of a line to compare with."""


class NotebookFigure(Figure):
    """A figure that a notebook shows, also without pyplot."""

    def _repr_png_(self) -> bytes:
        return drawn(self, "png")


def label(name: object, most: int = 24) -> str:
    r"""Return a name as matplotlib should write it: as it is, in one line, not too long.

    Between two dollars it would read a formula, and of what begins with _ make no legend.

    Examples
    --------
    >>> label("$5 to $10"), label("_other"), label("the age of the applicant in years")
    ('\\$5 to \\$10', ' _other', 'the age of the applican…')
    """
    text = " ".join(str(name).split())
    if len(text) > most:
        text = text[: most - 1] + "…"
    return (" " * text.startswith("_") + text).replace("$", r"\$")


def written(value: float) -> str:
    """Return a number with four digits, and commas between thousands.

    Examples
    --------
    >>> written(1234567.8), written(0.123456), written(-3e-7), written(2e15)
    ('1,234,568', '0.1235', '-3e-07', '2e+15')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def count_thousands(axes: Axes) -> None:
    """Write the numbers of both axes by `written`, few enough to fit side by side."""
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        wide = axis is axes.xaxis and max(map(abs, limits)) >= 10_000
        axis.set_major_locator(MaxNLocator(nbins=3 if wide else 5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def save(figure: Figure, path: str | Path) -> None:
    """Save a figure, whole or not at all.

    Parameters
    ----------
    figure : matplotlib Figure
        The figure, such as `curves` returns.
    path : str or Path
        The file, whose ending says the format, such as ``"curves.png"`` or ``"curves.svg"``.

    Raises
    ------
    FileError
        When the file can't be written; what was there before is still there.
    """
    path = Path(path)
    write_atomically(path, drawn(figure, path.suffix[1:]))


def drawn(figure: Figure, kind: str) -> bytes:
    """Return the file of a picture, such as a "png"."""
    picture = io.BytesIO()
    figure.savefig(picture, format=kind, dpi=120)
    return picture.getvalue()
