"""The page on which one steps through a trace, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from layerkit import Dense, Momentum, Network, Sequential, Sigmoid, SoftmaxCrossEntropy, trace

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def step(page: Page, tmp_path: Path) -> Page:
    body = Sequential([Dense(16), Sigmoid(), Dense(10)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(64,))
    x = np.random.default_rng(0).random((1, 64), np.float32)
    trace(net, x, [3], Momentum(lr=0.1), image=(8, 8)).save(tmp_path / "step.html")
    page.goto(f"file://{tmp_path}/step.html")
    return page


@pytest.mark.parametrize(
    ("width", "height", "times"), [(390, 844, 1), (1366, 900, 1), (1920, 1080, 1.5)]
)
def test_it_is_read_from_the_back_of_a_room(
    step: Page, width: int, height: int, times: float
) -> None:
    step.set_viewport_size({"width": width, "height": height})
    for _ in range(int(step.get_by_label("Place in the step").get_attribute("max") or 0)):
        assert step.evaluate("document.documentElement.scrollWidth") == width
        assert step.evaluate("parseFloat(getComputedStyle($('phase')).fontSize)") == 16 * times
        for canvas in step.locator("canvas").all():
            box = canvas.bounding_box()
            assert box is not None
            assert box["width"] <= 226 * times + 1
        step.get_by_role("button", name="Next").click()
    if width == 1920:
        assert step.evaluate("$('main').getBoundingClientRect().width") == width


def test_formulas_have_their_signs_and_q_is_explained(step: Page) -> None:
    for name, formula in (
        ("loss", "l = \N{MINUS SIGN}Σk qk log pk, with p = softmax(z), in nats"),
        ("backward", "dl/dz = p Σk qk \N{MINUS SIGN} q"),
    ):
        step.locator(f"[data-phase={name}] button").first.click()
        assert step.locator("#formula").text_content() == formula
        assert "q is 1 for it and 0 for the others" in (step.locator("#phase").text_content() or "")
    step.locator("[data-phase=optimizer] button").click()
    assert (
        step.locator("#formula").text_content()
        == "v ← β v + (1 \N{MINUS SIGN} β) g; w ← w \N{MINUS SIGN} lr v"
    )
    assert "q is" not in (step.locator("#phase").text_content() or "")
