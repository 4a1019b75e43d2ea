"""The pictures of docs/tables.md: those that the code of the page itself draws."""

import doctest
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from docs.generate.pictures import style
from docs.generate.runs import save_narrow

PAGE = Path(__file__).parents[1] / "tables.md"
IMPORTS = "import numpy as np; from layerkit import *"  # as at the beginning of the page
SECTION = "## Pictures of a run\n"


def write_table_plots(folder: Path) -> None:
    """Run the code of the section, and save each figure by the name that it has there."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition(SECTION)[2].partition("\n## ")[0]
    names: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(io.StringIO()), style():
        for example in doctest.DocTestParser().get_examples(f">>> {IMPORTS}\n{section}"):
            exec(example.source, names)
        for name, value in names.items():
            if isinstance(value, Figure):
                save_narrow(value, folder / f"{name}.png")
