"""Profiles: what the operations of a step cost."""

import re
from pathlib import Path

import numpy as np
import pytest

import layerkit.recording.costs
from layerkit import (
    LBFGS,
    SGD,
    Adam,
    Dense,
    Dropout,
    Identity,
    MeanSquaredError,
    Network,
    RecordingError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Take,
    profile,
    record,
)
from layerkit.cli import main
from layerkit.recording.costs import byte_rate, product_rate, work

DIGITS = Path(__file__).parents[2] / "experiments" / "digits.toml"
X, T = np.random.default_rng(0).random((7, 5), np.float32), np.array([0, 1, 1, 0, 1, 0, 0])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for no longer than it takes to repeat things three times."""
    monkeypatch.setattr(layerkit.recording.costs, "SECONDS", 0.0)


def small() -> Network:
    body = Sequential([Dense(4), ReLU(), Dropout(0.5), Identity(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(5,))


def test_products_and_new_arrays_are_counted() -> None:
    found = profile(small(), X, T, SGD(lr=0.1))
    costs = {(phase, address): cost for phase, address, cost in found.layers()}
    first, last = 2 * 7 * 5 * 4, 2 * 7 * 4 * 2
    products = {place: cost.products for place, cost in costs.items() if cost.products}
    assert products == {
        ("forward", "body.layers.0"): first,
        ("forward", "body.layers.4"): last,
        ("backward", "body.layers.4"): 2 * last + 2 * 7 * 2,  # dW, dx, db
        ("backward", "body.layers.0"): first + 2 * 7 * 4,
    }
    assert found.total.products == sum(products.values())
    forward = costs["forward", "body.layers.0"]
    assert forward.made == 7 * 4 * 4
    assert forward.moved == 4 * (7 * 5 + 5 * 4 + 7 * 4 + 7 * 4 + 4 + 7 * 4)
    assert costs["optimizer", "optimizer"].made == 0
    assert found.limit == found.total.products / found.product_rate
    assert found.kept == 2 * 4 * (5 * 4 + 4 + 4 * 2 + 2)


def test_views_cost_nothing_and_taken_rows_only_themselves() -> None:
    net = Network(Sequential([Take([1, 0]), Dense(2)]), SoftmaxCrossEntropy(), shape=(5,))
    program = record(net, X, T, SGD(lr=0.1))
    done = {(op.name, op.phase): work(op, 7) for op in program.ops}
    assert done["transpose", "backward"] == (0, 0, 0, 0)
    flops, moved, made, _ = done["take", "forward"]
    assert (flops, made) == (0, 7 * 2 * 4)
    assert moved == 2 * made + 2 * 8


def test_all_is_measured_and_nothing_is_changed() -> None:
    net, optimizer = small(), Adam()
    rng = dict(net.layers())["body.layers.2"].rng
    before, state = net.arena.values.copy(), rng.bit_generator.state
    found = profile(net, X, T, optimizer, sample_weight=np.ones(7))
    np.testing.assert_array_equal(net.arena.values, before)
    assert rng.bit_generator.state == state
    assert optimizer.t == 0
    assert found.seconds > 0
    assert sum(cost.seconds > 0 for _, cost in found.costs) > len(found.costs) / 2
    assert {"draw"} <= {op.kind for op, _ in found.costs}


def test_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layerkit.recording.costs, "SLOWEST", 1000)
    text = str(profile(small(), X, T, SGD(lr=0.1)))
    assert re.match(r"A step of 7 examples takes [\d,]+ µs. Its \d+ operations of NumPy", text)
    rows = [line.split() for line in text.split("\n")]
    places = [row[:2] for row in rows if row and row[0] in ("forward", "backward")]
    assert places[:3] == [["forward", f"body.layers.{i}"] for i in (0, 1, 2)]
    assert "total" in text
    assert re.search(r"dot \(7, 5\) \(5, 4\) +forward +body.layers.0 +y = product", text)
    assert re.search(r"limit: [\d,]+ µs if only the matrix products took time, at the \d", text)


def test_only_lines_of_the_parts_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layerkit.recording.costs, "SLOWEST", 1000)
    net = Network(Dense(1), MeanSquaredError(), shape=(5,))
    net.targets.check(T.astype(float), 7, learn=True, standardize=True)
    text = str(profile(net, X, T.astype(float), SGD(lr=0.1)))
    assert re.search(r"dot \(7, 5\) \(5, 1\) +forward +body +y = product", text)
    assert "profile(" not in text
    assert re.search(r"truediv \(\) +loss +loss\n", text)


def test_the_machine_is_measured() -> None:
    assert product_rate("float64", n=64) > 1e6
    assert byte_rate("float32", 10**5) > 1e6


def test_what_cannot_be_recorded_is_refused() -> None:
    with pytest.raises(RecordingError, match="LBFGS searches"):
        profile(small(), X, T, LBFGS())


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 0, "A step of 32 examples takes"),
        (["--set", "training.batch_size=5"], 0, "A step of 5 examples takes"),
        (["--set", 'optimizer={type="LBFGS"}'], 1, "digits.toml: LBFGS searches"),
        (["--set", "training.batch_size=0"], 1, "batch_size"),
        (["--set", 'training.engine="compiled"'], 0, "the compiled engine of this training needs"),
    ],
)
def test_the_command(
    words: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(DIGITS), *words]) == status
    found = capsys.readouterr()
    assert says in (found.err if status else found.out)
