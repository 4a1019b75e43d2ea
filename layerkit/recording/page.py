"""Traces as a page for the browser: one file, which needs nothing else."""

from __future__ import annotations

import base64
import html
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.traces import extent

if TYPE_CHECKING:
    from layerkit.recording.authors import Statement
    from layerkit.recording.traces import Moment, Step, Trace

TEMPLATE = Path(__file__).with_name("trace.html")
MOST = 2**16
"""Of larger arrays only some rows and columns are shown."""


def page(trace: Trace) -> str:
    """Return a page on which one steps through a trace, statement by statement."""
    pictures = _Pictures(trace.image)
    pictures.first = [step.address for step in trace.steps if step.images == "inputs"]
    sources: list[Statement] = []
    steps = [_step(step, pictures, sources) for step in trace.steps]
    data = {
        "steps": steps,
        "sources": [{"title": s.title, "lines": s.lines} for s in sources],
        "arrays": pictures.arrays,
        "image": trace.image,
        "classes": trace.classes,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c")  # which would end the data
    title = html.escape(trace.title or "One step of a network")
    template = TEMPLATE.read_text(encoding="utf-8")
    return template.replace(">TITLE<", f">{title}<").replace(">DATA<", f">{text}<")


def _step(step: Step, pictures: _Pictures, sources: list[Statement]) -> dict[str, Any]:
    moments = [_moment(step, moment, pictures, sources) for moment in step.moments]
    names = ("phase", "address", "layer", "formula")
    return {name: getattr(step, name) for name in names} | {"moments": moments}


def _moment(
    step: Step, moment: Moment, pictures: _Pictures, sources: list[Statement]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        what: [
            [name, pictures.number(array), pictures.axis(step, name, array)]
            for name, array in arrays.items()
        ]
        for what, arrays in (("reads", moment.reads), ("writes", moment.writes))
    }
    if moment.statement is not None:
        whole = moment.statement._replace(start=0, stop=0, targets=())
        if whole not in sources:
            sources.append(whole)
        found["source"] = sources.index(whole)
        found["mark"] = [moment.statement.start, moment.statement.stop]
    return found | {"ops": [op.name for op in moment.ops]}


class _Pictures:
    """The arrays of a page, each once, with three digits: float16 of a power of two times it."""

    def __init__(self, image: tuple[int, int] | None) -> None:
        self.pixels = math.prod(image) if image else 0
        self.first: list[str] = []
        self.arrays: list[dict[str, Any]] = []
        self.numbers: dict[tuple[Any, ...], int] = {}

    def number(self, array: Array) -> int:
        """Return the number of an array on the page."""
        key = array.shape, array.dtype, array.tobytes()
        if key not in self.numbers:
            self.numbers[key] = len(self.arrays)
            self.arrays.append(self._plain(array))
        return self.numbers[key]

    def axis(self, step: Step, name: str, array: Array) -> int | None:
        """Return the axis along which an array has the pixels of images, if there is one."""
        if array.ndim != 2 or not self.pixels:
            return None
        own = name.removeprefix("d").startswith("x")
        of_first = step.images == "inputs" or name.partition(": ")[2].startswith(
            tuple(f"{address}." for address in self.first)
        )
        if step.images == "all" or (own and step.images):
            axis = 1
        elif of_first and array.shape[0] == self.pixels and name.endswith("W"):
            axis = 0
        else:
            return None
        return axis if array.shape[axis] == self.pixels else None

    def _plain(self, array: Array) -> dict[str, Any]:
        axes = shown_axes(array.shape, self.pixels)
        shown = array[np.ix_(*axes)] if array.ndim else array
        x = shown.astype(float)
        finite = np.isfinite(x)
        largest = float(np.abs(x).max(where=finite, initial=0.0))
        scale = math.frexp(largest)[1] - 15 if largest > 2048 or array.dtype.kind == "f" else 0
        with np.errstate(over="ignore"):
            half = np.ldexp(x, -scale).astype("<f2")
        numbers = extent(array) if array.size else ()
        return {
            "shape": array.shape,
            "axes": [
                None if len(axis) == n else axis.tolist()
                for axis, n in zip(axes, array.shape, strict=True)
            ],
            "scale": scale,
            "data": base64.b64encode(half.tobytes()).decode(),
            "stats": [x if np.isfinite(x) else str(x) for x in numbers],
            "zeros": float((array == 0).mean()) if array.size else 0.0,
            "whole": array.dtype.kind in "iub",
        }


def shown_axes(shape: tuple[int, ...], pixels: int = 0) -> list[Array]:
    """Return the indices along each axis that are shown; images are shown whole."""
    sizes = list(shape)
    while math.prod(sizes) > MOST:
        able = [i for i, n in enumerate(sizes) if n != pixels] or range(len(sizes))
        longest = max(able, key=sizes.__getitem__)
        if sizes[longest] == 1:
            break
        room = MOST * sizes[longest] // math.prod(sizes)
        sizes[longest] = max(room, sizes[longest] // 2, 1)
    return [
        np.arange(n) if n == m else np.linspace(0, n - 1, m).round().astype(int)
        for n, m in zip(shape, sizes, strict=True)
    ]
