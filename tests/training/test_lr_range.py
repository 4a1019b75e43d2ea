import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LBFGS,
    SGD,
    Adam,
    ConfigError,
    CosineSchedule,
    DataError,
    Dense,
    DivergenceError,
    Momentum,
    Network,
    Optimizer,
    ReLU,
    Rprop,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    to_config,
)
from layerkit.cli import main
from layerkit.runs.plots import rate_range
from layerkit.training.lr_range import RateRange, lr_range

DIGITS = Path(__file__).parents[2] / "experiments" / "digits.toml"
X = np.random.default_rng(0).normal(size=(300, 5))
T = (X[:, 0] * X[:, 1] > 0).astype(int)


def network() -> Network:
    body = Sequential([Dense(20), ReLU(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(5,), dtype="float64")


def test_rates_grow_by_a_constant_factor() -> None:
    found = lr_range(network(), SGD(), X, T, low=1e-3, high=0.1, steps=5)
    np.testing.assert_allclose(found.rates, [1e-3, 10**-2.5, 1e-2, 10**-1.5, 0.1])
    assert found.limit is None


def test_each_step_is_one_of_the_optimizer_at_its_rate() -> None:
    """With all examples in each batch there is no chance in it."""
    found = lr_range(network(), Momentum(), X, T, low=0.1, high=1.0, steps=6, batch_size=300)
    twin, optimizer, losses = network(), Momentum(), []
    for rate in found.rates:
        losses.append(twin.gradient(X, T))
        optimizer.lr = rate
        optimizer.step(twin.arena.values, twin.arena.grads)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-12)


def test_network_and_optimizer_are_left_as_they_are() -> None:
    net, optimizer = network(), Adam(lr=0.1, schedules={"lr": CosineSchedule(steps=9)})
    net.gradient(X, T)
    optimizer.step(net.arena.values, net.arena.grads)
    before = copy.deepcopy((net.arena.values, net.arena.grads, optimizer.t, optimizer.memory))
    table = to_config(optimizer)
    lr_range(net, optimizer, X, T, steps=20)
    np.testing.assert_equal((net.arena.values, net.arena.grads), before[:2])
    assert (optimizer.t, to_config(optimizer)) == (before[2], table)
    np.testing.assert_equal(optimizer.memory, before[3])


def test_lr_and_schedules_do_not_matter_but_other_options_do() -> None:
    plain = lr_range(network(), Adam(), X, T, steps=50)
    schedule = CosineSchedule(warmup=1000)
    scheduled = Adam(lr=5.0, schedules={"lr": schedule, "beta1": schedule})
    assert lr_range(network(), scheduled, X, T, steps=50) == plain
    assert lr_range(network(), Adam(beta1=0.5), X, T, steps=50) != plain


def test_the_seed_chooses_the_batches() -> None:
    runs = [lr_range(network(), SGD(), X, T, batch_size=10, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0].losses != runs[2].losses


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=repr)
def test_the_suggestion_is_a_rate_to_learn_at(optimizer: Optimizer, seed: int) -> None:
    """Though batches of 30 examples are noisy: their losses fall fastest where lr is tiny."""
    found = lr_range(network(), optimizer, X, T, batch_size=30, seed=seed)
    assert found.limit
    assert found.suggestion
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 200
    assert np.isfinite(found.losses).all()

    def loss_at(rate: float) -> float:
        """After as many steps as the test has at most."""
        net, table = network(), to_config(optimizer) | {"lr": rate}
        mover = type(optimizer)(**{name: table[name] for name in table if name != "type"})
        for i in range(200):
            rows = slice(i * 30 % 300, i * 30 % 300 + 30)
            with np.errstate(all="ignore"):
                net.backpropagate(X[rows], T[rows])
            mover.step(net.arena.values, net.arena.grads)
        with np.errstate(all="ignore"):
            return net.gradient(X, T)

    suggested = loss_at(found.suggestion)
    assert suggested < 0.5 * found.losses[0]
    assert suggested < loss_at(found.suggestion / 1000)
    assert not suggested > loss_at(2 * found.limit)


def test_a_loss_that_becomes_infinite_is_the_limit() -> None:
    x = 1e150 * X
    found = lr_range(network(), SGD(), x, T, low=1e150, high=1e300, steps=20)
    assert found.limit == found.rates[-1] * (1e150) ** (1 / 19)
    assert np.isfinite(found.losses).all()


def test_what_it_says() -> None:
    found = RateRange([0.1, 0.2, 0.4], [3, 2, 1], [3, 2, 1], 0.1, None)
    assert str(found) == (
        "The loss falls fastest at lr = 0.1. It does not diverge up to lr = 0.4. "
        "Try lr = 0.1 first."
    )
    assert str(found._replace(limit=0.8)) == (
        "The loss falls fastest at lr = 0.1. It diverges at lr = 0.8. Try lr = 0.08 first."
    )
    assert str(found._replace(steepest=None)) == (
        "The loss does not fall between lr = 0.1 and 0.4. It does not diverge up to lr = 0.4."
    )


def test_chance_is_not_learning() -> None:
    found = lr_range(network(), SGD(), X, T, low=1e-9, high=1e-7)
    assert found.steepest is found.suggestion is found.limit is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.0}, "low = 0.0"),
        ({"low": 2.0, "high": 1.0}, "the lower one first"),
        ({"high": math.inf}, "high = inf"),
        ({"low": math.nan}, "low = nan"),
        ({"steps": 1}, "at least 2 steps"),
        ({"steps": 2.5}, "steps = 2.5: should be .* a whole number of at least 2 steps"),
        ({"low": "a"}, "low = 'a', .*: should be positive rates"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lr_range(network(), SGD(), X, T, **options)


class NoRate(Optimizer):
    def update(self, w: Any, g: Any, *slots: Any) -> None:
        w -= g


def test_what_can_not_be_tested_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"NoRate\(\): has no learning rate"):
        lr_range(network(), NoRate(), X, T)
    with pytest.raises(ConfigError, match=r"should be of type Optimizer, such as SGD\(\)"):
        lr_range(network(), SGD, X, T)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="examples have shape"):
        lr_range(network(), SGD(), X[:, :3], T)
    with pytest.raises(DataError, match="300 examples with targets"):
        lr_range(network(), SGD(), X, T[:5])
    net = network()
    net.arena.values = np.full(net.arena.values.shape, 1e200)
    with pytest.raises(DivergenceError, match=r"first value that is not finite is in the output"):
        lr_range(net, SGD(), X, T)


def test_the_picture_shows_what_was_found() -> None:
    found = RateRange([0.1, 1.0, 10.0], [3, 2, 9], [3, 2.5, 2.8], 0.1, 20.0)
    axes = rate_range(found).axes[0]
    assert axes.get_xscale() == "log"
    lines = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.lines}
    assert lines["loss of a batch"] == found.losses
    assert lines["smoothed"] == found.smoothed
    assert [float(np.asarray(line.get_xdata())[0]) for line in axes.lines[2:]] == [0.1, 20.0]
    assert len(rate_range(found._replace(steepest=None, limit=None)).axes[0].lines) == 2


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lr-range", str(DIGITS), "--set", "training.batch_size=64"]) == 0
    said = capsys.readouterr().out
    assert "digits: 1,437 training examples" in said
    assert "   1e-05  2." in said
    assert "The loss falls fastest at lr = " in said
    assert "In digits-lr-range.png" in said
    assert (tmp_path / "digits-lr-range.png").read_bytes().startswith(b"\x89PNG")
    assert main(["lr-range", str(DIGITS), "--seed", "5", "--out", "other.png"]) == 0
    assert capsys.readouterr().out != said
    assert (tmp_path / "other.png").exists()
    assert main(["lr-range", str(DIGITS), "--out", "nowhere/other.png"]) == 1
    assert "nowhere/other.png: can't be written" in capsys.readouterr().err


def test_the_command_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "layerkit.runs.plots.figures", None)
    assert main(["lr-range", str(DIGITS)]) == 0
    said = capsys.readouterr().out
    assert "No picture without matplotlib" in said
    assert "The loss falls fastest at lr = " in said
    assert not list(tmp_path.iterdir())


def test_an_optimizer_whose_lr_is_no_rate_is_refused() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))
    with pytest.raises(ConfigError, match="lr: would have no effect"):
        lr_range(net, Rprop(), np.ones((20, 2)), np.arange(20) % 2)
    with pytest.raises(ConfigError, match="LBFGS searches for the length"):
        lr_range(net, LBFGS(), np.ones((20, 2)), np.arange(20) % 2)
