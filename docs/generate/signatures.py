"""All parameters of a class or function, as its page in the reference describes them."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from docs.generate.api import documented
from docs.generate.docstrings import sections
from layerkit.config.options import Configurable

REFERENCE = r"\s*(?:As in|As for|As those of|See) `(\w+)`\.\s*"
"""What stands for the meaning of parameters that another class or function describes."""


def describe_parameters(part: Any, lines: list[str]) -> None:
    """Describe all parameters in a docstring, also those that another one describes."""
    first, *others = re.split(r"^(\w+\n-{3,}\n)", "\n".join(lines), flags=re.MULTILINE)
    found = dict(zip(others[::2], others[1::2], strict=True))
    for section in ("Parameters", "Attributes"):
        if entries := "".join(map("{0[0]}\n{0[1]}\n".format, described(part, section))):
            found[f"{section}\n{'-' * len(section)}\n"] = entries
    parts = [first, *map("".join, found.items()), ""]
    lines[:] = "\n\n".join(part.strip("\n") for part in parts).split("\n")


def described(part: Any, section: str) -> Iterator[tuple[str, str]]:
    """Names with their type, and their meaning: of the part itself, then of inherited options."""
    inherits = inspect.isclass(part) and issubclass(part, Configurable) and section == "Parameters"
    unseen = {option.name for option in fields(part)} if inherits else set()
    for owner in part.__mro__ if inherits else [part]:
        text = sections(owner).get(section, "") if owner.__doc__ else ""
        for heading, meaning in re.findall(r"^(\S.*)(?:\n|\Z)((?: .*\n?|\n)*)", text, re.MULTILINE):
            names = names_of(heading)
            if owner is part or names & unseen:
                unseen -= names
                if other := re.fullmatch(REFERENCE, meaning):
                    entries = described(documented()[other[1]], section)
                    yield from (entry for entry in entries if names_of(entry[0]) & names)
                else:
                    yield heading, meaning.rstrip()


def names_of(heading: str) -> set[str]:
    """The names before the type of parameters."""
    return set(re.split(r", +", heading.partition(" : ")[0]))
