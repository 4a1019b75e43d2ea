"""The list of all public names, from `__all__` of the families and the modules beside them."""

import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

from docs.generate.atlas import write
from docs.generate.catalogue import FAMILIES
from docs.generate.docstrings import blocks, paragraphs
from docs.generate.letters import letters_of, listed, used

GROUPS = {
    "Layers": ["layers"],
    "Activations": ["layers.activations"],
    "Layers made of layers": ["graph"],
    "Losses": ["losses"],
    "Parameters": ["parameters"],
    "Initializers": ["initializers"],
    "Optimizers": ["optimizers"],
    "Schedules": ["optimizers.schedules"],
    "Averaged weights": [f"training.averaging.{name}" for name in ("Average", "EMA", "SWA")],
    "Network": ["network"],
    "Recording": ["recording", "recording.predictor"],
    "Exchange": ["exchange"],
    "scikit-learn's estimators": ["sklearn"],
    "Training": [
        *("training", "training.lr_range", "progress", "training.importance.Importances"),
        *("training.divergence.FailedStep", "training.divergence.Replay"),
    ],
    "Metrics": ["metrics", "metrics.metrics.measure"],
    "Callbacks": ["callbacks"],
    "Configuration": ["config", "config.schema"],
    "Errors": ["errors", "errors.at"],
    "Data": ["data"],
    "Columns of tables": ["columns"],
    "Experiments and runs": [
        *("runs", "runs.experiment", "runs.sweep"),
        *("runs.folder.read_run", "runs.folder.read_history"),
    ],
    "Checks": ["testing"],
    "Labs": ["lab"],
    "Looking inside": [
        *("inspection", "inspection.doctor.diagnosis", "inspection.drawing.svg", "runs.plots"),
        *("layers.watch.watched", "layers.watch.replaced"),
    ],
    "Files": ["files", "files.checkpoints"],
    "The command": ["cli.command.main", "config.own_modules.import_file"],
}
"""Packages, modules and single names. A name belongs to the most special entry that has it."""

HEADINGS = {module: title for modules in FAMILIES.values() for module, title in modules.items()}

ORDER = [
    *("layers.dense", "layers.normalization", "layers.regularization", "layers.shapes"),
    *("graph.sequential", "graph.graph", *HEADINGS, "recording.recorder", "recording.source"),
    *("recording.traces", "recording.costs", "training.loop", "training.options"),
    *("training.trainer", "training.evaluation", "training.importance", "callbacks.monitors"),
    *("callbacks.logs", "sklearn.classifier", "sklearn.regressor", "sklearn.mlp_classifier"),
    *("sklearn.mlp_regressor", "testing.layers", "testing.losses", "testing.optimizers"),
]
"""The modules whose classes come first in their group, though not in the order of the alphabet."""

GUIDES = {
    "Layers": """[Which one, when?](../which.md),
        [layers of your own](../extending.md#a-layer-or-an-activation),
        [in a configuration file](../configuration/layer.md)""",
    "Activations": """[Which one, when?](../which.md#activations),
        [curves, ranges and sources](../atlas/activations.md)""",
    "Layers made of layers": """[Containers of your own](../extending.md#a-container),
        [very deep networks](../recipes/deep_networks.md)""",
    "Losses": """[Which one, when?](../which.md#losses), [curves](../atlas/losses.md),
        [losses of your own](../extending.md#a-loss),
        [in a configuration file](../configuration/loss.md)""",
    "Parameters": """[Parameters and states](../design.md#parameters-and-states) in the design,
        [a layer with parameters](../extending.md#a-layer-with-parameters)""",
    "Initializers": """[Which one, when?](../which.md#initializers),
        [in the atlas](../atlas/initializers.md),
        [in a configuration file](../configuration/initializer.md)""",
    "Optimizers": """[Which one, when?](../which.md#optimizers),
        [their paths in two valleys](../atlas/optimizers.md),
        [one of your own, step by step](../extending.md#an-optimizer),
        [in a configuration file](../configuration/optimizer.md)""",
    "Schedules": """[Which one, when?](../which.md#schedules), [curves](../atlas/schedules.md),
        [in a configuration file](../configuration/schedule.md)""",
    "Averaged weights": "[How to average weights](../recipes/averaging.md)",
    "Network": "[Get started](../get_started.md), [the tutorial](../tutorial.md)",
    "Recording": """[Recording](../recording.md), [one step, number by number](../trace.md),
        [a network as NumPy source](../unroll.md)""",
    "Exchange": "[Exchange with other libraries](../exchange.md)",
    "scikit-learn's estimators": "[Coming from scikit-learn](../sklearn.md)",
    "Training": """[Your own training loop](../recipes/training_loop.md),
        [the `[training]` table](../configuration/tables.md)""",
    "Metrics": "[All metrics](../recipes/metrics.md), [one of your own](../recipes/own_metric.md)",
    "Callbacks": """[Early stopping](../recipes/early_stopping.md),
        [logging](../recipes/logging.md), [callbacks of your own](../extending.md#a-callback),
        [in a configuration file](../configuration/callback.md)""",
    "Configuration": "[All options in a configuration file](../configuration.md)",
    "Data": "[The `[data]` table](../configuration/tables.md), [tables](../tables.md)",
    "Columns of tables": """[Tables: CSV files and DataFrames](../tables.md),
        [in a configuration file](../configuration/column.md)""",
    "Experiments and runs": "[Get started](../get_started.md)",
    "Checks": "[Extending](../extending.md#check-it)",
    "Labs": "[The exercises](../labs.md), [teaching](../teaching.md#a-lab-of-your-own)",
    "Looking inside": """[What to do when it doesn't learn](../not_learning.md),
        [pictures of a run](../tables.md#pictures-of-a-run)""",
    "Files": "[Resuming a run](../recipes/resume.md)",
}
"""The pages to read beside a group."""


def write_api(path: Path) -> None:
    """List all public names in Markdown: a page for each group, and one that leads to them."""
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    rows, pages = [], []
    for title, lines in api().items():
        name = slug(title)
        write(folder / f"{name}.md", "\n".join([f"# {title}", "", *lines]))
        first = lines[0].partition(". ")[0].rstrip(".").removeprefix(f"{title}: ")
        rows.append(f"| [{title}](api/{name}.md) | {first[0].upper()}{first[1:]} |")
        pages.append(f"api/{name}")
    table = ["| Family | What it is |", "|---|---|", *rows, ""]
    write(path, "\n".join(["# API", "", *table, "```{toctree}", ":hidden:", "", *pages, "```", ""]))


def slug(title: str) -> str:
    """The name of the page of a group."""
    return re.sub(r"\W+", "_", title.lower())


def api() -> dict[str, list[str]]:
    """The groups: the first paragraph of the docstring, and the names."""
    entries = [entry for group in GROUPS.values() for entry in group]
    homes: dict[str, list[Any]] = {entry: [] for entry in entries}
    for part in sorted(documented().values(), key=place):
        name = f"{part.__module__}.{part.__qualname__}."
        homes[max((e for e in entries if name.startswith(f"layerkit.{e}.")), key=len)].append(part)
    return {
        title: [
            *blocks(
                paragraphs(inspect.getmodule(pkgutil.resolve_name(f"layerkit.{group[0]}")))[:1]
            ),
            *([f"Guides: {' '.join(GUIDES[title].split())}.", ""] if title in GUIDES else []),
            *tables(part for entry in group for part in homes[entry]),
        ]
        for title, group in GROUPS.items()
    }


@cache
def documented() -> dict[str, Any]:
    """All classes and functions of the reference by name."""
    entries = [entry for group in GROUPS.values() for entry in group]
    return {part.__name__: part for entry in entries for part in public(entry)}


def file_names() -> dict[str, str]:
    """The files of functions that are called as a class but for capitals: not all systems tell them
    apart.
    """
    paths = {f"layerkit.{address(part)}": part for part in documented().values()}
    classes = {path.lower() for path, part in paths.items() if inspect.isclass(part)}
    functions = (path for path, part in paths.items() if inspect.isfunction(part))
    return {path: f"{path}-function" for path in functions if path.lower() in classes}


def tables(parts: Iterable[Any]) -> Iterator[str]:
    """A table of classes and functions under each heading, after the letters of their formulas."""
    known = dict[str, str]()
    for heading, those in groupby(parts, key=lambda part: HEADINGS.get(module(part), "")):
        first, *others = those
        yield from ([f"## {heading}", ""] if heading else [])
        table = letters_of(sys.modules[first.__module__])
        if first.__module__.endswith(".base"):
            known = table
            yield from listed(known)
        elif heading and (new := used(table, [first, *others])).keys() - known.keys():
            yield from listed({names: new[names] for names in new if names not in known})
        yield from ("```{eval-rst}", ".. currentmodule:: layerkit", "")
        yield from (".. autosummary::", "   :toctree: .", "   :nosignatures:", "")
        yield from (f"   {address(part)}" for part in (first, *others))
        yield from ("```", "")


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


def place(part: Any) -> tuple[bool, int, str, int]:
    """Where a class or function is listed: base classes first, then by module and place in it."""
    name = module(part)
    rank = ORDER.index(name) if name in ORDER else len(ORDER)
    position = list(vars(sys.modules[part.__module__])).index(part.__name__)
    return not name.endswith((".base", ".container")), rank, name, position


def module(part: Any) -> str:
    """The module of a class or function, without "layerkit"."""
    return part.__module__.removeprefix("layerkit.")


def address(part: Any) -> str:
    """The shortest path by which it can be imported, without "layerkit"."""
    path = part.__module__.split(".")
    modules = [".".join(path[: i + 1]) for i in range(len(path))]
    name = part.__name__
    short = next(m for m in modules if getattr(sys.modules[m], name, None) is part)
    return f"{short}.{name}".removeprefix("layerkit.")
