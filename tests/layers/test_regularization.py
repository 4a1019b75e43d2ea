import copy
import math
from typing import Any

import numpy as np
import pytest

from layerkit import (
    AlphaDropout,
    Array,
    ConfigError,
    Dense,
    Dropout,
    GaussianNoise,
    HeNormal,
    Layer,
    Network,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
)

NOISES: list[Layer] = [Dropout(0.3), AlphaDropout(0.2), GaussianNoise(0.5)]
X = np.random.default_rng(1).normal(size=(500, 400))


def seeded(layer: Layer, seed: int = 0) -> Any:
    layer = copy.deepcopy(layer)
    layer.rng = np.random.default_rng(seed)
    return layer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_this_share_and_scales_the_rest(rate: float, dtype: str) -> None:
    layer, x = seeded(Dropout(rate)), X.astype(dtype)
    y = layer.forward(x)
    kept = y != 0
    # four standard deviations of a share of 200,000
    assert abs(1 - kept.mean() - rate) <= 4 * math.sqrt(rate * (1 - rate) / X.size)
    np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-6)
    dy = np.full_like(x, 3)
    np.testing.assert_allclose(layer.backward(dy), np.where(kept, 3 / (1 - rate), 0), rtol=1e-6)


def test_dropout_drops_every_number_by_itself() -> None:
    dropped = seeded(Dropout(0.5)).forward(np.ones((400, 400))) == 0
    for correlated in (np.corrcoef(dropped), np.corrcoef(dropped.T)):
        assert abs(correlated - np.eye(400)).max() < 6 / math.sqrt(400)


def test_a_rate_of_0_changes_nothing() -> None:
    np.testing.assert_array_equal(seeded(Dropout(0.0)).forward(X), X)
    np.testing.assert_allclose(seeded(AlphaDropout(0.0)).forward(X), X, rtol=1e-15)
    np.testing.assert_array_equal(seeded(GaussianNoise(0.0)).forward(X), X)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    y = seeded(AlphaDropout(rate)).forward(X)
    assert y.mean() == pytest.approx(0, abs=0.015)
    assert y.var() == pytest.approx(1, abs=0.03)
    lowest, count = np.unique(y, return_counts=True)
    assert count.max() / y.size == pytest.approx(rate, abs=0.005)
    # the affine map of the value that SELU tends to
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    q, s = 1 - rate, -alpha * scale
    a = (q + s**2 * q * (1 - q)) ** -0.5
    assert lowest[count.argmax()] == pytest.approx(a * s - a * (1 - q) * s, rel=1e-12)


def test_the_noise_is_gaussian() -> None:
    layer = seeded(GaussianNoise(0.5))
    noise = layer.forward(X) - X
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.std() == pytest.approx(0.5, abs=0.005)
    assert np.mean(abs(noise) < 0.5) == pytest.approx(0.6827, abs=0.005)
    np.testing.assert_array_equal(layer.backward(X), X)


@pytest.mark.parametrize("layer", NOISES, ids=repr)
def test_predictions_are_not_disturbed_and_can_be_differentiated(layer: Layer) -> None:
    noise = seeded(layer)
    noise.forward(X)
    np.testing.assert_array_equal(noise.forward(X, train=False), X)
    np.testing.assert_array_equal(noise.backward(X), X)


@pytest.mark.parametrize("layer", NOISES, ids=repr)
def test_the_generator_decides_and_every_batch_is_another(layer: Layer) -> None:
    one, same, other = seeded(layer), seeded(layer), seeded(layer, seed=1)
    x: Array = np.ones((10, 20))
    first, second = one.forward(x), one.forward(x)
    np.testing.assert_array_equal(same.forward(x), first)
    assert not np.array_equal(first, second)
    assert not np.array_equal(other.forward(x), first)


@pytest.mark.parametrize("layer", NOISES, ids=repr)
def test_weights_before_them_suit_the_activation_after(layer: Layer) -> None:
    body = Sequential([Dense(4), copy.deepcopy(layer), ReLU(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    assert net.params()["body.layers.0.W"].init == HeNormal()


def test_without_a_network_there_is_no_generator() -> None:
    with pytest.raises(AttributeError, match="put it into a Network"):
        Dropout().forward(X)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (Dropout, {"rate": 1.0}, "rate = 1.0: should be less than 1"),
        (Dropout, {"rate": -0.1}, "rate = -0.1: should be greater than or equal to 0"),
        (AlphaDropout, {"rate": 1.0}, "rate = 1.0: should be less than 1"),
        (GaussianNoise, {"std": -1.0}, "std = -1.0: should be greater than or equal to 0"),
        (GaussianNoise, {"std": math.inf}, "std = inf: should be"),
    ],
)
def test_bad_options_are_refused(cls: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**options)
