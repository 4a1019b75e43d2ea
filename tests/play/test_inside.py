"""The tabs of the page: look inside a step, change a line, take it home; in a real browser."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from layerkit import ReLU
from layerkit.play.server import Server
from tests.play.conftest import PHONE
from tests.play.test_page import of, opened, types, wait

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


def line_of(text: str) -> int:
    """The number of the line of ReLU's source with a text."""
    lines = inspect.getsource(ReLU).splitlines()
    return next(i for i, line in enumerate(lines, start=1) if text in line)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where `layerkit play` serves the page."""
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.address
    server.shutdown()
    server.server_close()


@pytest.fixture
def play(page: Page, address: str) -> Page:
    """The page, ready, with the tabs."""
    opened(page, address).wait_for_selector("#tab-home")
    return page


def tab(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name, exact=True).click()
    return page.get_by_role("tabpanel", name=name)


def load(page: Page, title: str) -> Locator:
    """An example of the editor."""
    panel = tab(page, "Change a line")
    panel.get_by_role("combobox", name="Examples").select_option(title)
    page.wait_for_function(
        "document.querySelector('.code-editor').contains(document.activeElement)"
    )
    return panel


# Look inside


def test_the_numbers_of_the_next_step_are_there_when_it_is_taken(play: Page) -> None:
    panel = tab(play, "Look inside")
    panel.get_by_text("The step that comes next, number 1.").wait_for()
    play.get_by_role("button", name="Forward, Dense, body.layers.4").click()
    forward = panel.get_by_role("region", name="Forward: Dense(units=2)")
    forward.wait_for()
    W = forward.locator("figure[data-name=W] td").all_inner_texts()
    assert len(W) == 16
    shown = of(play, "frame.weights['body.layers.4.W'].data")
    assert [float(x.replace("\u2212", "-")) for x in W] == pytest.approx(shown, abs=0.006)
    panel.get_by_role("region", name="Update: Adam").locator(
        "figure[data-name='step of b']"
    ).wait_for()
    play.keyboard.press("s")
    panel.get_by_text("The step that comes next, number 2.").wait_for()


def test_it_is_stepped_through_by_keys(play: Page) -> None:
    panel = tab(play, "Look inside")
    path = panel.get_by_role("toolbar")
    path.get_by_role("button", name="Forward, Dense, body.layers.0").click()
    here = path.locator("[aria-current]")
    said = []
    for _ in range(12):
        play.keyboard.press("ArrowRight")
        play.wait_for_timeout(30)
        said.append(here.get_attribute("aria-label"))
    assert said[:5] == [
        "Forward, Tanh, body.layers.1",
        "Forward, Dense, body.layers.2",
        "Forward, Tanh, body.layers.3",
        "Forward, Dense, body.layers.4",
        "Loss, SoftmaxCrossEntropy",
    ]
    assert (said[6], said[11]) == ("Backward, Dense, body.layers.4", "Update, Adam")
    panel.locator(".step:only-child[data-phase=optimizer]").wait_for()
    play.keyboard.press("ArrowDown")
    assert play.evaluate("document.activeElement.className") == "line live chosen"
    assert (
        play.evaluate("document.activeElement.textContent").strip().startswith("w -= self.change")
    )


def test_a_line_shows_its_arrays_and_a_number_what_it_comes_from(play: Page) -> None:
    panel = tab(play, "Look inside")
    backward = panel.get_by_role("region", name="Backward: Dense(units=8)")
    backward.wait_for()
    backward.get_by_text("self.x.T.dot(dy, out=self.W.grad)").hover()
    names = [figure.get_attribute("data-name") for figure in backward.locator("figure").all()]
    assert names == ["x", "dy", "dW"]
    panel.get_by_role("region", name="Forward").locator("figure[data-name=y] td").first.hover()
    tip = play.inner_text("#tip")
    assert tip.startswith("y[0, 0] = ")
    assert tip.count(" · ") == 2


def test_a_layer_that_is_chosen_in_the_drawing_is_looked_into(play: Page) -> None:
    panel = tab(play, "Look inside")
    of(play, "selectLayer('body.layers.3')")
    panel.get_by_role("region", name="Backward: Tanh").wait_for()
    panel.get_by_role("combobox", name="Examples").select_option("one")
    panel.get_by_text("Example 0 of the training data").wait_for()
    assert panel.locator("figure[data-name=y] td").count() == 8
    panel.get_by_role("spinbutton").fill("4000")
    panel.get_by_role("spinbutton").press("Enter")
    panel.get_by_text("example = 4000: should be from 0 to 399").wait_for()


def test_the_first_number_that_is_not_finite_is_shown(play: Page) -> None:
    panel = tab(play, "Look inside")
    of(play, "change(state => { state.optimizer = {type: 'SGD', lr: 1e38}; })")
    wait(play, "state.optimizer.type === 'SGD'")
    play.keyboard.press("e")
    wait(play, "frame.diverged")
    panel.get_by_text("This is the step that failed.").wait_for()
    panel.locator(".path .first[aria-current]").wait_for()
    lost = panel.locator(".path .first")
    assert str(lost.get_attribute("aria-label")).endswith("not finite")
    assert of(play, "frame.diverged.address") == "loss"
    assert "not finite is in the loss." in panel.locator("b.wrong").inner_text()


# Change a line


def test_the_tutorials_derivative_is_found_wrong_and_trains_on(play: Page) -> None:
    play.keyboard.press("e")
    wait(play, "frame.epoch === 1")
    panel = load(play, "The tutorial's ReLU derivative")
    assert types(play) == ["Dense", "ReLU", "Dense", "ReLU", "Dense"]
    changed = panel.locator(".numbers .changed").all_inner_texts()
    texts = "where x > 0, else 0.", "taken as 0", "Return dy where", "return dy *"
    first = [line_of(text) for text in texts]
    assert list(map(int, changed)) == [*first, first[-1] + 1, first[-1] + 2]
    source = panel.get_by_role("textbox", name="Source of the class").input_value()
    assert '"""y = max(x, 0); dy/dx = 1 where y >= 0, and that is everywhere.\n' in source
    panel.get_by_role("button", name="Run").click()
    table = panel.get_by_role("table", name="Broken laws")
    table.wait_for()
    assert "difference quotients of forward give 0" in table.inner_text()
    end = table.evaluate("table => table.getBoundingClientRect().bottom")
    assert end <= play.evaluate("innerHeight"), "what the check says is scrolled into view"
    panel.get_by_text("2 layers of this network are your ReLU now").wait_for()
    play.keyboard.press("Escape")
    play.locator("#step").click()
    wait(play, "frame.step === 1")
    panel.get_by_role("button", name="Revert").click()
    panel.get_by_text("ReLU is layerkit's own again").wait_for()
    assert "code" not in of(play, "state")
    assert panel.locator(".numbers .changed").count() == 0


def test_a_mistake_is_marked_at_its_line(play: Page) -> None:
    panel = load(play, "Forget dy")
    area = panel.get_by_role("textbox", name="Source of the class")
    area.fill(area.input_value().replace("np.maximum", "np.maximun"))
    area.press("Control+Enter")
    alert = panel.get_by_role("alert")
    alert.wait_for()
    number = line_of("np.maximum")
    assert f"Nothing has changed: ReLU, line {number}: AttributeError" in alert.inner_text()
    assert panel.locator(".numbers .wrong").inner_text() == str(number)
    area.fill(area.input_value().replace("np.maximun", "np.maximum"))
    area.press("Control+Enter")
    panel.get_by_text("dx doesn't depend on dy: multiply by it").wait_for()


def test_laws_broken_for_the_same_reason_are_folded(play: Page) -> None:
    panel = load(play, "Your own activation")
    area = panel.get_by_role("textbox", name="Source of the class")
    area.fill(area.input_value().replace("np.sin", "np.sinn"))
    area.press("Control+Enter")
    panel.get_by_text("more, for the same reason").wait_for()
    assert panel.locator(".numbers .wrong").inner_text() == "10"
    rows = panel.get_by_role("table", name="Broken laws").get_by_role("row").all_inner_texts()
    assert all("no attribute 'sinn'" in row for row in rows), rows


def test_the_optimizer_is_changed_too_and_a_reset_state_resets_the_editor(play: Page) -> None:
    panel = tab(play, "Change a line")
    panel.get_by_role("combobox", name="Class to change").select_option("Adam")
    area = panel.get_by_role("textbox", name="Source of the class")
    play.wait_for_function("document.querySelector('textarea').value.includes('w -=')")
    area.fill(area.input_value().replace("w -=", "w +="))
    area.press("Control+Enter")
    panel.get_by_text("The optimizer of this network is your Adam now").wait_for()
    assert "is the sign right, w -= lr * g?" in panel.locator(".laws").first.inner_text()
    of(play, "change(state => { delete state.code; })")
    play.wait_for_function("document.querySelector('textarea').value.includes('w -=')")


def test_a_class_of_ones_own_is_put_into_the_network_and_travels_in_the_link(
    play: Page,
) -> None:
    panel = load(play, "Your own activation")
    panel.get_by_role("button", name="Run").click()
    panel.get_by_role("button", name="Use it").click()
    wait(play, "state.network.body.layers[1].type === 'Wave'")
    panel.get_by_text("Layer 2 is your Wave now").wait_for()
    play.wait_for_function("location.hash.length > 100")
    link = play.url
    play.goto("about:blank")
    opened(play, link)  # whoever does not trust it, as a closed dialog says, gets no code
    assert types(play)[1] == "Tanh"
    play.on("dialog", lambda dialog: dialog.accept())
    play.goto("about:blank")
    opened(play, link)
    assert types(play)[1] == "Wave"
    of(play, "selectLayer('body.layers.1')")
    play.keyboard.press("e")
    wait(play, "frame.epoch === 1")


def test_the_editor_indents_and_lets_the_keyboard_out(play: Page) -> None:
    panel = load(play, "Your own activation")
    area = panel.get_by_role("textbox", name="Source of the class")
    area.fill("def f():")
    area.press("End")
    area.press("Enter")
    area.press_sequentially("return 1")
    assert area.input_value() == "def f():\n    return 1"
    area.press("Tab")
    assert area.input_value().endswith("return 1    ")
    area.press("Escape")
    area.press("Tab")
    assert not area.evaluate("area => area === document.activeElement")


# Take it home


def test_the_files_are_shown_copied_and_downloaded(play: Page, tmp_path: Path) -> None:
    panel = tab(play, "Take it home")
    panel.get_by_text("layerkit train playground.toml").wait_for()
    panel.get_by_role("tab", name="Python").click()
    assert "net = Network(" in panel.locator(".listing").inner_text()
    panel.get_by_role("tab", name="Python").press("ArrowRight")
    assert "def train_step(" in panel.locator(".listing").inner_text()
    with play.expect_download() as found:
        panel.get_by_role("button", name="Download", exact=True).click()
    assert found.value.suggested_filename == "in_numpy.py"
    assert "np.load" in found.value.path().read_text()
    with play.expect_download() as found:
        panel.get_by_role("button", name="Download data.npz").click()
    found.value.save_as(tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz") as data:
        assert data["x"].shape == (400, 2)


def test_the_tabs_fit_a_phone(play: Page) -> None:
    play.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    for name in ("Look inside", "Change a line", "Take it home"):
        tab(play, name)
        play.wait_for_timeout(300)
        assert play.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for name in (
        ".listing",
        ".code-editor",
    ):  # a shade, and paper over it that scrolls with the code
        box = play.locator(name).first
        shown = box.evaluate("each => getComputedStyle(each).backgroundAttachment")
        assert shown == "local, local, scroll, scroll, scroll"
