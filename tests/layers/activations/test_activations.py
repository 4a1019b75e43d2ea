import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit import (
    APL,
    GELU,
    GLU,
    SELU,
    Arena,
    Array,
    Bilinear,
    BinaryStep,
    ConfigError,
    GlorotUniform,
    HardTanh,
    HeNormal,
    Layer,
    LeakyReLU,
    LeCunNormal,
    LeCunTanh,
    LogSoftmax,
    Maxout,
    Network,
    PReLU,
    ReLU,
    RReLU,
    ShapeError,
    Sigmoid,
    SmoothTanh,
    SoftExponential,
    Softmax,
    SoftmaxCrossEntropy,
    Softmin,
    Softplus,
    SoftShrink,
    Sparsemax,
    SwiGLU,
    Tanh,
    from_config,
)
from layerkit.config.tables import choices_for

DTYPES = [np.float32, np.float64]
FAMILIES = ["curves", "gated", "learned", "rectifiers", "rows", "sigmoids", "smooth", "swish"]
ACTIVATIONS = [
    cls
    for cls in choices_for(Layer)
    if cls.__module__.removeprefix("layerkit.layers.activations.") in FAMILIES and cls is not RReLU
]


def named(value: object) -> str:
    return repr(value) if isinstance(value, Layer) else ""


def both(layer: Layer, x: Array) -> tuple[Array, Array]:
    """Values and derivatives, without any warning."""
    with np.errstate(all="raise", under="ignore"):
        y = layer.forward(x)
        return y, layer.backward(np.ones_like(y))


@pytest.mark.parametrize("cls", [*ACTIVATIONS, RReLU])
def test_the_documentation_says_what_the_atlas_shows(cls: type) -> None:
    doc = inspect.getdoc(cls) or ""
    assert re.match(r"y\w* = .+; (d\w+(/dx)? = |dy/dx by )", doc.partition("\n\n")[0], re.S)
    assert re.search(r"^Range .+?\.( |$)", doc, re.M)
    assert re.search(r"^Source: .+", doc, re.M)


# One by one


def test_relu_is_flat_below_and_at_zero() -> None:
    relu = ReLU()
    assert relu.forward(np.array([-2.0, -0.0, 0.0, 3.0])).tolist() == [0.0, 0.0, 0.0, 3.0]
    assert relu.backward(np.full(4, 5.0)).tolist() == [0.0, 0.0, 0.0, 5.0]


def test_lecun_tanh_keeps_one() -> None:
    assert LeCunTanh().forward(np.array([-1.0, 1.0])).tolist() == pytest.approx([-1, 1], abs=1e-5)


def test_soft_exponential_is_nan_outside_its_domain() -> None:
    y = SoftExponential(-1.0).forward(np.array([-1.0, 0.0, 1.0]))
    assert np.isnan(y[0])
    assert y[1:].tolist() == [-np.inf, 0]


def test_straight_through() -> None:
    step = BinaryStep(straight_through=True)
    assert step.forward(np.array([-1.0, -0.0, 0.0, 2.0])).tolist() == [0, 1, 1, 1]
    assert step.backward(np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [1, 2, 3, 4]


def rrelu(**options: float) -> RReLU:
    layer = RReLU(**options)
    layer.rng = np.random.default_rng(0)
    return layer


@pytest.mark.parametrize("dtype", DTYPES)
def test_rrelu_draws_a_slope_for_each_number(dtype: Any) -> None:
    layer, x = rrelu(lower=0.2, upper=0.4), np.full((100, 50), -1, dtype)
    y = layer.forward(x)
    assert (y.dtype, len(np.unique(y)) > 4000) == (dtype, True)
    assert -0.4 <= y.min() < -0.39 < -0.21 < y.max() <= -0.2
    assert y.mean() == pytest.approx(-0.3, abs=0.003)
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), -y)
    assert not np.array_equal(layer.forward(x), y)


def test_rrelu_predicts_with_the_mean_slope() -> None:
    layer = RReLU(lower=0.2, upper=0.4)
    y = layer.forward(np.array([-2.0, 0.0, 3.0]), train=False)
    assert y.tolist() == pytest.approx([-0.6, 0, 3])
    assert layer.backward(np.ones(3)).tolist() == pytest.approx([0.3, 0.3, 1])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: RReLU(lower=0.5, upper=0.4),
            r"RReLU\.lower = 0\.5: should be at most upper, 0\.4",
        ),
        (lambda: HardTanh(min_val=1.0), r"HardTanh\.min_val = 1\.0: should be below max_val, 1\.0"),
        (lambda: SmoothTanh(a=2.0), r"SmoothTanh\.a = 2\.0: should be at most c, 1\.0"),
        (lambda: SmoothTanh(b=2.0), r"SmoothTanh\.b = 2\.0: should be at most d, 1\.0"),
        (lambda: LeakyReLU(negative_slope=-0.1), r"greater than or equal to 0"),
        (lambda: LeakyReLU(negative_slope=2.0), r"less than or equal to 1"),
        (lambda: from_config({"type": "GELU", "approximate": "erf"}, GELU), r"approximate = 'erf'"),
        (lambda: SoftShrink(threshold=-1.0), r"greater than or equal to 0"),
        (lambda: Softplus(beta=0.0), r"greater than 0"),
    ],
)
def test_options_are_checked(make: Callable[[], Layer], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("layer", "init"),
    [
        (ReLU(), HeNormal()),
        (GELU(), HeNormal()),
        (PReLU(), HeNormal()),
        (Tanh(), GlorotUniform()),
        (SELU(), LeCunNormal()),
        (Sigmoid(), LeCunNormal()),
        (Softmax(), LeCunNormal()),
    ],
    ids=named,
)
def test_the_weights_before(layer: Layer, init: Any) -> None:
    assert layer.init_before() == init


# Whole batches


def strided(x: Array) -> Array:
    wide = np.zeros((2 * len(x), 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def read_only(x: Array) -> Array:
    view = x.view()
    view.flags.writeable = False
    return view


def repeated(x: Array) -> Array:
    return np.broadcast_to(x[:1], x.shape)


ROWS = [Softmax(), LogSoftmax(), Softmin(), Sparsemax()]


@settings(max_examples=500, deadline=None)
@given(
    cls=st.sampled_from(ACTIVATIONS),
    rows=st.integers(1, 5),
    features=st.integers(1, 4),
    layout=st.sampled_from([np.asfortranarray, np.flipud, strided, read_only, repeated]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_batches_of_any_memory_layout(
    cls: Any, rows: int, features: int, layout: Any, dtype: Any, seed: int
) -> None:
    """Rows permute, backward is linear in dy, and nothing depends on where the numbers lie."""
    rng, layer = np.random.default_rng(seed), cls()
    shape = layer.place((2 * features,), address="layer")
    Arena(layer.params(), np.dtype(dtype).name)
    for param in layer.params().values():
        param.value = rng.normal(size=param.shape)
    x = layout(rng.normal(size=(rows, 2 * features)).astype(dtype))
    a, b = layout(rng.normal(size=(rows, *shape)).astype(dtype)), np.ones((rows, *shape), dtype)
    y = layer.forward(x).copy()
    da, db = layer.backward(a).copy(), layer.backward(b).copy()
    order, digits = rng.permutation(rows), 5 if dtype == np.float32 else 12
    pairs = [
        (layer.backward(2 * a + b).copy(), 2 * da + db),
        (layer.forward(np.array(x[order])), y[order]),
        (layer.backward(np.array(a[order])), da[order]),
    ]
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=10**-digits, atol=10**-digits)


@pytest.mark.parametrize("layer", [*(cls() for cls in ACTIVATIONS), PReLU(shared=False)], ids=named)
def test_a_sequence_is_to_an_activation_as_its_positions_are(layer: Layer) -> None:
    sequences, rows, rng = copy.deepcopy(layer), copy.deepcopy(layer), np.random.default_rng(0)
    for one, shape in ((sequences, (5, 4)), (rows, (4,))):
        one.place(shape, address="layer")
        Arena(one.params(), "float64")
    for name, param in rows.params().items():
        param.value = sequences.params()[name].value = rng.normal(size=param.shape)
    x, features = rng.normal(size=(3, 5, 4)), rows.output_shape[-1]
    dy = rng.normal(size=(3, 5, features))
    y, dx = sequences.forward(x), sequences.backward(dy)
    np.testing.assert_array_equal(y.reshape(15, features), rows.forward(x.reshape(15, 4)))
    np.testing.assert_array_equal(dx.reshape(15, 4), rows.backward(dy.reshape(15, features)))
    for name, param in rows.params().items():
        np.testing.assert_array_equal(sequences.params()[name].grad, param.grad)


# Rows


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer", ROWS, ids=named)
def test_rows_of_any_size_are_silent(layer: Layer, dtype: Any) -> None:
    x = np.array([[-1e4, 1e4, 0], [1e38, 1e38, -1e38], [0, 1e-30, 750]], dtype)
    y, dx = both(layer, x)
    assert np.isfinite([y, dx]).all()
    p = np.exp(y) if isinstance(layer, LogSoftmax) else y
    np.testing.assert_allclose(p.sum(axis=1), np.ones(3), rtol=1e-6)


@pytest.mark.parametrize("layer", ROWS, ids=named)
def test_rows_of_the_largest_numbers_are_silent(layer: Layer) -> None:
    y, dx = both(layer, np.array([[3e38, -3e38]], "float32"))
    p = np.exp(y) if isinstance(layer, LogSoftmax) else y
    assert p.tolist() in ([[1, 0]], [[0, 1]])
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("layer", [Softmax(), Sparsemax()], ids=named)
def test_what_is_masked_by_minus_infinity_gets_nothing(layer: Layer) -> None:
    y, dx = both(layer, np.array([[1.0, -np.inf, 1.0]]))
    assert (y.tolist(), dx.tolist()) == ([[0.5, 0, 0.5]], [[0, 0, 0]])


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    y = Sparsemax().forward(np.array([[0.3, 0.1, 1.2, 0.8], [5.0, 1.0, 0.0, 3.0]]))
    expected = np.array([[0, 0, 0.7, 0.3], [1, 0, 0, 0]])
    np.testing.assert_allclose(y, expected, atol=1e-15)


@pytest.mark.parametrize(
    ("layer", "shape", "sentence"),
    [
        (Softmax(), (), r"Softmax takes examples of at least one axis, not single numbers"),
        (Maxout(3), (2, 4), r"a multiple of 3 numbers along axis -1, not 4 as in \(2, 4\)"),
        (
            Maxout(3, axis=-2),
            (4, 3),
            r"a multiple of 3 numbers along axis -2, not 4 as in \(4, 3\)",
        ),
        (GLU(), (3,), r"GLU\(\) takes a multiple of 2 numbers along axis -1, not 3 as in \(3,\)"),
        (Softmax(axis=0), (2, 4), r"Softmax\.axis = 0: should be -2 or -1: the axes of an"),
        (GLU(axis=1), (2, 4), r"GLU\.axis = 1: .* here \(2, 4\), are counted from its end"),
        (Maxout(axis=-3), (2, 4), r"Maxout\.axis = -3: should be -2 or -1"),
    ],
)
def test_rows_that_do_not_fit(layer: Layer, shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ShapeError, match=sentence):
        layer.place(shape, address="body")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("cls", [*(type(layer) for layer in ROWS), Maxout, GLU, SwiGLU, Bilinear])
def test_another_axis_is_the_last_one_of_what_is_moved_there(
    cls: Any, axis: int, dtype: Any
) -> None:
    rng, layer, last = np.random.default_rng(0), cls(axis=axis), cls()
    x = rng.normal(size=(5, 4, 6, 2)).astype(dtype)
    moved = np.moveaxis(x, axis, -1)
    layer.place(x.shape[1:], address="layer")
    last.place(moved.shape[1:], address="last")
    y = layer.forward(x)
    assert (y.shape[1:], y.dtype) == (layer.output_shape, dtype)
    expected = np.moveaxis(last.forward(moved), -1, axis)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-7)
    dy = rng.normal(size=y.shape).astype(dtype)
    dx = layer.backward(dy)
    expected = np.moveaxis(last.backward(np.moveaxis(dy, axis, -1)), -1, axis)
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)


def test_apl_starts_as_relu() -> None:
    apl, x = APL(), np.array([[-2.0, 3.0]])
    Network(apl, SoftmaxCrossEntropy(), shape=(2,), dtype="float64").initialize(0)
    assert apl.forward(x).tolist() == [[0, 3]]
