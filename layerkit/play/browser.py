"""The engine of a page without a server: its messages, as text, to Python in the browser."""

from __future__ import annotations

import json

from layerkit.play.notebook import Notebook
from layerkit.play.session import TOO_DEEP, Session

session = Session()
notebook = Notebook()


def answer(text: str) -> str:
    """Return the reply to a message; ``{"do": "run", "source"}`` is for the notebook.

    Examples
    --------
    >>> answer('{"do": "run", "source": "x = 6 * 7"}')
    '{"output": "", "raised": ""}'
    >>> json.loads(answer('{"do": "frame"}'))["error"]
    'frame: there is no network yet; begin with {"do": "new"}'
    """
    try:
        message = json.loads(text)
    except RecursionError:
        return json.dumps({"error": TOO_DEEP})
    runs = message.get("do") == "run"
    reply = notebook.run(message["source"]) if runs else session.handle(message)
    return json.dumps(reply, allow_nan=False)
