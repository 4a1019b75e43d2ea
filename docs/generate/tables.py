"""The commands of docs/tables.md, and the pictures of its run."""

import io
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.generate.runs import pictures_for_pages
from layerkit.cli import main

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "tables.md"
TABLE = DOCS.parent / "experiments/flats.csv"
PICTURES = ("predicted.png", "importance.png")


def blocks() -> list[tuple[str, str]]:
    """Return the commands of the page, each with the output that is shown."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"```text\n\$ layerkit ([^\n]*)\n(.*?)```", text, re.S)


def printed(folder: Path) -> Iterator[str]:
    """Run the commands of the page, one after the other, and yield what they print."""
    shutil.copy(TABLE, folder)
    for command, _ in blocks():
        output = io.StringIO()
        with chdir(folder), redirect_stdout(output):
            main(shlex.split(command))
        yield output.getvalue()


def write_run(folder: Path) -> None:
    """Save the pictures of the run on the page."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        with pictures_for_pages():
            for _ in islice(printed(Path(work)), 2):
                pass
        for name in PICTURES:
            shutil.copy(Path(work) / "runs/flats" / name, folder)
