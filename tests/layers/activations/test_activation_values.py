"""The values of activations: against mpmath, to the last digits, and against other libraries."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from layerkit import (
    CELU,
    ELU,
    GELU,
    ISRLU,
    ISRU,
    SELU,
    SQNL,
    ArcTan,
    Arena,
    Array,
    BentIdentity,
    BinaryStep,
    ELiSH,
    Gaussian,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    Layer,
    LeakyReLU,
    LeCunTanh,
    LogSigmoid,
    Mish,
    Network,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Sinc,
    Sinusoid,
    SmoothTanh,
    SoftExponential,
    SoftmaxCrossEntropy,
    Softplus,
    SoftShrink,
    Softsign,
    SquaredReLU,
    Squareplus,
    SReLU,
    Tanh,
    TanhShrink,
    Threshold,
    from_config,
)

Function = Callable[[Any], Any]

DTYPES = [np.float32, np.float64]
SIZES = [1e-30, 1e-8, 1e-3, 0.1, 0.3, 0.5, 0.69, 0.71, 1.7, 2.2, 3.0, 4.0, 7.0]
SIZES += [10.0, 20.0, 40.0, 80.0, 750.0, 1e4, 1e10, 1e15, 1e30, 3e38]
POINTS = [-size for size in SIZES] + [0.0] + SIZES


# The formulas, for mpmath


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def tanh(x: Any) -> Any:
    return (1 - mpmath.exp(-2 * x)) / (1 + mpmath.exp(-2 * x)) if x > 0 else -tanh(-x) if x else x


def softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x)) if x < 2000 else x


def elu(alpha: float) -> Function:
    return lambda x: x if x > 0 else mpf(alpha) * mpmath.expm1(x)


def celu(alpha: float) -> Function:
    return lambda x: x if x > 0 else mpf(alpha) * mpmath.expm1(x / mpf(alpha))


def smooth_tanh(a: float, b: float, c: float, d: float) -> Function:
    def f(x: Any) -> Any:
        above = mpmath.exp(mpf(a) * x) - mpmath.exp(-mpf(b) * x)
        return above / (mpmath.exp(mpf(c) * x) + mpmath.exp(-mpf(d) * x))

    return f


def normal_cdf(x: Any) -> Any:
    return mpmath.ncdf(x) if abs(x) < 45 else mpf(x > 0)


def gelu_tanh(x: Any) -> Any:
    return x * sigmoid(mpmath.sqrt(8 / mp.pi) * (x + mpf(0.044715) * x**3))


def soft_exponential(alpha: float) -> Function:
    if alpha < 0:
        return lambda x: -mpmath.log(1 - mpf(alpha) * (x + mpf(alpha))) / mpf(alpha)
    return lambda x: mpmath.expm1(mpf(alpha) * x) / mpf(alpha) + mpf(alpha)


def squareplus(b: float) -> Function:
    return lambda x: (x + mpmath.sqrt(x * x + mpf(b))) / 2


def isru(alpha: float) -> Function:
    return lambda x: x / mpmath.sqrt(1 + mpf(alpha) * x * x)


EXACT: list[tuple[Layer, Function]] = [
    (Identity(), lambda x: x),
    (BinaryStep(), lambda x: mpf(x >= 0)),
    (Sigmoid(), sigmoid),
    (Tanh(), tanh),
    (LeCunTanh(), lambda x: mpf(1.7159) * tanh(2 * x / 3)),
    (SmoothTanh(), tanh),
    (Softsign(), lambda x: x / (1 + abs(x))),
    (ReLU(), lambda x: max(x, mpf(0))),
    (LeakyReLU(), lambda x: x if x > 0 else mpf(0.01) * x),
    (ReLU6(), lambda x: min(max(x, mpf(0)), mpf(6))),
    (SquaredReLU(), lambda x: max(x, mpf(0)) ** 2),
    (ELU(), elu(1)),
    (ELU(alpha=2.5), elu(2.5)),
    (CELU(), celu(1)),
    (SELU(), lambda x: mpf(SELU.SCALE) * elu(SELU.ALPHA)(x)),
    (Softplus(), softplus),
    (SiLU(), lambda x: x * sigmoid(x)),
    (Mish(), lambda x: x * tanh(softplus(x))),
    (ELiSH(), lambda x: sigmoid(x) * elu(1)(x)),
    (HardSigmoid(), lambda x: min(max(x + 3, mpf(0)), mpf(6)) / 6),
    (HardSwish(), lambda x: x * min(max(x + 3, mpf(0)), mpf(6)) / 6),
    (HardTanh(), lambda x: min(max(x, mpf(-1)), mpf(1))),
    (HardShrink(), lambda x: x if abs(x) > 0.5 else mpf(0)),
    (SoftShrink(), lambda x: mpmath.sign(x) * max(abs(x) - mpf(0.5), mpf(0))),
    (TanhShrink(), lambda x: x - tanh(x)),
    (Threshold(), lambda x: x if x > 1 else mpf(0)),
    (LogSigmoid(), lambda x: -softplus(-x)),
    (Gaussian(), lambda x: mpmath.exp(-x * x)),
    (Sinusoid(), mpmath.sin),
    (Sinc(), lambda x: mpmath.sin(x) / x if x else mpf(1)),
    (ArcTan(), mpmath.atan),
    (BentIdentity(), lambda x: (mpmath.sqrt(x * x + 1) - 1) / 2 + x),
    (ISRU(), isru(1)),
    (ISRU(alpha=3.0), isru(3)),
    (ISRLU(), lambda x: x if x > 0 else isru(1)(x)),
    (SQNL(), lambda x: x - x * abs(x) / 4 if abs(x) < 2 else mpmath.sign(x)),
    (Squareplus(), squareplus(4)),
    (Squareplus(b=0.1), squareplus(0.1)),
]
"""Within a few units in the last place of the exact value."""

ROUNDED: list[tuple[Layer, Function]] = [
    (SmoothTanh(a=0.5, b=1.0, c=1.0, d=1.5), smooth_tanh(0.5, 1.0, 1.0, 1.5)),
    (CELU(alpha=0.3), celu(0.3)),
    (GELU(), lambda x: x * normal_cdf(x)),
    (GELU("tanh"), gelu_tanh),
    (GELU("sigmoid"), lambda x: x * sigmoid(mpf(1.702) * x)),
    (Softplus(beta=3.0), lambda x: softplus(3 * x) / 3),
    (SiLU(beta=1.3), lambda x: x * sigmoid(mpf(1.3) * x)),
    (SoftExponential(), soft_exponential(0.5)),
]
"""With factors before or squares in an exponent: exact for an x that differs in the last digit."""


@pytest.fixture(autouse=True)
def _precise() -> Iterator[None]:
    with mp.workdps(330):
        yield


def named(value: object) -> str:
    return repr(value) if isinstance(value, Layer) else ""


def both(layer: Layer, x: Array) -> tuple[Array, Array]:
    """Values and derivatives, without any warning."""
    with np.errstate(all="raise", under="ignore"):
        y = layer.forward(x)
        return y, layer.backward(np.ones_like(x))


def check_digits(found: Array, x: Array, f: Function, digits: float, wobble: float) -> None:
    """Allow `digits` units in the last place, and what `wobble` units in that of x make of f."""
    info = np.finfo(x.dtype)
    for value, place in zip(found, x, strict=True):
        exact = f(mpf(float(place)))
        if abs(exact) > float(info.max):
            assert abs(value) >= info.max
            assert np.sign(value) == mpmath.sign(exact)
            continue
        ulp = max(np.spacing(abs(x.dtype.type(float(exact)))), info.smallest_subnormal)
        allowed = max(digits * float(ulp), 1000 * float(info.smallest_subnormal))
        if wobble:
            with mp.workdps(150):
                slope = abs(mpmath.diff(f, mpf(float(place))))
            allowed += wobble * float(np.spacing(abs(place))) * slope
        error = abs(mpf(float(value)) - exact)
        assert error <= allowed, f"{value} at {place}; should be {float(exact)}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layer", "f"), EXACT, ids=named)
def test_values_are_exact_to_the_last_digits(layer: Layer, f: Function, dtype: Any) -> None:
    x = np.array(POINTS, dtype)
    y, _ = both(layer, x)
    assert y.dtype == dtype
    check_digits(y, x, f, 4, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layer", "f"), EXACT, ids=named)
def test_derivatives_are_exact_to_the_last_digits(layer: Layer, f: Function, dtype: Any) -> None:
    x = np.array([x for x in POINTS if x not in KINKS.get(repr(layer), {})], dtype)
    _, dx = both(layer, x)
    assert dx.dtype == dtype
    check_digits(dx, x, lambda x: mpmath.diff(f, x), 6, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layer", "f"), ROUNDED, ids=named)
def test_where_an_argument_is_rounded(layer: Layer, f: Function, dtype: Any) -> None:
    x = np.array(POINTS, dtype)
    y, dx = both(layer, x)
    check_digits(y, x, f, 4, 2)
    check_digits(dx, x, lambda x: mpmath.diff(f, x), 6, 2)


KINKS: dict[str, dict[float, float]] = {
    repr(BinaryStep()): {0: 0},
    repr(ReLU()): {0: 0},
    repr(LeakyReLU()): {0: 0.01},
    repr(ReLU6()): {0: 0, 6: 0},
    repr(ELU(alpha=2.5)): {0: 2.5},
    repr(SELU()): {0: SELU.SCALE * SELU.ALPHA},
    repr(HardSigmoid()): {-3: 0, 3: 0},
    repr(HardSwish()): {-3: 0, 3: 1},
    repr(HardTanh()): {-1: 0, 1: 0},
    repr(HardShrink()): {-0.5: 0, 0.5: 0},
    repr(SoftShrink()): {-0.5: 0, 0.5: 0},
    repr(Threshold()): {1: 0},
    repr(PReLU()): {0: 0.25},
    repr(SReLU()): {0: 1, 1: 1},
}


@pytest.mark.parametrize("layer", [*(layer for layer, _ in EXACT), PReLU(), SReLU()], ids=named)
def test_derivatives_at_kinks_are_as_documented(layer: Layer) -> None:
    kinks = KINKS.get(repr(layer), {})
    assert bool(kinks) == ("Not differentiable" in (layer.__doc__ or "")) or layer in (ELU(),)
    if kinks:
        Network(layer, SoftmaxCrossEntropy(), shape=(2,), dtype="float64").initialize(0)
        _, dx = both(layer, np.resize(list(kinks), (1, 2)).astype(float))
        assert dx[0].tolist() == pytest.approx(np.resize(list(kinks.values()), 2), rel=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("layer", "f"), EXACT + ROUNDED, ids=named)
def test_extremes(layer: Layer, f: Function, dtype: Any) -> None:
    """Infinity gives the limits; the largest numbers no warning, nan gives nan."""
    top = np.finfo(dtype).max
    y, dx = both(layer, np.array([-top, top, np.finfo(dtype).smallest_subnormal], dtype))
    assert not np.isnan([y, dx]).any()
    nan = both(layer, np.array([np.nan], dtype))
    assert np.isnan(nan[0]).all()
    assert np.isnan(nan[1]).all() or isinstance(layer, Identity)
    if isinstance(layer, Sinusoid):  # has no limits
        return
    far = mpf(10) ** 50
    y, dx = both(layer, np.array([-np.inf, np.inf], dtype))
    with mp.workdps(100):
        for i, x in enumerate((-far, far)):
            for value, limit in ((y[i], f(x)), (dx[i], (f(2 * x) - f(x)) / x)):
                limit = limit if abs(limit) < 1e39 else mpmath.sign(limit) * mpmath.inf
                eps = float(np.finfo(dtype).eps)
                assert value == pytest.approx(float(limit), rel=4 * eps, abs=1e-38)


@pytest.mark.parametrize("dtype", DTYPES)
def test_waves_at_infinity(dtype: Any) -> None:
    """Sinusoid has no limit there, which is nan and no warning; Sinc is exactly 0."""
    x = np.array([-np.inf, np.inf], dtype)
    with np.errstate(all="raise"):
        for layer, limit in ((Sinusoid(), np.nan), (Sinc(), 0)):
            y, dx = layer.forward(x), layer.backward(np.ones_like(x))
            np.testing.assert_array_equal([y, dx], limit)


# Against PyTorch and JAX

with np.load(Path(__file__).parents[2] / "reference" / "activations.npz") as file:
    REFERENCE: dict[str, dict[str, Array]] = {}
    for key in file.files:
        config, _, what = key.rpartition(" ")
        REFERENCE.setdefault(config, {})[what] = file[key]


@pytest.mark.parametrize("config", REFERENCE)
def test_other_libraries_agree(config: str) -> None:
    layer, stored = from_config(json.loads(config), Layer), REFERENCE[config]  # type: ignore[type-abstract]
    layer.place(stored["x"].shape[1:], address="layer")
    Arena(layer.params(), "float64")
    for name, param in layer.params().items():
        param.value = stored[name]
    found = {"y": layer.forward(stored["x"]), "dx": layer.backward(stored["dy"])}
    found |= {f"d{name}": param.grad for name, param in layer.params().items()}
    for what, value in found.items():
        np.testing.assert_allclose(value, stored[what], rtol=1e-9, atol=1e-12, err_msg=what)
