"""The atlas: pages and pictures of all activations, losses, optimizers, schedules, initializers."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.generate import pictures
from docs.generate.catalogue import FAMILIES, LINES, WINDOWS, drawn, for_class, registered
from docs.generate.docstrings import (
    aligned,
    assignment,
    blocks,
    markdown,
    meanings,
    own_options,
    paragraphs,
    split_formula,
)
from docs.generate.pictures import BOWL, VALLEY, WINDOW, Judged
from layerkit import (
    BinaryCrossEntropy,
    Configurable,
    DecaySchedule,
    Focal,
    HeNormal,
    Hinge,
    Huber,
    Initializer,
    Layer,
    LeCunNormal,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiMargin,
    Normal,
    Optimizer,
    Orthogonal,
    Quantile,
    ReLU,
    Schedule,
    SquaredHinge,
    Tanh,
)
from layerkit.arrays import Array
from layerkit.layers.activations.rows import RowActivation

# what the docstrings say


def facts(cls: type[Layer]) -> dict[str, str]:
    """Take the docstring of an activation apart: formula, range, kinks, source and notes."""
    text = "\n\n".join(paragraphs(cls))
    found = {}
    for name, pattern in {
        "formula": r"\A(.+?)\.(?:\s+|\Z)",
        "source": r"(?<!\S)Source: (.+)$",
        "range": r"(?<!\S)Range (.+?\.)(?:\s+|\Z)",
        "kinks": r"(?<!\S)(Not differentiable .+?\.)(?:\s+|\Z)",
    }.items():
        match = re.search(pattern, text, re.MULTILINE)
        if match:
            found[name] = match[1]
            text = text[: match.start()] + text[match.end() :]
    return found | {"notes": text.strip()}


# pages


def formula(text: str) -> list[str]:
    """Show formulas, a line each: "v <- …;  w <- …" are two."""
    if not text:
        return []
    if latex := aligned(text):
        return [":::{div} typeset", "$$", latex, "$$", ":::", ""]
    return [f"{markdown(text)}.", ""]


def picture(cls: type[Configurable]) -> list[str]:
    """Show the picture of a class beside the text, with what is drawn."""
    parts = drawn(cls)
    given = pictures.changed_options(parts[0]) if len(parts) == 1 else ""
    return [
        f"```{{figure}} /_generated/atlas/{cls.__name__}.svg",
        f":alt: Curves of {cls.__name__}",
        ":class: dark-light",
        ":figclass: beside",
        "",
        reference(cls) + (f" with `{given}`" if given else ""),
        "```",
        "",
    ]


def pair(alts: dict[str, str]) -> Iterator[str]:
    """Show two pictures side by side, on a phone one below the other."""
    yield from ("`````{grid} 1 2 2 2", ":gutter: 2", "")
    for name, alt in alts.items():
        yield from ("````{grid-item}", f"```{{image}} /_generated/atlas/{name}.svg")
        yield from (f":alt: {alt}", ":class: dark-light", "```", "````", "")
    yield from ("`````", "")


def overview(classes: Sequence[type[Any]]) -> Iterator[str]:
    """Small pictures of classes, which link to their sections."""
    yield from ("````{grid} 3 4 5 6", ":gutter: 1", ":class-container: overview", "")
    for cls in classes:
        name = cls.__name__
        title = re.sub(r"(?<=[a-z])(?=[A-Z])", "\N{SOFT HYPHEN}", name.removesuffix("Schedule"))
        yield from (f"```{{grid-item-card}} {title}", ":link-type: ref")
        yield from (
            f":link: atlas-{name.lower()}",
            f":img-bottom: /_generated/atlas/{name}_small.svg",
        )
        yield from (":class-img-bottom: dark-light", f":img-alt: {name}", "```", "")
    yield from ("````", "")


def reference(cls: type[Configurable]) -> str:
    """Link to the API."""
    return f"{{py:obj}}`~layerkit.{cls.__name__}`"


def options(cls: type[Configurable], family: type[Configurable]) -> list[str]:
    """A list of the options that a class has beside its family's."""
    texts, items = meanings(cls), dict[str, list[str]]()
    for option in own_options(cls, family):
        items.setdefault(texts.get(option.name, ""), []).append(f"`{assignment(option)}`")
    lines = [
        f"- {', '.join(names)}" + (f": {markdown(text)}" if text else "")
        for text, names in items.items()
    ]
    return ["**Options**", "", *lines, ""] if lines else []


def families(kind: type[Configurable]) -> Iterator[tuple[list[str], list[type[Any]]]]:
    """The families of a kind: a heading each, and the classes."""
    modules = FAMILIES[kind]
    for title in dict.fromkeys(modules.values()):
        names = [f"layerkit.{name}" for name, family in modules.items() if family == title]
        yield [f"## {title}", ""], [c for c in registered(kind) if c.__module__ in names]


def activation(cls: type[Layer]) -> Iterator[str]:
    """The section of one activation."""
    known = facts(cls)
    yield from picture(cls)
    yield from formula(known["formula"])
    if known["notes"]:
        yield from (markdown(known["notes"]), "")
    yield from (f"**Range** {markdown(known['range'])}", "")
    if "kinks" in known:
        yield from (markdown(known["kinks"]), "")
    yield from options(cls, Layer)
    yield from (f"**Source** {markdown(known['source'])}", "")


def rule(cls: type[Configurable]) -> tuple[str, list[str], list[str]]:
    """The formulas that a class begins with, the remarks on them, and the other paragraphs."""
    first, *others = paragraphs(cls)
    text, remarks = split_formula(first)
    while others and re.fullmatch(r"\w+ <- ((?!\. ).)+", others[0]):
        text += "; " + others.pop(0).removesuffix(".")
    return text, [remark for remark in remarks if remark], others


def described(
    cls: type[Configurable], family: type[Configurable], inherited: str = ""
) -> Iterator[str]:
    """The formula, one that belongs to it, the text and the options of a class."""
    text, remarks, others = rule(cls)
    if text and not aligned(text):  # a sentence
        text, remarks = "", paragraphs(cls)[:1]
    yield from formula(text + inherited)
    for line in blocks([*remarks, *others]):
        yield re.sub(r"^Source: ", "**Source** ", line)
    yield from options(cls, family)


def optimizer(cls: type[Optimizer]) -> Iterator[str]:
    """The section of one optimizer."""
    yield from described(cls, Optimizer)
    name = cls.__name__
    yield from pair(
        {f"{name}_{land.name}": f"Path of {name}, {land.name}" for land in (BOWL, VALLEY)}
    )
    yield from (f"In the API: {reference(cls)}.", "")


def schedule(cls: type[Schedule]) -> Iterator[str]:
    """The section of one schedule."""
    frame = split_formula(paragraphs(DecaySchedule)[1])[0]
    yield from picture(cls)
    yield from described(cls, Schedule, f"; {frame}" if issubclass(cls, DecaySchedule) else "")


def without_picture(family: type[Configurable], cls: type[Configurable]) -> Iterator[str]:
    """The section of a class that has no picture of its own."""
    yield from described(cls, family)
    yield from (f"In the API: {reference(cls)}.", "")


def page(kind: type[Configurable], section: Callable[[Any], Iterator[str]]) -> Iterator[str]:
    """All classes of a kind, by families."""
    for heading, classes in families(kind):
        yield from heading
        for cls in classes:
            name = cls.__name__
            yield from (f"(atlas-{name.lower()})=", f"### {name}", "", *section(cls))


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "activations": partial(page, Layer, activation),
    "optimizers": partial(page, Optimizer, optimizer),
    "schedules": partial(page, Schedule, schedule),
    "losses": partial(page, Loss, partial(without_picture, Loss)),
    "initializers": partial(page, Initializer, partial(without_picture, Initializer)),
}


OVERVIEWS: dict[str, Callable[[], list[type[Any]]]] = {
    "activations": lambda: [c for c in registered(Layer) if not issubclass(c, RowActivation)],
    "optimizers": lambda: registered(Optimizer),
    "schedules": lambda: registered(Schedule),
}
"""The classes whose small pictures are shown together."""


# pictures


def regression_losses() -> list[Judged]:
    """The losses of one number, over its error."""
    chosen = (MeanSquaredError(), MeanAbsoluteError(), Huber(), LogCosh(), Quantile((0.8,)))
    return [(loss, one_output, 0.0) for loss in chosen]


def classification_losses() -> list[Judged]:
    """The losses of a label and of two classes, over the margin of the right answer."""
    labels = [(loss, one_output, 1) for loss in (BinaryCrossEntropy(), Hinge(), SquaredHinge())]
    classes = [(loss, two_outputs, 0) for loss in (Focal(), MultiMargin())]
    return [*labels, *classes]


INITIALIZERS = [HeNormal(), LeCunNormal(), Orthogonal(), Normal(0.05), Normal(0.3)]
"""What the pictures of a signal through many layers compare."""


def one_output(x: Array) -> Array:
    """Return x as a batch of one output."""
    return x[:, None]


def two_outputs(x: Array) -> Array:
    """Return outputs (x, 0): the first is greater by x."""
    return np.stack([x, np.zeros_like(x)], axis=1)


def small_activation(cls: type[Layer], axes: Axes) -> None:
    """Draw an activation with its defaults."""
    pictures.draw_activation(axes, drawn(cls)[:1], for_class(WINDOWS, cls, WINDOW))


def small_path(cls: type[Optimizer], axes: Axes) -> None:
    """Draw the path of an optimizer through the valley."""
    pictures.draw_path(axes, cls, VALLEY)


def small_schedule(cls: type[Schedule], axes: Axes) -> None:
    """Draw the first setting of a schedule."""
    pictures.draw_schedules(axes, drawn(cls)[:1])


def figures() -> dict[str, Callable[[], Figure]]:
    """The functions that draw the pictures, by the names of their files."""
    found: dict[str, Callable[[], Figure]] = {}
    for what, derivative in (("losses", False), ("derivatives", True)):
        for name, parts, over in (
            ("regression", regression_losses(), "error z - t"),
            ("classification", classification_losses(), "margin"),
        ):
            found[f"{name}_{what}"] = partial(pictures.losses, parts, over, derivative)
    for activation in (ReLU, Tanh):
        found[f"signal_{activation.__name__}"] = partial(pictures.signal, INITIALIZERS, activation)
    layers: list[type[Any]] = registered(Layer)
    for layer in layers:
        window, line = for_class(WINDOWS, layer, WINDOW), for_class(LINES, layer, None)
        found[layer.__name__] = partial(pictures.activation, drawn(layer), window, line)
    for optimizer in registered(Optimizer):
        for land in (BOWL, VALLEY):
            name = f"{optimizer.__name__}_{land.name}"
            found[name] = partial(pictures.path_picture, optimizer, land)
    for schedule in registered(Schedule):
        found[schedule.__name__] = partial(pictures.schedule, drawn(schedule))
    small: dict[str, Callable[[Any, Axes], None]] = {
        "activations": small_activation,
        "optimizers": small_path,
        "schedules": small_schedule,
    }
    for group, draw in small.items():
        for cls in OVERVIEWS[group]():
            found[f"{cls.__name__}_small"] = partial(pictures.thumbnail, partial(draw, cls))
    return found


def write_atlas(folder: Path) -> None:
    """Write all pages and pictures; a file that is the same already is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in PAGES.items():
        write(folder / f"{name}.md", "\n".join(lines()))
    for name, classes in OVERVIEWS.items():
        write(folder / f"{name}_overview.md", "\n".join(overview(classes())))
    with pictures.style():
        for name, draw in figures().items():
            write(folder / f"{name}.svg", svg(draw()))


def svg(figure: Figure) -> str:
    """Return the picture as SVG, without the date, so that it is the same every time."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def write(path: Path, text: str) -> None:
    """Keep the time of a file that is already as it should be: Sphinx then has less to do."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
