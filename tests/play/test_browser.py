"""What the other tests of pages stand on: a browser that reports the errors of a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_folder_is_served(page: Page, serve: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<link rel=icon href=data:,><h1>Here</h1>")
    page.goto(serve(tmp_path))
    assert page.inner_text("h1") == "Here"
