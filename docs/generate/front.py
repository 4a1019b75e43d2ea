"""The front page's picture, a network that has learned a spiral, and its table of speeds."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from docs.generate import pictures
from docs.generate.atlas import svg, write
from docs.generate.pictures import GREY
from layerkit import Adam, Dense, Network, Sequential, SoftmaxCrossEntropy, Tanh, fit
from layerkit.arrays import Array
from layerkit.data import Data

RESULTS = Path(__file__).parents[2] / "experiments/results/speed.json"
SIDE = 60
BLUE, ORANGE = (0.13, 0.4, 0.67), (0.82, 0.38, 0.1)
SPEEDS = {
    "a": "a training step",
    "c": "a step, 20 layers",
    "d": "one prediction",
    "e": "import",
    "f": "memory",
}
SIDES = {"PyTorch": "PyTorch", "scikit-learn": "scikit-learn", "JAX": "JAX"}


def write_front(folder: Path) -> None:
    """Write the picture and the table."""
    folder.mkdir(parents=True, exist_ok=True)
    with pictures.style():
        write(folder / "network.svg", svg(network()))
    write(folder / "speed.md", speed())


def speed() -> str:
    """The times and the memory of other libraries relative to layerkit, as a table."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    ratio = {(r["work"], r["side"]): r["ratio"] for r in results if r["threads"] == 1}
    lines = ["| | " + " | ".join(SIDES.values()) + " |", "|---|" + "---:|" * len(SIDES)]
    for work, title in SPEEDS.items():
        cells = [f"{ratio[work, side]:.2g}" for side in SIDES]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def network() -> Figure:
    """Draw what each unit of a network returns over the plane, and the weights between them."""
    data = Data(name="spiral").load(seed=0)
    x, t = data.train.inputs, data.train.t
    body = Sequential([Dense(6), Tanh(), Dense(5), Tanh(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(2,))
    net.initialize(2)
    fit(net, Adam(lr=0.03), x, t, epochs=250, batch_size=32, seed=1)
    line = np.linspace(-1.1 * abs(x).max(), 1.1 * abs(x).max(), SIDE)
    plane = np.stack(np.meshgrid(line, -line), axis=-1).reshape(-1, 2)
    p = net.predict_proba(plane)
    columns = [plane / line[-1], *(net.outputs(plane, of=f"body.layers.{i}") for i in (1, 3))]
    weights = [net.body[i].W.value for i in (0, 2)] + [np.diff(net.body[4].W.value)]
    figure = Figure(figsize=(6.4, 3.6))
    axes = []
    for column, (values, left) in enumerate(zip(columns, (0.02, 0.19, 0.36), strict=True)):
        units = values.shape[1]
        size, gap = 0.125, 0.165
        bottoms = [0.5 + gap * (units / 2 - 1 - i) + (gap - size) / 2 for i in range(units)]
        axes.append([figure.add_axes((left, bottom, 0.0703, size)) for bottom in bottoms])
        for place, unit in zip(axes[column], values.T, strict=True):
            place.imshow(coloured(unit))
    axes.append([figure.add_axes((0.54, 0.1, 0.45, 0.8))])
    (decision,) = axes[3]
    edge = (line[0], line[-1])
    decision.imshow(coloured(2 * p[:, 1] - 1), extent=edge * 2, interpolation="bilinear")
    for label, colour in enumerate((ORANGE, BLUE)):
        decision.scatter(*x[t == label].T, s=9, color=colour, edgecolors="white", linewidths=0.4)
    for left, right, W in zip(axes, axes[1:], weights, strict=False):
        for i, j in np.ndindex(W.shape):
            figure.add_artist(
                ConnectionPatch(
                    (1, 0.5),
                    (0, 0.5),
                    "axes fraction",
                    "axes fraction",
                    axesA=left[i],
                    axesB=right[j],
                    color=BLUE if W[i, j] > 0 else ORANGE,
                    linewidth=2.2 * abs(W[i, j]) / abs(W).max(),
                    alpha=0.55,
                )
            )
    for place in (place for column in axes for place in column):
        place.set(xticks=[], yticks=[])
        place.spines[:].set(visible=True, color=GREY)
    return figure


def coloured(values: Array) -> Array:
    """A square of colours: blue above 0, orange below, and no colour at 0."""
    amount = np.clip(values / abs(values).max(), -1, 1).reshape(SIDE, SIDE, 1)
    return np.concatenate([np.where(amount > 0, BLUE, ORANGE), 0.8 * abs(amount)], axis=-1)
