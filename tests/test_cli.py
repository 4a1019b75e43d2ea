import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from layerkit import Configurable, Huber, Network, evaluate
from layerkit.arrays import Array
from layerkit.cli.command import main, telling_warnings
from layerkit.data import Data
from layerkit.play.server import Server
from layerkit.play.session import Session
from layerkit.training import ResumeWarning

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
DIGITS = EXPERIMENTS / "digits.toml"
OWN = EXPERIMENTS / "own_parts.py"

BODY = """
[network]
shape = [2]
body = {type = "Dense", units = 3}
loss = {type = "SoftmaxCrossEntropy"}
[optimizer]
type = "SGD"
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training."""
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots.run", None)


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command says when it refuses: one message, no traceback, a non-zero status."""
    assert run(*arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("layerkit: ")
    assert "Traceback" not in said
    return said


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run("train", DIGITS, "--set", "training.epochs=5", "--out", folder) == 0
    return folder


def test_a_run_leaves_its_folder(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == [
        "checkpoints",
        "config.toml",
        "confusion.png",
        "curves.png",
        "data.json",
        "environment.json",
        "examples.png",
        "history.csv",
        "mistakes.png",
        "model.safetensors",
        "result.json",
        "weights.png",
    ]
    with (trained / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert list(rows[0])[1:] == [
        "seconds",
        "train_accuracy",
        "train_loss",
        "test_accuracy",
        "test_loss",
    ]
    assert float(rows[-1]["test_accuracy"]) > 0.9
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["threads"] == 1
    assert environment["numpy"] == np.__version__
    assert environment["blas"]


@pytest.mark.usefixtures("without_pictures")
def test_what_a_run_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", DIGITS, "--set", "training.epochs=2") == 0
    said = capsys.readouterr().out
    assert "digits: 1,437 training examples, 360 test examples, 64 features, 10 classes" in said
    assert "Epoch 2: " in said
    assert "test acc=0." in said
    assert "No pictures without matplotlib" in said
    assert "In runs/digits: checkpoints, config.toml" in said


@pytest.mark.usefixtures("without_pictures")
def test_the_resolved_configuration_gives_the_same_weights(trained: Path) -> None:
    assert run("train", trained / "config.toml", "--out", "again") == 0
    first, again = (Network.load(f / "model.safetensors") for f in (trained, Path("again")))
    np.testing.assert_array_equal(first.arena.values, again.arena.values)
    assert run("train", trained / "config.toml", "--seed", "1", "--out", "other") == 0
    other = Network.load("other/model.safetensors")
    assert not np.array_equal(first.arena.values, other.arena.values)
    assert tomllib.loads(Path("other/config.toml").read_text())["training"]["seed"] == 1


@pytest.mark.usefixtures("without_pictures")
def test_runs_get_folders_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        assert run("train", DIGITS, "--set", "training.epochs=1") == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "digits",
        "digits-2",
        "digits-3",
    ]
    before = Path("runs/digits/history.csv").read_text()
    assert "choose another" in refused(capsys, "train", DIGITS, "--out", "runs/digits")
    assert Path("runs/digits/history.csv").read_text() == before


def test_evaluate_measures_what_the_history_says(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", trained) == 0
    with (trained / "history.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    accuracy, loss = float(last["test_accuracy"]), float(last["test_loss"])
    assert f"test: accuracy {accuracy:.4f}, loss {loss:.4f}" in capsys.readouterr().out


def test_evaluate_measures_new_arrays_as_its_own(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", trained) == 0
    own = capsys.readouterr().out.partition("test: ")[2]
    test = Data().load(seed=0).test
    np.savez("new.npz", x=test.x, y=test.t)
    assert run("evaluate", trained, "new.npz") == 0
    said = capsys.readouterr().out
    assert said == f"new.npz: 360 examples\nnew.npz: {own.replace('test:', 'new.npz:')}"
    np.savez("new.npz", x=test.x)
    Path("new.csv").touch()
    for words, reason in [
        (["new.npz"], "new.npz: no labels: an array y is missing"),
        (["new.csv"], "new.csv: a table, whose label the run does not know"),
        (["new.npz", "--data-dir", "."], "--data-dir .: new.npz has all that is needed"),
        (["--encoding", "latin-1"], "--encoding latin-1: is for a file of new examples"),
    ]:
        assert f"layerkit: {reason}" in refused(capsys, "evaluate", trained, *words)


@pytest.mark.usefixtures("without_pictures")
def test_a_network_is_not_evaluated_on_examples_that_it_was_trained_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a},{b},{a > 0}" for a, b in rng.normal(size=(100, 2)).round(3)]
    Path("rows.csv").write_text("\n".join(["a,b,kind", *rows]))
    Path("rows.toml").write_text("""
[network]
shape = [2]
loss = {type = "SoftmaxCrossEntropy"}
body = {type = "Dense", units = 2}
[optimizer]
type = "Adam"
[data]
path = "rows.csv"
label = "kind"
[training]
epochs = 1
batch_size = 20
class_weight = "balanced"
""")
    assert run("train", "rows.toml", "--out", "run") == 0
    assert run("evaluate", "run") == 0
    Path("rows.csv").write_text("\n".join(["a,b,kind", *sorted(rows)]))
    said = refused(capsys, "evaluate", "run")
    lines = said.splitlines()
    assert lines[0] == "layerkit: run: the data have changed since the run:"
    assert [line.split()[0] for line in lines[1:-1]] == ["train.x", "test.x"]
    assert lines[-1].endswith("Restore the files, or train again")
    Path("rows.csv").write_text("\n".join(["a,b,kind", *rows]))
    assert run("evaluate", "run") == 0
    # a training that goes on with other data, by force, is evaluated on these
    Path("rows.csv").write_text("\n".join(["a,b,kind", *sorted(rows)]))
    more = ("--force", "--set", "training.epochs=2")
    with pytest.warns(ResumeWarning, match="continues by force with"):
        assert run("train", "--resume", "run", *more) == 0
    assert run("evaluate", "run") == 0
    Path("run/data.json").unlink()
    assert "run/data.json: can't be read" in refused(capsys, "evaluate", "run")


def test_predict_prints_what_the_network_says(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Data().load(seed=0)
    np.savez("some.npz", x=data.test.x[:20].reshape(20, 8, 8))
    assert run("predict", trained, "some.npz") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    network = Network.load(trained / "model.safetensors")
    assert [int(row["prediction"]) for row in rows] == network.predict(data.test.x[:20]).tolist()
    probabilities = network.predict_proba(data.test.x[:20]).max(axis=1)
    assert [float(row["probability"]) for row in rows] == pytest.approx(probabilities, abs=1e-4)


def test_predict_refuses_images_of_another_range(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("raw.npz", x=np.full((1, 64), 16.0))
    assert "should be uint8, 0 … 255, or go from 0 to 1" in refused(
        capsys, "predict", trained, "raw.npz"
    )
    np.savez("wide.npz", x=np.zeros((1, 784)))
    assert "raw" not in refused(capsys, "predict", trained, "wide.npz")
    assert "No such file" in refused(capsys, "predict", trained, "none.npz")


def write_table(path: str) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{'far' if a > 0 else 'near'},{b:.3f}" for a, b in rng.normal(size=(60, 2))]
    Path(path).write_text("\n".join(["a,kind,b", *rows]) + "\n")


def test_own_table_from_training_to_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    write_table("t.csv")
    Path("own.toml").write_text(
        BODY.replace("units = 3", "units = 2")
        + 'lr = 1.0\n[data]\npath = "t.csv"\nlabel = "kind"\n'
    )
    assert run("train", "own.toml", "--set", "training.batch_size=8", "--out", "run") == 0
    resolved = tomllib.loads(Path("run/config.toml").read_text())["data"]
    assert resolved["classes"] == ["far", "near"]
    assert resolved["features"] == ["a", "b"]
    assert not Path("run/weights.png").exists()
    capsys.readouterr()
    Path("new.csv").write_text("b,a\n0,3\n0,-3\n")
    assert run("predict", "run", "new.csv") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in said] == ["prediction", "far", "near"]


class Doubled(Huber):
    """Its predictions have another shape than its targets."""

    def predict(self, z: Array) -> Array:
        return z.repeat(2, axis=1)


@pytest.mark.parametrize(
    ("loss", "units", "compared"),
    [
        ('{type = "Quantile", quantiles = [0.1, 0.9]}', 2, False),
        ('{type = "Quantile", quantiles = [0.1, 0.5, 0.9]}', 3, True),
        ('{type = "Doubled"}', 1, False),
    ],
)
def test_predictions_that_are_not_of_the_targets_shape_are_measured_by_the_loss(
    loss: str, units: int, compared: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table("t.csv")
    Path("own.toml").write_text(
        BODY.replace("[2]", "[1]")
        .replace("units = 3", f"units = {units}")
        .replace('{type = "SoftmaxCrossEntropy"}', loss)
        + '[data]\npath = "t.csv"\nlabel = "b"\ntarget = "number"\nfeatures = ["a"]\n'
    )
    assert run("train", "own.toml", "--out", "run") == 0
    assert Path("run/curves.png").exists()
    assert ("test_mae" in json.loads(Path("run/result.json").read_text())) == compared
    capsys.readouterr()
    assert run("evaluate", "run") == 0
    assert ("test:\nmae" in capsys.readouterr().out) == compared


@pytest.mark.usefixtures("without_pictures")
def test_a_number_that_is_too_large_is_told_with_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_table("t.csv")
    lines = Path("t.csv").read_text().splitlines(keepends=True)
    lines[7] = "1e39,far,0.5\n"
    Path("big.csv").write_text("".join(lines))
    Path("own.toml").write_text(
        BODY.replace("units = 3", "units = 2") + '[data]\npath = "t.csv"\nlabel = "kind"\n'
    )
    assert run("train", "own.toml", "--out", "run") == 0
    big = ["own.toml", "--set", 'data.path="big.csv"', "--set", 'data.test="t.csv"']
    for words in (["train", *big], ["lr-range", *big], ["predict", "run", "big.csv"]):
        assert "big.csv: line 8, column 'a' is 1e+39" in refused(capsys, *words)


@pytest.mark.usefixtures("without_pictures")
def test_the_keys_of_a_configuration_keep_their_order() -> None:
    write_table("t.csv")
    Path("own.toml").write_text(
        BODY.replace("units = 3", "units = 2")
        + '[data]\npath = "t.csv"\nlabel = "kind"\ntest_size = 0.5\n'
    )
    assert run("train", "own.toml", "--set", "training.epochs=1", "--out", "run") == 0
    before = Path("run/config.toml").read_text()
    assert before.index("features") < before.index("classes") < before.index("test_size")
    assert run("train", "--resume", "run", "--set", "training.epochs=2") == 0
    after = Path("run/config.toml").read_text()
    assert after == before.replace("epochs = 1", "epochs = 2")


class Stdout(io.TextIOWrapper):
    """A terminal or a file of a system whose encoding is not UTF-8."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="cp1252", newline="\r\n")
        self.isatty = lambda: terminal  # type: ignore[method-assign]

    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("without_pictures")
def test_classes_of_any_name_are_printed_and_control_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table("two.csv")
    text = Path("two.csv").read_text().replace("near", "猫").replace("far", "\x1b[31mred")
    Path("two.csv").write_text(text, encoding="utf-8")
    Path("two.toml").write_text(
        BODY.replace("units = 3", "units = 2") + '[data]\npath = "two.csv"\nlabel = "kind"\n'
    )
    assert run("train", "two.toml", "--out", "run") == 0
    for command, terminal in (("evaluate run", True), ("predict run two.csv", False)):
        stdout = Stdout(terminal)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            assert run(*command.split()) == 0
        written = stdout.written()
        assert (b"\\x1b[31mred" in written) == (b"\\u732b" in written) == terminal
        assert (b"\x1b[31mred" in written) == ("\r\n猫,".encode() in written) == (not terminal)
        assert b"\r\r\n" not in written
    capsys.readouterr()
    assert "layerkit: \\x1b[31m.toml: " in refused(capsys, "show", "\x1b[31m.toml")


@pytest.mark.usefixtures("without_pictures")
def test_bytes_and_other_numbers_are_not_confused(capsys: pytest.CaptureFixture[str]) -> None:
    write_table("t.csv")
    Path("own.toml").write_text(
        BODY.replace("units = 3", "units = 2") + '[data]\npath = "t.csv"\nlabel = "kind"\n'
    )
    assert run("train", "own.toml", "--out", "run") == 0
    np.savez("bytes.npz", x=np.ones((3, 2), np.uint8))
    assert "learned from float64; uint8 means images" in refused(
        capsys, "predict", "run", "bytes.npz"
    )
    Path("run/environment.json").write_text("{")
    said = refused(capsys, "predict", "run", "bytes.npz")
    assert said.startswith("layerkit: run/environment.json: can't be read")
    Path("run/environment.json").write_text('{"examples": 3}')
    assert "damaged: examples is 3" in refused(capsys, "predict", "run", "bytes.npz")
    for content, reason in [
        ("{}", "damaged: epochs is missing"),
        ("[]", "damaged: a list, not a table"),
        ("[" * 100_000, "can't be read"),
        ('{"epochs": 3, "stopped": null}', "damaged: checkpoint is missing"),
    ]:
        Path("run/result.json").write_text(content)
        assert f"run/result.json: {reason}" in refused(capsys, "train", "--resume", "run")


def test_show_lists_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", EXPERIMENTS / "sigmoid_momentum.toml") == 0
    said = capsys.readouterr().out
    assert "body.layers.0  Dense(units=64)  (64,)       50,240  LeCunNormal" in said
    assert "50,890" in said


def test_show_takes_a_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", trained) == 0
    assert "body.layers.0  Dense(units=64)" in capsys.readouterr().out
    assert "not a run's folder" in refused(capsys, "show", ".")
    assert "a run is resumed by --resume" in refused(capsys, "train", trained)


@pytest.mark.usefixtures("without_pictures")
def test_own_parts_come_by_import(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", EXPERIMENTS / "own_parts.toml", "--import", OWN, "--out", "run") == 0
    assert json.loads(Path("run/result.json").read_text())["test_off_by_one"] < 0.05
    assert run("evaluate", "run", "--import", OWN) == 0
    measured = capsys.readouterr().out.split("test: accuracy ")[1].split("\n")[0]
    assert float(measured.split(",")[0]) > 0.95
    assert "off_by_one 0.0" in measured
    monkeypatch.setattr("layerkit.metrics.own.IMPORTED", {})  # as in another process
    said = refused(capsys, "evaluate", "run")
    assert "'off_by_one': unknown" in said
    assert "(a metric of your own has to be imported first: --import FILE.py)" in said


@pytest.mark.parametrize(
    ("code", "reason"),
    [("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError"), ("def f(:\n", "line 1: SyntaxError")],
)
def test_an_import_that_fails_is_reported(
    capsys: pytest.CaptureFixture[str], code: str, reason: str
) -> None:
    Path("mine.py").write_text(code)
    assert reason in refused(capsys, "show", DIGITS, "--import", "mine.py")
    assert "none.py: there is no such file" in refused(
        capsys, "show", DIGITS, "--import", "none.py"
    )
    assert "should end in .py" in refused(capsys, "show", DIGITS, "--import", DIGITS)


OWN_LAYER = """
import numpy as np
from layerkit import Layer
class Faulty(Layer):
    def forward(self, x, train=True):
        {forward}
    def backward(self, dy):
        {backward}
"""


@pytest.mark.parametrize(
    ("forward", "backward", "reason"),
    [
        ("return np.dott(x)", "return dy", "mine.py, line 6: AttributeError"),
        ("return x", "return dy.nothing", "mine.py, line 8: AttributeError"),
        ("return None", "return dy", "body.layers.1: Faulty.forward returns None"),
        ("return x[:, 1:]", "return dy", "Faulty.forward returns float32 (2, 63); should be"),
        ("return np.sqrt(2.0) * x", "return dy", "returns float64 (2, 64); should be float32"),
        ("return x", "return dy[:, 1:]", "Faulty.backward returns float32 (2, 63); should"),
    ],
)
def test_a_mistake_in_an_own_layer_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], forward: str, backward: str, reason: str
) -> None:
    Path("mine.py").write_text(OWN_LAYER.format(forward=forward, backward=backward))
    sys.modules.pop("mine", None)
    setting = "network.body.layers.1.type=Faulty"
    assert reason in refused(capsys, "train", DIGITS, "--import", "mine.py", "--set", setting)


@pytest.mark.processes
def test_the_reader_of_a_pipe_may_stop_early(trained: Path) -> None:
    np.savez("many.npz", x=np.zeros((20000, 64)))
    command = f"{sys.executable} -m layerkit predict {trained} many.npz | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("prediction,probability")
    assert done.stderr == ""


@pytest.mark.processes
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full_is_named(unbuffered: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m layerkit schema > /dev/full",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    assert done.returncode == 1
    assert done.stderr == "layerkit: standard output: [Errno 28] No space left on device\n"


def test_the_schema_accepts_our_files_and_refuses_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Configurable.registry.pop("Snake", None)
    assert run("schema", "--import", OWN) == 0
    schema = json.loads(capsys.readouterr().out)
    validator = jsonschema.Draft202012Validator(schema)
    for path in EXPERIMENTS.glob("*.toml"):
        table = tomllib.loads(path.read_text())
        if "sweep" not in table:
            validator.validate(table)
    table = tomllib.loads(DIGITS.read_text())
    del table["network"]["shape"]  # it may be left out
    validator.validate(table)
    table["network"]["body"]["layers"][0]["units"] = 0
    assert not validator.is_valid(table)
    table["network"]["body"]["layers"][0] = {"type": "Dens", "units": 3}
    assert not validator.is_valid(table)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("[network\n", ["not a TOML file", "line 1"]),
        (BODY + "lr = 0,1\n", ["not a TOML file", "line 8", ": lr = 0,1"]),
        ("# a\u2028b\n" + BODY + "lr = 0,1\n", ["line 9", ": lr = 0,1"]),
        ("", ["network: missing", "optimizer: missing"]),
        (BODY.replace("Dense", "Dence"), ["network.body.type = 'Dence'", "did you mean 'Dense'"]),
        (BODY.replace("units = 3", "unit = 3"), ["body.unit", "did you mean 'units'", "missing"]),
        (BODY.replace("3", '"3"'), ["network.body.units = '3': should be a whole number"]),
        (BODY.replace("3", "true"), ["network.body.units = True"]),
        (BODY + "lr = nan\n", ["optimizer.lr = nan: should be a finite number"]),
        (BODY + "[trainig]\n", ["trainig", "did you mean 'training'"]),
        (BODY + "[training]\nbatch_size = 0\n", ["training.batch_size = 0"]),
        (BODY.replace("[2]", "[]"), ["network.shape = []: should not be empty"]),
        (f"x = {'9' * 5000}", ["not a TOML file: Exceeds the limit (4300 digits)"]),
        (f"x = 0x{'9' * 5000}", ["not a TOML file: Exceeds the limit (4300 digits)"]),
        (BODY.replace("units = 3", "units = 1"), ["at least two outputs", "(1,)"]),
        (
            BODY.replace("3", "-3") + "lr = 0\nmomentum = 1\n[data]\nname = 3\n",
            ["units = -3", "optimizer.lr = 0", "optimizer.momentum", "data.name = 3"],
        ),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_place(
    capsys: pytest.CaptureFixture[str], text: str, reasons: list[str]
) -> None:
    Path("wrong.toml").write_text(text)
    said = refused(capsys, "train", "wrong.toml")
    for reason in ["wrong.toml", *reasons]:
        assert reason in said
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["training.epochs"], "should look like training.epochs=3"),
        (["training.epochs=three"], "training.epochs = 'three': should be a whole number"),
        (["network.body.layers.7.units=3"], "there is no network.body.layers.7"),
        (["network.shape.x=3"], "there is no network.shape.x"),
        (["training.seed.x=3"], "there is no training.seed.x"),
        (["network.shape=[784]"], "has 64 features: set shape = [64]"),
        (["network.body.layers.2.units=5"], "5 outputs, but digits has 10 classes: 0, 1, 2"),
        (["network.body.layers.2.units=9"], "9 outputs, but digits has 10 classes"),
        (["network.body.layers.2.units=11"], "11 outputs, but digits has 10 classes"),
        (["network.body.layers.0.units=1000000000000"], "parameters and their gradients need 6"),
        ([f"network.body.layers.0.units={10**17}"], "not enough memory: 7,500,000,000,000,000,010"),
        ([f"network.shape=[{10**23}]"], "network.shape.0 = 1000"),
        ([f"training.threads={10**30}"], "training.threads = 1000"),
        ([f"training.seed={'9' * 5000}"], "training.seed = '9999"),
        ([f"training.seed=0x{'9' * 5000}"], "training.seed = '0x9999"),
        (['network.loss.type="Huber"'], "digits has classes, but Huber judges numbers"),
        (
            ['training.checkpoints={folder="mine"}'],
            "training.checkpoints.folder = 'mine': a run keeps them in its own folder",
        ),
        (
            ['training.callbacks=[{type="Interruption"}]'],
            "training.callbacks.0.type = 'Interruption': unknown; known are ",
        ),
        (
            ['optimizer.rates={"body.layers.9.*"=0.0}'],
            "rates: no parameter is called 'body.layers.9",
        ),
        (
            ['optimizer.schedules={lr={type="CosineSchedule", warmup=5000}}'],
            "schedules.lr: CosineSchedule.warmup = 5000: should be less than the number of steps",
        ),
        (
            ['network.body.layers.1.type="BatchNorm"', "training.batch_size=4"],
            "BatchNorm needs at least 2 examples in a batch, but 1,437 examples in batches of 4",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    capsys: pytest.CaptureFixture[str], settings: list[str], reason: str
) -> None:
    arguments = [part for setting in settings for part in ("--set", setting)]
    said = refused(capsys, "train", DIGITS, *arguments)
    assert reason in said
    assert not Path("runs").exists()


def test_the_playground_begins_with_a_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(server: Server) -> None:
        start = server.start
        session = Session(start)
        assert session.handle({"do": "new", "state": start})["frame"]["step"] == 0
        network = Network.load(trained / "model.safetensors")
        np.testing.assert_array_equal(session.network.arena.values, network.arena.values)
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", stop)
    assert run("play", trained, "--no-browser") == 0


def test_files_and_folders_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "none.toml" in refused(capsys, "train", "none.toml")
    assert "is a folder" in refused(capsys, "train", ".")
    assert "not a run's folder" in refused(capsys, "evaluate", ".")
    assert "not a run's folder" in refused(capsys, "play", ".")
    assert "not a run's folder: it is a file" in refused(capsys, "evaluate", DIGITS)
    Path("model.safetensors").write_bytes(b"\xb0")
    assert "give the folder of its run" in refused(capsys, "show", "model.safetensors")
    for name, content in (
        ("a.csv", b"a,b\n1,2\n"),
        ("b.TSV.gz", b"\x1f\x8b"),
        ("c.parquet", b"PAR1"),
    ):
        Path(name).write_bytes(content)
        said = refused(capsys, "train", name)
        assert f"{name}: not a TOML file, but a table: layerkit init {name} --target COLUMN" in said
    assert "no train-images-idx3-ubyte" in refused(
        capsys, "train", EXPERIMENTS / "relu_sgd.toml", "--data-dir", "."
    )
    Path("file").write_text("")
    assert "file" in refused(capsys, "train", DIGITS, "--out", "file")
    assert "can't be made" in refused(capsys, "train", DIGITS, "--out", "file/run")


def test_a_run_without_a_model_is_not_evaluated(
    capsys: pytest.CaptureFixture[str], trained: Path
) -> None:
    Path("cut").mkdir()
    Path("cut/config.toml").write_bytes((trained / "config.toml").read_bytes())
    assert "has left no model.safetensors" in refused(capsys, "evaluate", "cut")
    text = (trained / "config.toml").read_text()
    Path("cut/config.toml").write_text(text.replace("units = 64", "units = 65"))
    Path("cut/model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    assert "differ" in refused(capsys, "evaluate", "cut")


def test_unroll_prints_source_of_files_and_runs(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, lines in [
        ((EXPERIMENTS / "sigmoid_momentum.toml",), ["x: examples (N, 784), uint8", "w -= v * lr"]),
        ((trained,), ["x: examples (N, 64), float32", "def train_step(x, t, w, g, v):"]),
        ((trained, "--predict"), ["def predict(x, W0, b0, W1, b1):"]),
        ((DIGITS, "--set", "training.class_weight=balanced"), ["a: sample weights (N,), float64"]),
        (
            (DIGITS, "--epoch", "--seed", "3"),
            ["for epoch in range(30):", "seed = np.random.SeedSequence(3, "],
        ),
    ]:
        assert run("unroll", *arguments) == 0
        said = capsys.readouterr().out
        for line in lines:
            assert line in said
    for setting, reason in [
        ('training.average={type = "EMA"}', "training.average: the source can't have it"),
        ("training.standardize_targets=true", "takes targets as they are"),
        ("training.gradient_accumulation_steps=2", "steps = 2: the source takes whole batches"),
    ]:
        assert reason in refused(capsys, "unroll", DIGITS, "--epoch", "--set", setting)
    lbfgs = 'optimizer={type = "LBFGS"}'
    assert f"{DIGITS}: LBFGS searches" in refused(capsys, "unroll", DIGITS, "--set", lbfgs)


def test_a_diverging_run_says_where_and_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--set", "optimizer.lr=1e30", "--set", "network.body.layers.1.type=ReLU")
    said = refused(capsys, "train", DIGITS, *arguments)
    assert "epoch 1: batch 2: the loss is nan" in said
    assert "in the output of body.layers.2 (Dense)" in said
    assert "Try a smaller learning rate" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "show this help message"),
        ("trian d.toml", "layerkit: error: unknown command 'trian'; did you mean 'train'?"),
        ("foo", "unknown command 'foo'; known are init, play, schema, train, "),
        ("--verson", "unknown option --verson; did you mean '--version'?"),
        ("train", "one of the arguments FILE --resume is required"),
        ("train d.toml --seed x", "argument --seed: invalid int value: 'x'"),
        ("train d.toml --sead 3", "layerkit train: error: unknown option --sead; did you mean"),
        ("train d.toml --see 3", "unknown option --see; did you mean '--seed'?"),
        ("train d.toml --epoch 3", "unknown option --epoch; did you mean --set training.epochs=…?"),
        ("lr-range d.toml --learning_rate=1", "did you mean --set optimizer.lr=…?"),
        (
            "evaluate run --frob",
            "unknown option --frob; known are --help, --import, --encoding, --data-dir",
        ),
        ("show a.toml b.toml 'c d'", "too many arguments: b.toml 'c d'"),
    ],
)
def test_wrong_usage_exits_with_status_2_and_a_suggestion(
    capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(arguments))
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert "usage: layerkit" in errors
    assert said in errors


def test_warnings_of_others_look_as_ever() -> None:
    before = warnings.formatwarning
    other = ("of my own", UserWarning, "f.py", 1)
    with telling_warnings():
        assert warnings.formatwarning(*other) == before(*other)
    assert warnings.formatwarning is before


@pytest.mark.processes
def test_warnings_are_told_in_the_form_of_the_other_messages() -> None:
    rng = np.random.default_rng(0)
    lines = [f"{1000 * a},{'xy'[int(a > 0)]}" for a in rng.normal(size=90)]
    Path("t.csv").write_text("\n".join(["a,kind", *lines]) + "\n")
    Path("v.csv").write_text("\n".join(["a,kind", *(f"{a},x" for a in range(9))]) + "\n")
    Path("own.toml").write_text(
        BODY.replace("[2]", "[1]").replace("units = 3", "units = 2")
        + '[data]\npath = "t.csv"\nlabel = "kind"\nvalidation = "v.csv"\n'
        '[training]\nepochs = 2\nmetrics = ["roc_auc"]\n'
        'callbacks = [{type = "EarlyStopping", monitor = "validation_roc_auc"}]\n'
    )
    words = [sys.executable, "-m", "layerkit", "train", "own.toml", "--out", "run"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stderr.splitlines()
    assert [line for line in said if not line.startswith("Epoch")] == [
        "layerkit: the inputs of body have a root mean square of 975, far from 1: put "
        "Standardize() before it",
        "layerkit: EarlyStopping.monitor = 'validation_roc_auc': is nan in epoch 1: the set may "
        "lack a class; epochs don't count until it is a number",
    ]


@pytest.mark.processes
@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
@pytest.mark.parametrize("seconds", [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_ctrl_c_while_python_imports_leaves_no_traceback(seconds: float) -> None:
    code = "import layerkit_command as c, sys; print('begun', flush=True); sys.exit(c.main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "train", DIGITS, "--set", "training.epochs=100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.02 + seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode in (-signal.SIGINT, 130)
    assert errors in ("", "layerkit: interrupted\n")


@pytest.mark.processes
@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_script_s_job_in_the_background_is_not_interrupted() -> None:
    command = f"{sys.executable} -m layerkit train {DIGITS} --set training.epochs=60 --out run"
    done = subprocess.run(
        ["sh", "-c", f"{command} & sleep 1; kill -INT $!; wait $!"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Epoch 60: " in done.stdout


@pytest.mark.processes
@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_ctrl_c_keeps_what_was_trained() -> None:
    command = f"-u -m layerkit train {DIGITS} --set training.epochs=100000 --out run".split()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Epoch 3:"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 130
    assert "Interrupted in epoch" in rest
    network = Network.load("run/model.safetensors")
    data = Data().load(seed=0)
    accuracy, loss = evaluate(network, data.test.x, data.test.t)
    assert accuracy > 0.8
    assert f"Test accuracy {accuracy:.4f}, test loss {loss:.4f}" in rest, "of what is kept"
    assert Path("run/curves.png").exists()


@pytest.mark.parametrize("loss", ["BinaryCrossEntropy", "Hinge", "SoftmaxCrossEntropy"])
def test_predict_names_the_classes_of_every_loss(
    capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)) + np.repeat([[-2.0, 0], [2.0, 0]], 100, axis=0)
    words = np.repeat(["left", "right"], 100)
    np.savez("points.npz", x=x, y=words)
    units = 2 if loss == "SoftmaxCrossEntropy" else 1
    Path("points.toml").write_text(f"""
[network]
shape = [2]
loss = {{type = "{loss}"}}
body = {{type = "Dense", units = {units}}}
[optimizer]
type = "Adam"
lr = 0.1
[data]
path = "points.npz"
[training]
batch_size = 20
""")
    assert run("train", "points.toml", "--out", "run") == 0
    assert Path("run/confusion.png").exists()
    capsys.readouterr()
    assert run("predict", "run", "points.npz") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    right = np.array([row["prediction"] for row in rows]) == words
    assert right.mean() > 0.9
    assert all(0.5 <= float(row.get("probability", 1)) <= 1 for row in rows)
    assert ("probability" in rows[0]) == (loss != "Hinge")


@pytest.mark.usefixtures("without_pictures")
def test_learning_rates_are_found_for_a_folder_of_arrays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    Path("points").mkdir()
    np.save("points/x.npy", x)
    np.save("points/y.npy", np.arange(60) % 3)
    Path("points.toml").write_text(BODY + '[data]\npath = "points"\n')
    assert run("lr-range", "points.toml") == 0
    assert "lr = " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "option", "reason"),
    [
        ("show", "--svg", "--svg a.foo: should end in .svg"),
        ("lr-range", "--out", "--out a.foo: should end in .png, .svg or .pdf"),
    ],
)
def test_pictures_of_unknown_kinds_are_refused_first(
    capsys: pytest.CaptureFixture[str], command: str, option: str, reason: str
) -> None:
    assert reason in refused(capsys, command, DIGITS, option, "a.foo")
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("without_pictures")
def test_large_features_of_a_csv_are_learned_in_float64_and_refused_in_float32(
    capsys: pytest.CaptureFixture[str],
) -> None:
    times = 1.7e9 + 10 * np.random.default_rng(0).normal(size=200)
    rows = [f"{time!r},{'late' if time > 1.7e9 else 'early'}" for time in times.tolist()]
    Path("times.csv").write_text("\n".join(["time,when", *rows]))
    Path("times.toml").write_text("""
[network]
shape = [1]
loss = {type = "SoftmaxCrossEntropy"}
[network.body]
type = "Sequential"
layers = [{type = "Standardize"}, {type = "Dense", units = 2}]
[optimizer]
type = "Adam"
lr = 0.1
[data]
path = "times.csv"
label = "when"
[training]
batch_size = 20
""")
    assert "float32 can't tell apart" in refused(capsys, "train", "times.toml")
    assert not Path("runs").exists()
    arguments = ("--set", "network.dtype=float64", "--out", "run")
    assert run("train", "times.toml", *arguments) == 0
    assert run("evaluate", "run") == 0
    assert float(capsys.readouterr().out.split("test: accuracy ")[1].split(",")[0]) > 0.9
