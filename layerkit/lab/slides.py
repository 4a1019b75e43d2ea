"""Slides of a lab, to project: one file, which needs nothing else. One idea on each screen."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path

from layerkit.lab.checking import without_line
from layerkit.lab.exercises import Exercise, Lab, Mistake

TEMPLATE = Path(__file__).with_name("slides.html")
SHORT = 30
"""Formulas of up to so many characters are not broken."""


def page(lab: Lab) -> str:
    """Return a page to go through with the arrow keys."""
    names = "".join(f"<li>{_inline(e.title or e.name)}</li>" for e in lab.exercises)
    slides = [_slide("", f"<h1>{_inline(lab.title)}</h1><ol>{names}</ol>", "cover")]
    for exercise in lab.exercises:
        slides += _of_exercise(exercise)
    template = TEMPLATE.read_text(encoding="utf-8")
    return template.replace("TITLE", html.escape(lab.title)).replace("SLIDES", "\n".join(slides))


def _of_exercise(exercise: Exercise) -> list[str]:
    title = exercise.title or exercise.name
    ideas = re.split(r"\n\n(?!- |\*\*)", exercise.task)  # lists and formulas go with what is before
    slides = [_slide(title, _markup(text), "idea") for text in ideas if text]
    slides.append(
        _slide(
            f"{title}: {exercise.file}",
            _code("\n\n".join(_methods(exercise.start, "NotImplementedError")))
            + f"<p class=say>layerkit lab check {exercise.file}</p>",
        )
    )
    slides += [_of_mistake(title, exercise, mistake) for mistake in exercise.mistakes]
    if exercise.solution:
        for method in _methods(exercise.solution, like=exercise.start):
            code = f"<div class=later>{_code(method)}</div>"
            slides.append(_slide(f"{title}: a solution", code))
    return slides


def _of_mistake(title: str, exercise: Exercise, mistake: Mistake) -> str:
    added = [line[1:] for line in mistake.difference.splitlines() if line.startswith("+")]
    code = _code("\n\n".join(_methods(mistake.code, like=exercise.solution)), added)
    said = (
        f"<div class=later><p class=said><b>✗ {html.escape(mistake.check)}</b> "
        f"{html.escape(without_line(mistake.sentence))}</p>{_markup(mistake.text)}</div>"
    )
    return _slide(f"{title}: what is wrong here?", code + said, "mistake")


def _slide(title: str, body: str, kind: str = "") -> str:
    heading = f"<h2>{_inline(title)}</h2>" if title else ""
    return f'<section class="{kind}" hidden>{heading}{body}</section>'


def _methods(source: str, having: str = "", like: str = "") -> list[str]:
    """Return the functions that have a word, or differ from those of another source.

    Where none does, all that is not an import or the docstring of the file.
    """
    tree, others = ast.parse(source), ast.parse(like)
    known = {ast.dump(n) for n in ast.walk(others) if isinstance(n, ast.FunctionDef)}
    lines = source.splitlines()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if having in text and ast.dump(node) not in known:
                found.append(text)
    if not found:
        body = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom | ast.Expr)]
        found = ["\n".join(lines[n.lineno - 1 : n.end_lineno]) for n in body]
    return found


def _code(source: str, wrong: list[str] | None = None) -> str:
    """Return a block of code; the lines that are wrong are marked later."""
    lines = source.splitlines()
    indent = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
    shown = []
    for line in lines:
        marked = " class=wrong" if wrong and line.strip() and line in wrong else ""
        shown.append(f"<span{marked}>{_coloured(line[indent:]) or ' '}</span>")
    return f"<pre><code>{''.join(shown)}</code></pre>"


WORDS = re.compile(
    r"(#.*)|(\"[^\"]*\"|'[^']*')|\b(class|def|return|if|else|elif|for|in|is|not|and|or|None|True|"
    r"False|raise|import|from|self)\b"
)


def _coloured(line: str) -> str:
    parts, end = [], 0
    for found in WORDS.finditer(line):
        tag = "i" if found[1] else "q" if found[2] else "b"
        parts += [html.escape(line[end : found.start()]), f"<{tag}>{html.escape(found[0])}</{tag}>"]
        end = found.end()
    return "".join([*parts, html.escape(line[end:])])


def _markup(text: str) -> str:
    """Return the HTML of paragraphs, lists and blocks of code."""
    parts = []
    for block in re.split(r"\n\n(?=\S)", text.strip()):
        if block.startswith("```"):
            parts.append(_code(block.partition("\n")[2].rstrip("`\n")))
        elif re.search(r"^- ", block, re.MULTILINE):
            before, *items = re.split(r"^- ", block, flags=re.MULTILINE)
            parts.append(f"<p>{_inline(before)}</p>" if before.strip() else "")
            parts.append(f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>")
        else:
            parts.append(f"<p>{_inline(block)}</p>")
    return "".join(parts)


def _inline(text: str) -> str:
    """Return the HTML of a line: **formula**, `code` and x_i."""
    escaped = html.escape(text.strip(), quote=False)
    escaped = re.sub(r"`(.+?)`", r"<code>\1</code>", escaped)
    escaped = re.sub(r"\b([^\W\d_])_(\w+)", r"\1<sub>\2</sub>", escaped)
    return re.sub(r"\*\*(.+?)\*\*([.,:;]?)", _formula, escaped)


def _formula(found: re.Match[str]) -> str:
    """Return the HTML of a formula, and of the mark after it: a short one stays in one line."""
    formula = found[1].replace(" - ", " − ")  # noqa: RUF001
    shown = formula if len(formula) > SHORT else formula.replace(" ", "\N{NO-BREAK SPACE}")
    return f"<em>{shown}{found[2]}</em>"
