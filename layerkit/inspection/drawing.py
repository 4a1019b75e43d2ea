"""Drawings of a network's graph as SVG.

Lengths are in pixels. A box has a vertical axis: its inputs come from above, its output leaves
below. Coordinates are relative to the axis and the top of the enclosing box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from layerkit.graph.container import Wiring
from layerkit.graph.sequential import Sequential
from layerkit.inspection.notebook import html_image
from layerkit.inspection.summary import described, wiring_of
from layerkit.layers.base import Layer

if TYPE_CHECKING:
    from layerkit.network import Network

CHARACTER, LINE, PADDING, GAP = 7.3, 16.0, 8.0, 26.0
ENDS = ("input", "output")
STYLE = """
text { font: 12px monospace; text-anchor: middle; fill: #222 }
.name { fill: #777; text-anchor: start } .small { fill: #777 }
.layer { fill: #f4f4f4; stroke: #888 } .learns { fill: #d9ebf9; stroke: #0072b2 }
.reads { fill: #fff; stroke: #d55e00 } .frame { fill: #0000000a; stroke: #aaa }
.link { fill: none; stroke: #555; stroke-width: 1.3 } marker path { fill: #555 }
"""


@dataclass
class _Box:
    """A rectangle with text: how far it reaches from its axis, and what is inside it."""

    left: float = 0.0
    right: float = 0.0
    height: float = 0.0
    kind: str = ""
    lines: tuple[str, ...] = ()
    inside: tuple[tuple[float, float, _Box], ...] = ()
    links: tuple[tuple[float, float, float, float, bool], ...] = ()


def svg(network: Network) -> str:
    """Return the graph of a network as an SVG picture, from the input at the top to the loss.

    A box is a layer: its name, its class with options, the shape of its output. Layers with
    parameters are blue; others that read several arrays, such as Add, have an orange border. A
    frame is a container, and names in it continue that of the frame; a Sequential is a column.

    Examples
    --------
    >>> import re
    >>> from layerkit import Dense, Network, Residual, SoftmaxCrossEntropy
    >>> net = Network(Residual(Dense(3)), SoftmaxCrossEntropy(), shape=(3,))
    >>> print(*re.findall("([^>]*)</text>", svg(net)), sep=", ")
    input (3,), body, Residual, body, Dense(units=3), (3,), add, Add, (3,), SoftmaxCrossEntropy
    """
    body = network.body
    whole = _arranged(
        {"body": ("input",), "output": ("body",)},
        {
            "input": _text_box("layer", f"input {network.shape}"),
            "body": _box("" if isinstance(body, Sequential) else "body", body),
            "output": _text_box("layer", described(network.loss)),
        },
        GAP,
    )
    width, height = whole.left + whole.right + 2 * GAP, whole.height + 2 * GAP
    root = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
    )
    ElementTree.SubElement(root, "style").text = STYLE
    head = ElementTree.SubElement(
        root,
        "marker",
        id="head",
        refX="6",
        refY="3",
        markerWidth="6",
        markerHeight="6",
        orient="auto",
    )
    ElementTree.SubElement(head, "path", d="M0 0 L6 3 L0 6")
    ElementTree.SubElement(root, "rect", width="100%", height="100%", fill="#fff")
    _draw(root, whole, GAP + whole.left, GAP)
    return ElementTree.tostring(root, "unicode")


def html(network: Network) -> str:
    """Return the drawing as a notebook shows it."""
    return html_image(svg(network), alt=f"graph of the network\n{network.summary()}")


def _text_box(kind: str, *lines: str) -> _Box:
    reach = max(map(len, lines)) * CHARACTER / 2 + PADDING
    return _Box(reach, reach, LINE * len(lines) + PADDING, kind, lines)


def _box(name: str, layer: Layer, inputs: int = 1) -> _Box:
    """Return the box of a layer with all that is inside it."""
    wiring, column = wiring_of(layer), isinstance(layer, Sequential)
    if not wiring:
        kind = "layer learns" if layer.params() else "layer reads" if inputs > 1 else "layer"
        return _text_box(kind, name, described(layer), str(layer.output_shape))
    boxes = {
        part_name: _box(
            f"{name}.{part_name}".strip(".") if column else part_name,
            part,
            len(wiring.get(part_name, ())),
        )
        for part_name, part in layer.parts()
    }
    if column:
        return _arranged(wiring, boxes, 0.0)
    label = _text_box("frame", name, type(layer).__name__)
    box = _arranged(wiring, {"input": _Box(height=label.height), **boxes}, GAP)
    box.kind, box.lines = label.kind, label.lines
    box.left = max(box.left + PADDING, 2 * label.left)
    box.right += PADDING
    return box


def _arranged(wiring: Wiring, parts: Mapping[str, _Box], gap: float) -> _Box:
    """Arrange boxes in rows, each below all that it reads, and the links between them.

    `gap` is the space below the input and above the output.
    """
    boxes, rows, links = _ranked(wiring, parts)
    x, y, bottom = {"input": 0.0}, dict[str, float](), dict[str, float]()
    top = 0.0
    for row in rows:
        _arrange_row(row, boxes, links, x)
        height = max(boxes[name].height for name in row)
        for name in row:
            tall = boxes[name].height if _is_box(name) else height
            y[name] = top + (height - tall) / 2
            bottom[name] = y[name] + tall
        top += height + (gap if row is rows[0] or row is rows[-2] else GAP)
    lines = [
        (x[above], bottom[above], x[below], y[below], boxes[below].height > 0)
        for below, names in links.items()
        for above in names
    ]
    lines += [
        (x[name], y[name], x[name], bottom[name], False) for name in y if not boxes[name].kind
    ]
    return _Box(
        left=max(boxes[name].left - x[name] for name in x),
        right=max(boxes[name].right + x[name] for name in x),
        height=bottom["output"],
        kind="column",
        inside=tuple((x[name], y[name], boxes[name]) for name in x),
        links=tuple(line for line in lines if line[:2] != line[2:4]),
    )


def _is_box(name: str) -> bool:
    return not name.startswith("way ")


def _ranked(
    wiring: Wiring, parts: Mapping[str, _Box]
) -> tuple[dict[str, _Box], list[list[str]], dict[str, list[str]]]:
    """Return boxes, rows, and the links of each box to the row above.

    A link that passes rows gets an empty box in each of them, a "way", so that it crosses no other
    box; all readers of the same box share its way.
    """
    boxes = {"input": _Box(), "output": _Box(), **parts}
    rank = {"input": 0}
    for reader, names in wiring.items():
        rank[reader] = 1 + max(rank[name] for name in names)
    rows: list[list[str]] = [["input"], *([] for _ in range(rank["output"]))]
    links: dict[str, list[str]] = {}
    for reader, names in wiring.items():
        rows[rank[reader]].append(reader)
        for name in dict.fromkeys(names):
            above = name
            for row in range(rank[name] + 1, rank[reader]):
                way = f"way of {name} through {row}"
                if way not in boxes:
                    boxes[way], links[way] = _Box(), [above]
                    rows[row].append(way)
                above = way
            links.setdefault(reader, []).append(above)
    return boxes, rows, links


def _arrange_row(
    row: list[str], boxes: Mapping[str, _Box], links: Mapping[str, list[str]], x: dict[str, float]
) -> None:
    """Set the x of boxes in a row: below what each reads, as near as its neighbours allow."""
    wanted: dict[str, float] = {}
    for name in row:
        above = links.get(name, [])
        above = [other for other in above if _is_box(other)] or above
        wanted[name] = 0.0 if name in ENDS else sum(x[other] for other in above) / len(above)
    end = -math.inf
    for name in sorted(row, key=wanted.__getitem__):
        x[name] = max(wanted[name], end + boxes[name].left)
        end = x[name] + boxes[name].right + GAP
    moved = [x[name] - wanted[name] for name in row if _is_box(name)] or [0.0]
    for name in row:
        x[name] -= sum(moved) / len(moved)


def _draw(parent: ElementTree.Element, box: _Box, x: float, y: float) -> None:
    """Add a box whose axis is at x and whose top is at y."""
    if box.lines:
        attributes = {"class": box.kind, "rx": "5"}
        size = {"x": x - box.left, "y": y, "width": box.left + box.right, "height": box.height}
        _element(parent, "rect", attributes, size)
    for i, line in enumerate(box.lines):
        frame = box.kind == "frame"
        position = {"x": x - box.left + PADDING if frame else x, "y": y + LINE * (i + 0.95)}
        kind = "name" if frame else "small" if len(box.lines) > 1 and i != 1 else ""
        _element(parent, "text", {"class": kind}, position).text = line
    for x1, y1, x2, y2, head in box.links:
        middle = y + (y1 + y2) / 2
        curve = f"C{x + x1:.1f} {middle:.1f} {x + x2:.1f} {middle:.1f}"
        path = f"M{x + x1:.1f} {y + y1:.1f} {curve} {x + x2:.1f} {y + y2:.1f}"
        marker = {"marker-end": "url(#head)"} if head else {}
        _element(parent, "path", {"class": "link", "d": path, **marker}, {})
    for dx, dy, inner in box.inside:
        _draw(parent, inner, x + dx, y + dy)


def _element(
    parent: ElementTree.Element, tag: str, words: Mapping[str, str], numbers: Mapping[str, float]
) -> ElementTree.Element:
    written = {name: f"{number:.1f}" for name, number in numbers.items()}
    return ElementTree.SubElement(parent, tag, {**words, **written})
