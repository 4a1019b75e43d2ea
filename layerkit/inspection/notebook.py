"""Tables, curves and drawings as HTML, for notebooks."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Collection, Mapping, Sequence

MOST_ROWS = 20
"""Of longer tables the middle is left out."""


def html_table(
    rows: Sequence[Sequence[str]], right: Collection[int], curves: Sequence[str] = ()
) -> str:
    """Return a table, whose first row is its head, with the columns of these numbers to the right.

    `curves` are pictures under the names of the columns.

    Examples
    --------
    >>> html_table([["layer"], ["a < b"]], right=())
    '<table><tr><th style="text-align: left">layer</th></tr><tr><td style="text-align: left">a &lt;
    b</td></tr></table>'
    """

    def row(cells: Sequence[str], tag: str) -> str:
        sides = ["right" if i in right else "left" for i in range(len(cells))]
        return "".join(
            f'<{tag} style="text-align: {side}">{cell}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    texts = [[html.escape(cell) for cell in cells] for cells in rows]
    lines = [row(texts[0], "th"), *([row(curves, "td")] if curves else [])]
    lines += [row(cells, "td") for cells in texts[1:]]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def table_of_numbers(rows: Sequence[Mapping[str, float]], with_curves_from: int) -> str:
    """Return a table of numbers by their names, with curves of the columns from this one on.

    Examples
    --------
    >>> print(table_of_numbers([{"loss": 0.5}], 0))  # doctest: +ELLIPSIS
    <table><tr><th ...>loss</th></tr><tr><td ...><svg ...</tr><tr><td ...>0.5</td></tr></table>
    """
    names = list(rows[0]) if rows else []
    columns = [[row.get(name, math.nan) for row in rows] for name in names]
    curves = [curve(column) if i >= with_curves_from else "" for i, column in enumerate(columns)]
    cells = [[f"{x:,}" if isinstance(x, int) else f"{x:.4g}" for x in column] for column in columns]
    head = [name.replace("_", " ") for name in names]
    return html_table(
        shortened([head, *map(list, zip(*cells, strict=True))]), range(len(names)), curves
    )


def curve(values: Sequence[float], width: int = 90, height: int = 24) -> str:
    """Return a small curve as SVG; what is not finite is left out.

    Examples
    --------
    >>> print(curve([1.0, 3.0]))  # doctest: +ELLIPSIS
    <svg width="90" height="24" ...><polyline points="2.0,22.0 88.0,2.0" ...></svg>
    """
    points = [(i, y) for i, y in enumerate(values) if math.isfinite(y)]
    low, high = (f((y for _, y in points), default=0.0) for f in (min, max))
    across, up = (width - 4) / max(len(values) - 1, 1), (height - 4) / ((high - low) or 1)
    path = " ".join(f"{2 + across * i:.1f},{2 + up * (high - y):.1f}" for i, y in points)
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="curve"><polyline '
        f'points="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def shortened(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the rows of a table with its head, without the middle if there are many.

    Examples
    --------
    >>> shortened([["n"], *([str(i)] for i in range(100))])[9:13]
    [['8'], ['9'], ['…'], ['90']]
    """
    if len(rows) <= MOST_ROWS + 1:
        return list(rows)
    half = MOST_ROWS // 2
    return [*rows[: half + 1], ["…"] * len(rows[0]), *rows[-half:]]


def html_image(svg: str, alt: str) -> str:
    """Return a drawing as an image, so that its styles don't reach the rest of the page."""
    data = base64.b64encode(svg.encode()).decode()
    style = "max-width: 100%; height: auto"
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(alt)}" style="{style}">'


class Lines(str):
    r"""Text of several lines, which a notebook and the prompt show as `print` does.

    Examples
    --------
    >>> Lines("one\ntwo")
    one
    two
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
