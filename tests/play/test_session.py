"""Messages of the playground, without a browser."""

import base64
import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit.data.toys import TOYS
from layerkit.play.browser import answer
from layerkit.play.catalogue import state_for
from layerkit.play.own_tables import ROWS_OF_A_CLASS
from layerkit.play.session import Session
from layerkit.play.wire import as_bytes
from tests.play.conftest import asked

BLOCKED = """
import sys
for name in ("scipy", "sklearn"):
    sys.modules[name] = None
from layerkit.play.catalogue import state_for
from layerkit.play.session import Session
from layerkit.play.wire import as_bytes
session = Session()
states = session.handle({"do": "catalogue"})["data"]
states["GELU"] = state_for("circles")
states["GELU"]["network"]["body"]["layers"][1] = {"type": "GELU"}
for name, state in states.items():
    for message in ({"do": "new", "state": state}, {"do": "train", "steps": 20}, {"do": "reset"}):
        reply = session.handle(message)
        assert "error" not in reply, (name, reply)
"""
NETWORK = state_for("circles")["network"]


def begun(name: str = "circles", **tables: Any) -> Session:
    session = Session()
    asked(session, "new", state=state_for(name) | tables)
    return session


def array(sent: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(sent["data"]), sent["dtype"]).reshape(sent["shape"])


def test_a_loss_without_probabilities_is_sure_of_what_it_predicts() -> None:
    state = state_for("blobs")
    state["network"]["loss"] = {"type": "MultiMargin"}
    session = Session()
    drawn = asked(session, "new", state=state)["frame"]["map"]
    assert (array(drawn["probability"]) == 1).all()
    assert set(asked(session, "predict", x=[0, 0])["probabilities"]) == {0, 1}


def test_another_optimizer_goes_on_where_the_training_is() -> None:
    session = begun()
    before = asked(session, "train", steps=20)["frame"]
    for optimizer in ({"type": "Adam", "lr": 0.5}, {"type": "SGD", "lr": 0.25}):
        state = session.state | {"optimizer": optimizer}
        reply = asked(session, "new", state=state, keep=True)
        assert "data" not in reply
        assert reply["frame"] == before | {"lr": optimizer["lr"]}
    assert asked(session, "train")["frame"]["step"] == 21
    for other in (state, state | {"training": {"seed": 1}}, state_for("moons")):
        assert asked(session, "new", state=other, keep=other is not state)["frame"]["step"] == 0
        asked(session, "train")


@pytest.mark.parametrize("name", [*TOYS, "digits"])
def test_each_data_set_has_a_state_that_learns(name: str) -> None:
    session = begun(name)
    before = asked(session, "frame")["frame"]
    frame = asked(session, "train", steps=500)["frame"]
    assert frame["test_loss"] < 0.8 * before["test_loss"]
    assert asked(session, "reset")["frame"] == before


def test_nothing_in_the_page_needs_scipy_or_scikit_learn() -> None:
    subprocess.run([sys.executable, "-c", BLOCKED], check=True)


def test_steps_are_those_of_a_training_from_the_file() -> None:
    session, other = begun("moons"), begun("moons")
    for _ in range(7):
        asked(session, "train", steps=5, frame=False)
    frame = asked(session, "epoch")["frame"]
    assert (frame["epoch"], frame["batch"], frame["step"]) == (3, 0, 39)
    assert other.experiment
    for _ in range(3):
        asked(other, "epoch")
    np.testing.assert_array_equal(session.network.arena.values, other.network.arena.values)


def test_maps_and_points_have_the_shapes_that_are_promised() -> None:
    reply = asked(Session(), "new", state=state_for("blobs"))
    assert array(reply["data"]["train"]["x"]).shape == (400, 2)
    assert array(reply["data"]["train"]["t"]).max() == 2
    frame = reply["frame"]
    assert array(frame["map"]["winner"]).shape == (50, 50)
    neurons = frame["neurons"]["body.layers.1"]
    assert array(neurons["values"]).shape == (8, 50, 50)
    assert len(neurons["low"]) == neurons["units"] == 8
    assert array(frame["weights"]["body.layers.0.W"]).shape == (2, 8)


def test_layers_say_what_they_read_through_all_containers() -> None:
    state = state_for("circles")
    sum_of = {
        "type": "Sum",
        "branches": [{"type": "Dense", "units": 8}, {"type": "Dense", "units": 8}],
    }
    state["network"]["body"]["layers"][1] = sum_of
    layers = asked(Session(), "new", state=state)["layers"]
    read = {layer["address"]: layer["reads"] for layer in layers}
    assert read["body.layers.0"] == ["input"]
    branches = [f"body.layers.1.branches.{i}" for i in range(2)]
    assert [read[branch] for branch in branches] == [["body.layers.0"]] * 2
    assert read["body.layers.1.add"] == branches
    assert read["body.layers.2"] == ["body.layers.1.add"]


def test_a_map_has_what_the_network_predicts_with_the_top_first() -> None:
    session = begun("circles")
    frame = asked(session, "train", steps=200)["frame"]
    (left, right), (_, high) = session.view.bounds
    middle_of_the_top = [left + (right - left) * 25 / 49, high]
    seen = asked(session, "predict", x=middle_of_the_top)
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
        ({"do": "new", "state": {"network": {**NETWORK, "shape": "ab"}}}, "network.shape = 'ab'"),
        ({"do": "predict", "x": [1]}, "should be a list of 2 finite numbers"),
        ({"do": "predict", "x": "a"}, "should be a list of 2 numbers"),
        ({"do": "frame", "example": 400}, "example = 400: should be from 0 to 399"),
        ({"do": "frame", "columns": [0]}, "only for tables"),
        ({"do": "csv", "name": "a.csv"}, '"name" and "text" should be strings'),
        ({"do": "csv", "name": "a.xlsx", "text": "a"}, "should be a table as text"),
        ({"do": "csv", "name": "a.csv", "text": "a,b\n1,2\n"}, "a.csv: the column b: it can't be"),
        ({"do": "csv", "name": "../a.csv", "text": ""}, "a.csv: empty"),
    ],
)
def test_what_is_refused_changes_nothing(message: Any, sentence: str) -> None:
    session = begun()
    before = asked(session, "train", steps=3)["frame"]
    assert sentence in session.handle(message)["error"]
    assert asked(session, "frame")["frame"] == before


@pytest.mark.parametrize("depth", [900, 200_000])
def test_tables_in_tables_without_end_are_refused_in_a_sentence(depth: int) -> None:
    text = json.dumps({"do": "new", "state": state_for("circles") | {"code": 0}})
    text = text.replace('"code": 0', f'"code": {"[" * depth}{"]" * depth}')
    assert json.loads(answer(text))["error"].startswith("a message has tables or lists inside")


def test_messages_before_there_is_a_network_are_refused() -> None:
    assert "there is no network yet" in Session().handle({"do": "train"})["error"]


def test_a_divergence_says_where_the_first_value_was() -> None:
    session = begun("sine", optimizer={"type": "SGD", "lr": 1e6})
    diverged = asked(session, "train", steps=200)["frame"]["diverged"]
    assert "the first value that is not finite" in diverged["says"]
    assert diverged["address"] == "loss"
    step = asked(session, "frame")["frame"]["step"]
    assert asked(session, "train")["frame"]["step"] == step
    assert asked(session, "reset")["frame"]["diverged"] is None


def test_where_names_the_layer() -> None:
    state = state_for("circles")
    state["network"]["body"]["layers"][2]["units"] = 0
    reply = Session().handle({"do": "new", "state": state})
    assert reply["where"] == "body.layers.2"
    assert reply["error"].startswith("network.body.layers.2.units = 0: ")


@pytest.mark.parametrize(
    ("units", "address", "says"),
    [
        ([10**6, 8], 0, "1,000,000 of the network's 2,000,018 outputs for 2,500 examples at"),
        ([8, 10**12], 2, "the playground takes at most 40,000; `layerkit train` takes more"),
        ([3000, 3000], 2, "9,003,000 of the network's 9,018,002 parameters; the playground"),
    ],
)
def test_a_network_too_large_for_a_page_is_refused_before_it_is_made(
    units: list[int], address: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun()
    before = asked(session, "train", steps=3)["frame"]
    state = state_for("circles")
    for layer, number in zip(state["network"]["body"]["layers"][::2], units, strict=False):
        layer["units"] = number

    def refuse(*_: Any) -> None:
        raise AssertionError("memory was taken")

    monkeypatch.setattr("layerkit.network.Arena", refuse)
    reply = session.handle({"do": "new", "state": state})
    monkeypatch.undo()
    assert reply["where"] == f"body.layers.{address}"
    assert says in reply["error"]
    assert asked(session, "frame")["frame"] == before


def test_a_batch_too_large_for_a_page_is_refused() -> None:
    state = state_for("circles")
    state["data"]["examples"] = 100_000
    state["training"]["batch_size"] = 50_000
    state["network"]["body"]["layers"][0]["units"] = 1500
    reply = Session().handle({"do": "new", "state": state})
    assert reply["where"] == "body.layers.0"
    assert "3,018 outputs for 50,000 examples at once; the playground takes at" in reply["error"]


def test_what_is_of_no_use_in_a_page_is_left_out_with_a_note() -> None:
    training = state_for("circles")["training"]
    state = state_for("circles") | {"training": training | {"callbacks": [{"type": "ProgressBar"}]}}
    reply = asked(Session(), "new", state=state)
    assert reply["notes"] == ["training.callbacks is left out in the playground"]
    assert reply["state"]["training"] == training


def test_a_session_begins_with_trained_weights_where_they_fit(tmp_path: Path) -> None:
    session = begun()
    trained = asked(session, "train", steps=50)["frame"]
    path = tmp_path / "trained.safetensors"
    session.network.save(path)
    state = session.state | {"training": session.state["training"] | {"warm_start": str(path)}}
    reply = asked(session, "new", state=state)
    assert reply["notes"] == [f"The network begins with the trained weights of {path}"]
    begin = reply["frame"]
    assert (begin["step"], begin["map"]) == (0, trained["map"])
    asked(session, "train", steps=3)
    assert asked(session, "reset")["frame"] == begin
    network = copy.deepcopy(state["network"])
    network["body"]["layers"][0]["units"] = 9
    missing = {"training": {"warm_start": "nothing"}}
    for other, why in (
        (
            {"network": network},
            "has float32 (2, 8) as body.layers.0.W, this network float32 (2, 9)",
        ),
        (missing, "nothing: can't be read: No such file"),
    ):
        reply = asked(Session(), "new", state=state | other)
        assert "are left out, and the network begins anew: " in reply["notes"][0]
        assert why in reply["notes"][0]
        assert "warm_start" not in reply["state"]["training"]


def test_the_rate_is_that_of_the_schedule_and_a_training_goes_on_after_its_end() -> None:
    schedules = {"lr": {"type": "CosineSchedule"}}
    optimizer = {"type": "SGD", "lr": 0.1, "schedules": schedules}
    session = begun(optimizer=optimizer, training={"epochs": 2, "batch_size": 40})
    rates = [asked(session, "train", steps=steps)["frame"]["lr"] for steps in (1, 9, 30)]
    assert 0.1 > rates[0] > rates[1] > rates[2] == pytest.approx(0, abs=1e-12)
    assert asked(session, "frame")["frame"]["epoch"] == 4


def test_a_dropped_table_is_learned_from_and_mapped_over_two_numbers() -> None:
    text = Path("experiments/flats.csv").read_text(encoding="utf-8")
    session = Session()
    reply = asked(session, "csv", name="flats.csv", text=text)
    assert (reply["target"], reply["data"]["kind"]) == ("price", "table")
    assert array(reply["frame"]["map"]["values"]).shape == (50, 50)
    assert reply["state"]["data"]["path"] == reply["data"]["name"] == "flats.csv"
    numbers = reply["data"]["numbers"]
    assert [reply["data"]["features"][i] for i in numbers] == ["area", "rooms", "built"]
    assert asked(session, "frame", columns=[])["frame"]["map"] is None
    seen = asked(session, "frame", columns=[4, 2])
    assert seen["data"]["columns"] == [4, 2]
    assert array(seen["data"]["test"]["x"]).shape == (160, 2)
    again = asked(session, "new", state=reply["state"])
    assert again["frame"] == reply["frame"]
    refused = session.handle({"do": "frame", "columns": [0]})["error"]
    assert refused == "columns = [0]: should be one or two columns with numbers, of 2, 3, 4; or []"
    assert asked(session, "csv", name="flats.csv", text=text, target="heating")["data"]["classes"]


def test_what_is_learned_from_a_dropped_table_is_told_and_its_features_have_names() -> None:
    rows = [
        f"{i % 7},{'grün' if i % 3 else ''},k{i},{'ja' if i % 2 else 'nein'}" for i in range(60)
    ]
    text = "\n".join(["größe,farbe,nr,y", *rows])
    reply = asked(Session(), "csv", name="a.csv", text=text, encoding="cp1252")
    assert reply["told"][:2] == [
        "The table is read as cp1252",
        "To learn from: 2 columns, 1 number, 1 category",
    ]
    assert reply["told"][2].startswith('Left out: "nr" (')
    assert reply["state"]["data"]["encoding"] == "cp1252"
    assert reply["layers"][0]["features"] == ["größe", "farbe is missing", "farbe = grün"]
    text = text.replace("ja", "ja\x81")
    refused = Session().handle({"do": "csv", "name": "a.csv", "text": text, "encoding": "cp1252"})
    assert refused["error"] == "a.csv: is not text in cp1252"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["1,u", "2,v"] * 3, "6 rows of 2 classes are too few, some are held out to test on"),
        (["1,u", "2,v", "3,w"] * 3, "9 rows of 3 classes are too few"),
        (["1,u", "2,v", "3,w"] * 3 + ["4,"] * 9, "every class among them; add rows: 27 would do"),
        (["1,2.5", "2,3"], "2 rows are too few, some are held out to test on; add rows: 3"),
    ],
)
def test_a_dropped_table_with_too_few_rows_is_refused_in_words_of_the_page(
    rows: list[str], says: str
) -> None:
    error = Session().handle({"do": "csv", "name": "a.csv", "text": "\n".join(["x,y", *rows])})
    assert says in error["error"]
    assert "_size" not in error["error"]


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_dropped_table_with_nine_rows_of_each_class_is_enough(classes: int) -> None:
    rows = [f"{i % 7},k{i % classes}" for i in range(ROWS_OF_A_CLASS * classes)]
    asked(Session(), "csv", name="a.csv", text="\n".join(["x,y", *rows]))


def test_a_state_waits_for_its_table() -> None:
    text = "\n".join(["a,y", *(f"{i % 7},{i % 2}" for i in range(60))])
    state = asked(Session(), "csv", name="own.csv", text=text)["state"]
    refused = Session().handle({"do": "new", "state": state})["error"]
    assert refused == "own.csv: this table is not here; drop it on the page to go on"


def test_images_are_looked_at_one_by_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 4, 5), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels, y=np.arange(60) % 3)
    state = state_for("digits") | {"data": {"path": str(tmp_path / "images.npz")}}
    state["network"]["body"]["layers"][-1]["units"] = 3
    session = Session()
    data = asked(session, "new", state=state)["data"]
    assert (data["kind"], data["image"], data["bytes"]) == ("images", (4, 5), True)
    frame = asked(session, "frame", example=7)["frame"]
    shown = array(frame["neurons"]["body.layers.2"]["activations"])
    x = (array(data["train"]["x"])[7] / 255).tolist()
    np.testing.assert_allclose(asked(session, "predict", x=x)["outputs"], shown, rtol=1e-5)


def test_maps_of_values_that_are_not_finite_can_be_sent() -> None:
    sent = as_bytes(np.array([[np.nan, 1.0], [np.inf, 1.0], [0.0, 1.0]]), (3,))
    assert array(sent["values"]).tolist() == [[0, 255, 0], [0, 0, 0]]
    assert (sent["low"], sent["high"]) == ([0.0, 1.0], [1e30, 1.0])


@pytest.mark.parametrize(
    ("target", "loss"), [("labels", "BinaryCrossEntropy"), ("number", "MeanSquaredError")]
)
def test_of_several_targets_the_first_is_shown(target: str, loss: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 2))
    y = (x > 0).astype(float) if target == "labels" else x
    np.savez(tmp_path / "several.npz", x=x, y=y)
    data = {"path": str(tmp_path / "several.npz"), "target": target}
    network = state_for("circles")["network"] | {"loss": {"type": loss}}
    state = state_for("circles") | {"data": data, "network": network}
    reply = asked(Session(), "new", state=state)
    assert array(reply["data"]["train"]["t"]).shape == (64,)
    assert array(reply["frame"]["map"]["values"]).shape == (50, 50)
