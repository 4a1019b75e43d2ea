"""The process that checks one exercise: what a student has written may end it, or never end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from layerkit.files.atomic import write_atomically
from layerkit.lab.checking import RUNS, Verdict, check_exercise
from layerkit.lab.exercises import find_lab

MEMORY = 2**32
"""Bytes that it may take: one student's endless list should not stop the whole class."""


def main(lab: str, name: str, file: str, result: str) -> None:
    """Check an exercise, and write the verdicts to the file `result`."""
    _limit_memory()
    try:
        verdicts = check_exercise(find_lab(lab)[name], Path(file))
    except SystemExit:
        verdicts = [Verdict(RUNS, False, f"{Path(file).name} ends Python: leave out exit and quit")]
    write_atomically(result, json.dumps(verdicts).encode())


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
