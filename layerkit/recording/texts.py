"""Texts of Python: how strongly operators bind, and how long lines are wrapped."""

from __future__ import annotations

WIDTH = 88
"""Columns of a line, as ruff and black have them."""
COMPARING, ADDING, MULTIPLYING, SIGN, POWER, ATOM = 1, 5, 6, 7, 8, 9
BINARY = {
    **dict.fromkeys(("less", "lt"), ("<", COMPARING)),
    **dict.fromkeys(("less_equal", "le"), ("<=", COMPARING)),
    **dict.fromkeys(("greater", "gt"), (">", COMPARING)),
    **dict.fromkeys(("greater_equal", "ge"), (">=", COMPARING)),
    **dict.fromkeys(("equal", "eq"), ("==", COMPARING)),
    **dict.fromkeys(("not_equal", "ne"), ("!=", COMPARING)),
    "bitwise_or": ("|", 2),
    "bitwise_xor": ("^", 3),
    "bitwise_and": ("&", 4),
    "add": ("+", ADDING),
    **dict.fromkeys(("subtract", "sub"), ("-", ADDING)),
    **dict.fromkeys(("multiply", "mul"), ("*", MULTIPLYING)),
    **dict.fromkeys(("divide", "truediv"), ("/", MULTIPLYING)),
    **dict.fromkeys(("floor_divide", "floordiv"), ("//", MULTIPLYING)),
    **dict.fromkeys(("remainder", "mod"), ("%", MULTIPLYING)),
    **dict.fromkeys(("matmul", "dot"), ("@", MULTIPLYING)),
    **dict.fromkeys(("power", "pow"), ("**", POWER)),
}
"""Operators by the names of ufuncs and of Python's functions, and how strongly they bind."""
UNARY = {"negative": "-", "invert": "~"}
SHORT = {"absolute": "abs"}

Text = tuple[str, int]
"""An expression, and how strongly its outermost operator binds."""


def bound(text: Text, level: int) -> str:
    """Return an expression, in parentheses unless it binds at least as strongly as `level`."""
    return text[0] if text[1] >= level else f"({text[0]})"


def is_simple(text: str) -> bool:
    """Whether a text is a name or a number, around which ``**`` has no spaces."""
    return text.replace(".", "").isalnum() or text.isidentifier()


def wrapped(line: str, width: int) -> list[str]:
    """Return a statement as lines that are not longer than `width`, where that is possible."""
    if len(line) <= width:
        return [line]
    opening = matching(line)
    if opening is None:
        head, _, rest = line.partition(" = ")
        return [f"{head} = (", f"    {rest}", ")"] if rest else [line]
    head, inside = line[: opening + 1], line[opening + 1 : -1]
    if len(inside) + 4 <= width:
        return [head, f"    {inside}", line[-1]]
    parts = [f"    {part}," for part in split(inside)]
    return [head, *(piece for part in parts for piece in wrapped_part(part, width)), line[-1]]


def wrapped_part(part: str, width: int) -> list[str]:
    """Return an argument in lines of its own, if it is too long for one."""
    if len(part) <= width:
        return [part]
    bare = part.strip().removesuffix(",")
    if matching(bare) is None:
        return [part]
    lines = wrapped(bare, width - 4) if len(bare) > width - 4 else [bare]
    return [f"    {line}" for line in lines[:-1]] + [f"    {lines[-1]},"]


def matching(line: str) -> int | None:
    """Return where the bracket opens that closes at the end of a line."""
    if line[-1] not in ")]}":
        return None
    depth = 0
    for i in range(len(line) - 1, -1, -1):
        depth += (line[i] in ")]}") - (line[i] in "([{")
        if depth == 0:
            return i
    return None


def split(inside: str) -> list[str]:
    """Return what is between the commas that are in no bracket.

    Examples
    --------
    >>> split("a, f(b, c), [d]")
    ['a', 'f(b, c)', '[d]']
    """
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(inside):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(inside[start:i].strip())
            start = i + 1
    last = inside[start:].strip()
    return [*parts, last] if last else parts
