"""What the letters of formulas mean: from the tables in the docstrings of modules."""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from docs.generate.docstrings import markdown, sections
from layerkit import Augmentation, Average, Initializer, Loss, Optimizer, Schedule

KINDS = (Augmentation, Average, Initializer, Loss, Optimizer, Schedule)
"""The classes whose pages explain their letters; all layers have theirs in common."""
LETTER = r"^ *(\S+(?:, \S+)*)  +(\S.*)$"


def explain_letters(cls: type[Any], lines: list[str]) -> None:
    """Add a section to the docstring of a class, with the letters in its description."""
    if issubclass(cls, KINDS) and (found := letters(cls)):
        rows = (f"- ``{names}`` {meaning}" for names, meaning in found.items())
        lines += ["", "Notes", "-----", *rows, ""]


def letters(cls: type[Any]) -> dict[str, str]:
    """The letters that the description of a class uses, and their meanings use in turn."""
    modules = (sys.modules[base.__module__] for base in cls.__mro__)
    table = next(filter(None, map(letters_of, modules)), {})
    texts = [sections(cls)[""]]
    found = dict[str, str]()
    for text in texts:
        for names, meaning in table.items():
            if names not in found and any(occurs(name, text) for name in names.split(", ")):
                found[names] = meaning
                texts.append(meaning)
    return {names: meaning for names, meaning in table.items() if names in found}


def letters_of(module: ModuleType) -> dict[str, str]:
    """The table of letters in the docstring of a module, empty if there is none."""
    return dict(re.findall(LETTER, inspect.getdoc(module) or "", re.MULTILINE))


def occurs(name: str, text: str) -> bool:
    """Whether a letter is in a text, perhaps with an index; "Keras's" has no s, "a row" no a."""
    return bool(re.search(rf"(?<![\w']){re.escape(name)}(?:_\w+)?(?![\w-])(?! [a-z]{{2}})", text))


def listed(found: dict[str, str]) -> Iterator[str]:
    """Letters and their meanings as a list in Markdown."""
    yield from (f"- `{names}` {markdown(meaning)}" for names, meaning in found.items())
    yield ""


def used(table: dict[str, str], classes: list[type[Any]]) -> dict[str, str]:
    """The letters in the first sentences of classes, which are all that a list of them shows."""
    texts = [sections(cls)[""].partition("\n\n")[0] for cls in classes]
    return {
        names: meaning
        for names, meaning in table.items()
        if any(occurs(name, text) for name in names.split(", ") for text in texts)
    }
