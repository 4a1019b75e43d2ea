"""The normalizations, against PyTorch and on hard inputs."""

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Array,
    BatchNorm,
    ConfigError,
    DataError,
    Dense,
    DivergenceError,
    GroupNorm,
    HeNormal,
    Layer,
    LayerNorm,
    Network,
    ReLU,
    RMSNorm,
    Sequential,
    Shape,
    ShapeError,
    SoftmaxCrossEntropy,
    fit,
)
from layerkit.parameters import Arena

# made by tests/reference/normalization.py with PyTorch
with np.load(Path(__file__).parents[1] / "reference" / "normalization.npz") as file:
    REFERENCE = dict(file)
CASES = sorted({name.split("/")[0] for name in REFERENCE if name.endswith("/x")})
LAYERS: dict[str, Layer] = {
    "LayerNorm()": LayerNorm(),
    "LayerNorm(eps=0.1)": LayerNorm(eps=0.1),
    "RMSNorm()": RMSNorm(),
    "RMSNorm(eps=0.1)": RMSNorm(eps=0.1),
    "GroupNorm(groups=2)": GroupNorm(groups=2),
    "GroupNorm(groups=1, eps=0.1)": GroupNorm(groups=1, eps=0.1),
    "BatchNorm()": BatchNorm(),
    "BatchNorm(momentum=0.4, eps=0.1)": BatchNorm(momentum=0.4, eps=0.1),
}
NORMS: list[Layer] = [LayerNorm(), RMSNorm(), GroupNorm(2), BatchNorm()]


def built(layer: Layer, shape: Shape, dtype: str = "float64") -> Any:
    """A copy with memory, gamma = 1, beta = 0 and statistics as at the beginning."""
    layer = copy.deepcopy(layer)
    layer.place(shape, address="layer")
    declared = layer.declared()
    Arena(declared, dtype)
    for item in declared.values():
        item.init.fill(item.value, np.random.default_rng(0))
    return layer


def assert_same(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * (abs(expected).max() or 1))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LAYERS)
def test_they_agree_with_pytorch(name: str, case: str) -> None:
    def compare(mode: str) -> None:
        results = {"y": y, "dx": layer.backward(dy)}
        results |= {f"d{param}": item.grad for param, item in layer.params().items()}
        for what, found in results.items():
            assert_same(found, REFERENCE[f"{name}/{case}/{mode}/{what}"])

    x, dy = REFERENCE[f"{case}/x"], REFERENCE[f"{case}/dy"]
    layer = built(LAYERS[name], x.shape[1:])
    for parameter, item in layer.params().items():
        item.value = REFERENCE[parameter]
    for factor in (1, 2, 3):
        y = layer.forward(factor * x)
    compare("train")
    states = layer.declared().keys() - layer.params().keys()
    for state in states:
        assert_same(layer.declared()[state].value, REFERENCE[f"{name}/{case}/{state}"])
    y = layer.forward(x, train=False)
    if states:
        compare("eval")
    else:
        np.testing.assert_array_equal(y, layer.forward(x))


def exact(layer: Layer, x: Array) -> Array:
    """What comes out for x, computed in float64."""
    y: Array = built(layer, x.shape[1:]).forward(x.astype(np.float64))
    return y


RNG = np.random.default_rng(3)
HARD: dict[str, Array] = {
    "mean far above the deviation": 1e4 + 1e-2 * RNG.normal(size=(100, 64)),
    "the same below": -3e6 + RNG.normal(size=(100, 64)),
    "big": 1e17 * RNG.normal(size=(100, 64)),
    "an outlier": RNG.normal(size=(100, 64)) + 1e6 * (np.arange(6400).reshape(100, 64) % 97 == 0),
    "rows and columns of very different size": RNG.normal(size=(100, 64))
    * 10.0 ** RNG.integers(-3, 10, size=(100, 64)),
}


@pytest.mark.parametrize("layer", NORMS, ids=repr)
@pytest.mark.parametrize("case", HARD)
def test_they_are_exact_in_float32_where_numbers_are_hard(layer: Layer, case: str) -> None:
    x = HARD[case].astype(np.float32)
    y = built(layer, (64,), "float32").forward(x)
    assert y.dtype == np.float32
    expected = exact(layer, x)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-6 * abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [LayerNorm(), GroupNorm(2), BatchNorm()], ids=repr)
def test_what_is_constant_becomes_beta(layer: Layer, dtype: str) -> None:
    norm = built(layer, (6,), dtype)
    norm.beta.value = np.arange(6)
    for constant in (0.0, 0.1, -1e6):
        y = norm.forward(np.full((5, 6), constant, dtype))
        np.testing.assert_allclose(y, np.tile(np.arange(6.0), (5, 1)), atol=1e-6)
        assert np.isfinite(norm.backward(np.ones((5, 6), dtype))).all()


@pytest.mark.parametrize("layer", NORMS, ids=repr)
def test_a_variance_that_overflows_is_refused(layer: Layer) -> None:
    norm = built(layer, (4,), "float32")
    x = np.full((3, 4), 1e20, np.float32) * np.array([1, -1, 2, 3], np.float32)
    x[1] *= -1
    with (
        np.errstate(over="ignore"),
        pytest.raises(DivergenceError, match="squares too big for float32: try a"),
    ):
        norm.forward(x)
    for name, item in built(layer, (4,), "float32").declared().items():
        np.testing.assert_array_equal(norm.declared()[name].value, item.value)


@pytest.mark.parametrize("layer", NORMS, ids=repr)
def test_nan_stays_nan(layer: Layer) -> None:
    x = RNG.normal(size=(4, 4))
    x[0, 0] = np.nan
    assert np.isnan(built(layer, (4,)).forward(x)[0, 0])


@pytest.mark.parametrize(
    ("layer", "per"),
    [(LayerNorm(), (3,)), (GroupNorm(1), (1, 2, 3)), (BatchNorm(), (0, 1, 2))],
    ids=repr,
)
def test_over_what_the_mean_and_the_variance_are_taken(layer: Layer, per: tuple[int, ...]) -> None:
    y = built(layer, (4, 5, 6)).forward(RNG.normal(2, 3, size=(3, 4, 5, 6)))
    np.testing.assert_allclose(y.mean(per), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(per), 1, rtol=1e-4)


def test_a_single_group_of_plain_features_is_layer_norm() -> None:
    x = RNG.normal(size=(3, 6))
    expected = built(LayerNorm(), (6,)).forward(x)
    np.testing.assert_allclose(built(GroupNorm(1), (6,)).forward(x), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [LayerNorm(axes=2), RMSNorm(axes=2)], ids=repr)
def test_several_axes_are_one_long_one(layer: Layer, dtype: str) -> None:
    wide, flat = built(layer, (2, 3, 4), dtype), built(type(layer)(), (12,), dtype)
    for name, item in wide.params().items():
        assert item.shape == (3, 4)
        item.value = RNG.normal(size=(3, 4))
        flat.params()[name].value = item.value.reshape(12)
    x, dy = RNG.normal(size=(2, 5, 2, 3, 4)).astype(dtype)
    found = wide.forward(x), wide.backward(dy)
    expected = flat.forward(x.reshape(10, 12)), flat.backward(dy.reshape(10, 12))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other.reshape(x.shape))
    for name, item in wide.params().items():
        np.testing.assert_array_equal(item.grad.reshape(12), flat.params()[name].grad)


@pytest.mark.parametrize("layer", NORMS, ids=repr)
@pytest.mark.parametrize(("scale", "shift"), [(False, True), (True, False), (False, False)])
def test_without_scale_or_shift_they_stay_1_and_0(layer: Layer, scale: bool, shift: bool) -> None:
    """The same numbers as with gamma = 1 and beta = 0, and no parameter, nor gradient, for it."""
    options = {"scale": scale} if isinstance(layer, RMSNorm) else {"scale": scale, "shift": shift}
    bare, full = built(replace(layer, **options), (5, 4)), built(layer, (5, 4))
    left = {"gamma": scale, "beta": shift and not isinstance(layer, RMSNorm)}
    assert list(bare.params()) == [name for name, there in left.items() if there]
    for name, item in bare.params().items():
        item.value = full.params()[name].value = RNG.normal(size=4)
    x, dy = RNG.normal(size=(2, 3, 5, 4))
    for train in (True, False):
        y = bare.forward(x, train=train)
        np.testing.assert_array_equal(y, full.forward(x, train=train))
        np.testing.assert_array_equal(bare.backward(dy), full.backward(dy))
        for name, item in bare.params().items():
            np.testing.assert_array_equal(item.grad, full.params()[name].grad)


def test_sequences_are_normalised_over_the_batch_and_all_positions() -> None:
    """BatchNorm of (T, d) has one mean for each of the d, LayerNorm one for each position."""
    x = RNG.normal(2, 3, size=(7, 5, 4))
    y = built(BatchNorm(), (5, 4)).forward(x)
    mean, variance = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-10, atol=1e-12)
    y = built(LayerNorm(), (5, 4)).forward(x)
    mean, variance = x.mean(axis=2, keepdims=True), x.var(axis=2, keepdims=True)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-10, atol=1e-12)


def test_batch_norm_keeps_the_mean_of_what_it_saw() -> None:
    norm, x = built(BatchNorm(momentum=0.25), (2,)), np.array([[1.0, 0.0], [3.0, 8.0]])
    norm.forward(x)
    np.testing.assert_allclose(norm.mean.value, [0.5, 1.0])
    np.testing.assert_allclose(norm.variance.value, [0.75 + 0.5, 0.75 + 8.0])
    norm.forward(x)
    np.testing.assert_allclose(norm.mean.value, [0.875, 1.75])


def test_predictions_of_batch_norm_depend_on_nothing_but_what_was_kept() -> None:
    norm = built(BatchNorm(), (3,))
    for _ in range(5):
        norm.forward(RNG.normal(4, 2, size=(50, 3)))
    states = norm.mean.value.copy(), norm.variance.value.copy()
    x = RNG.normal(size=(4, 3))
    expected = (x - states[0]) / np.sqrt(states[1] + 1e-5)
    np.testing.assert_allclose(norm.forward(x, train=False), expected, rtol=1e-12)
    np.testing.assert_allclose(norm.forward(x[:1], train=False), expected[:1], rtol=1e-12)
    np.testing.assert_array_equal(norm.mean.value, states[0])
    np.testing.assert_array_equal(norm.variance.value, states[1])


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_batch_norm_refuses_a_batch_of_one(shape: Shape) -> None:
    norm = built(BatchNorm(), shape)
    x = RNG.normal(size=(1, *shape))
    with pytest.raises(DataError, match="batch of one example, which has no variance: choose a"):
        norm.forward(x)
    np.testing.assert_array_equal(norm.mean.value, 0)
    assert norm.forward(x, train=False).shape == x.shape
    assert BatchNorm.smallest_batch == 2


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (LayerNorm(), (), r"with features \(…, n\), not single numbers"),
        (RMSNorm(), (), r"with features \(…, n\), not single numbers"),
        (BatchNorm(), (), r"with features \(…, n\), not single numbers"),
        (GroupNorm(1), (), r"with features \(…, n\), not single numbers"),
        (LayerNorm(), (4, 1), r"two features or more: of \(4, 1\) nothing would be left"),
        (LayerNorm(axes=2), (1, 1), r"two features or more: of \(1, 1\) nothing would be left"),
        (
            LayerNorm(axes=3),
            (2, 4),
            r"LayerNorm\(axes=3\) takes examples of 3 axes or more, not \(2",
        ),
        (RMSNorm(axes=2), (4,), r"RMSNorm\(axes=2\) takes examples of 2 axes or more, not \(4,\)"),
        (GroupNorm(4), (2, 6), r"a number of features that 4 divides, not \(2, 6\)"),
        (GroupNorm(6), (6,), r"groups of two numbers or more: \(6,\) has one in each"),
    ],
    ids=repr,
)
def test_shapes_that_do_not_fit_are_refused(layer: Layer, shape: Shape, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        copy.deepcopy(layer).place(shape, address="layer")


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (LayerNorm, {"eps": 0.0}, "eps = 0.0: should be greater than 0"),
        (RMSNorm, {"eps": -1.0}, "eps = -1.0: should be greater than 0"),
        (LayerNorm, {"axes": 0}, "axes = 0: should be greater than 0"),
        (GroupNorm, {"groups": 0}, "groups = 0: should be greater than 0"),
        (BatchNorm, {"momentum": 0.0}, "momentum = 0.0: should be greater than 0"),
        (BatchNorm, {"momentum": 1.5}, "momentum = 1.5: should be less than or equal to 1"),
        (BatchNorm, {"eps": np.nan}, "eps = nan: should be"),
    ],
)
def test_bad_options_are_refused(cls: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**options)


@pytest.mark.parametrize("layer", NORMS, ids=repr)
def test_weights_before_them_suit_the_activation_after(layer: Layer) -> None:
    body = Sequential([Dense(4), copy.deepcopy(layer), ReLU(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    assert net.params()["body.layers.0.W"].init == HeNormal()


def test_scales_and_shifts_are_not_decayed() -> None:
    for layer in [*NORMS, LayerNorm(axes=2)]:
        norm = built(layer, (3, 4))
        assert norm.params()
        assert not any(param.decay for param in norm.params().values())


def test_a_deep_network_trains_with_batch_norm_where_it_fails_without() -> None:
    def accuracy(norms: bool) -> float:
        layers: list[Layer] = []
        for _ in range(12):
            layers += [Dense(16), *([BatchNorm()] if norms else []), ReLU()]
        body = Sequential([*layers, Dense(2)])
        net = Network(body, SoftmaxCrossEntropy(), shape=(2,)).initialize(1)
        for name, param in net.params().items():
            if name.endswith(".W"):
                param.value *= 0.1
        return fit(net, SGD(lr=0.1), x, t, epochs=20, batch_size=50)[-1].train_accuracy

    x = np.random.default_rng(0).normal(size=(400, 2))
    t = (x[:, 0] * x[:, 1] > 0).astype(int)
    assert accuracy(norms=True) > 0.9
    assert accuracy(norms=False) < 0.6


@pytest.mark.parametrize(
    ("momentum", "told"), [(0.99, True), (0.9, True), (0.5, False), (1.0, False), (0.1, False)]
)
def test_the_momentum_of_keras_is_told(momentum: float, told: bool) -> None:
    body = Sequential([Dense(3), BatchNorm(momentum=momentum), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(2,))
    x = np.random.default_rng(0).normal(size=(20, 2))
    with warnings.catch_warnings(record=True, action="always") as caught:
        fit(net, SGD(), x, np.arange(20) % 2, epochs=1)
    sentences = [f"Keras's {momentum} is {1 - momentum:.6g} here"] * told
    assert [str(warning.message).rpartition("; ")[2] for warning in caught] == sentences
