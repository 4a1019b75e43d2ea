import copy
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from layerkit import (
    Array,
    ConfigError,
    DataError,
    Dense,
    Flatten,
    HeNormal,
    Network,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
)
from layerkit.parameters import Arena

RNG = np.random.default_rng(0)
DATA: dict[str, Array] = {
    "ordinary": RNG.normal(3, [1, 20, 0.1, 5], size=(2500, 4)),
    "far": 1e6 + RNG.normal(size=(2500, 4)),
    "constant": np.where(np.arange(4) % 2, 0.1, RNG.normal(size=(2500, 4))),
    "all constant": np.tile([0.1, -1e6, 0.0, 1e-30], (2500, 1)),
    "an outlier first": np.concatenate([np.full((1, 4), 1e4), RNG.normal(size=(2499, 4))]),
    "sorted": np.sort(RNG.normal(size=(2500, 4)), axis=0),
    "one example": RNG.normal(size=(1, 4)),
    "big": 1e30 * RNG.normal(size=(2500, 4)),
    "small": 1e-30 * RNG.normal(size=(2500, 4)),
}


def adapted(x: Array, chunk: int = 1024) -> Standardize:
    layer = Standardize()
    layer.place(x.shape[1:], address="layer")
    Arena(layer.declared(), str(x.dtype))
    layer.scale.value[...] = 1
    layer.adapt(x[start : start + chunk] for start in range(0, len(x), chunk))
    return layer


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("case", DATA)
def test_it_equals_scikit_learns(case: str, dtype: str, tolerance: float) -> None:
    x = DATA[case].astype(dtype)
    wide = x.astype(np.float64)
    # which moves the numbers without rounding; scikit-learn's own mean loses some digits there
    wide -= 1e6 if case == "far" else 0
    expected = StandardScaler().fit_transform(wide)
    for chunk in (1, 7, 1024, 5000):
        y = adapted(x, chunk).forward(x)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_mean_costs_no_digits(dtype: str) -> None:
    # whole numbers, whose mean and variance are known: 1e6 + 0.5 and 1.25
    x = (1e6 + np.tile([-1.0, 0, 1, 2], 1000)).astype(dtype)[:, None]
    y = adapted(x).forward(x[:4])
    expected = np.array([[-1.5], [-0.5], [0.5], [1.5]]) / np.sqrt(1.25)
    np.testing.assert_allclose(y, expected, rtol=float(4 * np.finfo(dtype).eps))
    third = np.concatenate([x, x[:2], x[:1]])
    y = adapted(third).forward(x[:4])
    mean, std = (third - 1e6).astype(np.float64).mean(), (third - 1e6).astype(np.float64).std()
    np.testing.assert_allclose(y, (x[:4] - 1e6 - mean) / std, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_constant_becomes_exactly_0(dtype: str) -> None:
    x = DATA["all constant"].astype(dtype)
    layer = adapted(x, chunk=7)
    np.testing.assert_array_equal(layer.scale.value, 1)
    np.testing.assert_array_equal(layer.forward(x), 0)
    np.testing.assert_allclose(layer.forward(x[:1] + 1), 1, rtol=1e-6)


def test_a_scale_that_rounds_to_0_is_1() -> None:
    x = np.zeros((1000, 1), np.float32)
    x[0] = np.finfo(np.float32).smallest_subnormal
    assert adapted(x).scale.value == 1


def test_what_is_too_big_to_square_is_refused_and_changes_nothing() -> None:
    x = np.array([[1e200, 1.0], [-1e200, 2.0]])
    layer = adapted(np.ones((2, 2)))
    with np.errstate(all="ignore"), pytest.raises(DataError, match="more than a float64 can squ"):
        layer.adapt(iter([x]))
    np.testing.assert_array_equal(layer.scale.value, 1)
    np.testing.assert_array_equal(layer.mean.value, 1)


@pytest.mark.parametrize(
    ("mean", "std", "dtype", "advice"),
    [
        (1.7e9, 100, "float32", 'use dtype = "float64", or subtract 1.7'),
        (-1.7e9, 100, "float32", 'use dtype = "float64", or subtract -1.7'),
        (1e6, 0.1, "float32", 'use dtype = "float64", or subtract 1'),
        (1e17, 30, "float64", "; subtract 1e"),
    ],
)
def test_what_a_type_cannot_tell_apart_is_refused(
    mean: float, std: float, dtype: str, advice: str
) -> None:
    layer, x = adapted(np.ones((2, 2), dtype)), RNG.normal(size=(500, 2))
    x[:, 1] = mean + std * x[:, 1]
    with pytest.raises(DataError, match=f"feature 1 varies by .* {dtype} can't tell") as caught:
        layer.adapt(iter([x.astype(dtype)]))
    assert advice in str(caught.value)
    np.testing.assert_array_equal(layer.mean.value, 1)
    np.testing.assert_array_equal(layer.scale.value, 1)


def test_a_pixel_that_cannot_be_told_apart_is_named_by_its_place() -> None:
    x = RNG.normal(size=(500, 2, 3))
    x[:, 1, 2] = 1e17 + 30 * x[:, 1, 2]
    with pytest.raises(DataError, match="feature 1, 2 varies by"):
        adapted(x)


def test_every_pixel_counts_for_itself() -> None:
    x = RNG.normal([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]], size=(100, 2, 3))
    y = adapted(x).forward(x)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-12)


def network(**options: Any) -> Network:
    body = Sequential([Standardize(), Dense(4), ReLU(), Flatten(), Standardize(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(3,), **options)


def test_a_network_has_to_see_the_data_before_it_predicts() -> None:
    net, x = network(), RNG.normal(1e3, 10, size=(50, 3))
    for call in (lambda: net.predict(x), lambda: net.gradient(x, np.zeros(50, int))):
        with pytest.raises(ConfigError, match="has not seen them yet"):
            call()
    assert net.adapt(x).predict(x).shape == (50,)


def test_one_in_the_middle_sees_what_comes_in_there() -> None:
    net, x = network(dtype="float64"), RNG.normal(1e3, 10, size=(3000, 3))
    net.adapt(x)
    layers: Any = net.body
    for layer in layers.layers[:5]:
        x = layer.forward(x, train=False)
        if isinstance(layer, Standardize):
            np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
            np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-12)


def test_images_of_bytes_are_taken_as_0_to_1() -> None:
    net = Network(Sequential([Standardize(), Dense(2)]), SoftmaxCrossEntropy(), shape=(3,))
    images = RNG.integers(256, size=(50, 3), dtype=np.uint8)
    net.adapt(images)
    np.testing.assert_allclose(net.declared()["body.layers.0.mean"].value, images.mean(0) / 255)


def test_weights_before_it_suit_the_activation_behind() -> None:
    body = Sequential([Dense(4), Standardize(), ReLU(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    assert net.params()["body.layers.0.W"].init == HeNormal()


def test_adapting_again_begins_anew() -> None:
    one, two = DATA["ordinary"], DATA["far"]
    layer = adapted(one)
    layer.adapt(iter([two]))
    fresh = adapted(two, chunk=len(two))
    for name, item in layer.declared().items():
        np.testing.assert_array_equal(item.value, fresh.declared()[name].value)
    assert copy.deepcopy(layer) == Standardize()
