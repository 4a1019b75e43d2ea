"""Reports: the results of one student or of a class, as tables for the terminal and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from layerkit.lab.checking import CHECKS, Verdict, without_line
from layerkit.lab.exercises import Mistake
from layerkit.lab.folders import PRINTED, Result

SIGNS = {True: "✓", False: "✗", None: "-"}
STATES = {"done": "✓", "begun": "✗", "not begun": "·", "missing": " "}
Results = dict[Path, list[Result]]
"""The results of each student's folder."""


def table(results: Sequence[Result]) -> str:
    """Return a line for each exercise, a column for each check, and what is wrong."""
    columns = _checks(results)
    wide = max(len(result.exercise.name) for result in results) + 2
    lines = []
    if columns:
        lines.append(" " * wide + "  ".join(columns))
    for result in results:
        line = f"{result.exercise.name:<{wide}}"
        signs = [SIGNS[result.rights[name]] if name in result.rights else " " for name in columns]
        cells = [sign.center(len(name)) for sign, name in zip(signs, columns, strict=True)]
        said = "" if result.state == "begun" else result.state
        lines.append((line + ("  ".join(cells) + "  " if result.verdicts else "") + said).rstrip())
    failed = [check for check in columns if any(r.rights.get(check) is False for r in results)]
    if failed:
        lines += ["", "✓ right, ✗ wrong, - can't be checked before it runs"]
        lines += [f"{name}: {CHECKS[name]}" for name in failed if name in CHECKS]
    for result in results:
        if result.state == "begun":
            lines += ["", *_mistakes(result)]
    return "\n".join(lines)


def _mistakes(result: Result) -> list[str]:
    lines = [result.exercise.file]
    for verdict in result.verdicts:
        if verdict.right is False:
            lines.append(f"  ✗ {verdict.check}: {verdict.sentence}")
            lines += [f"    {text}" for text in _known(result, verdict)]
    if printed := result.printed.splitlines():
        lines += ["  It printed:", *(f"    {line}" for line in printed[:PRINTED])]
        if len(printed) > PRINTED:
            lines.append(f"    … and {len(printed) - PRINTED} lines more")
    return lines


def _known(result: Result, verdict: Verdict) -> list[str]:
    """Return what a mistake teaches that others have made before, or all those it may be."""
    alike = [
        mistake
        for mistake in result.exercise.mistakes
        if mistake.check == verdict.check
        and without_line(mistake.sentence) == without_line(verdict.sentence)
    ]
    seen = [mistake for mistake in alike if _stands_in(result.source, mistake)]
    texts = [mistake.text for mistake in seen or alike if mistake.text]
    return ["It may be one of these:", *(f"- {text}" for text in texts)] if texts[1:] else texts


def _stands_in(source: str, mistake: Mistake) -> bool:
    """Whether a file has the wrong lines of a mistake, whatever names it gives."""
    wrong = [line[1:] for line in mistake.difference.splitlines() if line.startswith("+")]
    code = "\n".join([mistake.code, *wrong])
    return bool(wrong) and _bare(wrong, code) <= _bare(source.splitlines(), source)


def _bare(lines: Sequence[str], code: str) -> set[str]:
    """Return lines without comments, spaces, and the names of what the code assigns to."""
    given = re.findall(r"^\s*((?:self\.)?\w+) *=(?!=)", code, re.MULTILINE)
    names = rf"(?<![\w.])(?:{'|'.join(map(re.escape, given))})\b" if given else r"(?!)"
    return {re.sub(r"#.*|\s", "", re.sub(names, "_", line)) for line in lines} - {""}


def class_line(student: str, results: Sequence[Result], wide: int) -> str:
    """Return the line of a student, whose name is `wide`; each exercise has a sign."""
    cells = [STATES[result.state].center(len(result.exercise.name)) for result in results]
    done = sum(result.state == "done" for result in results)
    return f"{student:<{wide}}{'  '.join(cells)}  {done} of {len(results)}"


def as_csv(results: Results) -> str:
    """Return a row for each student: the state of each exercise, and 1 or 0 for each check."""
    columns = ["student", "done"]
    per_exercise = zip(*results.values(), strict=True)
    for of_exercise in per_exercise:
        name = of_exercise[0].exercise.name
        columns += [name, *(f"{name}: {check}" for check in _checks(of_exercise))]
    rows = []
    for folder, of_student in results.items():
        row: dict[str, object] = {"student": folder.name}
        row["done"] = sum(result.state == "done" for result in of_student)
        for result in of_student:
            name = result.exercise.name
            row[name] = result.state
            for check, right in result.rights.items():
                row[f"{name}: {check}"] = "" if right is None else int(right)
        rows.append(row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _checks(results: Sequence[Result]) -> list[str]:
    """Return the checks of some exercises, in the order of a table."""
    found = {check for result in results for check in result.rights}
    return [*(c for c in CHECKS if c in found), *sorted(found - CHECKS.keys())]
