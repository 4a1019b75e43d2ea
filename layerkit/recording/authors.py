"""The source of layers: what a line assigns to, its statement, and formulas of docstrings."""

from __future__ import annotations

import ast
import inspect
import linecache
import operator
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from layerkit.recording.operations import Line, Op
from layerkit.recording.texts import ATOM, BINARY, SIGN, bound

ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
AROUND = (
    "lr * weight_decay",
    "clip_value",
    "-clip_value",
    "clip_norm",
    "clip_global_norm",
    "l1",
    "l2",
)
"""Options that are used where an optimizer has no line of its own."""


@cache
def statements_of(file: str) -> dict[int, ast.stmt | None]:
    """Return the simple statements of a file by their lines; None where a line has several."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return {}
    simple = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr
    found: dict[int, ast.stmt | None] = {}
    for node in ast.walk(tree):
        if isinstance(node, simple):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                found[number] = None if number in found else node
    return found


def statement_at(line: Line) -> ast.stmt | None:
    """Return the statement that has a line for itself, or several lines."""
    return statements_of(line.file).get(line.number)


def targets(node: ast.stmt | None) -> list[ast.expr]:
    """Return what a statement assigns to: y of ``y = …``, ``self.y = …`` and ``y += …``."""
    if isinstance(node, ast.Assign):
        first = node.targets[0]
        return first.elts if isinstance(first, ast.Tuple) else [first]
    return [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []


def targets_of(op: Op, part: object) -> list[str]:
    """Return the names to which an operation's line assigns, if it is a line of this part."""
    files = {getattr(sys.modules.get(c.__module__), "__file__", "") for c in type(part).__mro__}
    node = statement_at(op.line) if op.line.file in files else None
    value = getattr(node, "value", None)
    if isinstance(value, ast.Call) and getattr(value.func, "attr", "") in ("forward", "backward"):
        return []  # then it is the result of another method's lines
    names = [name_of(item) for item in targets(node)]
    return [name.strip("_") for name in names] if all(names) else []


def same_line(one: Op, other: Op) -> bool:
    """Whether two operations are of one statement of one layer."""
    if (one.address, one.phase, one.line.file, one.line.function) != (
        other.address,
        other.phase,
        other.line.file,
        other.line.function,
    ):
        return False
    statement = statement_at(one.line)
    if statement is not None and statement is statement_at(other.line):
        return True
    return one.line.number == other.line.number


def name_of(tree: ast.AST) -> str:
    """Return the name of a variable or an attribute, else nothing.

    Examples
    --------
    >>> name_of(ast.parse("self.beta", mode="eval").body)
    'beta'
    """
    if isinstance(tree, ast.Attribute):
        return tree.attr
    return tree.id if isinstance(tree, ast.Name) else ""


class Combination(NamedTuple):
    """Arithmetic of options: its value, its text, how strongly that binds, and the options."""

    value: float
    text: str
    level: int
    options: tuple[str, ...] = ()


def combination(number: float, op: Op, options: Mapping[str, float]) -> Combination | None:
    """Return the arithmetic of options that an operation's number is the result of."""
    statement = statement_at(op.line)
    trees = list(ast.walk(statement)) if statement else []
    trees += [ast.parse(text, mode="eval").body for text in AROUND]
    for tree in trees:
        found = _combined(tree, options)
        if found and found.options and type(found.value) is float and found.value == number:
            return found
    return None


def _combined(tree: ast.AST, options: Mapping[str, float]) -> Combination | None:
    if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
        return Combination(float(str(tree.value)), repr(tree.value), ATOM)
    name = name_of(tree)
    if name in options:
        return Combination(options[name], name, ATOM, (name,))
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        inner = _combined(tree.operand, options)
        text = inner and f"-{bound((inner.text, inner.level), SIGN)}"
        return inner and Combination(-inner.value, str(text), SIGN, inner.options)
    if not isinstance(tree, ast.BinOp) or type(tree.op) not in ARITHMETIC:
        return None
    left, right = _combined(tree.left, options), _combined(tree.right, options)
    call = ARITHMETIC[type(tree.op)]
    if left is None or right is None or (call is operator.truediv and not right.value):
        return None
    symbol, level = BINARY[call.__name__]
    sides = bound((left.text, left.level), level), bound((right.text, right.level), level + 1)
    value = call(left.value, right.value)
    return Combination(value, f" {symbol} ".join(sides), level, left.options + right.options)


# methods, statement by statement


class Statement(NamedTuple):
    """A statement of a method, which asked for operations."""

    title: str
    """Such as ``Dense.forward``."""
    file: str
    lines: tuple[str, ...]
    """All lines of the method."""
    start: int
    stop: int
    """Its own lines are ``lines[start:stop]``; none for a method that does nothing."""
    targets: tuple[str, ...] = ()
    """The names that it assigns to."""


def formulas(cls: type) -> tuple[str, str]:
    """Return the formulas of a class, forward and backward, from the beginning of its docstring.

    Examples
    --------
    >>> from layerkit import Dense, Sigmoid
    >>> formulas(Sigmoid)
    ('y = 1 / (1 + exp(-x))', 'dy/dx = y (1 - y)')
    >>> formulas(Dense)[0]
    'y = x W + b'
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    if text.startswith(f"{cls.__name__}("):  # the signature, for want of a docstring
        return "", ""
    first, *others = (" ".join(part.split()) for part in text.split("\n\n"))
    is_back = re.compile(r"(each |the )?d\w+(/d\w+)?( =| is)")
    parts = [part for line in (first, *others[:1]) for part in re.split(r";\s+|\.\s+", line)]
    back = [part.rstrip(".") for part in parts if is_back.match(part)]
    forward = [
        re.split(r": |\.$", part)[0]
        for part in re.split(r";\s+|\.\s+(?=dy|dx)", first)
        if not is_back.match(part)
    ]
    return "; ".join(forward), "; ".join(back)


def statement(line: Line, cls: type) -> Statement | None:
    """Return the statement on a line of a method of a class; None elsewhere."""
    whole, first = None, 0
    for base in cls.__mro__:
        method = inspect.unwrap(vars(base).get(line.function, len))
        code = getattr(method, "__code__", None)
        if whole is None and code is not None and code.co_filename == line.file:
            whole, first = whole_method(method), code.co_firstlineno
            if whole and not first <= line.number < first + len(whole.lines):
                whole = None
    if whole is None:
        return None
    node = statement_at(line)
    if node is None:  # as of a condition, or of several statements on one line
        return whole._replace(start=line.number - first, stop=line.number - first + 1)
    return whole._replace(
        start=node.lineno - first,
        stop=(node.end_lineno or 0) - first + 1,
        targets=(f"{line.function}(…)",)
        if isinstance(node, ast.Return)
        else tuple(map(_shown, targets(node))),
    )


def _shown(target: ast.expr) -> str:
    """Return what is assigned to as a name: y for ``self.y`` and ``y[…]``."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return name_of(target) or ast.unparse(target)


@cache
def whole_method(method: Any) -> Statement | None:
    """Return a method without a mark; None if its source can't be read."""
    try:
        lines, _ = inspect.getsourcelines(method)
    except OSError:
        return None
    text = inspect.cleandoc("\n" + "".join(lines)).split("\n")
    return Statement(method.__qualname__, method.__code__.co_filename, tuple(text), 0, 0)
