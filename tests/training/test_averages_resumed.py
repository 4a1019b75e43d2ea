"""Checkpoints of a training with averages, while the network has the average and while not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    SWA,
    Adam,
    Array,
    Average,
    BatchNorm,
    Checkpoints,
    Dense,
    Dropout,
    Network,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    train,
)
from layerkit.callbacks import Callback
from layerkit.progress import Progress
from layerkit.training.averaging import AveragedWeights

X = np.random.default_rng(0).normal(size=(14, 3)).astype(np.float32)
T = np.arange(14) % 3
BATCHES, STEPS = 4, 12
AVERAGES: list[Average] = [EMA(0.8), EMA(0.0), SWA(start=0.3), SWA(start=0.5, every=3)]


def network() -> Network:
    body = Sequential([Dense(4), BatchNorm(), Dropout(0.3), Dense(3)])
    return Network(body, SoftmaxCrossEntropy(), shape=(3,)).initialize(1)


class Course(Callback):
    """Keeps what the network has after each step, and leaves the training after one of them."""

    until: int = 0

    def train_begin(self, progress: Progress) -> None:
        self.w: list[Array] = []
        self.states: list[Array] = []

    def batch_end(self, progress: Progress) -> None:
        self.w.append(progress.network.arena.values.copy())
        self.states.append(progress.network.arena.states.copy())
        if progress.step == self.until:
            progress.pause("a test")


def run(folder: Path, average: Average, until: int = 0) -> tuple[Network, Course]:
    net, course = network(), Course(until)
    options: Any = {"epochs": 3, "batch_size": 4, "average": average, "callbacks": [course]}
    fit(net, Adam(lr=0.05), X, T, checkpoints=Checkpoints(folder), resume=True, **options)
    return net, course


def averages(average: Average, w: list[Array]) -> list[Array]:
    """The average after each step, by its formula."""
    a, found = np.zeros(w[0].shape), []
    for step, values in enumerate(w):
        a = a + average.share(step, STEPS) * (values - a)
        found.append(a)
    return found


@pytest.mark.parametrize("average", AVERAGES, ids=repr)
@pytest.mark.parametrize("step", [1, 4, 5, 8, 11])
def test_what_a_checkpoint_has_of_both(average: Average, step: int, tmp_path: Path) -> None:
    """After an epoch the network has the average, within one its own weights."""
    whole, course = run(tmp_path / "whole", average)
    left, _ = run(tmp_path / "parts", average, until=step)
    tree = Checkpoints(tmp_path / "parts").load().tree
    saved, kept = tree["network"], tree["attendants"]["AveragedWeights"]
    assert (kept["step"], kept["shown"]) == (step, step % BATCHES == 0)
    for name, w in (("values", course.w), ("states", course.states)):
        a = averages(average, w)[step - 1]
        own, mean = (saved[name], kept[name])[:: -1 if kept["shown"] else 1]
        np.testing.assert_array_equal(own, w[step - 1])
        np.testing.assert_allclose(mean, a, rtol=1e-5, atol=1e-6)
        # who leaves a training has the average in any case
        np.testing.assert_array_equal(getattr(left.arena, name), mean)
    resumed, _ = run(tmp_path / "parts", average)
    np.testing.assert_array_equal(resumed.arena.values, whole.arena.values)
    np.testing.assert_array_equal(resumed.arena.states, whole.arena.states)


@pytest.mark.parametrize("shown", [False, True])
def test_the_state_of_an_average_is_taken_back_in_both_states(shown: bool) -> None:
    def averaged(net: Network) -> AveragedWeights:
        trainer = train(net, Adam(), X, T, average=EMA(0.5))
        (found,) = [part for part in trainer.attendants if isinstance(part, AveragedWeights)]
        return found

    net, rng = network(), np.random.default_rng(0)
    first, trainer = averaged(net), train(network(), Adam(), X, T)
    for _ in range(2):
        net.arena.values[...] = rng.normal(size=net.arena.values.shape)
        first.step_end(trainer)
    if shown:
        first.epoch_trained(trainer)
    w, state = net.arena.values.copy(), first.state_dict()
    assert state["shown"] == shown
    twin = network()
    second = averaged(twin)
    twin.arena.values = w
    second.load_state_dict(state)
    for part, of in ((first, net), (second, twin)):
        kept = part.state_dict()
        part.epoch_begin(trainer)
        assert not part.shown
        of.arena.values += 1.0
        part.step_end(trainer)
        part.epoch_trained(trainer)
        part.epoch_trained(trainer)
        assert part.shown
        np.testing.assert_array_equal(kept["values"], state["values"])
    np.testing.assert_array_equal(net.arena.values, twin.arena.values)
    assert (net.arena.values != w).any()


def test_a_state_shares_nothing() -> None:
    trainer = train(network(), Adam(), X, T, epochs=2, batch_size=4, average=EMA(0.5))
    states = []
    for _ in trainer:
        states.append(trainer.state_dict()["attendants"]["AveragedWeights"])
    assert (states[0]["values"] != states[1]["values"]).any()
    assert [state["step"] for state in states] == [4, 8]
