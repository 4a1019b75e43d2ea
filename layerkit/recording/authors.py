"""The source of layers: to what a line assigns, and of which options a number was made."""

from __future__ import annotations

import ast
import linecache
import operator
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from layerkit.recording.arrays import Line, Op
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


def targets_of(op: Op, part: object) -> list[str]:
    """Return the names to which an operation's line assigns, if it is a line of this part."""
    files = {getattr(sys.modules.get(c.__module__), "__file__", "") for c in type(part).__mro__}
    statement = statement_at(op.line) if op.line.file in files else None
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        target = statement.target
    else:
        return []
    value = statement.value
    if isinstance(value, ast.Call) and getattr(value.func, "attr", "") in ("forward", "backward"):
        return []  # then it is the result of another method's lines
    targets = target.elts if isinstance(target, ast.Tuple) else [target]
    names = [name_of(item) for item in targets]
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
