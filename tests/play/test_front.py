"""The front page of the documentation: its picture becomes the playground."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.play.conftest import PHONE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

FRONT = Path(__file__).parents[2] / "docs/_static/front.js"
PAGE = """<!DOCTYPE html><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><img class="playground" src="data:,">
<script src="front.js" defer></script>"""
READY = """<link rel="icon" href="data:,"><script>
window.layerkit = { play() { window.played = true; } };
document.documentElement.dataset.ready = "";
</script>"""


@pytest.mark.parametrize("size", [None, PHONE])
def test_a_desktop_runs_it_at_once_and_a_phone_asks(
    size: dict[str, int] | None, page: Page, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    shutil.copy(FRONT, tmp_path)
    (tmp_path / "playground").mkdir()
    (tmp_path / "playground/index.html").write_text(READY)
    (tmp_path / "index.html").write_text(PAGE)
    if size:
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
    page.goto(serve(tmp_path))
    if size:
        button = page.get_by_role("button", name="Run it here (15 MB)")
        button.wait_for()
        assert page.locator("iframe").count() == 0
        button.click()
    page.frame_locator("iframe.playground").locator("html[data-ready]").wait_for(state="attached")
    page.wait_for_function("document.querySelector('iframe').contentWindow.played")
    assert page.locator("img, button").count() == 0
