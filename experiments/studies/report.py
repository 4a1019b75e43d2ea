"""Tools for the studies: confidence intervals, the choice of a learning rate, and the report."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from trainings import Results, Setting, train_all

from layerkit import Array, LayerkitError

ROOT = Path(__file__).parents[2]
SEEDS = range(10)
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
GREY = "#7b7b7b"
STYLE: dict[Any, Any] = {
    **{f"{part}.color": GREY for part in ("text", "xtick", "ytick")},
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "savefig.transparent": True,
    "svg.hashsalt": "layerkit",
    "axes.spines.right": False,
    "axes.spines.top": False,
}
"""No background, and a grey that can be read on white and on black."""


@dataclass(frozen=True)
class Study:
    """A claim, the settings that test it, and the report of their results.

    `text` has the title, the tutorial's claim, and how it is tested. `verdict` says whether it
    holds on MNIST, and `evidence` gives the numbers.
    """

    name: str
    text: str
    settings: Sequence[Setting]
    verdict: str
    evidence: Callable[[Results], str]
    picture: Callable[[Results], Figure]
    caption: str
    table: Callable[[Results], str]

    @property
    def title(self) -> str:
        """The question that the study answers."""
        return self.text.strip().partition("\n")[0]

    def section(self, results: Results) -> str:
        """Return the study as a section of a page: the answer, a picture, and details to open."""
        claim, _, method = self.text.strip().removeprefix(self.title).strip().partition("\n\n")
        parts = [
            f"## {self.title}",
            f"**{self.verdict}**",
            claim,
            f"![{self.title}](images/study_{self.name}.svg)",
            self.caption,
            self.evidence(results),
            ":::{dropdown} How it was tested, and all numbers",
            method,
            self.table(results),
            ":::",
        ]
        return "\n\n".join(parts) + "\n"


# statistics


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% confidence interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        # no-break spaces keep an interval in one line of a table
        return f"{self.value:{spec}} ({self.low:{spec}}\u00a0…\u00a0{self.high:{spec}})"


def mean(values: Array) -> Interval:
    """Estimate the mean of a normal distribution, with Student's t.

    The mean of differences, seed by seed, compares two settings.

    Examples
    --------
    >>> found = mean(np.array([97.0, 98.0, 99.0]))
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (98.0, 95.52, 100.48)
    """
    value = float(values.mean())
    margin = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))
    return Interval(value, value - margin, value + margin)


def deviation(values: Array) -> Interval:
    """Estimate the standard deviation of a normal distribution, with chi squared.

    Examples
    --------
    >>> found = deviation(np.array([97.0, 98.0, 99.0]))
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (1.0, 0.52, 6.28)
    """
    n, s = len(values) - 1, float(values.std(ddof=1))
    low, high = (s * (n / float(stats.chi2.ppf(p, n))) ** 0.5 for p in (0.975, 0.025))
    return Interval(s, low, high)


def accuracy(results: Results, setting: Setting) -> Array:
    """Return the test accuracies in percent: a row for each seed, a column for each epoch."""
    return 100 * np.array([run.test for run in results[setting]])


def final(results: Results, setting: Setting) -> Array:
    """Return the test accuracies in percent after the last epoch, for each seed."""
    return accuracy(results, setting)[:, -1]


def validation(results: Results, setting: Setting) -> float:
    """Return the mean accuracy on the validation images, in percent."""
    return 100 * float(np.mean([run.validation for run in results[setting]]))


def where(results: Results, **chosen: Any) -> list[Setting]:
    """Return the settings that have these values, in the order of their learning rates."""
    found = [s for s in results if all(getattr(s, name) == x for name, x in chosen.items())]
    return sorted(found, key=lambda setting: setting.rate)


def best(results: Results, **chosen: Any) -> Setting:
    """Return the setting with the highest validation accuracy of those that have these values."""
    return max(where(results, **chosen), key=lambda setting: validation(results, setting))


# the report


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---"] * len(columns)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])


def draw_rates(
    axes: Axes, results: Results, label: str, colour: str, line: str = "-o", **chosen: Any
) -> None:
    """Draw the test error over the learning rate, and a ring around the chosen rate."""
    settings = where(results, **chosen)
    errors = [mean(100 - final(results, setting)) for setting in settings]
    rates = [setting.rate for setting in settings]
    draw_band(axes, rates, errors, label, colour, line)
    chosen_rate = best(results, **chosen).rate
    ring = errors[rates.index(chosen_rate)].value
    axes.plot(chosen_rate, ring, "o", color=colour, markersize=11, fillstyle="none")


def draw_band(
    axes: Axes,
    x: Sequence[float],
    estimates: Sequence[Interval],
    label: str,
    colour: str,
    line: str = "-o",
) -> None:
    """Draw estimates as a line and their intervals as a band."""
    axes.plot(x, [e.value for e in estimates], line, color=colour, markersize=4, label=label)
    low, high = [e.low for e in estimates], [e.high for e in estimates]
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def rate_axis(axes: Axes, rates: Sequence[float]) -> None:
    """Make the x axis one of these learning rates."""
    axes.set(xscale="log", xlabel="learning rate")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.set_xticks([], minor=True)


def error_axis(axes: Axes, ticks: Sequence[float] = (2, 3, 5, 10, 20, 50, 90)) -> None:
    """Make the y axis one of errors, from a few percent up to guessing."""
    axes.set(yscale="log", ylim=(ticks[0], ticks[-1] + 5))
    axes.set_yticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(alpha=0.3)


def conduct(study: Study, quick: bool, processes: int, out: Path | None) -> str:
    """Train what is missing, write the results and the picture, and return the section."""
    settings, seeds = list(study.settings), SEEDS
    if quick:
        settings, seeds = [replace(s, data="digits") for s in settings], range(2)
    file = (out or ROOT / "experiments/results/studies") / f"{study.name}.csv"
    results = train_all(settings, seeds, file, processes)
    with mpl.rc_context(STYLE):
        picture = (out or ROOT / "docs") / f"images/study_{study.name}.svg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        study.picture(results).savefig(picture, metadata={"Date": None})
    return study.section(results)


def conduct_all(studies: Sequence[Study], introduction: str = "") -> None:
    """Run studies with the options of the command line; with an introduction, write their page."""
    parser = argparse.ArgumentParser(description="Test the tutorial's claims on MNIST.")
    parser.add_argument("--quick", action="store_true", help="try it on the digits, in seconds")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="number of processes")
    parser.add_argument("--out", type=Path, help="folder for all files that are written")
    options = parser.parse_args()
    if options.processes < 1:
        parser.error(f"--processes {options.processes}: should be at least 1")
    if options.quick and not options.out:
        parser.error("--quick needs --out: the published results are those of MNIST")
    try:
        sections = [conduct(s, options.quick, options.processes, options.out) for s in studies]
    except LayerkitError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues from here")
    print("\n".join(sections))
    if introduction:
        page = (options.out or ROOT / "docs") / "studies.md"
        verdicts = "".join(f"- {study.title} **{study.verdict}**\n" for study in studies)
        page.write_text("\n".join([introduction, verdicts, *sections]), encoding="utf-8")
