"""The parts of layerkit's docstrings, for the pages that are generated from them."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from docs.generate.catalogue import option_names
from docs.generate.formulas import NotAFormulaError, inline, typeset
from docs.generate.sentences import CODE, is_name, pieces
from layerkit.config.options import Configurable, default

SIGNS = {
    r"<-": "←",
    r"<=": "≤",
    r">=": "≥",
    r"!=": "≠",
    r"\+-": "±",
    r"\bsqrt(?=\()": "√",
    r"\binf\b": "∞",
    r"\bpi\b": "π",
    r"(?<=\b[A-Za-z])'(?!\w)": "\N{PRIME}",
    r"\^2(?!\d|\.\d)": "²",
    r"\^3(?!\d|\.\d)": "³",
}

MARKUP = r"[*|]|(?<=\w)_(?!\w)"
"""What would be markup in reStructuredText."""

LARGE = re.compile(r"\\frac\{(?:[^{}]*\}\{)?[^{}]*\{")
"""A fraction with more inside than a few signs."""


def sections(cls: type[Any]) -> dict[str, str]:
    """The text before the first heading, as "", and the sections by their headings."""
    first, *others = re.split(r"^(\w+)\n-{3,}\n", inspect.getdoc(cls) or "", flags=re.MULTILINE)
    return {"": first.strip()} | dict(zip(others[::2], others[1::2], strict=True))


def paragraphs(cls: type[Any]) -> list[str]:
    """The text before the first heading: each paragraph in one line, but for indented formulas."""
    parts = re.split(r"\n *\n", sections(cls)[""])
    return [part if part.startswith("    ") else " ".join(part.split()) for part in parts]


def meanings(cls: type[Any]) -> dict[str, str]:
    """The meaning of each option, own or inherited, each text in one line."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = sections(base).get("Parameters", "") if vars(base).get("__doc__") else ""
        for names, lines in re.findall(r"^(\S.*)\n((?:    .*\n?|\n)*)", text, re.MULTILINE):
            meaning = " ".join(lines.split())
            for name in names.partition(" : ")[0].split(", "):
                if name not in found or not meaning.startswith("As in "):
                    found[name] = meaning
    return found


def common_options(family: type[Configurable]) -> list[Field[Any]]:
    """The options that all classes of a family have, described with the family."""
    return [option for option in fields(family) if option.kw_only]


def own_options(cls: type[Configurable], family: type[Configurable]) -> list[Field[Any]]:
    """The options of a class without those that are just like the family's."""
    common = {option.name: default(option) for option in common_options(family)}
    return [
        option
        for option in fields(cls)
        if option.name not in common or common[option.name] != default(option)
    ]


def assignment(option: Field[Any]) -> str:
    """Show an option as in the signature of a function: with its default, if it has one."""
    value = default(option)
    shown = "1 / 3" if value == 1 / 3 else repr(value)
    return option.name if value is MISSING else f"{option.name} = {shown}"


def split_formula(text: str) -> tuple[str, list[str]]:
    """Take a first paragraph apart: its formula, and the remarks after a colon or a period."""
    formula, _, more = (text + " ").partition(". ")
    if not re.search("[=~]|<-", formula):
        return "", [text]
    formula, _, remark = formula.partition(": ")
    if re.match(r"[a-z]{2}|a ", remark):
        remark = remark[0].upper() + remark[1:]
    return formula, [" ".join([f"{remark}." if remark else "", more]).strip()]


def aligned(text: str) -> str:
    """Return formulas as LaTeX, one below the other; empty for what is rather a sentence."""
    if _is_sentence(text):
        return ""
    try:
        latex = typeset(text, option_names()).replace("\n", " ")
    except NotAFormulaError:
        return ""
    return rf"\begin{{aligned}} {latex} \end{{aligned}}"


def typeset_beginning(text: str) -> tuple[str, str]:
    r"""Return the formula that a paragraph begins with as LaTeX, empty if none, and the rest.

    Examples
    --------
    >>> print(*typeset_beginning("y = x W + b: a sum."), sep="; ")
    \begin{aligned} y &= x W + b \end{aligned}; A sum.
    >>> typeset_beginning("Base class of losses: L = sum_n l_n.")
    ('', 'Base class of losses: L = sum_n l_n.')
    """
    found, (remark,) = split_formula(text)
    latex = aligned(found) if re.search("[=~]|<-", found) else ""
    return (latex, remark) if latex else ("", text)


def _is_sentence(formula: str) -> bool:
    """Whether it has more than a few words in a line; a unit at its end does not count."""
    known = option_names() | {"else", "where"}
    for line in formula.split("; "):
        words = re.findall(r"\b[a-z]{2,}\b", re.sub(r", in [a-z ]+$", "", line))
        if sum(not is_name(word, [], known) for word in words) > 4:
            return True
    return " = the " in formula


def sentences(text: str, formula: str, prose: Callable[[str], str]) -> str:
    """Write a text whose formulas are typeset; `prose` is what to do with the rest.

    A comma or a colon after a formula belongs to it, so that it does not begin the next line.
    """
    parts = pieces(text, option_names())
    for i in range(1, len(parts), 2):
        after = parts[i + 1]
        comma = after[:1] if after.startswith((".", ",", ";", ": ")) else ""
        large = r"\displaystyle " if LARGE.search(parts[i]) else ""
        sign = "{:}" if comma == ":" else comma  # TeX takes a bare colon for a ratio
        if parts[i].rstrip().endswith((r"\right)", r"\right]")):
            sign = rf"\mathclose{{}}{sign}"  # else there is a gap before it
        parts[i] = formula.format(large + parts[i].replace("|", r"\vert ").rstrip() + sign)
        parts[i + 1] = after.removeprefix(comma)
    parts[::2] = map(prose, parts[::2])
    return "".join(parts)


def readable(text: str) -> str:
    """Write operators as in a book: `<-` as an arrow, `inf` as a sign."""
    parts = text.replace("``", "`").split("`")
    for pattern, sign in SIGNS.items():
        parts[::2] = [re.sub(pattern, sign, part) for part in parts[::2]]
    return "`".join(parts)


def escape(text: str, markup: str) -> str:
    """Keep signs from being taken for markup, outside of backticks."""
    parts = re.split(f"({CODE.pattern})", text, flags=re.DOTALL)
    parts[::2] = [re.sub(markup, r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def markdown(text: str) -> str:
    """Write a text of a docstring for a page, with links to what it cites."""
    return sentences(text, "${}$", _markdown)


def _markdown(text: str) -> str:
    text = escape(readable(text), r"[*_<|\[\]~]")
    text = re.sub(r"`layerkit\.(?:\w+\.)*([A-Z]\w*)`", r"`\1`", text)
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"(?<![(])https://[^\s,;]*[^\s,;.]", r"<\g<0>>", text)


def blocks(texts: Iterable[str]) -> Iterator[str]:
    """Write paragraphs as the lines of a page."""
    for text in texts:
        if not text.startswith("    "):
            yield from (markdown(text), "")
        elif latex := aligned(text.rstrip(",")):
            yield from (":::{div} typeset", "$$", latex, "$$", ":::", "")
        else:
            yield from ("```text", readable(textwrap.dedent(text)), "```", "")


def restructured(doc: str, of_class: bool) -> str:
    """Write a docstring for Sphinx; the formula that a class begins with is on lines of its own."""
    description, *sections = re.split(r"^(?=\w[\w ]*\n-{3,}$)", doc, flags=re.MULTILINE)
    paragraphs = re.split(r"\n *\n", description)
    texts = [_paragraph(text, of_class and not i) for i, text in enumerate(paragraphs)]
    return "\n\n".join(texts) + "".join(map(_section, sections))


def _paragraph(text: str, first: bool) -> str:
    if text.startswith(">>>"):
        return text
    if text.startswith("    "):
        if latex := aligned(text.strip().rstrip(",")):
            return f":opening:`{latex}`"
        return f"::\n\n{text}"
    words = " ".join(text.split())
    prose = "".join(pieces(words, option_names())[::2])
    latex, rest = typeset_beginning(words) if first or not prose.strip(" ,;.") else ("", words)
    if latex:
        return f":opening:`{latex}` {_restructured(rest)}".rstrip()
    return _restructured(text)


def _section(text: str) -> str:
    """Of a section that describes names, the lines below the names are sentences."""
    if text.startswith("Notes"):
        return "".join(map(_letters, text.splitlines(keepends=True)))
    if text.startswith("Examples"):
        parts = re.split(r"(^>>> (?:.*\S.*\n?)+)", text, flags=re.MULTILINE)
        parts[::2] = [escape(part, MARKUP) for part in parts[::2]]
        return "".join(parts)
    parts = re.split(r"((?:^ +\S.*\n?)+)", text, flags=re.MULTILINE)
    parts[::2] = [escape(part, MARKUP) for part in parts[::2]]
    parts[1::2] = [_restructured(part) for part in parts[1::2]]
    return "".join(parts)


def _letters(line: str) -> str:
    """A line of Notes: letters, as in "- m, v: of g and g^2", or sentences."""
    names, _, meaning = line.removeprefix("- ").partition(": ")
    letters = names.split(", ")
    if not meaning or not all(is_name(x.strip("|"), [], option_names()) for x in letters):
        return _restructured(line)
    formulas = (f":math:`{inline(letter, option_names())}`" for letter in letters)
    return f"- {', '.join(formulas)}: {_restructured(meaning)}"


def _restructured(text: str) -> str:
    return sentences(text, ":math:`{}`", lambda prose: escape(prose, MARKUP))
