"""The list of all public names, from `__all__` of the families and the modules beside them."""

import inspect
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from docs.generate.atlas import write
from docs.generate.docstrings import blocks, paragraphs

GROUPS = {
    "Layers": ["layers"],
    "Activations": ["layers.activations"],
    "Layers made of layers": ["graph"],
    "Losses": ["losses"],
    "Parameters": ["parameters"],
    "Initializers": ["initializers"],
    "Optimizers": ["optimizers"],
    "Schedules": ["optimizers.schedules"],
    "Averaged weights": ["training.averaging"],
    "Network": ["network"],
    "Recording": ["recording", "recording.predictor"],
    "Exchange": ["exchange"],
    "scikit-learn's estimators": ["sklearn"],
    "Training": ["training", "training.lr_range", "progress", "training.divergence"],
    "Metrics": ["metrics"],
    "Callbacks": ["callbacks"],
    "Configuration": ["config", "config.options", "config.schema"],
    "Errors": ["errors", "errors.at"],
    "Data": ["data", "data.readers"],
    "Columns of tables": ["columns"],
    "Experiments and runs": ["runs", "runs.experiment", "runs.folder", "runs.sweep", "runs.verify"],
    "Checks": ["testing"],
    "Labs": ["lab"],
    "Looking inside": [
        *("inspection", "inspection.doctor.diagnosis", "layers.watch"),
        *("inspection.drawing", "runs.plots"),
    ],
    "Files": ["files", "files.checkpoints", "files.atomic", "training.resume"],
    "The command": ["cli.command.main", "config.own_modules"],
}
"""Packages, modules and single names. A name belongs to the most special entry that has it."""


def write_api(path: Path) -> None:
    """List all public names in Markdown: a page for each group, and one that leads to them."""
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    rows, pages = [], []
    for title, lines in api().items():
        name = slug(title)
        write(folder / f"{name}.md", "\n".join([f"# {title}", "", *lines]))
        first = lines[0].partition(". ")[0].rstrip(".")
        rows.append(f"| [{title}](api/{name}.md) | {first} |")
        pages.append(f"api/{name}")
    table = ["| Family | What it is |", "|---|---|", *rows, ""]
    write(path, "\n".join(["# API", "", *table, "```{toctree}", ":hidden:", "", *pages, "```", ""]))


def slug(title: str) -> str:
    """The name of the page of a group."""
    return re.sub(r"\W+", "_", title.lower())


def api() -> dict[str, list[str]]:
    """The groups: the first paragraph of the docstring, and the names."""
    entries = [entry for group in GROUPS.values() for entry in group]
    found = {part for entry in entries for part in public(entry)}
    homes: dict[str, list[Any]] = {entry: [] for entry in entries}
    for part in sorted(found, key=place):
        name = f"{part.__module__}.{part.__qualname__}."
        homes[max((e for e in entries if name.startswith(f"layerkit.{e}.")), key=len)].append(part)
    return {
        title: [
            *blocks(paragraphs(pkgutil.resolve_name(f"layerkit.{group[0]}"))[:1]),
            *("```{eval-rst}", ".. currentmodule:: layerkit", ""),
            *(".. autosummary::", "   :toctree: .", "   :nosignatures:", ""),
            *(f"   {address(part)}" for entry in group for part in homes[entry]),
            *("```", ""),
        ]
        for title, group in GROUPS.items()
    }


def public(entry: str) -> list[Any]:
    """The classes and functions of `__all__`, or else all that a module defines."""
    found = pkgutil.resolve_name(f"layerkit.{entry}")
    if not isinstance(found, ModuleType):
        return [found]
    own = [name for name, part in vars(found).items() if is_from(part, found.__name__)]
    parts = (getattr(found, name) for name in getattr(found, "__all__", own) if name[0] != "_")
    return [part for part in parts if is_from(part, "layerkit")]


def is_from(part: Any, module: str) -> bool:
    """Whether this is a class or function that a module, or one inside of it, defines."""
    kind = inspect.isclass(part) or inspect.isfunction(part)
    return kind and f"{part.__module__}.".startswith(f"{module}.")


def place(part: Any) -> tuple[str, int]:
    """Where a class or function is defined: its module, and at which place in it."""
    return part.__module__, list(vars(sys.modules[part.__module__])).index(part.__name__)


def address(part: Any) -> str:
    """The shortest path by which it can be imported, without "layerkit"."""
    path = part.__module__.split(".")
    modules = [".".join(path[: i + 1]) for i in range(len(path))]
    name = part.__name__
    short = next(m for m in modules if getattr(sys.modules[m], name, None) is part)
    return f"{short}.{name}".removeprefix("layerkit.")
