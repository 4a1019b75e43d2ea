"""The page about a step."""

import re
from pathlib import Path

import numpy as np

from docs.generate.step import write_step
from layerkit import Dense, Network, SoftmaxCrossEntropy, profile

PAGE = Path(__file__).parents[2] / "docs/trace.md"


def test_the_page_of_the_step_is_written(tmp_path: Path) -> None:
    write_step(tmp_path / "new/step.html")
    text = (tmp_path / "new/step.html").read_text(encoding="utf-8")
    assert '"layer":"Momentum(lr=2.0)"' in text
    assert len(text) < 300_000


def test_the_costs_on_the_page_are_in_the_present_form() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    printed = str(profile(net, np.ones((4, 3), np.float32), [0, 1, 0, 1]))

    def form(text: str) -> list[list[str]]:
        rows = [re.sub(r"[\d.,]+", "0", line).split() for line in text.split("\n")]
        heads = ("A", "phase", "Python", "total", "The", "µs", "limit:", "kept:")
        return [row for row in rows if row and row[0] in heads]

    (block,) = re.findall(r"```text\n(A step of .*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert form(block) == form(printed)
