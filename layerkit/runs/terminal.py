"""The output of the command: texts of files can't control a terminal or be too much for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

CONTROL = re.compile(
    r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Characters that move the cursor, change colours or the direction of writing."""


def escaped(text: str) -> str:
    r"""Return a text with escapes such as ``\x1b`` for its control characters.

    Examples
    --------
    >>> escaped("a\tb \x1b[31m")
    'a\tb \\x1b[31m'
    """
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class _Escaping:
    """A terminal to which all is written through `escaped`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def escaping() -> Iterator[None]:
    """Escape on the terminal what would control it, and anywhere what the encoding hasn't."""
    stdout: Any = sys.stdout
    errors = getattr(stdout, "errors", None)
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(errors="backslashreplace")
    try:
        with redirect_stdout(_Escaping(stdout) if stdout and stdout.isatty() else stdout):
            yield
    finally:
        if hasattr(stdout, "reconfigure"):
            stdout.reconfigure(errors=errors)
