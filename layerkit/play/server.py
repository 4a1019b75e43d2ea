"""The server of the playground: the page's files and its messages, on this machine alone.

Code can be edited and run through it. So it listens at 127.0.0.1 only, every address begins with a
secret word that is drawn anew each time, and what comes from another page or under another name of
this machine is refused.
"""

from __future__ import annotations

import json
import mimetypes
import secrets
import sys
from collections import OrderedDict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from layerkit.errors import ConfigError
from layerkit.play.catalogue import State
from layerkit.play.session import TOO_DEEP, Session

PAGE = Path(__file__).with_name("page")
HOST = "127.0.0.1"
MOST_BYTES = 64 * 2**20
"""A message may have so many."""
MOST_SESSIONS = 8
"""At most so many tabs are kept; the one that was silent for longest is forgotten."""

mimetypes.add_type("text/javascript", ".js")  # whatever this system says
mimetypes.add_type("application/wasm", ".wasm")


class Server(ThreadingHTTPServer):
    """A server of one page, with a session for each tab.

    Parameters
    ----------
    start : dict, optional
        The state that the page begins with.
    port : int
        0 for any that is free.
    data_dir : str or Path, optional
        The folder with the files of MNIST.

    Raises
    ------
    ConfigError
        For a port that is in use.
    """

    daemon_threads = True

    def __init__(
        self,
        start: State | None = None,
        port: int = 0,
        data_dir: str | Path | None = None,
    ) -> None:
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"--port {port}: {reason}; without it a free one is taken") from error
        self.start, self.data_dir, self.lock = start, data_dir, Lock()
        self.word = secrets.token_urlsafe(16)
        self.sessions: OrderedDict[str, Session] = OrderedDict()

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/{self.word}/"

    def reply(self, tab: str, message: Any) -> dict[str, Any]:
        """Return the reply of a tab's session; one message is answered at a time."""
        with self.lock:
            if tab not in self.sessions:
                self.sessions[tab] = Session(self.start, self.data_dir)
            self.sessions.move_to_end(tab)
            if len(self.sessions) > MOST_SESSIONS:
                self.sessions.popitem(last=False)
            return self.sessions[tab].handle(message)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a tab that was closed while it was answered."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Refused(Exception):  # noqa: N818
    """A request that is refused, with its status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """A request: ``GET /WORD/FILE`` of the page, or ``POST /WORD/message?tab=NAME``."""

    protocol_version = "HTTP/1.1"
    timeout = 600
    disable_nagle_algorithm = True  # else a body may wait 40 ms until its header is acknowledged
    server: Server

    HEADERS: ClassVar = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    def do_GET(self) -> None:
        """Send a file of the page."""
        self._answer(self._file)

    def do_POST(self) -> None:
        """Send the reply to a message."""
        self._answer(self._reply)

    def _answer(self, find: Callable[[str], tuple[str, bytes]]) -> None:
        try:
            self._send(200, *find(self._inside()))
        except _Refused as refused:
            self.close_connection = True  # what it has sent may be unread
            self._send(refused.status, "text/plain", str(refused).encode())

    def _inside(self) -> str:
        """Return the path after the secret word; refuse a request that may not be the page's."""
        port = self.server.server_port
        hosts = [f"{host}:{port}" for host in (HOST, "localhost")]
        origin = self.headers.get("Origin")
        word, _, name = unquote(urlsplit(self.path).path).removeprefix("/").partition("/")
        own = secrets.compare_digest(word.encode(), self.server.word.encode())
        here = self.headers.get("Host") in hosts
        if own and here and (origin is None or origin.removeprefix("http://") in hosts):
            return name
        raise _Refused(403, "the address is the one that layerkit play has printed")

    def _file(self, name: str) -> tuple[str, bytes]:
        path = (PAGE / (name or "index.html")).resolve()
        if not path.is_relative_to(PAGE.resolve()) or not path.is_file():
            raise _Refused(404, "there is no such file")
        return mimetypes.guess_type(path.name)[0] or "application/octet-stream", path.read_bytes()

    def _reply(self, name: str) -> tuple[str, bytes]:
        if name != "message" or self.headers.get_content_type() != "application/json":
            raise _Refused(404, "messages are application/json, and go to message")
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            raise _Refused(413, "a message has a length, of at most 64 MiB")
        try:
            message = json.loads(self.rfile.read(int(size)))
        except ValueError as error:
            raise _Refused(400, f"the message is not JSON: {error}") from error
        except RecursionError as error:
            raise _Refused(400, TOO_DEEP) from error
        tab = parse_qs(urlsplit(self.path).query).get("tab", [""])[0]
        reply = self.server.reply(tab, message)
        return "application/json", json.dumps(reply, allow_nan=False).encode()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if "text" in kind else kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in self.HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Say nothing: there are many requests in a second."""
