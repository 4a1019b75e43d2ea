"""Edited classes: compiled, for one session alone, and what is said of them."""

import gc
import inspect
import linecache
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from layerkit import Adam, Dense, Layer, Loss, Optimizer, ReLU
from layerkit.config.options import Configurable
from layerkit.config.tables import choices_for
from layerkit.play import edit
from layerkit.play.edit import Code
from layerkit.play.session import Session
from tests.play.conftest import asked

RELU = inspect.getsource(ReLU)
LOG = "np.log(x)"
BACK = "dy * np.sign(self.y)"


def line(text: str) -> str:
    """Where the source of ReLU has a text, as errors say it."""
    lines = RELU.splitlines()
    return f"ReLU, line {next(i for i, each in enumerate(lines, start=1) if text in each)}"


OWN = '''import numpy as np
from layerkit import Layer


class Wave(Layer):
    """y = x + sin x."""

    def forward(self, x, train=True):
        self.x = x
        return x + np.sin(x)

    def backward(self, dy):
        return dy * (1 + np.cos(self.x))
'''


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """The registry is as it was, whatever was edited."""
    before = dict(Configurable.registry)
    yield
    assert Configurable.registry == before


@pytest.fixture
def session() -> Session:
    return begun("ReLU")


def begun(activation: str) -> Session:
    session = Session()
    state = asked(session, do="catalogue")["data"]["spiral"]
    state["network"]["body"]["layers"][1:4:2] = {"type": activation}, {"type": "Tanh"}
    asked(session, do="new", state=state)
    asked(session, do="train", steps=5)
    return session


def refused(session: Session, **message: Any) -> tuple[str, str]:
    reply = session.handle(message)
    return reply["error"], reply["where"]


def test_the_training_goes_on_with_the_changed_class(session: Session) -> None:
    w, other = session.network.arena.values.copy(), begun("ReLU")
    reply = asked(session, do="edit", **{"class": "ReLU"}, source=RELU.replace(BACK, "dy * 1.0"))
    assert (reply["used"], reply["says"], reply["frame"]["step"]) == (["body.layers.1"], "", 5)
    assert np.array_equal(session.network.arena.values, w)
    for trained in (session, other):
        asked(trained, do="train", steps=1)
    layer, untouched = (s.network["body.layers.1"] for s in (session, other))
    assert type(untouched) is ReLU
    assert isinstance(layer, Layer)
    layer.forward(np.array([[-1.0, 2.0]]))
    assert layer.backward(np.ones((1, 2))).tolist() == [[1, 1]]
    assert inspect.getsource(type(layer).backward).endswith("dy * 1.0\n")
    assert not np.array_equal(session.network.arena.values, other.network.arena.values)
    assert not np.array_equal(session.network.arena.values, w)
    assert Configurable.registry["ReLU"] is ReLU


def test_an_edit_that_changes_nothing_changes_no_number(session: Session) -> None:
    other = begun("ReLU")
    for name, cls in (("ReLU", ReLU), ("Dense", Dense), ("Adam", Adam)):
        asked(session, do="edit", **{"class": name}, source=inspect.getsource(cls))
    for trained in (session, other):
        asked(trained, do="train", steps=40)
    assert np.array_equal(session.network.arena.values, other.network.arena.values)
    assert [asked(each, do="frame")["frame"]["epoch"] for each in (session, other)] == [3, 3]


@pytest.mark.parametrize(
    ("name", "old", "new", "law", "says"),
    [
        ("ReLU", BACK, "dy * 1.0", "derivatives", "but difference quotients of forward give 0"),
        ("ReLU", BACK, "np.sign(self.y)", "derivatives", "dx doesn't depend on dy"),
        ("ReLU", "np.maximum(x, 0)", "np.log(x)", "forward, float64", "nan or inf for ordinary x"),
        ("Adam", "w -=", "w +=", "downhill 1", "is the sign right, w -= lr * g?"),
        ("SoftmaxCrossEntropy", "] -= 1", "] += 1", "derivative", "difference quotients"),
    ],
)
def test_the_check_says_what_is_wrong_with_the_mathematics(
    name: str, old: str, new: str, law: str, says: str, session: Session
) -> None:
    source = inspect.getsource(Configurable.registry[name])
    assert old in source
    reply = asked(session, do="edit", **{"class": name}, source=source.replace(old, new))
    broken = {row["law"]: row["says"] for row in reply["check"] if row["ok"] is False}
    assert says in broken[law]


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        (BACK, "return", line(BACK), "SyntaxError: invalid syntax"),
        (
            "    def back",
            "   def back",
            line("def backward"),
            "IndentationError: unindent does not match",
        ),
        (
            "np.maximum",
            "np.maximun",
            line("np.maximum"),
            "module 'numpy' has no attribute 'maximun'",
        ),
        ("return y\n", "return z\n", line("return y"), "NameError: name 'z' is not defined"),
        ("self.y = y", "x += 1", line("self.y = y"), "ReLU.forward writes to x, which others may"),
        ("self.y = y", "self.z = y", line(BACK), "ReLU has no attribute 'y'"),
        ("np.maximum(x, 0)", "np.sqrt(2.0) * x", "body.layers.1", "returns float64 (2, 8); should"),
        ("forward", "foward", "ReLU, line 1", "did you mean forward(self, x, train=True)?"),
        ("class ReLU", "class Other", "", "nothing else (another name is a class of your own: "),
        (RELU, "y = 1", "", "this defines no class; should define ReLU, and nothing else"),
        (RELU, "class ReLU: ...", "", "ReLU is not a Layer: write class ReLU(Layer):"),
        ("self.y = y", "while True: self.y = y", line("self.y = y"), "still running"),
        ("self.y = y", "return self.forward(x)", line("self.y = y"), "RecursionError"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_changes_nothing(
    old: str, new: str, where: str, says: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit, "LIMIT", 0.5)
    w, network = session.network.arena.values.copy(), session.network
    assert old in RELU
    error, place = refused(session, do="edit", **{"class": "ReLU"}, source=RELU.replace(old, new))
    assert (place, says in error, error.startswith(place)) == (where, True, True), error
    assert (session.network is network, session.code.sources) == (True, {})
    assert np.array_equal(session.network.arena.values, w)
    asked(session, do="train")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("np.sin(", "np.sinn(", "Wave, line 10: Wave.forward (train=False, 5 rows) raised Attrib"),
        ("np.cos(", "np.coss(", "Wave, line 13: Wave.backward (5 rows) raised AttributeError"),
        ("self.x = x", "x += 1", "Wave, line 9: Wave.forward (train=False, 5 rows) writes to x"),
        ("np.cos(", "np.sin(", "Wave.backward: dx[1, 2] is "),
    ],
)
def test_a_mistake_in_a_class_that_is_not_in_the_network_has_its_line(
    old: str, new: str, says: str, session: Session
) -> None:
    reply = asked(session, do="edit", source=OWN.replace(old, new))
    assert reply["used"] == []
    assert next(row["says"] for row in reply["check"] if row["says"]).startswith(says)


def test_nothing_is_left_of_a_class_that_nobody_has(session: Session) -> None:
    gc.collect()
    for source in (RELU, RELU.replace(BACK, "dy * 1.0"), RELU.replace("return y", "return z")):
        session.handle({"do": "edit", "class": "ReLU", "source": source})
    gc.collect()
    assert len([name for name in sys.modules if name.startswith("ReLU_edit")]) == 1
    del session.code, session.trainer, session.experiment, session.does
    gc.collect()
    assert not [name for name in sys.modules if name.startswith("ReLU_edit")]
    assert not [file for file in linecache.cache if file.startswith("<ReLU, edit")]


def test_sources_are_sent(session: Session) -> None:
    wrong = RELU.replace(BACK, "dy * 1.0")
    assert asked(session, do="source", **{"class": "ReLU"})["source"] == RELU
    asked(session, do="edit", **{"class": "ReLU"}, source=wrong)
    reply = asked(session, do="source", **{"class": "ReLU"})
    assert (reply["source"], reply["original"]) == (wrong, RELU)
    error, _ = refused(session, do="source", **{"class": "ReLu"})
    assert error == "class = 'ReLu': there is no such class; did you mean 'ReLU'?"


def test_sources_are_text(session: Session) -> None:
    state = session.state | {"code": {"ReLU": 3}}
    says = "code.ReLU = 3: should be the source of a class"
    assert refused(session, do="new", state=state)[0] == says
    assert 'should be the text of a class, "class" its' in refused(session, do="edit")[0]


def test_an_error_that_comes_later_has_its_line(session: Session) -> None:
    source = RELU.replace("np.maximum(x, 0)", "np.maximum(x, [0][len(x) == 32])")
    asked(session, do="edit", **{"class": "ReLU"}, source=source)
    asked(session, do="predict", x=[0.0, 0.0])
    place = line("np.maximum")
    error = f"{place}: IndexError: list index out of range"
    assert refused(session, do="train") == (error, place)


def test_revert_restores_the_class_of_the_library(session: Session) -> None:
    asked(session, do="edit", **{"class": "ReLU"}, source=RELU.replace("np.maximum(x, 0)", LOG))
    assert asked(session, do="train", steps=3)["frame"]["diverged"]["address"] == "body.layers.1"
    reply = asked(session, do="revert", **{"class": "ReLU"})
    assert (type(session.network["body.layers.1"]), "code" in reply["state"]) == (ReLU, False)
    assert asked(session, do="train", steps=3)["frame"]["diverged"] is None
    assert refused(session, do="revert", **{"class": "ReLU"})[0].startswith(
        "class = 'ReLU': is not"
    )


def test_a_class_of_ones_own_can_be_used_and_travels_with_the_state(session: Session) -> None:
    reply = asked(session, do="edit", source=OWN)
    assert (reply["class"], reply["used"]) == ("Wave", [])
    assert all(row["ok"] for row in reply["check"])
    assert asked(session, do="catalogue")["layers"]["Wave"]["says"] == "y = x + sin x."
    state = reply["state"]
    state["network"]["body"]["layers"][1] = {"type": "Wave"}
    other = Session()
    reply = asked(other, do="new", state=state)
    assert reply["state"]["code"] == {"Wave": OWN}
    asked(other, do="train", steps=3)
    asked(other, do="reset")
    error, _ = refused(other, do="revert", **{"class": "Wave"})
    assert error == "Wave is in use as body.layers.1: take it out of the network first"
    del state["code"]
    assert "'Wave': unknown" in refused(session, do="new", state=state)[0]
    assert "Wave" not in asked(Session(), do="catalogue")["layers"]


def test_new_parameters_begin_and_old_ones_stay(session: Session) -> None:
    before = {name: p.value.copy() for name, p in session.network.params().items()}
    source = inspect.getsource(Dense)
    for old, new in (
        (
            "        return (*shape",
            "        self.c = Param((self.units,), Zeros())\n        return (*shape",
        ),
        ("        return y\n", "        return y + self.c.value\n"),
        ("        self.x.T.dot", "        self.c.grad = dy.sum(axis=0)\n        self.x.T.dot"),
    ):
        source = source.replace(old, new)
    reply = asked(session, do="edit", **{"class": "Dense"}, source=source)
    assert reply["says"].startswith("new parameters: body.layers.0.c, ")
    now = session.network.params()
    assert all(np.array_equal(now[name].value, value) for name, value in before.items())
    assert len(now) == len(before) + 3
    assert all(row["ok"] for row in reply["check"])
    asked(session, do="train", steps=30)
    assert asked(session, do="revert", **{"class": "Dense"})["says"] == "the optimizer begins anew"


@pytest.mark.parametrize("family", [Layer, Loss, Optimizer])
def test_every_class_compiles_from_its_own_source(family: type[Configurable]) -> None:
    for cls in choices_for(family):
        if cls.__module__.startswith("layerkit."):
            source = inspect.getsource(cls)
            code = Code({cls.__name__: source})
            assert inspect.getsource(code.classes[cls.__name__]) == source
