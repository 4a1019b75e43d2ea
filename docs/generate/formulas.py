"""Formulas of docstrings, typeset: ``dy/dx = y (1 - y)`` becomes LaTeX, which MathJax shows.

The docstrings are read beside the code, in a terminal or an editor, so they have plain text, with
the precedence that everyone assumes: a b / c d is the fraction a b / c, times d.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from itertools import pairwise

GREEK = {"alpha", "beta", "gamma", "delta", "eta", "theta", "lambda", "mu", "rho", "sigma", "tau"}
KNOWN = {"arctan", "cos", "cosh", "exp", "log", "max", "min", "sin", "sinh", "tanh"}
OWN = {
    *("body", "curve", "diag", "erf", "gelu", "shortcut", "sigmoid", "sign", "silu", "softmax"),
    *("softplus", "var"),
}
SIGNS = {
    "<-": r"\leftarrow",
    "~": r"\sim",
    "<=": r"\le",
    ">=": r"\ge",
    "!=": r"\ne",
    "+-": r"\pm",
    ".": r"\cdot",
}
SYMBOLS = {
    "…": r"\dots",
    "dbeta": r"d\beta",
    "dgamma": r"d\gamma",
    "dxhat": r"d\hat{x}",
    "inf": r"\infty",
    "pi": r"\pi",
    "xhat": r"\hat{x}",
    "π": r"\pi",
}
TOKEN = re.compile(
    r"\s*(d[a-z](?:_[a-z])?/d[a-z](?:_[a-z])?|\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-zπ]+\d?'?|`[^`]+`"
    r"|<-|<=|>=|!=|\+-|\S)(_?)"
)
BEFORE, AFTER = {"(", "[", "{", "|"}, {")", "]", "}"}
OPERATORS = {"+", "-", "=", "<", ">", ",", "~", "<-", "<=", ">=", "!=", "+-"}


class NotAFormulaError(ValueError):
    """The text is prose, or something that this module can't read."""


def typeset(text: str, names: set[str]) -> str:
    r"""Return formulas, which are separated by semicolons, as lines of LaTeX.

    `names` are words with a meaning, such as those of options.

    Raises
    ------
    NotAFormulaError
        For what can't be read.

    Examples
    --------
    >>> print(typeset("y = 1 / (1 + exp(-x)); dy/dx = y (1 - y)", set()))
    y &= \frac{1}{1 + \exp(-x)} \\
    \frac{dy}{dx} &= y (1 - y)
    """
    parts = [part.strip() for part in _plain(text).split("; ")]
    return " \\\\\n".join(_line(line, names) for part in parts for line in _lines(part))


def inline(text: str, names: set[str]) -> str:
    """Return a formula of a sentence, with nothing else in it, as LaTeX."""
    return _read(_plain(text), names)


def _plain(text: str) -> str:
    return text.replace("²", "^2").replace("ᵀ", "^T ")


def _lines(text: str) -> Iterator[str]:
    """Begin a line for each definition after a formula: "y = a b, with b = …"."""
    first, *others = _split(text)
    lines = [first]
    for part in others:
        if part.startswith("in "):  # a unit, of what is defined first
            lines[0] += f", {part}"
        elif definition := re.fullmatch(
            r"(?:with )?((?:\w+'?|P\(x\)|cos\(z, t\)) (?:=|<-|~) .+)", part
        ):
            lines.append(definition[1])
        elif part.startswith("with "):
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    yield from lines


def _line(text: str, names: set[str]) -> str:
    left, *others = re.split(r" (=|<-|~) ", text, maxsplit=1)
    if how := re.fullmatch(r"(dy/dx) (by .*)", text):
        return rf"{_read(how[1], names)} &\ \text{{{how[2]}}}"
    if not others or left.startswith("with "):
        return f"&{_read(text, names)}"
    sign = SIGNS.get(others[0], others[0])
    return f"{_read(left, names)} &{sign} {_right(others[1], names)}"


def _right(text: str, names: set[str]) -> str:
    """A right side, which may have cases: "x where x > 0, else a x"."""
    parts = _split(text)
    given = [part.partition(" where ") for part in parts[:-1]]
    if parts[-1].startswith("else ") and given and all(where for _, where, _ in given):
        last = parts[-1].removeprefix("else ")
        if not re.search(r" with | \(at ", last):
            rows = [f"{_read(y, names)} & {_read(when, names)}" for y, _, when in given]
            rows.append(rf"{_read(last, names)} & \text{{otherwise}}")
            return cases(rows)
    if before := re.fullmatch(r"(.+) for (i < W), then (.+)", text):
        first, when, then = (_read(part, names) for part in before.groups())
        return cases([f"{first} & {when}", rf"{then} & \text{{then}}"])
    return _read(text, names)


def _split(text: str) -> list[str]:
    """Split at commas outside of parentheses."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _read(text: str, names: set[str]) -> str:
    return _Reader(text, names).all()


class _Reader:
    """Reads tokens: sums of products of factors, with words between them."""

    def __init__(self, text: str, names: set[str]) -> None:
        self.names = names
        self.tokens = self._tokens(text)
        self.i = 0

    def _tokens(self, text: str) -> list[str]:
        found, i = list[str](), 0
        while text[i:].strip():
            match = TOKEN.match(text, i)
            if match is None:
                raise NotAFormulaError(text)
            word = match[1]
            if match[2]:  # an underscore: the name of an option, or a subscript
                option = re.compile(r"\w+").match(text, match.start(1))
                if option and option[0] in self.names:
                    found.append(option[0])
                    i = option.end()
                    continue
                found += [word, "_"]
                i = match.end()
                continue
            found.append(word)
            i = match.end()
        return found

    def next(self) -> str:
        return self.tokens[self.i] if self.i < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.next()
        if expected and token != expected:
            raise NotAFormulaError(" ".join(self.tokens))
        self.i += 1
        return token

    def all(self) -> str:
        text = self.sequence(set())
        if self.next():
            raise NotAFormulaError(" ".join(self.tokens))
        return text

    def sequence(self, ends: Set[str]) -> str:
        """Sums with signs between them, up to the end or one of `ends`."""
        parts, operand = list[str](), False
        while self.next() and self.next() not in ends:
            token = self.next()
            if self.is_prose(token):
                parts.append(self.prose())
                operand = False
            elif token in OPERATORS:
                self.take()
                sign = SIGNS.get(token, token)
                parts.append(r",\; " if sign == "," else f" {sign} " if operand else sign)
                operand = False
            else:
                parts.append(self.product(ends))
                operand = True
        return "".join(parts).strip().replace(" },", "},")

    def product(self, ends: Set[str] = AFTER) -> str:
        """Factors one after the other; a fraction takes all those before it."""
        found = list[str]()
        while self.next() and self.next() not in ends:
            token = self.next()
            if token in OPERATORS or self.is_prose(token):
                break
            if token == "/":
                self.take()
                below = self.factor()
                found = [rf"\frac{{{bare(spaced(found))}}}{{{bare(below)}}}"]
            elif token == ".":
                self.take()
                found.append(r"\cdot")
            else:
                found.append(self.factor())
        if not found:
            raise NotAFormulaError(" ".join(self.tokens))
        return spaced(found)

    def factor(self) -> str:
        """A number, a name or something in parentheses, with its index and its power."""
        base = self.atom()
        while self.next() in ("_", "^"):
            sign = self.take()
            if sign == "_" and self.next() == "ij":
                base += f"_{{{self.take()}}}"
            elif self.next() in BEFORE:
                base += f"{sign}{{{linear(bare(self.atom()))}}}"
            else:
                minus = self.take() if self.next() == "-" else ""
                base += f"{sign}{{{minus}{linear(self.atom())}}}"
        return base

    def atom(self) -> str:
        token = self.take()
        if token in BEFORE:
            ends = {"(": ")]", "[": "])", "{": "}", "|": "|"}[token]
            inside = self.sequence(set(ends))
            end = self.take()
            if not end or (end != ends[0] and r",\;" not in inside):  # (0, 1] is an interval
                raise NotAFormulaError(" ".join(self.tokens))
            if token == "{":
                return f"{{{inside}}}"
            if remark := re.fullmatch(r"\\text\{ (\w+( \w+)+) \}", inside):
                return rf"\text{{ ({remark[1]})}}"
            inside = re.sub(r"^(\\text\{) | (\})$", r"\1\2", inside)
            high = r"\frac" in inside or r"\sum" in inside
            return rf"\left{token}{inside}\right{end}" if high else f"{token}{inside}{end}"
        if re.fullmatch(r"d[a-z](_[a-z])?/d[a-z](_[a-z])?", token):
            above, below = token.split("/")
            return rf"\frac{{{above}}}{{{below}}}"
        prime = "'" if token.endswith("'") else ""
        word = token.removesuffix("'")
        if word == "sqrt":
            return rf"\sqrt{{{bare(self.atom())}}}"
        if word == "floor":
            return rf"\lfloor {bare(self.atom())} \rfloor"
        if word == "mean" and self.next() == "(":
            return rf"\operatorname{{mean}}{self.atom()}"
        if word == "mean" and self.next() not in ("_", "over", "of"):
            return r"\text{mean}"
        if word in ("sum", "mean"):
            return self.sum(r"\sum" if word == "sum" else r"\operatorname{mean}")
        if word in KNOWN:
            return rf"\{word}" + (self.atom() if self.next() in BEFORE else rf"\, {self.factor()}")
        if word in OWN and self.next() == "(":
            return rf"\operatorname{{{word}}}{prime}{self.atom()}"
        if word in SYMBOLS:
            return SYMBOLS[word]
        if word.startswith("`") and word.strip("`") in self.names:
            return rf"\mathrm{{{escaped(word.strip('`'))}}}"
        digit = re.fullmatch(r"([a-z]+)(\d)", word)
        if digit and digit[1] in GREEK:
            return rf"\{digit[1]}_{{{digit[2]}}}"
        if word in GREEK:
            return rf"\{word}{prime}"
        if word in {"n_in", "n_out"}:
            return rf"n_{{\text{{{word[2:]}}}}}"
        if word in self.names:
            return rf"\mathrm{{{escaped(word)}}}" if "_" in word else rf"\text{{{word}}}"
        if power := re.fullmatch(r"(\d+(?:\.\d+)?)e(-?\d+)", word):
            times = "" if power[1] == "1" else rf"{power[1]} \cdot "
            return rf"{times}10^{{{power[2]}}}"
        if re.fullmatch(r"\d+(\.\d+)?", word) or (len(word) == 1 and word.isalnum()):
            return word + prime
        if re.fullmatch(r"d[a-zW]", word):
            return word + prime
        if re.fullmatch(r"[a-d]x", word):
            return f"{word[0]} x"
        raise NotAFormulaError(" ".join(self.tokens))

    def sum(self, sign: str) -> str:
        """A sum of the product that follows: "sum over j of …", or "sum of …", or "sum_k …"."""
        if self.next() == "_":
            self.take()
            sign += f"_{{{bare(self.atom())}}}"
        else:
            if self.next() == "over":
                self.take()
                sign += f"_{{{self.take()}}}"
            elif sign != r"\sum":
                sign = r"\text{mean of }"
            self.take("of")
        return f"{sign} {self.product()}"

    def is_prose(self, token: str) -> bool:
        """Whether a token is a word of English."""
        word = token.removesuffix("'")
        if not re.fullmatch(r"[A-Za-z-]{2,}", word) or re.fullmatch(r"d[a-zW]|[a-d]x", word):
            return False
        known = SYMBOLS.keys() | {"sqrt", "floor", "sum", "mean"} | GREEK | KNOWN | OWN | self.names
        return word not in known

    def prose(self) -> str:
        words = [self.take()]
        while self.next() and (
            self.is_prose(self.next())
            or (
                self.next() == "a"
                and self.i + 1 < len(self.tokens)
                and words[-1] in {"in", "of", "over", "with"}
                and self.is_prose(self.tokens[self.i + 1])
            )
        ):
            words.append(self.take())
        return rf"\text{{ {' '.join(words)} }}"


def cases(rows: list[str]) -> str:
    """A right side of several cases, with fractions as large as elsewhere."""
    inside = (
        r" \\ ".join(rows).replace(r"\frac", r"\dfrac").replace(r"\\ \dfrac", r"\\[0.4em] \dfrac")
    )
    return rf"\begin{{cases}} {inside} \end{{cases}}"


def escaped(word: str) -> str:
    """A name, for mathematics: MathJax refuses the sign _ in a text."""
    return word.replace("_", r"\_")


def spaced(factors: list[str]) -> str:
    """Factors one after the other, with a thin space beside words and gradients such as dy."""
    text = factors[0]
    for left, right in pairwise(factors):
        word = any(re.match(r"\\text|\\math|d[a-zW\\]", part) for part in (left, right))
        text += (r"\, " if word else " ") + right
    return text


def linear(exponent: str) -> str:
    r"""Write a fraction of an exponent with a slash: one above the other would be too small.

    Examples
    --------
    >>> print(linear(r"-\frac{i}{\text{every}}"))
    -i / \text{every}
    """
    part = r"\{((?:\w|\\(?:text|mathrm)\{\w+\})+)\}"
    return re.sub(rf"\\frac{part}{part}", r"\1 / \2", exponent)


def bare(text: str) -> str:
    r"""Without the parentheses around all of it, which a fraction or a root doesn't need.

    Examples
    --------
    >>> print(bare("(x + 1)"), bare("(x) (y)"))
    x + 1 (x) (y)
    """
    for opening, closing in (("(", ")"), ("{", "}"), (r"\left(", r"\right)")):
        if text.startswith(opening) and text.endswith(closing):
            inside, depth = text[len(opening) : -len(closing)], 0
            for sign in inside:
                depth += (sign in "({") - (sign in ")}")
                if depth < 0:
                    return text
            return inside
    return text
