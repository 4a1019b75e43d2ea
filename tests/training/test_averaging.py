"""Averages of the weights, and the network that is evaluated with them."""

from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    SGD,
    SWA,
    ConfigError,
    Dense,
    Network,
    SoftmaxCrossEntropy,
    Training,
    evaluate,
    fit,
    from_config,
    train,
)
from layerkit.callbacks import Callback
from layerkit.progress import Progress
from layerkit.training.averaging import AveragedWeights

X = np.random.default_rng(0).normal(size=(40, 3))
T = (X[:, 0] > 0).astype(int)


def network() -> Network:
    return Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,), dtype="float64")


def path(steps: int) -> list[np.ndarray[Any, Any]]:
    """The weights after each step of a training in one batch."""
    net, optimizer, weights = network(), SGD(lr=0.5), []
    for _ in range(steps):
        net.gradient(X, T)
        optimizer.step(net.arena.values, net.arena.grads)
        weights.append(net.arena.values.copy())
    return weights


def test_swa_is_the_mean_of_the_last_weights() -> None:
    net = network()
    fit(net, SGD(lr=0.5), X, T, epochs=8, batch_size=40, average=SWA(start=0.5, every=2))
    w = path(8)
    assert np.allclose(net.arena.values, (w[4] + w[6]) / 2, rtol=1e-12)


def test_ema_is_the_recursion_after_its_plain_mean() -> None:
    net = network()
    fit(net, SGD(lr=0.5), X, T, epochs=5, batch_size=40, average=EMA(decay=0.75))
    w = path(5)
    a = sum(w[:4]) / 4
    assert np.allclose(net.arena.values, 0.75 * a + 0.25 * w[4], rtol=1e-12)


def test_training_goes_on_with_the_weights_and_records_are_of_the_average() -> None:
    net, w = network(), path(3)
    means = [w[0], (w[0] + w[1]) / 2, (w[0] + w[1] + w[2]) / 3]
    records = train(net, SGD(lr=0.5), X, T, epochs=3, batch_size=40, average=EMA(decay=0.99))
    for record, mean in zip(records, means, strict=True):
        assert np.allclose(net.arena.values, mean, rtol=1e-12)
        assert (record.train_accuracy, record.train_loss) == evaluate(net, X, T)


def test_leaving_the_loop_keeps_the_average() -> None:
    net, w = network(), path(2)
    for record in train(net, SGD(lr=0.5), X, T, epochs=9, batch_size=40, average=EMA(decay=0.9)):
        if record.epoch == 2:
            break
    assert np.allclose(net.arena.values, (w[0] + w[1]) / 2, rtol=1e-12)


def test_a_training_that_is_cut_off_leaves_the_average() -> None:
    net, w = network(), path(2)

    class StopError(Exception):
        pass

    steps = iter(range(10))

    class Stops(Callback):
        def batch_end(self, progress: Progress) -> None:
            if next(steps) == 1:
                raise StopError

    options: Any = {"epochs": 9, "batch_size": 40, "average": EMA(decay=0.9)}
    records = train(net, SGD(lr=0.5), X, T, **options, callbacks=[Stops()])
    with pytest.raises(StopError):
        list(records)
    assert np.allclose(net.arena.values, (w[0] + w[1]) / 2, rtol=1e-12)


def test_states_are_averaged_too() -> None:
    net, trainer = network(), train(network(), SGD(), X, T)
    vars(net.arena)["states"] = np.array([1.0])
    averaged = AveragedWeights(net.arena, EMA(decay=0.9), steps=2)
    for value in (2.0, 4.0):
        net.arena.states[:] = value
        averaged.step_end(trainer)
    averaged.epoch_trained(trainer)
    assert net.arena.states.tolist() == [3.0]
    averaged.epoch_begin(trainer)
    assert net.arena.states.tolist() == [4.0]


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"decay = 1\.0: should be less than 1"):
        EMA(decay=1.0)
    with pytest.raises(ConfigError, match=r"start = 1\.0: should be less than 1"):
        SWA(start=1.0)
    with pytest.raises(ConfigError, match="average = 'EMA': should be of type Average"):
        Training(average="EMA")  # type: ignore[arg-type]
    training = from_config({"average": {"type": "EMA", "decay": 0.5}}, Training)
    assert training.average == EMA(decay=0.5)
