"""The lines of code of each file of the heart, in the headings of docs/afternoon.md.

The page itself is the list of the heart's files. `make afternoon` counts anew.
"""

import ast
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/afternoon.md"
HEADING = re.compile(r"^(### `(.+\.py)`), .*$", re.MULTILINE)
NO_CODE = {
    *(tokenize.ENCODING, tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def heart() -> list[str]:
    """The files of the page, in its order."""
    return [f"layerkit/{file}" for _, file in HEADING.findall(PAGE.read_text(encoding="utf-8"))]


def code_lines(path: Path) -> int:
    """Count lines without blank ones, comments and docstrings."""
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE]
    lines = {n for token in tokens for n in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= {*range(node.lineno, node.end_lineno or 0), node.end_lineno}
    return len(lines)


def counted(page: str) -> str:
    """Return the page with the present numbers."""
    lines = {file.removeprefix("layerkit/"): code_lines(ROOT / file) for file in heart()}

    def heading(match: re.Match[str]) -> str:
        return f"{match[1]}, {lines[match[2]]} lines"

    total = f"{len(lines)} files with {sum(lines.values()):,} lines of code"
    return re.sub(r"\d+ files with [\d,]+ lines of code", total, HEADING.sub(heading, page))


if __name__ == "__main__":
    PAGE.write_text(counted(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
