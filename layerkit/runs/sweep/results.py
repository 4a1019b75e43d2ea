"""The results of a sweep: a table, the best experiment, and a picture."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import tomli_w

from layerkit.config.tables import to_config
from layerkit.files.atomic import write_atomically
from layerkit.guidance import to_install
from layerkit.runs.sweep.plan import Axis, Plan, short_names
from layerkit.runs.sweep.trials import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLE, BEST, PICTURE = "trials.csv", "best.toml", "trials.png"
"""Names of the files in a sweep's folder."""
MAX_ROWS = 20
"""Number of rows that are printed at most."""


def print_table(plan: Plan, results: Sequence[Result]) -> None:
    """Print a table of the best trials."""
    short, seeds = short_names(list(plan.search)), plan.sweep.seeds > 1
    rows = [["trial", *short.values(), plan.sweep.monitor, *["std"] * seeds, "seconds", "state"]]
    for result in results[:MAX_ROWS]:
        values = [format_value(result.mean), format_value(result.std)][: 1 + seeds]
        params = [format_value(result.params.get(name)) for name in plan.search]
        seconds = "" if result.seconds is None else f"{result.seconds:.1f}"
        rows.append([str(result.number), *params, *values, seconds, result.state])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    if len(results) > MAX_ROWS:
        print(f"… and {len(results) - MAX_ROWS} more")


def write_table(plan: Plan, results: Sequence[Result], folder: str | Path) -> None:
    """Write the table to a folder."""
    folder = Path(folder)
    write_atomically(folder / TABLE, _csv(plan, results).encode())


def write_results(plan: Plan, results: Sequence[Result], folder: str | Path) -> None:
    """Write the table, the experiment with the best values, and the picture to a folder."""
    folder = Path(folder)
    written = [TABLE]
    write_table(plan, results, folder)
    if results and results[0].state == "done":
        config = to_config(plan.make(results[0].params))
        del config["type"]
        write_atomically(folder / BEST, tomli_w.dumps(config).encode())
        written.append(BEST)
        try:
            from layerkit.runs.plots.figures import save
        except ImportError:
            print(f"No picture without matplotlib: {to_install('plot')}")
        else:
            save(draw(plan, results), folder / PICTURE)
            written.append(PICTURE)
    print(f"In {folder}: {', '.join(written)}")


def draw(plan: Plan, results: Sequence[Result]) -> Figure:
    """Plot the monitored metric over the values of each option; mark the best and failed trials."""
    from matplotlib.figure import Figure

    columns = min(3, len(plan.search))
    rows = math.ceil(len(plan.search) / columns)
    figure = Figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, (name, axis) in zip(grid, plan.search.items(), strict=False):
        _panel(axes, name, axis, results)
    for axes in grid[len(plan.search) :]:
        axes.remove()
    means = [result.mean or 0.0 for result in results if result.state == "done"]
    for axes in grid[::columns]:
        axes.set_ylabel(plan.sweep.monitor)
        if 0 < 100 * min(means) < max(means):
            axes.set_yscale("log")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


def _panel(axes: Axes, name: str, axis: Axis, results: Sequence[Result]) -> None:
    values = axis.values() if axis.choices else []

    def position(result: Result) -> float:
        value = result.params[name]
        return values.index(value) if axis.choices else value

    done = [result for result in results if result.state == "done"]
    failed = [result for result in results if result.state == "failed"]
    best, *others = done
    for found, colour, size, label in (
        (others, "#0072b2", 5, "trial"),
        ([best], "#d55e00", 7, "best"),
    ):
        axes.errorbar(
            [position(result) for result in found],
            [result.mean or 0.0 for result in found],
            [result.std or 0.0 for result in found],
            fmt="o",
            color=colour,
            markersize=size,
            elinewidth=1,
            label=label,
        )
    if failed:
        # at the bottom, in axes coordinates: they have no value
        axes.plot(
            [position(result) for result in failed],
            [0.03] * len(failed),
            "x",
            color="#666666",
            transform=axes.get_xaxis_transform(),
            label="failed",
        )
    if axis.choices:
        axes.set_xticks(
            range(len(values)),
            [fill(format_value(value), max(8, 48 // len(values))) for value in values],
            fontsize=8,
        )
        axes.set_xlim(-0.5, len(values) - 0.5)
    elif axis.log:
        axes.set_xscale("log")
    axes.set_xlabel(name)
    axes.margins(y=0.1)
    axes.grid(alpha=0.3)


def format_value(value: Any) -> str:
    """Format a value for a table: numbers with four digits, objects as in Python.

    Examples
    --------
    >>> format_value(0.123456), format_value('{type = "SGD", lr = 0.5}')
    ('0.1235', 'SGD(lr = 0.5)')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    whole = re.fullmatch(r'\{type = "(\w+)"(?:, (.*))?\}', str(value))
    if whole is None:
        return str(value)
    return whole[1] + (f"({whole[2]})" if whole[2] else "")


def _csv(plan: Plan, results: Sequence[Result]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    monitor = plan.sweep.monitor
    table.writerow(["trial", "state", *plan.search, monitor, f"{monitor}_std", "seconds", "error"])
    for result in results:
        params = [result.params.get(name) for name in plan.search]
        table.writerow(
            [
                result.number,
                result.state,
                *params,
                result.mean,
                result.std,
                result.seconds,
                result.error,
            ]
        )
    return text.getvalue()
