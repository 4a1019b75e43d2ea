"""The atlas's pictures, drawn by calling the classes: no formula is written a second time."""

import copy
import functools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerkit import (
    Dense,
    Initializer,
    Layer,
    Loss,
    MeanSquaredError,
    Network,
    Optimizer,
    Schedule,
    Sequential,
)
from layerkit.arrays import Array
from layerkit.config.options import default
from layerkit.parameters import Arena

COLOURS = BLUE, ORANGE, *_ = "#3a8fd1", "#e0762b", "#2fa36b", "#9b72cf", "#d0527a"
GREY = "#7b7b7b"
DASHES = ["-", "--", ":"]
STYLE = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "butt",
    "savefig.transparent": True,
    "svg.hashsalt": "layerkit",
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}
LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "fontsize": 8,
    "handlelength": 1.8,
    "columnspacing": 1.2,
    "labelspacing": 0.3,
}


def style() -> AbstractContextManager[None]:
    """Draw on no background and in colours that can be seen on white and on black."""
    return mpl.rc_context(STYLE)


def use_style(gallery_conf: dict[str, Any], file: str) -> None:
    """Let the examples of the gallery draw in the same way, with letters of the text's size."""
    letters = "axes.titlesize", "figure.titlesize", "font.size", "legend.fontsize"
    mpl.rcParams.update(STYLE | dict.fromkeys(letters, 10) | {"figure.dpi": 130})


def changed_options(part: Any) -> str:
    """The options of an object that are not their defaults, such as ``alpha = 2.0``."""
    return ", ".join(
        f"{option.name} = {getattr(part, option.name)!r}"
        for option in fields(part)
        if getattr(part, option.name) != default(option)
    )


def labels(parts: Sequence[Any], alone: str) -> list[str]:
    """For each of several objects of a class, the options that one of them has changed."""
    if len(parts) == 1:
        return [alone]
    values = [
        [(option.name, getattr(part, option.name)) for part in parts]
        for option in fields(parts[0])
        if any(getattr(part, option.name) != default(option) for part in parts)
    ]
    return [
        ", ".join(f"{name} = {value!r}" for name, value in given if value is not None)
        for given in zip(*values, strict=True)
    ]


def called(part: Any) -> str:
    """The name of an object's class, and how it is made if it does not have the defaults."""
    return repr(part) if changed_options(part) else type(part).__name__


# activations

WINDOW = (-5.0, 5.0, -3.0, 3.0)


@dataclass
class Line:
    """The inputs ``x direction + offset``, for activations of a whole row."""

    direction: Sequence[float]
    offset: Sequence[float]


def evaluate(layer: Layer, x: Array, line: Line | None = None) -> tuple[Array, Array]:
    """Return all y (len(x), outputs), and their derivatives along the line, from `backward`."""
    line = line or Line([1.0], [0.0])
    layer, direction = copy.deepcopy(layer), np.array(line.direction)
    (outputs,) = layer.place((len(direction),), address=type(layer).__name__)
    Arena(layer.declared(), "float64")
    rng = np.random.default_rng(1)
    for item in layer.declared().values():
        item.init.fill(item.value, rng)
    with np.errstate(all="ignore"):
        y = layer.forward(np.outer(x, direction) + line.offset, train=not layer.random)
        slopes = [layer.backward(np.tile(row, (len(x), 1))) @ direction for row in np.eye(outputs)]
    return y, np.transpose(slopes)


def broken(x: Array, y: Array) -> tuple[Array, Array]:
    """Put a nan wherever y jumps, so that no line joins the two sides.

    A jump is a change from one place to the next that is much larger than the four around it.
    """
    change = np.pad(np.abs(np.diff(y)), 2)
    count = len(y) - 1
    around = np.median([change[i : i + count] for i in (0, 1, 3, 4)], axis=0)
    places = np.flatnonzero((change[2:-2] > 0.05) & (change[2:-2] > 4 * around)) + 1
    return np.insert(x, places, np.nan), np.insert(y, places, np.nan)


def activation(
    layers: Sequence[Layer], window: Sequence[float] = WINDOW, line: Line | None = None
) -> Figure:
    """Draw some settings of an activation, with their derivatives."""
    figure, axes = one_picture()
    draw_activation(axes, layers, window, line)
    axes.set_xlabel("x")
    entries = axes.get_legend_handles_labels()
    columns = 4 if len("".join(entries[1])) < 34 else 2
    figure.legend(*entries, **LEGEND, ncols=columns)
    return figure


def one_picture() -> tuple[Figure, Axes]:
    """Make a small figure with room for a legend above it."""
    figure = Figure(figsize=(3.7, 2.5))
    figure.subplots_adjust(0.14, 0.18, 0.97, 0.83)
    return figure, figure.subplots()


def draw_activation(
    axes: Axes, layers: Sequence[Layer], window: Sequence[float], line: Line | None = None
) -> None:
    """Draw y broad and dy/dx narrow; each setting has its dashes, each output of a row its colour.

    Where y is not a number, neither is its derivative.
    """
    left, right, bottom, top = window
    x = np.linspace(left, right, 2001)
    for layer, name, dashes in zip(layers, labels(layers, "y"), DASHES, strict=False):
        y, slopes = evaluate(layer, x, line)
        slopes[np.isnan(y)] = np.nan
        row = y.shape[1] > 1
        for i in range(y.shape[1]):
            label = f"y{'₁₂₃'[i]}" if row else name
            axes.plot(*broken(x, y[:, i]), color=COLOURS[i], ls=dashes, lw=2.2, label=label)
            thin = {"color": COLOURS[i], "ls": ":"} if row else {"color": ORANGE, "ls": dashes}
            axes.plot(*broken(x, slopes[:, i]), lw=1.2, **thin)
    thin = {"color": GREY, "ls": ":"} if row else {"color": ORANGE}
    axes.plot([], [], lw=1.2, label="dy/dx", **thin)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.grid()
    axes.axhline(0, color=GREY, lw=0.8, zorder=1)
    axes.axvline(0, color=GREY, lw=0.8, zorder=1)


def thumbnail(draw: Callable[[Axes], None]) -> Figure:
    """Draw a small picture without any text."""
    figure = Figure(figsize=(1.3, 1))
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    draw(axes)
    axes.set(xticks=[], yticks=[], xlabel="", ylabel="", title="")
    axes.spines[:].set_visible(False)
    for curve in axes.lines:
        curve.set(linewidth=curve.get_linewidth() * 0.7, markersize=curve.get_markersize() / 2)
    return figure


# optimizers

RATES = [factor * 10.0**power for power in range(-3, 5) for factor in (1, 2, 5)]
STEPS = 60


@dataclass(frozen=True)
class Landscape:
    """A function of two numbers with its gradient; its minimum is 0, at (1, 1)."""

    name: str
    start: tuple[float, float]
    value: Callable[[Any, Any], Any]
    gradient: Callable[[float, float], tuple[float, float]]


BOWL = Landscape(
    "bowl",
    (-1.8, 1.6),
    lambda x, y: 2.5 * (x - 1) ** 2 - 4 * (x - 1) * (y - 1) + 2.5 * (y - 1) ** 2,
    lambda x, y: (5 * (x - 1) - 4 * (y - 1), 5 * (y - 1) - 4 * (x - 1)),
)
VALLEY = Landscape(
    "valley",
    (-1.5, 2.6),
    lambda x, y: (x - 1) ** 2 + 2 * (y - x * x) ** 2,
    lambda x, y: (2 * (x - 1) - 8 * x * (y - x * x), 4 * (y - x * x)),
)


def path(optimizer: Optimizer, landscape: Landscape) -> Array:
    """Return the places (STEPS + 1, 2) that an optimizer comes to.

    The two numbers are a matrix of two rows, since Muon steps by matrices.
    """
    w = np.array(landscape.start)[:, None]
    g = np.empty_like(w)

    def again() -> float:
        g[:, 0] = landscape.gradient(*w[:, 0])
        return float(landscape.value(*w[:, 0]))

    places = [w[:, 0].copy()]
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            again()
            optimizer.step(w, g, again)
            places.append(w[:, 0].copy())
    return np.array(places)


@functools.cache
def best(cls: type[Optimizer], landscape: Landscape) -> tuple[float, Array]:
    """Try all RATES; return the least that is nearly the best one, and its path.

    A rate is as good as the mean loss on its path is small. The best one itself is often at the
    edge of what does not diverge.
    """
    make: Callable[..., Optimizer] = cls
    paths = {lr: path(make(lr=lr), landscape) for lr in RATES}
    with np.errstate(all="ignore"):
        means = {lr: float(landscape.value(*places.T).mean()) for lr, places in paths.items()}
    least = min(mean for mean in means.values() if math.isfinite(mean))
    lr = next(lr for lr, mean in means.items() if mean <= 2 * least)
    return lr, paths[lr]


def draw_path(axes: Axes, cls: type[Optimizer], landscape: Landscape) -> None:
    """Draw the best path over the contours of the function."""
    lr, places = best(cls, landscape)
    x, y = np.meshgrid(np.linspace(-2.4, 2.4, 61), np.linspace(-0.8, 3.2, 51))
    levels = [0.1, 0.5, 1.5, 4, 9, 18, 35, 70]
    axes.contour(x, y, landscape.value(x, y), levels, colors=GREY, linewidths=0.6, alpha=0.55)
    axes.plot(*places.T, "-o", color=ORANGE, markersize=2.4, lw=1, zorder=3)
    axes.plot(*landscape.start, "o", color=BLUE, markersize=5, zorder=4)
    axes.plot(1, 1, "x", color=BLUE, markersize=6, mew=1.6, zorder=2)
    axes.set(xlim=(-2.4, 2.4), ylim=(-0.8, 3.2), aspect="equal")
    axes.set_title(f"{landscape.name}, lr = {lr:g}")


def path_picture(cls: type[Optimizer], landscape: Landscape) -> Figure:
    """Draw the path of an optimizer on one function."""
    figure = Figure(figsize=(3.7, 3.2))
    figure.subplots_adjust(0.1, 0.08, 0.99, 0.92)
    draw_path(figure.subplots(), cls, landscape)
    return figure


# schedules and losses

TRAINING = 100


def draw_schedules(axes: Axes, schedules: Sequence[Schedule]) -> None:
    """Draw the factors over the steps of a training run of TRAINING steps."""
    steps = np.arange(TRAINING)
    for schedule, name, colour in zip(schedules, labels(schedules, ""), COLOURS, strict=False):
        factors = np.array([schedule(int(step), TRAINING) for step in steps])
        axes.plot(*broken(steps.astype(float), factors), color=colour, label=name)
    axes.set(xlim=(0, TRAINING), ylim=(-0.05, 1.1), yticks=[0, 0.5, 1])
    axes.set(xlabel="step", ylabel="factor")
    axes.grid()


def schedule(schedules: Sequence[Schedule]) -> Figure:
    """Draw some settings of a schedule."""
    figure, axes = one_picture()
    figure.subplots_adjust(top=0.95 - 0.07 * len(schedules))
    draw_schedules(axes, schedules)
    if len(schedules) > 1:
        figure.legend(**LEGEND)
    return figure


Judged = tuple[Loss, Callable[[Array], Array], Any]
"""A loss, the outputs at each x, and the one target."""


def losses(parts: Sequence[Judged], name: str, derivative: bool) -> Figure:
    """Draw losses or their derivatives."""
    figure = Figure(figsize=(3.7, 3.2))
    figure.subplots_adjust(0.12, 0.14, 0.97, 0.74)
    axes = figure.subplots()
    x = np.linspace(-3, 3, 1201)
    for (loss, outputs, target), colour in zip(parts, COLOURS, strict=True):
        z = outputs(x)
        y = loss.losses(z, loss.targets([target] * len(x), z.shape[1:]))
        if derivative:
            y = loss.gradients()[:, 0]
        axes.plot(*broken(x, y), color=colour, label=called(loss))
    low, high = (-3, 3 if name == "error z - t" else 0.5) if derivative else (-0.2, 4)
    axes.set(xlim=(-3, 3), ylim=(low, high), xlabel=name)
    axes.set_title("derivative" if derivative else "loss")
    axes.grid()
    figure.legend(**LEGEND | {"ncols": 2})
    return figure


# initializers

DEPTH, WIDTH = 10, 64


def signal(initializers: Sequence[Initializer], activation: type[Layer]) -> Figure:
    """Draw the standard deviation of what comes out of each of DEPTH layers, before training."""
    figure = Figure(figsize=(3.7, 3.2))
    figure.subplots_adjust(0.16, 0.14, 0.97, 0.74)
    axes = figure.subplots()
    x = np.random.default_rng(0).standard_normal((256, WIDTH))
    for init, colour in zip(initializers, COLOURS, strict=True):
        layers = [part for _ in range(DEPTH) for part in (Dense(WIDTH, init), activation())]
        loss = MeanSquaredError()
        network = Network(Sequential(layers), loss, shape=(WIDTH,), dtype="float64").initialize(0)
        outputs = [network.outputs(x, of=f"body.layers.{2 * i + 1}") for i in range(DEPTH)]
        label = repr(init).removesuffix("()")
        spread = [float(y.std()) for y in (x, *outputs)]
        axes.plot(range(DEPTH + 1), spread, "-o", color=colour, markersize=3, label=label)
    ticks = [1e-6, 1e-4, 1e-2, 1, 1e2]
    axes.set(xlim=(0, DEPTH), xlabel="layer", yscale="log", ylim=(1e-6, 1e3))
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_title(f"standard deviation after {activation.__name__}")
    axes.grid()
    figure.legend(**LEGEND | {"ncols": 2})
    return figure
