"""The pictures of runs: of the run in docs/get_started.md, and of all in the style of the pages."""

import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from io import StringIO
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from docs.generate.pictures import style
from layerkit.cli import main
from layerkit.runs.plots.figures import save

EXPERIMENT = Path(__file__).parents[2] / "experiments/digits.toml"
PICTURES = ("curves.png", "confusion.png", "mistakes.png", "weights.png")
WIDTH = 4.5
"""In inches: as wide as a phone, letters are still readable."""


def narrow(figure: Figure) -> None:
    """Arrange a figure for a phone: panels below each other, many images in rows of four."""
    panels = figure.axes
    width, height = figure.get_size_inches()
    height *= WIDTH / width
    if len(panels) > 1 and panels[-1].get_label() != "<colorbar>":
        columns = 4 if len(panels) > 4 else 1
        rows = ceil(len(panels) / columns)
        for axes, place in zip(panels, GridSpec(rows, columns, figure=figure), strict=False):
            axes.set_subplotspec(place)
        height = rows * (1.5 if columns > 1 else 3.0)
    figure.set_size_inches(WIDTH, height)


def save_narrow(figure: Figure, path: str | Path) -> None:
    """Save a picture for the pages."""
    narrow(figure)
    save(figure, path)


@contextmanager
def pictures_for_pages() -> Iterator[None]:
    """Let runs draw pictures that can be read on a phone, and in the light and dark theme."""
    with style(), patch("layerkit.runs.plots.run.save", save_narrow):
        yield


def write_digits(folder: Path) -> None:
    """Train as the page does, and save the pictures of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        with chdir(work), redirect_stdout(StringIO()), pictures_for_pages():
            main(["train", str(EXPERIMENT), "--out", "digits"])
        for name in PICTURES:
            shutil.copy(Path(work) / "digits" / name, folder)
