"""The playground with Python in the browser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerkit.play.build import build

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_network_learns_in_the_browser_alone_and_later_offline(
    page: Page, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    if "LAYERKIT_PYODIDE" not in os.environ:
        pytest.skip("LAYERKIT_PYODIDE is not set: a folder with a Pyodide distribution")
    build(tmp_path, os.environ["LAYERKIT_PYODIDE"])
    address = serve(tmp_path)
    for offline in (False, True):
        page.context.set_offline(offline)
        page.goto(address)
        page.get_by_role("button", name="epoch").click(timeout=200_000)
        page.wait_for_function("document.getElementById('epochs').textContent === '1'")
    says = page.evaluate("""async () => {
        const { source } = await layerkit.connection.send({ do: "source", class: "Tanh" });
        const wrong = { do: "edit", class: "Tanh", source: source.replace("dx *= dy", "pass") };
        const { check } = await layerkit.connection.send(wrong);
        return check.filter(row => row.ok === false).map(row => row.says);
    }""")
    assert says == ["Tanh.backward: dx doesn't depend on dy: multiply by it, dx = dy * …"]
