"""The gallery's programs, and the pictures of a run."""

import re
import runpy
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from docs.generate.runs import PICTURES, write_digits

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "gallery").glob("plot_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_every_example_draws_a_picture_with_a_title(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.parent)
    monkeypatch.setattr(plt, "show", lambda: None)
    with warnings.catch_warnings(action="ignore"):
        runpy.run_path(str(example))
    figures = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    assert figures
    for figure in figures:  # the alternative text is made of the titles
        titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
        titles += [part.get_suptitle() for part in figure.subfigs]
        assert any(titles)


def test_the_pictures_of_the_run_are_those_on_the_page(tmp_path: Path) -> None:
    write_digits(tmp_path)
    shown = re.findall(
        r"/_generated/digits/(\w+\.png)", (DOCS / "get_started.md").read_text("utf-8")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown) == sorted(PICTURES)
