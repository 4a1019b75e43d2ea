"""What the page shows of one step: the numbers are those of the layers."""

import base64
from typing import Any

import numpy as np
import pytest

from layerkit import Layer
from layerkit.play.edit import next_batch
from layerkit.play.session import Session
from tests.play.conftest import asked


def begun(**changes: Any) -> Session:
    session = Session()
    state = asked(session, do="catalogue")["data"]["moons"]
    for name, value in changes.items():
        state[name] |= value
    asked(session, do="new", state=state)
    asked(session, do="train", steps=4)
    return session


def array(reply: dict[str, Any], number: int) -> Any:
    sent = reply["arrays"][number]
    return np.frombuffer(base64.b64decode(sent["data"]), "<f4").reshape(sent["sent"])


def test_a_layer_shows_the_numbers_of_the_next_step() -> None:
    session = begun()
    reply = asked(session, do="inspect", address="body.layers.2")
    forward, backward, update = reply["steps"]
    assert [step["phase"] for step in reply["steps"]] == ["forward", "backward", "optimizer"]
    assert set(forward["given"]) == {"x", "W", "b"}
    assert list(forward["made"]) == ["y"]
    assert set(backward["given"]) == {"dy", "x", "W"}
    assert set(backward["made"]) == {"dW", "db", "dx"}
    assert list(update["made"]) == ["step of W", "step of b"]

    network, batch = session.network, next_batch(session.trainer)
    layer = network["body.layers.2"]
    assert isinstance(layer, Layer)
    before = network.arena.values.copy()
    network.backpropagate(network.inputs.convert(batch.x), network.targets.convert(batch.t))
    for name, step in (("W", backward), ("b", backward)):
        assert np.array_equal(array(reply, step["made"][f"d{name}"]), layer.params()[name].grad)
    assert np.array_equal(array(reply, forward["given"]["W"]), layer.params()["W"].value)
    asked(session, do="train", steps=1)
    moved = (network.arena.values - before)[network.arena.slices["body.layers.2.W"]]
    assert np.array_equal(array(reply, update["made"]["step of W"]).ravel(), moved)


def test_a_look_inside_changes_nothing() -> None:
    one, other = begun(), begun()
    for address in ("body.layers.0", "body.layers.1", "loss", "optimizer"):
        asked(one, do="inspect", address=address)
        asked(one, do="inspect", address=address, example=3)
    for session in (one, other):
        asked(session, do="train", steps=30)
    assert np.array_equal(one.network.arena.values, other.network.arena.values)


def test_the_code_stands_beside_the_numbers() -> None:
    reply = asked(begun(), do="inspect", address="body.layers.1")
    titles = [source["title"] for source in reply["sources"]]
    forward, backward = reply["steps"]
    assert titles == ["Tanh.forward", "Tanh.backward"]
    assert (forward["code"], backward["code"]) == (0, 1)
    assert reply["class"]["source"].startswith("class Tanh(")
    lines = [reply["sources"][1]["lines"][slice(*m["lines"])] for m in backward["moments"]]
    assert "".join(lines[-1]).strip() == "dx *= dy"
    assert "dy" in backward["given"]
    assert [step["phase"] for step in reply["outline"]][:2] == ["input", "forward"]


def test_one_example_is_shown_alone() -> None:
    session = begun()
    reply = asked(session, do="inspect", address="body.layers.0", example=7)
    x = array(reply, reply["steps"][0]["given"]["x"])
    assert np.array_equal(x, session.dataset.train.x[[7]].astype(np.float32))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"address": "body"}, "address = 'body': nothing is there; known are body.layers.0, "),
        ({"example": 400}, "example = 400: should be from 0 to 399"),
        ({"example": "a"}, "example = 'a': should be from 0 to 399"),
    ],
)
def test_what_is_not_there_is_refused(message: dict[str, Any], says: str) -> None:
    assert begun().handle({"do": "inspect", **message})["error"].startswith(says)


def test_gaps_in_a_table_are_no_failure() -> None:
    rows = "".join(f"{i % 7},{'' if i % 3 else i},{i % 2}\n" for i in range(60))
    session = Session()
    made = session.handle({"do": "csv", "name": "gaps.csv", "text": f"a,b,target\n{rows}"})
    session.handle({"do": "new", "state": made["state"]})
    reply = session.handle({"do": "inspect", "address": "body.layers.0"})
    assert [step["phase"] for step in reply["outline"]][:2] == ["input", "forward"]
    assert all(step["finite"] for step in reply["outline"])
    x = reply["arrays"][reply["steps"][0]["given"]["x"]]
    assert x["lost"] > 0
    assert "nan" not in x["statistics"]


def test_the_first_number_that_is_not_finite_is_found() -> None:
    session = begun(optimizer={"type": "SGD", "lr": 1e38})
    diverged = asked(session, do="train", steps=20)["frame"]["diverged"]
    reply = asked(session, do="inspect", address=diverged["address"])
    lost = [step["address"] for step in reply["outline"] if not step["finite"]]
    assert lost[0] == diverged["address"]
