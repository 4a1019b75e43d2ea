"""The page on unrolled networks shows what the command prints."""

from pathlib import Path

import pytest

from layerkit.cli import main

ROOT = Path(__file__).parents[2]


def test_the_step_of_the_tutorial_is_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unroll", str(ROOT / "experiments/sigmoid_momentum.toml")]) == 0
    page = (ROOT / "docs/unroll.md").read_text(encoding="utf-8")
    assert f"```python\n{capsys.readouterr().out}```" in page
    # each line that the table quotes is one of these
    step = page[page.index("```python") : page.index("### Line by line")]
    table = page[page.index("| Tutorial |") : page.index("`ones @ dz` is")]
    rows = table.strip().splitlines()[2:]
    assert len(rows) == 13
    for line in "".join(row.split("|")[2] for row in rows).split("`")[1::2]:
        assert all(part.strip() in step for part in line.split("…"))
