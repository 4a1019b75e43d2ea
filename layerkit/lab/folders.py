"""The folder of a lab: a file for each exercise, a README, and `lab.toml`, which names the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from layerkit.config.toml import read_toml
from layerkit.errors import ConfigError, FileError
from layerkit.files.atomic import file_errors, write_atomically
from layerkit.lab.checking import RUNS, Verdict
from layerkit.lab.exercises import BUILT_IN, Exercise, Lab, find_lab

SETTINGS = "lab.toml"
LIMIT = 60.0
"""Seconds that an exercise may take; most take one."""
PRINTED = 8
"""The lines shown of what the file of an exercise prints."""


@dataclass(frozen=True)
class Result:
    """The result of an exercise.

    Parameters
    ----------
    exercise : Exercise
    state : str
        "done", "begun", "not begun", or "missing" without its file.
    verdicts : list of Verdict
        The verdicts about an exercise that is begun.
    printed : str
        The output of the student's own code.
    source : str
        The student's file, of an exercise that is begun or done.
    """

    exercise: Exercise
    state: str
    verdicts: Sequence[Verdict] = ()
    printed: str = field(default="", repr=False)
    source: str = field(default="", repr=False)

    @property
    def rights(self) -> dict[str, bool | None]:
        """Which checks are right, by name."""
        return {verdict.check: verdict.right for verdict in self.verdicts}


def new_folder(name: str, folder: str | Path) -> Lab:
    """Make the folder of a lab.

    Raises
    ------
    FileError
        For a folder that has something in it.
    """
    lab, folder = find_lab(name), Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FileError(f"{folder}: there is something already; choose another folder")
    with file_errors(f"{folder}: can't be written"):
        folder.mkdir(parents=True, exist_ok=True)
    texts = {exercise.file: exercise.start for exercise in lab.exercises}
    if name not in BUILT_IN:
        path = Path(name)
        texts[path.name], name = path.read_text(encoding="utf-8"), path.name
    texts["README.md"] = readme(lab)
    for file, text in texts.items():
        write_atomically(folder / file, text.encode())
    _write_settings(folder, {"lab": name})
    return lab


def readme(lab: Lab) -> str:
    """Return the sheet of a lab: what is to be done, and the hints, folded."""
    parts = [
        f"# {lab.title}",
        "Write what is marked TODO in one file after the other. In this folder,\n\n"
        "    layerkit lab check             says what is right, and what is wrong with the rest\n"
        f"    layerkit lab check {lab.exercises[0].file:<11} checks one file\n"
        f"    layerkit lab hint {lab.exercises[0].name:<12} shows the next hint",
    ]
    for exercise in lab.exercises:
        parts += [f"## {exercise.file}: {exercise.title or exercise.name}", exercise.task]
        for i, hint in enumerate(exercise.hints, start=1):
            parts.append(f"<details><summary>Hint {i}</summary>\n\n{hint}\n\n</details>")
    return "\n\n".join(part for part in parts if part) + "\n"


def name_of(folder: str | Path) -> str:
    """Return the name of a folder's lab, or the path of its file.

    Raises
    ------
    FileError
        Where no lab is named.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        raise FileError(
            f"{folder}: has no {SETTINGS}, so it is not the folder of a lab; go to one, or name "
            f"it, or make one by layerkit lab new {BUILT_IN[0]}"
        )
    name = read_toml(path).get("lab")
    if not isinstance(name, str):
        raise FileError(f'{path}: should name the lab, lab = "{BUILT_IN[0]}"')
    return name if name in BUILT_IN else str(path.with_name(name))


class Hint(NamedTuple):
    """A hint, which one it is, and how many there are."""

    text: str
    number: int
    total: int


def next_hint(path: str | Path) -> Hint:
    """Return the hint after that of the last time, and after the last one the last again.

    `path` is the exercise's file, with or without .py.

    Raises
    ------
    ConfigError
        For an unknown exercise, and one without hints.
    FileError
        For a folder.
    """
    path = Path(path)
    if path.is_dir():
        first = find_lab(name_of(path)).exercises[0].name
        raise FileError(f"{path}: is a folder; name an exercise in it, such as {path / first}")
    folder = path.parent
    exercise = find_lab(name_of(folder))[path.stem]
    if not exercise.hints:
        raise ConfigError(f"{exercise.name}: this exercise has no hints")
    settings = read_toml(folder / SETTINGS)
    seen, total = settings.get("hints"), len(exercise.hints)
    seen = seen if isinstance(seen, dict) else {}
    before = seen.get(exercise.name)
    number = min(before + 1, total) if type(before) is int and before > 0 else 1
    _write_settings(folder, {**settings, "hints": {**seen, exercise.name: number}})
    return Hint(exercise.hints[number - 1], number, total)


def _write_settings(folder: Path, settings: dict[str, Any]) -> None:
    write_atomically(folder / SETTINGS, tomli_w.dumps(settings).encode())


def check_folders(
    lab: str, folders: Sequence[Path], only: str | None = None, limit: float = LIMIT
) -> Iterator[tuple[Path, list[Result]]]:
    """Check folders, or one exercise of them; each file in a process of its own.

    Yields
    ------
    folder : Path
    results : list of Result
        The results, in the order of the lab.
    """
    exercises = [find_lab(lab)[only]] if only else find_lab(lab).exercises
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        found = [
            (folder, [pool.submit(_check, lab, one, folder, limit) for one in exercises])
            for folder in folders
        ]
        for folder, results in found:
            yield folder, [result.result() for result in results]
    finally:
        pool.shutdown(cancel_futures=True)


def _check(lab: str, exercise: Exercise, folder: Path, limit: float) -> Result:
    """Check one file, unless it is not begun."""
    path = folder / exercise.file
    if not path.is_file():
        return Result(exercise, "missing")
    source = path.read_text(encoding="utf-8", errors="replace")
    if not exercise.is_begun(source):
        return Result(exercise, "not begun")
    verdicts, printed = _checked_aside(lab, exercise, path, limit)
    done = all(verdict.right for verdict in verdicts)
    return Result(exercise, "done" if done else "begun", verdicts, printed, source)


def _checked_aside(
    lab: str, exercise: Exercise, path: Path, limit: float
) -> tuple[list[Verdict], str]:
    """Check a file in a process of its own."""
    root = Path(__file__).parents[2]
    known = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"PYTHONPATH": os.pathsep.join(known), "PYTHONIOENCODING": "utf-8"}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as scratch:
        result, output = Path(scratch, "result.json"), Path(scratch, "output.txt")
        command = [sys.executable, "-P", "-m", "layerkit.lab.worker"]
        with output.open("wb") as written:
            process = subprocess.Popen(
                [*command, lab, exercise.name, str(path), str(result)],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
            said = "its process ended with status {} before the check was through"
            try:
                said = said.format(process.wait(limit))
            except subprocess.TimeoutExpired:
                said = f"took longer than {limit:g} s: is there a loop that never ends?"
            finally:
                process.kill()
                process.wait()
        printed = output.read_bytes()[:10_000].decode(errors="replace")
        if result.is_file():
            found: list[Any] = json.loads(result.read_bytes())
            return [Verdict(*verdict) for verdict in found], printed
    return [Verdict(RUNS, False, f"{path.name}: {said}")], printed
