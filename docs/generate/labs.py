"""The exercises of docs/labs.md, with hints and solutions folded.

`python -m docs.generate.labs` writes them anew.
"""

import re
from pathlib import Path

from layerkit.lab.exercises import Exercise, find_lab

PAGE = Path(__file__).parents[1] / "labs.md"
BEGIN = "## The exercises\n"


def written(page: str) -> str:
    """Return the page with the present texts of the exercises."""
    head = page.partition(BEGIN)[0]
    return (
        head + "\n\n".join([BEGIN.strip(), *map(_exercise, find_lab("backprop").exercises)]) + "\n"
    )


def _exercise(exercise: Exercise) -> str:
    hints = [_folded(f"Hint {i}", hint) for i, hint in enumerate(exercise.hints, start=1)]
    solution = _folded("Solution", f"```python\n{exercise.solution.strip()}\n```")
    start = f"`{exercise.file}` begins with\n\n```python\n{exercise.start.strip()}\n```"
    task = re.sub(r"\b([^\W\d_])_(\w+)", r"\1<sub>\2</sub>", exercise.task)
    return "\n\n".join([f"### {exercise.title}", task, start, *hints, solution])


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
