"""What is taken home: three ways to train the network of the page, with the same numbers."""

import base64
import builtins
import csv
import dis
import inspect
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import Layer, Loss, Optimizer, ReLU
from layerkit.config.options import Configurable
from layerkit.config.tables import choices_for
from layerkit.play.edit import Code
from layerkit.play.session import Session
from layerkit.play.takehome import Piece

COSINE = {"type": "CosineSchedule"}
STATES: dict[str, dict[str, Any]] = {
    "spiral": {},
    "sine": {"training": {"epochs": 2, "seed": 3}},
    "digits": {
        "optimizer": {"type": "SGD", "lr": 0.1, "schedules": {"lr": {"type": "CosineSchedule"}}}
    },
}
WRONG = inspect.getsource(ReLU).replace("dy * np.sign(self.y)", "dy * 1.0")
OWN = '''from layerkit import Layer
import numpy as np


class Wave(Layer):
    """y = x + sin x."""

    size: float = 1.0

    def forward(self, x, train=True):
        self.x = x
        return x + self.size * np.sin(x)

    def backward(self, dy):
        return dy * (1 + self.size * np.cos(self.x))
'''


def home(session: Session, folder: Path) -> dict[str, Any]:
    """Ask for the files, and write them."""
    reply = session.handle({"do": "home"})
    assert "error" not in reply, reply["error"]
    for file in reply["files"]:
        data = file["text"].encode() if "text" in file else base64.b64decode(file["base64"])
        (folder / file["name"]).write_bytes(data)
    return reply


def begun(name: str, code: dict[str, str] | None = None) -> Session:
    session = Session()
    state = session.handle({"do": "catalogue"})["data"][name]
    state["training"]["epochs"] = 2
    for table, changes in STATES[name].items():
        state[table] = state[table] | changes
    if code:
        state["code"] = code
        state["network"]["body"]["layers"][1] = {"type": "ReLU"}
        state["network"]["body"]["layers"][3] = {"type": "Wave", "size": 0.5}
    reply = session.handle({"do": "new", "state": state})
    assert "error" not in reply, reply["error"]
    return session


def run(command: str, folder: Path) -> str:
    python = f"{sys.executable} -m layerkit" if command.startswith("layerkit") else sys.executable
    words = [*python.split(), *command.split()[1:]]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "code"),
    [("sine", None), ("digits", None), ("spiral", {"ReLU": WRONG, "Wave": OWN})],
)
def test_all_three_train_to_the_same_numbers(
    name: str, code: dict[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(name, code)
    files = home(session, tmp_path)
    assert files["note"] == ""
    steps = 2 * session.handle({"do": "frame"})["frame"]["batches"]
    losses = []
    for _ in range(steps):
        session.handle({"do": "train", "steps": 1})
        losses.append(session.trainer.progress.loss)
    frame = session.handle({"do": "frame"})["frame"]

    run(files["runs"]["playground.toml"] + " --out run", tmp_path)
    with (tmp_path / "run/history.csv").open() as history:
        last = list(csv.DictReader(history))[-1]
    assert float(last["test_loss"]) == pytest.approx(frame["test_loss"], rel=1e-6)

    (tmp_path / "check.py").write_text(
        (tmp_path / "train.py").read_text() + "print(records[-1].test_loss)\n"
    )
    said = run("python check.py", tmp_path).split("\n")
    assert float(said[-2]) == pytest.approx(frame["test_loss"], rel=1e-6)
    assert len(said) == 4

    assert "layerkit" not in (tmp_path / "in_numpy.py").read_text().replace("what layerkit", "")
    first = (tmp_path / "in_numpy.py").read_text().split("\n")[0]
    assert first == "# It reads data.npz, which has to lie beside it."
    monkeypatch.chdir(tmp_path)
    space = runpy.run_path("in_numpy.py", run_name="__main__")
    assert space["losses"] == losses
    assert np.array_equal(space["w"], session.network.arena.values)


def test_what_numpy_cannot_have_is_said(tmp_path: Path) -> None:
    session = begun("spiral")
    state = session.state
    state["network"]["body"]["layers"].insert(0, {"type": "Standardize"})
    assert "error" not in session.handle({"do": "new", "state": state})
    reply = home(session, tmp_path)
    assert reply["note"].startswith("only one step in NumPy: body.layers.0: Standardize is fitted")
    text = (tmp_path / "in_numpy.py").read_text()
    assert text.startswith(
        "# To be read; it prints nothing: only one step in NumPy: body.layers.0:"
    )
    assert "def train_step(" in text
    compile(text, "in_numpy.py", "exec")
    assert "in_numpy.py" not in reply["runs"]


@pytest.mark.processes
def test_a_run_is_gone_on_with_at_home(tmp_path: Path) -> None:
    session = begun("spiral")
    session.handle({"do": "train", "steps": 30})
    path = tmp_path / "first.safetensors"
    session.network.save(path)
    state = session.state
    state["training"]["warm_start"] = str(path)
    assert "weights of" in session.handle({"do": "new", "state": state})["notes"][0]
    files = home(session, tmp_path)
    assert files["note"] == f"it begins with weights of seed 0, not those of {path}"
    assert f"beside it; {files['note']}." in files["files"][2]["text"].replace("\n# ", " ")
    (tmp_path / "check.py").write_text(
        (tmp_path / "train.py").read_text() + "print(records[-1].test_loss)\n"
    )
    steps = 2 * session.handle({"do": "frame"})["frame"]["batches"]
    loss = session.handle({"do": "train", "steps": steps})["frame"]["test_loss"]
    assert float(run("python check.py", tmp_path).split("\n")[-2]) == pytest.approx(loss, rel=1e-6)
    run(files["runs"]["playground.toml"] + " --out run", tmp_path)
    with (tmp_path / "run/history.csv").open() as history:
        last = list(csv.DictReader(history))[-1]
    assert float(last["test_loss"]) == pytest.approx(loss, rel=1e-6)
    state["network"]["loss"] = {"type": "SoftmaxCrossEntropy", "label_smoothing": 0.1}
    session.handle({"do": "new", "state": state})
    python = home(session, tmp_path)["files"][1]["text"]
    assert f"# with weights of seed 0, not those of {path}\n" in python


@pytest.mark.parametrize("family", [Layer, Loss, Optimizer])
def test_every_class_stands_in_a_file_of_its_own(family: type[Configurable]) -> None:
    for cls in choices_for(family):
        if cls.__module__.startswith("layerkit."):
            piece = Piece(cls.__name__, inspect.getsource(cls))
            code = Code({piece.name: piece.text})
            mine = code.classes[f"My{cls.__name__}"]
            space = vars(sys.modules[mine.__module__])
            methods = filter(inspect.isfunction, vars(mine).values())
            read = {
                line.argval
                for method in methods
                for line in dis.get_instructions(inspect.unwrap(method))
                if line.opname == "LOAD_GLOBAL"
            }
            assert read - space.keys() - vars(builtins).keys() == set(), cls
