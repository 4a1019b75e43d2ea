"""The doctor: each disease is found, and nothing where there is none."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    BinaryCrossEntropy,
    Constant,
    CosineSchedule,
    Dense,
    Dropout,
    Layer,
    LeakyReLU,
    Loss,
    MeanSquaredError,
    Momentum,
    Network,
    Normal,
    Number,
    Optimizer,
    Record,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    Table,
    Tanh,
    diagnose,
    fit,
)
from layerkit.cli import main
from layerkit.inspection.doctor.diagnosis import Diagnosis

pytestmark = pytest.mark.filterwarnings("ignore::layerkit.training.scale.ScaleWarning")
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RNG = np.random.default_rng(0)
X = RNG.standard_normal((400, 5))
T = (X[:, 0] + X[:, 1] > 0).astype(int)
V = RNG.standard_normal((200, 5))
U = (V[:, 0] + V[:, 1] > 0).astype(int)
RANDOM = RNG.integers(0, 2, 400)
SHUFFLED = np.random.default_rng(1).permutation(T)
RARE = (X[:, 0] > 1.9).astype(int)
TWICE = np.repeat(X[:100], 4, axis=0)


def deep(units: int, count: int, activation: type[Layer], init: Any = None) -> list[Layer]:
    options = {} if init is None else {"init": init}
    return [layer for _ in range(count) for layer in (Dense(units, **options), activation())]


def treated(
    layers: list[Layer],
    x: Any = X,
    t: Any = T,
    optimizer: Optimizer | None = None,
    loss: Loss | None = None,
    epochs: int = 0,
    **training: Any,
) -> Diagnosis:
    """Diagnose a network of these layers and one for the outputs, perhaps after a training."""
    numbers = np.asarray(t).dtype.kind == "f"
    loss = loss or (MeanSquaredError() if numbers else SoftmaxCrossEntropy())
    layers = [*layers, Dense(1 if numbers or isinstance(loss, BinaryCrossEntropy) else 2)]
    shape = (len(x),) if isinstance(x, dict) else x.shape[1:]
    net, rule = Network(Sequential(layers), loss, shape=shape), optimizer or Adam(lr=0.01)
    training = {"batch_size": 40} | training
    records = fit(net, rule, x, t, epochs=epochs, **training) if epochs else []
    held_out = {name: training.get(name) for name in ("validation", "test")}
    weight = training.get("sample_weight")
    return diagnose(
        net, x, t, rule, sample_weight=weight, records=records, batch_size=40, **held_out
    )


HEALTHY: dict[str, Callable[[], Diagnosis]] = {
    "classes": lambda: treated(deep(16, 2, ReLU), epochs=8, test=(V, U)),
    "before": lambda: treated(deep(16, 2, Tanh), optimizer=SGD(lr=0.1)),
    "eight ReLUs": lambda: treated(deep(32, 8, ReLU), epochs=4, optimizer=Adam(lr=1e-3)),
    "binary": lambda: treated(deep(16, 1, Sigmoid), loss=BinaryCrossEntropy(), epochs=10),
    "numbers": lambda: treated(
        [Standardize(), *deep(16, 1, ReLU)],
        x=1000 * X,
        t=500 + 90 * X[:, 0],
        standardize_targets=True,
        epochs=15,
        test=(1000 * V, 500 + 90 * V[:, 0]),
    ),
    "a table": lambda: treated(
        [Table([Number("age"), Number("pay")]), *deep(8, 1, ReLU)],
        x={"age": 40 + 9 * X[:, 0], "pay": 5e4 + 1e4 * X[:, 1]},
        epochs=5,
    ),
    "dropout and decay": lambda: treated(
        [*deep(32, 1, ReLU), BatchNorm(), Dropout(0.5)],
        optimizer=AdamW(lr=0.01, weight_decay=0.01),
        epochs=8,
        validation=(V, U),
    ),
    "a schedule": lambda: treated(
        deep(16, 1, Tanh), optimizer=SGD(lr=1e-3, schedules={"lr": CosineSchedule()})
    ),
    "few values": lambda: treated(
        deep(8, 1, Tanh),
        x=1.0 * (X > 0),
        t=(X[:, 0] > 0).astype(int),
        epochs=8,
        test=(1.0 * (V > 0), (V[:, 0] > 0).astype(int)),
    ),
    "rare, weighted": lambda: treated(
        deep(8, 1, Tanh), t=RARE, sample_weight=np.where(RARE, 30.0, 1.0), epochs=8
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_networks_have_no_findings(name: str) -> None:
    found = HEALTHY[name]()
    assert found.findings == [], found
    assert "Nothing found." in repr(found)
    assert {check.mark for check in found.checks.values()} <= {"✓", "-"}


SICK: dict[str, tuple[Callable[[], Diagnosis], str, str]] = {
    "inputs": (lambda: treated(deep(8, 1, ReLU), x=[1, 1, 1, 1, 1e4] * X), "inputs", "feature 4"),
    "tiny inputs": (lambda: treated(deep(8, 1, ReLU), x=1e-4 * X), "inputs", "0.01"),
    "a column": (
        lambda: treated(
            [Table([Number("age"), Number("year")])], x={"age": X[:, 0], "year": 0 * T + 2024.0}
        ),
        "columns",
        "'year'",
    ),
    "targets": (lambda: treated(deep(8, 1, ReLU), t=1e4 * X[:, 0]), "targets near", "standardize"),
    "one class": (lambda: treated(deep(8, 1, ReLU), t=RARE), "classes", "of class 0"),
    "no example": (
        lambda: treated(deep(8, 1, ReLU), test=(V, 0 * U)),
        "classes",
        "No test example is of class 1",
    ),
    "labels": (lambda: treated(deep(8, 1, ReLU), x=TWICE, t=RANDOM), "equal rows", "right"),
    "leak": (lambda: treated(deep(8, 1, ReLU), test=(X[:90], T[:90])), "rows held", "100.0%"),
    "one unit": (lambda: treated(deep(8, 2, Tanh, init=Constant(0.1))), "units that", "copies"),
    "all zero": (lambda: treated([Dense(8, init=Constant(0.0)), ReLU()]), "dead", "8 of 8"),
    "dead": (
        lambda: treated([Dense(8, init=Constant(-0.1)), ReLU()], x=abs(X)),
        "dead units",
        "body.layers.1",
    ),
    "saturated": (
        lambda: treated([Dense(8, init=Normal(std=1000.0)), Tanh()]),
        "saturated units",
        "body.layers.1",
    ),
    "not finite": (
        lambda: treated([Dense(8, init=Constant(1e38)), ReLU()]),
        "values are finite",
        "body.layers.0",
    ),
    "vanishing": (lambda: treated(deep(8, 10, Sigmoid)), "gradients", "vanish"),
    "exploding": (
        lambda: treated(deep(16, 8, LeakyReLU, init=Normal(std=2.0))),
        "gradients",
        "explode",
    ),
    "high rate": (
        lambda: treated(deep(16, 1, Tanh), optimizer=SGD(lr=300.0)),
        "size of the steps",
        "too high",
    ),
    "huge step": (
        lambda: treated(deep(16, 1, Tanh), optimizer=Adam(lr=5.0), epochs=0),
        "size of the steps",
        "too high",
    ),
    "low rate": (
        lambda: treated(deep(16, 1, Tanh), optimizer=SGD(lr=1e-6), epochs=3),
        "size of the steps",
        "too low",
    ),
    "lower than rounding": (
        lambda: treated(deep(16, 1, Tanh), optimizer=SGD(lr=1e-12)),
        "size of the steps",
        "by more than 0 of their size",
    ),
    "shuffled": (
        lambda: treated(deep(64, 1, ReLU), t=SHUFFLED, epochs=60, test=(V, U)),
        "targets belong",
        "knows training examples by heart, and nothing about others: its accuracy is",
    ),
    "shuffled, not learned": (
        lambda: treated(deep(16, 1, Tanh), optimizer=SGD(lr=1e-6), epochs=1, t=SHUFFLED),
        "targets belong",
        "with the target of the nearest example as the answer, the accuracy is",
    ),
    "shuffled numbers": (
        lambda: treated(
            deep(64, 1, ReLU), t=X[::-1, 0] + 0.0, epochs=60, validation=(V, V[:, 0] + 0.0)
        ),
        "targets belong",
        "its correlation is",
    ),
    "nothing learned": (
        lambda: treated(deep(16, 1, Tanh), optimizer=SGD(lr=1e-6), epochs=3, t=RANDOM),
        "loss",
        "After 3 epochs hardly anything is learned",
    ),
    "too sure": (
        lambda: treated([], t=T ^ (X[:, 2] > 1.5), optimizer=SGD(lr=90.0), epochs=4),
        "loss",
        "too sure",
    ),
    "first loss": (
        lambda: treated([Dense(16, init=Normal(std=30.0)), ReLU()]),
        "loss",
        "before the training",
    ),
    "most frequent": (
        lambda: treated(deep(8, 1, Tanh), t=RARE, optimizer=SGD(lr=0.001), epochs=2),
        "accuracy",
        "always class 0",
    ),
    "overfit": (
        lambda: treated(
            deep(128, 2, ReLU), t=RANDOM, epochs=60, test=(V, RNG.integers(0, 2, len(V)))
        ),
        "as good",
        "overfits",
    ),
    "overfit numbers": (
        lambda: treated(
            deep(128, 2, ReLU),
            t=RNG.standard_normal(400),
            epochs=60,
            validation=(V, RNG.standard_normal(len(V))),
        ),
        "as good",
        "overfits",
    ),
    "dropout": (
        lambda: treated([*deep(16, 1, ReLU), Dropout(0.95)], epochs=3),
        "regularization",
        "drops 95%",
    ),
    "decay": (
        lambda: treated(deep(16, 1, ReLU), optimizer=SGD(lr=0.1, weight_decay=1.0), epochs=15),
        "regularization",
        "has shrunk",
    ),
}


@pytest.mark.parametrize("name", SICK)
def test_each_disease_is_found(name: str) -> None:
    make, where, says = SICK[name]
    found = make()
    (check,) = [check for known, check in found.checks.items() if known.startswith(where)]
    assert check.mark == "✗", found
    assert any(says in str(finding) for finding in check.findings), found
    for finding in found.findings:
        assert "limit" in finding.sentence or finding.limit == 0 or finding.severity == 1


@pytest.mark.parametrize(
    ("x", "t", "looked"),
    [
        (X, 0 * T, False),  # nothing to know
        (X[:50], SHUFFLED[:50], False),  # too few
        (np.repeat(X[:, None], 3, axis=1), np.repeat(T[:, None], 3, axis=1), True),
    ],
    ids=["constant", "few", "sequences"],
)
def test_what_can_not_be_known_of_targets_is_no_finding(x: Any, t: Any, looked: bool) -> None:
    found = treated([], x=x, t=t, optimizer=SGD(lr=1e-6), epochs=1)
    check = found.checks["targets belong to inputs"]
    assert (check.findings, check.looked) == ([], looked), found


@pytest.mark.parametrize("weights", [None, "balanced"])
@pytest.mark.parametrize(
    ("rare", "examples", "shuffled", "mark"),
    [
        (0.12, 1000, False, "✓"),
        (0.05, 1000, False, "✓"),
        (0.02, 400, False, "-"),  # too few of class 1 to tell
        (0.12, 1000, True, "✗"),
        (0.3, 400, True, "✗"),
    ],
)
def test_rare_classes_count_as_much_as_others(
    rare: float, examples: int, shuffled: bool, mark: str, weights: str | None
) -> None:
    rng = np.random.default_rng(3)
    t = (rng.random(examples + 300) < rare).astype(int)
    x = rng.standard_normal((len(t), 6)) + 0.45 * t[:, None]
    t = rng.permutation(t) if shuffled else t
    ours, new = slice(examples), slice(examples, None)
    found = treated(
        deep(16, 1, ReLU),
        x[ours],
        t[ours],
        Adam(lr=1e-3),
        epochs=8,
        test=(x[new], t[new]),
        class_weight=weights,
    )
    check = found.checks["targets belong to inputs"]
    assert check.mark == mark, check


def test_examples_held_out_of_one_class_tell_nothing() -> None:
    found = treated(deep(64, 1, ReLU), t=SHUFFLED, epochs=60, test=(V, 0 * U))
    assert not found.checks["targets belong to inputs"].looked


def test_a_huge_loss_is_told_in_a_short_number() -> None:
    net = Network(Sequential([Dense(8), ReLU(), Dense(2)]), SoftmaxCrossEntropy(), shape=(5,))
    records = fit(net, SGD(lr=0.1), X, T, epochs=1)
    net.arena.values *= 1e4
    found = diagnose(net, X, T, records=records).checks["regularization"].summary
    assert re.fullmatch(r"loss \S{5,8} times the best constant answer's, limit 50%", found)


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([0.5, 0.3, 0.2, 0.1], ""),
        ([0.5, 0.1, 0.3, 0.6], "it was 0.1 after epoch 2, and is 0.6 now"),
        ([0.9, 0.2, 0.4, 0.2, 0.4, 0.2, 0.4, 0.25], "goes up and down: it rises in 3 of 7"),
        ([0.5, 0.001, 0.003], ""),
    ],
)
def test_a_history_is_read(losses: list[float], says: str) -> None:
    records = [Record.of(i, 0.0, {"train_loss": x}) for i, x in enumerate(losses, 1)]
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(5,))
    check = diagnose(net, X, T, records=records).checks["training loss falls"]
    assert [says in str(finding) for finding in check.findings] == [True] * bool(says)


def test_network_and_optimizer_stay_as_they_are() -> None:
    net = Network(
        Sequential([Dense(4), Dropout(0.5), BatchNorm(), Dense(2)]),
        SoftmaxCrossEntropy(),
        shape=(5,),
    )
    rule = Momentum(lr=0.1)
    fit(net, rule, X, T, epochs=1)
    before = [net.arena.values.copy(), net.arena.states.copy(), net.arena.grads.copy(), rule.t]
    diagnose(net, X, T, rule)
    after = [net.arena.values, net.arena.states, net.arena.grads, rule.t]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "layerkit.runs.plots.run", None)  # drawing takes longer
        for name in ("digits", "residual"):
            file = str(EXPERIMENTS / f"{name}.toml")
            epochs = ["--set", "training.epochs=5"]
            assert main(["train", file, *epochs, "--out", str(folder / name)]) == 0
    return folder


@pytest.mark.parametrize("name", ["digits", "residual"])
def test_the_command_finds_nothing_in_a_healthy_run(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(runs / name)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("1,437 training examples, 360 test examples, 5 epochs of training")
    assert said.out.endswith("Nothing found.\n")
    assert said.err == ""


def test_the_command_takes_files_too(capsys: pytest.CaptureFixture[str]) -> None:
    sick = ["--set", "optimizer.lr=3000", "--set", "network.body.layers.1.type=ReLU"]
    assert main(["doctor", str(EXPERIMENTS / "digits.toml"), *sick]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no epoch of training yet" in said
    assert "✗ size of the steps" in said
    assert re.search(r"1\. .* raise the loss .*\. The learning rate is too high", said)


def test_a_history_that_is_damaged_is_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = runs / "digits" / "history.csv"
    text = history.read_text()
    history.write_text("epoch,seconds\n1,x\n")
    assert main(["doctor", str(runs / "digits")]) == 1
    assert "history.csv: can't be read" in capsys.readouterr().err
    history.write_text(text)


def test_a_notebook_shows_a_table() -> None:
    page = diagnose(Network(Dense(2), SoftmaxCrossEntropy(), shape=(5,)), 1e4 * X, T)._repr_html_()
    assert '<td style="text-align: left">✗</td>' in page
    assert "Standardize()" in page
