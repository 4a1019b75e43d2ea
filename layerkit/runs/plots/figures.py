"""Figures: their colours, the names in them, and their files."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

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


def save(figure: Figure, path: str | Path) -> None:
    """Save a picture; FileError if that fails, and what was there before is still there."""
    path = Path(path)
    write_atomically(path, drawn(figure, path.suffix[1:]))


def drawn(figure: Figure, kind: str) -> bytes:
    """Return the file of a picture, such as a "png"."""
    picture = io.BytesIO()
    figure.savefig(picture, format=kind, dpi=120)
    return picture.getvalue()
