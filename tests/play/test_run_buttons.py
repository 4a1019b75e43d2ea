"""The buttons that run the documentation's examples, with Python outside of the browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerkit.play.notebook import Notebook

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

STATIC = Path(__file__).parents[2] / "docs/_static"
BLOCK = '<div class="highlight-python"><div class="highlight"><pre>{}</pre></div></div>'
BLOCKS = [
    "&gt;&gt;&gt; x = 20\n&gt;&gt;&gt; for i in range(2):\n...     x += i\n",
    "&gt;&gt;&gt; x\n21\n",
    "&gt;&gt;&gt; 1 / 0\nTraceback (most recent call last):\n...\nZeroDivisionError\n",
    "pip install layerkit",
]
ENGINE = """
export async function startPython({ python, code }, told) {
  if (window.refusal) throw new Error(window.refusal);
  window.addresses = [python.pathname, code.pathname];
  window.sources = [];
  const ask = message => (window.sources.push(message.source), window.answer(message));
  ask.stop = () => {};
  return ask;
}
"""


@pytest.fixture
def examples(page: Page, serve: Callable[[Path], str], tmp_path: Path) -> Page:
    """A page with four blocks, three of which are examples."""
    for name in ("run.js", "run.css"):
        shutil.copyfile(STATIC / name, tmp_path / name)
    blocks = "".join(BLOCK.format(block) for block in BLOCKS)
    (tmp_path / "index.html").write_text(
        '<!DOCTYPE html><html><link rel=icon href="data:,"><link rel=stylesheet href=run.css>'
        f"<script type=module src=run.js></script>{blocks}</html>"
    )
    (tmp_path / "playground").mkdir()
    (tmp_path / "playground/index.html").write_text("<html data-python=py/ data-code=code.zip>")
    (tmp_path / "playground/python.js").write_text(ENGINE)
    notebook = Notebook()
    page.expose_function("answer", lambda message: notebook.run(message["source"]))
    page.goto(serve(tmp_path))
    return page


def test_an_example_runs_after_those_before_it(examples: Page) -> None:
    from playwright.sync_api import expect

    assert examples.locator("button:text('Run')").count() == 3
    second, output = examples.locator(".runnable").nth(1), examples.locator(".run-output")
    second.get_by_text("Run").click()
    expect(output).to_have_text("21\n")
    second.locator("textarea").fill("x = 2 * x\nx")
    second.locator("textarea").press("Control+Enter")
    expect(output).to_have_text("42\n")
    second.get_by_text("Restore").click()
    assert second.locator("textarea").count() == 0
    assert second.locator("pre").inner_text().startswith(">>> x")
    assert examples.evaluate("addresses") == ["/playground/py/", "/playground/code.zip"]


def test_examples_of_a_function_import_it_and_numpy(examples: Page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    blocks = BLOCK.format("&gt;&gt;&gt; w = np.empty((784, 64))") + BLOCK.format(
        "&gt;&gt;&gt; fan_in(w)\n784\n"
    )
    page = (tmp_path / "index.html").read_text().partition("<div")[0]
    signature = '<dl><dt class="sig sig-object py" id="layerkit.fan_in"></dt></dl>'
    (tmp_path / "fan_in.html").write_text(f"{page}{signature}{blocks}</html>")
    examples.goto(f"{examples.url}/fan_in.html")
    for block in examples.locator(".runnable").all():
        block.get_by_text("Run").click()
    first, second = examples.locator(".runnable").all()
    code = "import numpy as np\nfrom layerkit import fan_in\nw = np.empty((784, 64))"
    expect(first.locator("textarea")).to_have_value(code)
    expect(second.locator(".run-output")).to_have_text("784\n")


def test_examples_that_are_pressed_together_run_one_after_another(examples: Page) -> None:
    press = "for (const at of [1, 2]) examples[at].querySelector('.run').click()"
    examples.evaluate(f"const examples = document.querySelectorAll('.runnable'); {press}")
    examples.locator(".run-output.failed").wait_for()
    sources = examples.evaluate("sources")
    assert [source.split()[0] for source in sources] == ["x", "x", "1"]


def test_it_is_told_when_python_can_not_be_loaded(examples: Page) -> None:
    examples.evaluate("window.refusal = 'There is no Python here.'")
    examples.locator("button.run").first.click()
    output = examples.locator(".run-output.failed")
    output.wait_for()
    assert output.inner_text().strip() == "There is no Python here."


def test_an_error_is_shown_as_python_says_it(examples: Page) -> None:
    third, output = examples.locator(".runnable").nth(2), examples.locator(".run-output.failed")
    third.get_by_text("Run").click()
    output.wait_for()
    assert output.inner_text().strip().endswith("ZeroDivisionError: division by zero")
