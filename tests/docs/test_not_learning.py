"""The page on networks that don't learn: each command is run, and prints what the page shows."""

import re
import shlex
from pathlib import Path

import pytest

from layerkit.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/not_learning.md"
BLOCKS = [
    block
    for block in re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    if block.startswith("$ layerkit")
]


def form(text: str) -> str:
    """Without numbers, which are others on another processor, and in one line."""
    return " ".join(re.sub(r"[\d.,]*\d(e[-+]\d+)?", "0", text).split())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("runs/")[1].split()[0])
def test_the_commands_print_what_is_shown(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("layerkit.runs.plots.run.draw_run", lambda *given, **options: [])
    _, *runs = block.split("$ layerkit ")
    for run in runs:
        command, _, shown = run.partition("\n")
        assert main(shlex.split(command)) == 0
        printed = form(capsys.readouterr().out)
        for part in shown.split("…\n"):
            assert form(part) in printed
