"""Take the pictures of the playground for docs/playground.md: needs Playwright and a Chromium.

`python -m docs.generate.playground` opens the page in both colours, trains for some epochs, and
writes docs/images/playground.png and playground_dark.png, and those with a phone's width.
"""

import shutil
from io import BytesIO
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright

from layerkit.play.catalogue import state_for
from layerkit.play.server import Server

IMAGES = Path(__file__).parents[1] / "images"
EPOCHS = 40
SCHEMES: list[tuple[Literal["light", "dark"], str]] = [("light", ""), ("dark", "_dark")]
SIZES = [("playground", 1440, 1080), ("playground_phone", 390, 1350)]


def main() -> None:
    """Take all pictures."""
    with Server(state_for("spiral")) as server, sync_playwright() as playwright:
        Thread(target=server.serve_forever, daemon=True).start()
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for (scheme, suffix), (name, width, height) in product(SCHEMES, SIZES):
            page = chromium.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.goto(server.address)
            for epoch in range(EPOCHS):
                page.get_by_role("button", name="epoch").click()
                page.wait_for_function(f"document.getElementById('epochs').textContent > {epoch}")
            page.get_by_role("tab", name="Change a line").click()
            page.wait_for_function("document.querySelector('#work textarea')?.value")
            page.mouse.move(0, 0)
            page.evaluate("scrollTo(0, 0)")
            taken = Image.open(BytesIO(page.screenshot())).convert("RGB")
            small = taken.quantize(256, dither=Image.Dither.NONE)
            small.save(IMAGES / f"{name}{suffix}.png", optimize=True)
            page.close()
        server.shutdown()


if __name__ == "__main__":
    main()
