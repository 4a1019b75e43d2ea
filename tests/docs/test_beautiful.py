"""The first file that one reads."""

import re
import runpy
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "experiments/beautiful_digits.py"


def test_the_digits_are_learned(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(FILE))
    losses, accuracies = zip(
        *re.findall(r"loss ([\d.]+), test accuracy ([\d.]+)", capsys.readouterr().out), strict=True
    )
    assert float(accuracies[-1]) > 0.95
    assert 0 < float(losses[-1]) < float(losses[0]) / 5
    assert len(FILE.read_text().splitlines()) <= 40
