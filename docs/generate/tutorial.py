"""The pictures and tables of docs/tutorial.md: a network, and one image on its way through it.

The pictures are SVG inside the page, so that they take its colours, light or dark. They are 360
wide, as a phone is, and no text in them is smaller than 10: nothing has to be enlarged.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.image import imsave
from scipy.ndimage import zoom

from docs.generate.atlas import write
from docs.generate.step import traced
from layerkit.arrays import Array
from layerkit.losses.classes import SoftmaxCrossEntropy

WIDTH = 360
RED, BLUE, GREY = (0.82, 0.25, 0.22), (0.16, 0.47, 0.84), (0.5, 0.5, 0.5)
FORMULAS = {
    "x": "pixels",
    "h": "x W₁ + b₁",
    "a": "σ(h)",
    "z": "a W₂ + b₂",
    "p": "softmax(z)",
    "dz": "p - t",
    "dW₂": "aᵀ dz",
    "db₂": "dz",
    "da": "dz W₂ᵀ",
    "dh": "da · a (1 - a)",
    "dW₁": "xᵀ dh",
    "db₁": "dh",
}


def values() -> dict[str, Array]:
    """All arrays of a step of one image, by the names of the tutorial's page."""
    found = traced()
    x, h, a, z, loss, dz, output, sigmoid, hidden, *_ = [step.values for step in found.steps]
    return {
        **x,
        "h": h["y"],
        "a": a["y"],
        "z": z["y"],
        "p": SoftmaxCrossEntropy().predict_proba(z["y"]),
        "L": loss["L"],
        "dz": dz["dz"],
        "dW₂": output["dW"],
        "db₂": output["db"],
        "da": output["dx"],
        "dh": sigmoid["dx"],
        "dW₁": hidden["dW"],
        "db₁": hidden["db"],
    }


# parts of pictures


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text."""
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{kind}>{words}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "thin") -> str:
    """A line; of the kind "arrow", with a head."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{kind}"/>'


def cells(x: float, y: float, width: float, height: float, array: Array, ink: bool = False) -> str:
    """A matrix as a picture: red is above 0, blue below, and 0 is the paper; or grey ink."""
    strength = np.abs(array) / np.abs(array).max()
    colour = np.where(array[..., None] < 0, BLUE, GREY if ink else RED)
    buffer = io.BytesIO()
    imsave(buffer, np.concatenate([colour, strength[..., None]], axis=-1), format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return (
        f'<image {place} preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
        f'<rect {place} class="frame"/>'
    )


def bars(x: float, y: float, row: Array, height: float) -> Iterator[str]:
    """The ten numbers of a row as bars above and below a line at y, with the digits under them."""
    tallest = np.abs(row).max()
    low = max(0.0, -row.min()) / tallest * height
    for k, value in enumerate(row):
        size = abs(value) / tallest * height
        red, green, blue = (round(255 * part) for part in (RED if value > 0 else BLUE))
        top = y - size if value > 0 else y
        yield (
            f'<rect x="{x + 15 * k + 1:g}" y="{top:.1f}" width="12" height="{size:.1f}" '
            f'fill="rgb({red} {green} {blue})"/>'
        )
        yield text(x + 15 * k + 7, y + low + 12, str(k), "middle", "small")
    yield line(x, y, x + 150, y)


def picture(height: float, title: str, parts: Sequence[str]) -> str:
    """An SVG picture to be put into a page."""
    return "\n".join(
        [
            f'<svg class="drawn" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{title}">',
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 1 L10 5 L0 9 z"/></marker></defs>',
            *parts,
            "</svg>\n",
        ]
    )


# the pictures


def network() -> str:
    """Draw 784-64-10: an image of 28 x 28 pixels, and some units of each layer."""
    digit = zoom(values()["x"].reshape(8, 8), 3.5, order=3).clip(0)
    columns = [
        (122.0, np.r_[np.linspace(52, 106, 5), np.linspace(144, 198, 5)]),
        (215.0, np.r_[np.linspace(67, 109, 4), np.linspace(141, 183, 4)]),
        (308.0, np.linspace(48, 202, 10)),
    ]
    parts = [
        cells(2, 84, 84, 84, digit, ink=True),
        text(44, 76, "an image", "middle"),
        text(44, 184, "28 × 28", "middle", "small"),
        line(89, 125, 110, 125, "arrow"),
    ]
    for (x1, above), (x2, below) in pairwise(columns):
        parts += [line(x1, y1, x2, y2, "faint") for y1 in above for y2 in below]
    for x, places in columns:
        parts += [f'<circle cx="{x:g}" cy="{y:g}" r="5.5"/>' for y in places]
    parts += [text(x, 129, "⋮", "middle") for x, _ in columns[:2]]
    parts += [text(322, y + 4, str(k)) for k, y in enumerate(columns[2][1])]
    heads = ("x", "784 pixels"), ("a = σ(h)", "64 units"), ("p", "10 digits")
    for (x, _), (name, size) in zip(columns, heads, strict=True):
        parts += [text(x, 32, name, "middle", "name"), text(x, 222, size, "middle", "small")]
    parts += [
        text(168, 240, "W₁ (784, 64), b₁ (64,)", "middle", "small"),
        text(168, 254, "50,240 numbers", "middle", "small"),
        text(296, 240, "W₂ (64, 10), b₂ (10,)", "middle", "small"),
        text(296, 254, "650 numbers", "middle", "small"),
    ]
    title = (
        "A network of 784 inputs, 64 hidden units and 10 outputs, each joined to all of the next"
    )
    return picture(262, title, parts)


def flow() -> str:
    """Draw an image on its way forward, on the left, and its gradients on their way back."""
    v = values()
    right = int(v["t"][0])
    unit_by_unit = v["dW₁"].T.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64)
    parts = [
        text(8, 14, "forward", kind="name"),
        text(198, 14, "backward", kind="name"),
        *array(8, 40, "x", v["x"], size=104, ink=True),
        *array(198, 40, "dW₁", v["dW₁"], unit_by_unit, size=104),
        *array(8, 194, "h", v["h"]),
        *array(198, 194, "dh", v["dh"]),
        *array(8, 316, "a", v["a"]),
        *array(198, 316, "da", v["da"]),
        *array(290, 316, "dW₂", v["dW₂"], v["dW₂"], width=22),
        text(318, 356, "= aᵀ dz", kind="small"),
    ]
    steps = [(148, "h", "dW₁"), (270, "a", "dh"), (392, "z", "da")]
    for y, down, up in steps:
        parts += [
            line(44, y + 2, 44, y + 26, "arrow"),
            text(54, y + 18, f"{down} = {FORMULAS[down]}", kind="small"),
            line(234, y + 26, 234, y + 2, "arrow"),
            text(244, y + 18, f"{up} = {FORMULAS[up]}", kind="small"),
        ]
    parts += [
        text(8, 434, f"z {v['z'].shape}"),
        *bars(8, 478, v["z"][0], 36),
        text(198, 434, f"dz {v['dz'].shape}"),
        *bars(198, 478, v["dz"][0], 36),
        line(44, 530, 44, 554, "arrow"),
        text(54, 546, f"p = {FORMULAS['p']}", kind="small"),
        line(234, 554, 234, 530, "arrow"),
        text(244, 546, f"dz = {FORMULAS['dz']}", kind="small"),
        text(8, 568, f"p {v['p'].shape}"),
        *bars(8, 616, v["p"][0], 40),
        line(166, 598, 192, 598, "arrow"),
        text(198, 584, f"It is a {right}:"),
        text(198, 602, f"L = -log p[{right}]"),
        text(198, 620, f"= -log {v['p'][0, right]:.2f} = {float(v['L']):.2f}"),
    ]
    return picture(636, "An image goes through the network, and its gradients come back", parts)


def array(
    x: float,
    y: float,
    name: str,
    given: Array,
    shown: Array | None = None,
    *,
    size: float = 72,
    width: float | None = None,
    ink: bool = False,
) -> list[str]:
    """Show an array with its name and its shape above it; by default as 8 x 8 numbers."""
    matrix = given.reshape(8, 8) if shown is None else shown
    return [
        text(x, y - 5, f"{name} {given.shape}"),
        cells(x, y, width or size, size, matrix, ink),
    ]


# the tables


def rounded(x: float) -> str:
    """Two digits after the point, or as many as a small number needs."""
    return f"{x:.2f}" if abs(x) >= 0.1 else f"{x:.2g}"


def digits() -> Iterator[str]:
    """A row for each digit: what comes out of the network, and what goes back."""
    v = values()
    yield "| digit | z | p | t | dz |"
    yield "| --: | --: | --: | --: | --: |"
    for k, (z, p, dz) in enumerate(zip(v["z"][0], v["p"][0], v["dz"][0], strict=True)):
        yield f"| {k} | {z:.2f} | {p:.3f} | {int(k == v['t'][0])} | {dz:.3f} |"


def arrays() -> Iterator[str]:
    """A row for each array: its formula, its shape, and its first numbers."""
    v = values()
    yield "| array | shape | first numbers |"
    yield "| --- | --- | --- |"
    for name, formula in FORMULAS.items():
        start = ", ".join(rounded(value) for value in v[name].reshape(-1)[:4])
        yield f"| {name} = {formula} | {v[name].shape} | {start}\N{NO-BREAK SPACE}… |"


def write_tutorial(folder: Path) -> None:
    """Write the pictures and the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"savefig.dpi": 100}):
        write(folder / "network.svg", network())
        write(folder / "flow.svg", flow())
    write(folder / "digits.md", "\n".join(digits()) + "\n")
    write(folder / "arrays.md", "\n".join(arrays()) + "\n")
