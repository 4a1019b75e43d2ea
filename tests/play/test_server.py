"""The server of the playground: who is answered, and who isn't."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread

import pytest

from layerkit.errors import ConfigError
from layerkit.play.catalogue import state_for
from layerkit.play.server import Server

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def request(
    server: Server, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    sent = None if body is None else json.dumps(body)
    path = path.replace("WORD", server.word)
    connection.request("POST" if sent else "GET", path, sent, headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_and_its_messages_are_served(server: Server) -> None:
    status, text = request(server, "/WORD/")
    assert status == 200
    assert "<title>" in text
    new = {"do": "new", "state": state_for("xor")}
    _, text = request(server, "/WORD/message?tab=a", new, JSON)
    assert json.loads(text)["data"]["name"] == "xor"
    for tab, known in (("a", True), ("b", False)):
        _, text = request(server, f"/WORD/message?tab={tab}", {"do": "frame"}, JSON)
        assert ("frame" in json.loads(text)) == known


def test_no_answer_waits_for_an_acknowledgement(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    took = []
    for _ in range(12):  # over one connection, as a browser asks
        begun = time.perf_counter()
        connection.request("POST", f"/{server.word}/message?tab=a", '{"do": "nothing"}', JSON)
        connection.getresponse().read()
        took.append(time.perf_counter() - begun)
    connection.close()
    assert min(took[2:]) < 0.03


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/guessed/", {}, 403),
        ("/WORD/", {"Host": "evil.example"}, 403),
        ("/WORD/message", {"Origin": "https://evil.example"}, 403),
        ("/WORD/message", {"Origin": "null"}, 403),
        ("/WORD/message", {"Content-Type": "text/plain"}, 404),
        ("/WORD/message", {"Content-Length": "99999999999"}, 413),
        ("/WORD/message", {}, 200),
    ],
)
def test_what_may_not_be_the_page_is_refused(
    server: Server, path: str, headers: dict[str, str], status: int
) -> None:
    body = {"do": "catalogue"} if "message" in path else None
    assert request(server, path, body, JSON | headers)[0] == status


def test_a_message_that_is_nested_too_deeply_is_refused(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("POST", f"/{server.word}/message", "[" * 200_000, JSON)
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"deeper than Python's recursion limit" in answer.read()
    connection.close()


@pytest.mark.parametrize("name", ["../session.py", "%2e%2e/session.py", "nothing.js", "."])
def test_only_files_of_the_page_are_served(server: Server, name: str) -> None:
    assert request(server, f"/WORD/{name}")[0] == 404


def test_a_port_in_use_is_told(server: Server) -> None:
    with pytest.raises(ConfigError, match=f"--port {server.server_port}: "):
        Server(port=server.server_port)
    with pytest.raises(ConfigError, match="--port 70000: "):
        Server(port=70000)


def test_a_refused_request_ends_its_connection(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("POST", "/", "unread")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (403, "close")
    connection.close()


def test_a_tab_that_is_closed_leaves_no_trace(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (BrokenPipeError(), ValueError("a fault")):
        try:
            raise error
        except Exception:
            server.handle_error(None, ("127.0.0.1", 1))
    told = capsys.readouterr().err
    assert "BrokenPipeError" not in told
    assert "a fault" in told


@pytest.mark.processes
def test_the_command_prints_the_address_and_ctrl_c_ends_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "layerkit", "play", "experiments/digits.toml", "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout
        assert command.stdout.readline().startswith("The playground is at http://127.0.0.1:")
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0
