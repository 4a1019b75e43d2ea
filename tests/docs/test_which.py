"""The guide "Which one, when?": its tables are those of the experiment, its names exist."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import layerkit
from layerkit import callbacks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/which.md"


@pytest.fixture
def which() -> Any:
    spec = importlib.util.spec_from_file_location("which", ROOT / "experiments/which.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_have_the_rows_of_the_experiment(
    which: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(which, "accuracy", lambda *given: (50.0, 50.0))
    monkeypatch.setattr(which, "error", lambda *given: 0.5)
    page = PAGE.read_text(encoding="utf-8")
    for name in which.TABLES:
        new = which.written(page, name, epochs=1)
        rows = [re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for text in (page, new)]
        assert rows[0] == rows[1]


def test_a_training_gives_the_accuracies_of_both_parts(which: Any) -> None:
    network = which.hidden(layerkit.ReLU)
    assert all(80 < found < 99 for found in which.accuracy(network, layerkit.Adam, 0.01, 3))
    assert which.accuracy(network, layerkit.SGD, 1e30, 1) == (10, 10)


def test_all_names_are_classes() -> None:
    names = set(re.findall(r"`([A-Z][A-Za-z0-9]+)", PAGE.read_text(encoding="utf-8")))
    assert len(names) > 30
    assert not [n for n in names if not hasattr(layerkit, n) and not hasattr(callbacks, n)]
