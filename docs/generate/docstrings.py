"""The parts of layerkit's docstrings, for the pages that are generated from them."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

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


def readable(text: str) -> str:
    """Write operators as in a book: `<-` as an arrow, `inf` as a sign."""
    parts = text.replace("``", "`").split("`")
    for pattern, sign in SIGNS.items():
        parts[::2] = [re.sub(pattern, sign, part) for part in parts[::2]]
    return "`".join(parts)


def escape(text: str) -> str:
    """Keep Markdown from taking formulas for markup, outside of backticks."""
    parts = text.replace("``", "`").split("`")
    parts[::2] = [re.sub(r"([*_<|\[\]~])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def markdown(text: str) -> str:
    """Write a text of a docstring for a page, with links to what it cites."""
    text = escape(readable(text))
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"(?<![(])https://[^\s,;]*[^\s,;.]", r"<\g<0>>", text)


def blocks(texts: Iterable[str]) -> Iterator[str]:
    """Write paragraphs as the lines of a page."""
    for text in texts:
        if text.startswith("    "):
            yield from ("```text", readable(textwrap.dedent(text)), "```", "")
        else:
            yield from (markdown(text), "")
