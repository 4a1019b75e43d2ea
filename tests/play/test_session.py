"""Messages of the playground, without a browser."""

import base64
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from layerkit.data.toys import TOYS
from layerkit.play.catalogue import state_for
from layerkit.play.session import Session

BLOCKED = """
import sys
for name in ("scipy", "sklearn"):
    sys.modules[name] = None
from layerkit.play.session import Session
session = Session()
for name, state in session.handle({"do": "catalogue"})["data"].items():
    for message in ({"do": "new", "state": state}, {"do": "train", "steps": 20}, {"do": "reset"}):
        reply = session.handle(message)
        assert "error" not in reply, (name, reply)
"""


def begun(name: str = "circles", **tables: Any) -> Session:
    session = Session()
    ask(session, "new", state=state_for(name) | tables)
    return session


def ask(session: Session, do: str, **message: Any) -> dict[str, Any]:
    reply = session.handle({"do": do, **message})
    assert "error" not in reply, reply
    json.dumps(reply, allow_nan=False)
    return reply


def array(sent: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(sent["data"]), sent["dtype"]).reshape(sent["shape"])


@pytest.mark.parametrize("name", [*TOYS, "digits"])
def test_each_data_set_has_a_state_that_learns(name: str) -> None:
    session = begun(name)
    before = ask(session, "frame")["frame"]
    frame = ask(session, "train", steps=500)["frame"]
    assert frame["test_loss"] < 0.8 * before["test_loss"]
    assert ask(session, "reset")["frame"] == before


def test_nothing_in_the_page_needs_scipy_or_scikit_learn() -> None:
    subprocess.run([sys.executable, "-c", BLOCKED], check=True)


def test_steps_are_those_of_a_training_from_the_file() -> None:
    session, other = begun("moons"), begun("moons")
    for _ in range(7):
        ask(session, "train", steps=5, frame=False)
    frame = ask(session, "epoch")["frame"]
    assert (frame["epoch"], frame["batch"], frame["step"]) == (3, 0, 39)
    assert other.experiment
    for _ in range(3):
        ask(other, "epoch")
    np.testing.assert_array_equal(session.network.arena.values, other.network.arena.values)


def test_maps_and_points_have_the_shapes_that_are_promised() -> None:
    reply = ask(Session(), "new", state=state_for("blobs"))
    assert array(reply["data"]["train"]["x"]).shape == (400, 2)
    assert array(reply["data"]["train"]["t"]).max() == 2
    frame = reply["frame"]
    assert array(frame["map"]["winner"]).shape == (50, 50)
    neurons = frame["neurons"]["body.layers.1"]
    assert array(neurons["values"]).shape == (8, 50, 50)
    assert len(neurons["low"]) == neurons["units"] == 8
    assert array(frame["weights"]["body.layers.0.W"]).shape == (2, 8)


def test_a_map_has_what_the_network_predicts_with_the_top_first() -> None:
    session = begun("circles")
    frame = ask(session, "train", steps=200)["frame"]
    (left, right), (_, high) = session.view.bounds
    middle_of_the_top = [left + (right - left) * 25 / 49, high]
    seen = ask(session, "predict", x=middle_of_the_top)
    winner, p = (array(frame["map"][key])[0, 25] for key in ("winner", "probability"))
    assert seen["prediction"] == winner
    assert seen["probabilities"][winner] == pytest.approx(p, abs=1e-5)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ([], "should be an object"),
        ({"do": "trian"}, "do = 'trian': unknown; did you mean 'train'?"),
        ({"do": "train", "steps": 1.5}, "steps = 1.5: should be a whole number"),
        ({"do": "new"}, '"state" is missing'),
        ({"do": "new", "state": {"network": 1}}, "network"),
        ({"do": "predict", "x": [1]}, "should be a list of 2 finite numbers"),
        ({"do": "predict", "x": "a"}, "should be a list of 2 numbers"),
        ({"do": "frame", "example": 400}, "example = 400: should be from 0 to 399"),
        ({"do": "frame", "columns": [0]}, "only for tables"),
    ],
)
def test_what_is_refused_changes_nothing(message: Any, sentence: str) -> None:
    session = begun()
    before = ask(session, "train", steps=3)["frame"]
    assert sentence in session.handle(message)["error"]
    assert ask(session, "frame")["frame"] == before


def test_messages_before_there_is_a_network_are_refused() -> None:
    assert "there is no network yet" in Session().handle({"do": "train"})["error"]


def test_a_divergence_says_where_the_first_value_was() -> None:
    session = begun("sine", optimizer={"type": "SGD", "lr": 1e6})
    diverged = ask(session, "train", steps=200)["frame"]["diverged"]
    assert "the first value that is not finite" in diverged["says"]
    assert diverged["address"] == "loss"
    step = ask(session, "frame")["frame"]["step"]
    assert ask(session, "train")["frame"]["step"] == step
    assert ask(session, "reset")["frame"]["diverged"] is None
