"""A real Chromium for the tests of pages."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from layerkit.play.catalogue import State
from layerkit.play.server import Server
from layerkit.play.session import Session

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

PATIENCE = 30_000
"""Milliseconds that a page has for anything, on a busy machine."""
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window; without Playwright or a Chromium, the test is skipped."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is missing: pip install playwright"
    )
    with sync_api.sync_playwright() as playwright:
        found = [path for name in ("chromium", "google-chrome") if (path := shutil.which(name))]
        path = [*found, playwright.chromium.executable_path][0]
        if not Path(path).exists():
            pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
        sync_api.expect.set_options(timeout=PATIENCE)
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of its own, on a desktop's screen; an error in its console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(f"{message.text} ({message.location['url']})")

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def asked(session: Session, do: str, **message: Any) -> dict[str, Any]:
    """The reply to a message, which is JSON and no refusal."""
    reply = session.handle({"do": do, **message})
    assert "error" not in reply, reply["error"]
    json.dumps(reply, allow_nan=False)
    return reply


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """A function that serves a folder of static files, and returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        handler = partial(_Silent, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def play(page: Page) -> Iterator[Callable[..., Page]]:
    """A function that opens the playground: of a state, and with what follows its address."""
    started: list[Server] = []

    def start(state: State | None = None, after: str = "") -> Page:
        server = Server(state)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        started.append(server)
        page.goto(server.address + after)
        return page

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
