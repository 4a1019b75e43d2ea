"""Exercises, and the labs that consist of them.

An exercise is text: what is to be done, a starting file, hints, a solution, and mistakes that
students make in it. One Markdown file may hold all of it:

    # Title
    What is to be done.
    ## Start       (a block of Python)
    ## Hint        (several)
    ## Solution    (a block of Python)
    ## Mistake     (several: a block that shows with - and + how it differs from the solution)
"""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerkit.arrays import Shape
from layerkit.config.own_modules import where_it_failed
from layerkit.errors import ConfigError, FileError, suggestion

BUILT_IN = ("backprop",)
"""The labs that come with layerkit: packages beside this file, each with a `lab`."""


@dataclass(frozen=True)
class Mistake:
    """A mistake that students make.

    Parameters
    ----------
    check : str
        The check that fails.
    sentence : str
        The sentence that the check says, or a part of it.
    text : str
        One more line, about what the mistake teaches.
    code : str
        The wrong file.
    difference : str
        The lines that are wrong, with a +, and those of the solution, with a -.
    """

    check: str
    sentence: str
    text: str = ""
    code: str = ""
    difference: str = ""


@dataclass(frozen=True)
class Exercise:
    """An exercise: one file, in which a class or a function is written.

    Parameters
    ----------
    name : str
        The name of the file, without .py.
    part : str
        Name of the class or the function. An object of the class is checked as what it is: a
        layer, a loss, an optimizer, a schedule or an initializer. A function, or a class that is
        none of them, is given to `checks`.
    title, task : str
        The heading, and the text about what is to be done.
    start : str
        The starting file; it begins the class or the function.
    like : layer, loss or optimizer, optional
        A part of layerkit that it is compared with.
    options : dict, optional
        The options that the class is made with. Others than the defaults show what is written as
        a number that should be an option.
    shapes : list of tuple of int
        Shapes of one example, for each input of a layer; of the outputs, for a loss.
    targets : array or list, optional
        The targets that a loss is tried with.
    checks : dict of str to callable, optional
        More checks by name. Each is given the object, or the function, and raises an
        AssertionError with a sentence.
    hints : list of str, optional
        The hints, from the first push to nearly the solution.
    solution : str, optional
        The file as it should be.
    mistakes : list of Mistake, optional
        Known mistakes, which are explained to a student who makes them.
    """

    name: str
    part: str
    title: str = ""
    task: str = ""
    start: str = ""
    like: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    shapes: Sequence[Shape] = ((3,),)
    targets: Any = None
    checks: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)
    hints: Sequence[str] = ()
    solution: str = ""
    mistakes: Sequence[Mistake] = ()

    def __post_init__(self) -> None:
        if isinstance(self.like, type):
            name = self.like.__name__
            raise ConfigError(f"{self.name}: like = {name} is a class: give an object, {name}()")
        if not self.head:
            names = re.findall(r"^(?:class|def) (\w+)", self.start, re.MULTILINE)
            raise ConfigError(
                f"{self.name}: the starting file has no class or function {self.part}, which the "
                f"student should write{suggestion(self.part, names)}"
            )
        function = self.head.startswith("def")
        if function and self.like:
            raise ConfigError(
                f"{self.name}: {self.part} is a function, which like can't check: compare it in "
                "checks = {name: function}"
            )
        if not self.checks and (function or not (self.like or "(" in self.head)):
            raise ConfigError(
                f"{self.name}: nothing checks {self.part}, so that all code would be right: give "
                "checks = {name: function}"
            )

    @classmethod
    def read(cls, path: str | Path, part: str, **more: Any) -> Exercise:
        """Return the exercise whose texts a Markdown file has.

        Raises
        ------
        FileError
            For a file without a title, a start or a solution.
        """
        path = Path(path)
        title, task, sections = _sections(path)
        texts = {name: [text for found, text in sections if found == name] for name in SECTIONS}
        for name in ("Start", "Solution"):
            if len(texts[name]) != 1:
                raise FileError(f"{path}: should have one section ## {name}")
        solution = _block(texts["Solution"][0], "python")
        return cls(
            path.stem,
            part,
            title=title,
            task=task,
            start=_block(texts["Start"][0], "python"),
            hints=texts["Hint"],
            solution=solution,
            mistakes=[_mistake(path, solution, text) for text in texts["Mistake"]],
            **more,
        )

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"{self.name}.py"

    @property
    def head(self) -> str:
        """The line of the starting file that begins the class or the function."""
        found = re.search(rf"^(class|def) {re.escape(self.part)}\b.*", self.start, re.MULTILINE)
        return found[0] if found else ""

    def is_begun(self, source: str) -> bool:
        """Whether more than comments and spaces differ from the starting file."""
        try:
            return ast.dump(ast.parse(source)) != ast.dump(ast.parse(self.start))
        except (SyntaxError, ValueError):
            return True


SECTIONS = ("Start", "Hint", "Solution", "Mistake")


def _sections(path: Path) -> tuple[str, str, list[tuple[str, str]]]:
    """Return title, task, and the texts of the sections by their headings."""
    text = path.read_text(encoding="utf-8")
    head, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    title, _, task = head.partition("\n")
    if not title.startswith("# "):
        raise FileError(f"{path}: should begin with a title, # …")
    sections = [tuple(part.partition("\n")[::2]) for part in parts]
    for name, _ in sections:
        if name not in SECTIONS:
            raise FileError(f"{path}: ## {name}: unknown section{suggestion(name, [*SECTIONS])}")
    return title[2:], task.strip(), [(name, body.strip()) for name, body in sections]


def _block(text: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found[1] if found else ""


def _mistake(path: Path, solution: str, text: str) -> Mistake:
    """Read a mistake: what it teaches, its difference, and > what is said."""
    difference, code = _block(text, "diff"), solution
    for hunk in difference.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        if solution.count(old) != 1:
            raise FileError(f"{path}: these lines should be in the solution once:\n{old}")
        code = code.replace(old, new)
    said = re.search(r"^> \*\*(.+?)\*\*:? (.+)$", text, re.MULTILINE)
    if not said:
        raise FileError(f"{path}: a mistake should end in > **check** sentence")
    words = text.partition("```")[0].strip()
    return Mistake(said[1], said[2], words, code, difference)


@dataclass(frozen=True)
class Lab:
    """A lab: exercises in the order in which they are done.

    Parameters
    ----------
    title : str
        The heading of the lab.
    exercises : list of Exercise
        ``lab["name"]`` is the one of this name.
    """

    title: str
    exercises: Sequence[Exercise]

    def __getitem__(self, name: str) -> Exercise:
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        known = [exercise.name for exercise in self.exercises]
        hint = suggestion(name, known) or f"; there are {', '.join(known)}"
        raise ConfigError(f"{name}: the lab {self.title!r} has no such exercise{hint}")


def find_lab(name: str) -> Lab:
    """Return the lab of this name, or the one of a Python file.

    Raises
    ------
    ConfigError
        For an unknown name.
    FileError
        For a file that fails, or has no lab.
    """
    if name in BUILT_IN:
        lab: Lab = importlib.import_module(f"layerkit.lab.{name}").lab
        return lab
    path = Path(name)
    if path.suffix != ".py":
        hint = suggestion(name, [*BUILT_IN])
        raise ConfigError(f"{name}: no such lab{hint} (one of your own is a Python file: name.py)")
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    try:
        found = runpy.run_path(str(path.resolve()), run_name=path.stem).get("lab")
    except Exception as error:
        raise FileError(where_it_failed(error, [str(path)])) from error
    if not isinstance(found, Lab):
        raise FileError(f"{path}: should have a lab, lab = Lab(title, [Exercise(…), …])")
    return found
