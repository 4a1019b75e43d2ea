import math
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LSUV,
    Array,
    ConfigError,
    Constant,
    Eye,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Ones,
    Orthogonal,
    ShapeError,
    Sparse,
    TruncatedNormal,
    Uniform,
    Zeros,
)
from layerkit.initializers import fan_in, fan_out

N_IN, N_OUT = 400, 250
VARIANCES: list[tuple[Initializer, Initializer, float]] = [
    (LeCunNormal(), LeCunUniform(), 1 / N_IN),
    (HeNormal(), HeUniform(), 2 / N_IN),
    (GlorotNormal(), GlorotUniform(), 2 / (N_IN + N_OUT)),
]


def filled(init: Initializer, seed: int = 0, dtype: Any = "float32") -> Any:
    w = np.full((N_IN, N_OUT), np.nan, dtype)
    init.fill(w, np.random.default_rng(seed))
    return w


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("normal", "uniform", "variance"), VARIANCES)
def test_both_distributions_have_the_variance_of_the_paper(
    normal: Initializer, uniform: Initializer, variance: float, dtype: str
) -> None:
    """100 000 draws: the limits are five standard errors or more."""
    bound = math.sqrt(3 * variance)
    for init in (normal, uniform):
        w = filled(init, dtype=dtype).astype(float)
        assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
        assert w.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / w.size))
    uniform_w, normal_w = (filled(init, dtype=dtype) for init in (uniform, normal))
    assert 0.999 * bound < abs(uniform_w).max() <= bound * (1 + 1e-6)
    assert np.mean(abs(normal_w) < math.sqrt(variance)) == pytest.approx(0.6827, abs=0.01)


RANDOM = [
    *(init for row in VARIANCES for init in row[:2]),
    *(Normal(), Uniform(), TruncatedNormal(), Orthogonal(), LSUV()),
]


@pytest.mark.parametrize("init", RANDOM, ids=repr)
def test_the_seed_decides(init: Initializer) -> None:
    np.testing.assert_array_equal(filled(init, 1), filled(init, 1))
    assert (filled(init, 1) != filled(init, 2)).mean() > 0.99


@pytest.mark.parametrize(("init", "value"), [(Zeros(), 0), (Ones(), 1), (Constant(-0.3), -0.3)])
def test_constants(init: Initializer, value: float) -> None:
    np.testing.assert_array_equal(filled(init, dtype="float64"), np.full((N_IN, N_OUT), value))


def moments(init: Initializer, dtype: str) -> tuple[float, float]:
    w = filled(init, dtype=dtype).astype(float)
    return w.mean(), w.var()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("init", "mean", "variance"),
    [
        (Normal(), 0, 0.05**2),
        (Normal(3.0, mean=-2.0), -2, 9),
        (Uniform(), 0, 0.1**2 / 12),
        (Uniform(low=1.0, high=4.0), 2.5, 9 / 12),
        # a standard normal variable between -2 and 2 has the variance 1 - 4 φ(2) / (2 Φ(2) - 1)
        (TruncatedNormal(std=3.0), 0, 9 * 0.7737413),
    ],
)
def test_plain_distributions_have_their_mean_and_variance(
    init: Initializer, mean: float, variance: float, dtype: str
) -> None:
    """100 000 draws: the limits are five standard errors or more."""
    found_mean, found_variance = moments(init, dtype)
    assert abs(found_mean - mean) < 5 * math.sqrt(variance / (N_IN * N_OUT))
    assert found_variance == pytest.approx(variance, rel=5 * math.sqrt(2 / (N_IN * N_OUT)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bounds_are_kept_and_reached(dtype: str) -> None:
    w = filled(Uniform(low=-1.0, high=3.0), dtype=dtype)
    assert -1 <= w.min() < -0.999 < 2.999 < w.max() <= 3
    w = filled(TruncatedNormal(std=0.1), dtype=dtype)
    assert 0.1999 < -w.min() <= 0.2 + 1e-8
    assert 0.1999 < w.max() <= 0.2 + 1e-8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (30, 30), (3, 3, 4, 5), (1, 1, 4, 20)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(shape: tuple[int, ...], gain: float, dtype: str) -> None:
    w = np.full(shape, np.nan, dtype)
    Orthogonal(gain=gain).fill(w, np.random.default_rng(0))
    W = w.reshape(-1, shape[-1]).astype(float)
    if len(W) < shape[-1]:
        W = W.T
    accuracy = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(W.T @ W, gain**2 * np.eye(W.shape[1]), atol=accuracy)


def test_orthogonal_matrices_are_drawn_from_all() -> None:
    """Without the sign of R the first number would never be positive."""
    draws = np.empty((400, 2, 2))
    for i, w in enumerate(draws):
        Orthogonal().fill(w, np.random.default_rng(i))
    assert abs(np.mean(draws[:, 0, 0] > 0) - 0.5) < 5 * 0.5 / 20
    assert abs(np.mean(np.linalg.det(draws) > 0) - 0.5) < 5 * 0.5 / 20


@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (5, 2), (1, 3)])
def test_eye(shape: tuple[int, int]) -> None:
    w = np.full(shape, np.nan, "float32")
    Eye(gain=3.0).fill(w, np.random.default_rng(0))
    np.testing.assert_array_equal(w, 3 * np.eye(*shape))


@pytest.mark.parametrize(
    ("shape", "sparsity", "zeros"),
    [
        ((100, 7), 0.9, 90),
        ((100, 7), 0.07, 7),
        ((15, 40), 0.5, 8),
        ((3, 3, 4, 5), 0.25, 9),
        ((4, 6), 0.99, 3),
        ((1, 6), 0.5, 0),
    ],
)
def test_sparse_counts_its_zeros(shape: tuple[int, ...], sparsity: float, zeros: int) -> None:
    w = np.full(shape, np.nan, "float32")
    Sparse(sparsity=sparsity, std=2.0).fill(w, np.random.default_rng(0))
    W = w.reshape(-1, shape[-1])
    np.testing.assert_array_equal((W == 0).sum(axis=0), zeros)


def test_sparse_spreads_its_zeros_and_draws_the_rest() -> None:
    W = filled(Sparse(sparsity=0.8, std=2.0))
    rest = W[W != 0].astype(float)
    assert rest.var() == pytest.approx(4, rel=5 * math.sqrt(2 / rest.size))
    # each row has a number of zeros that is binomial: 250 times 0.8
    rows = (W == 0).sum(axis=1)
    assert rows.var() == pytest.approx(N_OUT * 0.8 * 0.2, rel=0.5)


@pytest.mark.parametrize("init", [Orthogonal(), Eye(), Sparse(sparsity=0.5), LSUV()], ids=repr)
def test_what_is_for_matrices_refuses_vectors(init: Initializer) -> None:
    w = np.full(7, 5.0)
    with pytest.raises(ShapeError, match=r"shape \(7,\)"):
        init.fill(w, np.random.default_rng(0))
    np.testing.assert_array_equal(w, 5)


def test_eye_refuses_more_axes() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 3, 4, 4\) has no diagonal"):
        Eye().fill(np.empty((3, 3, 4, 4)), np.random.default_rng(0))


def adapted(init: LSUV, layer: Any, dtype: Any = "float64") -> tuple[Array, Array, int]:
    """W before and after, and how often the layer was asked."""
    W = np.empty((20, 10), dtype)
    init.fill(W, np.random.default_rng(0))
    before, calls = W.copy(), 0

    def outputs() -> Any:
        nonlocal calls
        calls += 1
        return layer(W)

    init.adapt(W, outputs)
    return before, W, calls


X = np.random.default_rng(1).normal(3, 7, size=(50, 20))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lsuv_gives_a_linear_layer_unit_variance_at_once(dtype: str) -> None:
    x = X.astype(dtype)
    before, W, calls = adapted(LSUV(), lambda W: x @ W, dtype)
    np.testing.assert_allclose(before.T @ before, np.eye(10), atol=1e-5)
    assert calls == 2
    assert (x @ W).var() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(W, before / (x @ before).std(), rtol=1e-5)


def test_lsuv_comes_near_where_a_layer_is_not_linear() -> None:
    def layer(W: Array) -> Any:
        return 1.2 * np.tanh(X @ W)

    _, W, calls = adapted(LSUV(tol=0.001, max_iter=100), layer)
    assert abs(layer(W).var() - 1) < 0.001
    assert calls > 2
    _, W, calls = adapted(LSUV(tol=0.001, max_iter=2), layer)
    assert abs(layer(W).var() - 1) >= 0.001
    assert calls == 2


@pytest.mark.parametrize(
    "layer",
    [
        lambda W: 0 * X @ W,
        lambda W: 0 * X @ W + 0.1,  # whose variance is rounding, and not 0
        lambda W: math.nan * X @ W,
        lambda W: np.full((50, 10), [math.inf] + 9 * [0.0]),
        lambda W: X @ W / (X @ W).std(),
    ],
)
def test_lsuv_changes_nothing_without_reason(layer: Any) -> None:
    before, W, calls = adapted(LSUV(), layer)
    np.testing.assert_array_equal(W, before)
    assert calls == 1


def test_only_lsuv_looks_at_data() -> None:
    assert LSUV.from_data
    assert not Orthogonal.from_data
    W = np.ones((2, 2))
    Orthogonal().adapt(W, lambda: 5 * W)
    np.testing.assert_array_equal(W, 1)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (Constant, {"value": math.nan}, "finite"),
        (Constant, {}, "value"),
        (Normal, {"std": -1.0}, "greater than 0"),
        (Normal, {"mean": math.inf}, "finite"),
        (TruncatedNormal, {"std": 0.0}, "greater than 0"),
        (Uniform, {"low": 1.0, "high": 1.0}, "low = 1.0: should be less than high = 1.0"),
        (Uniform, {"low": 1.0}, "low = 1.0: should be less than high = 0.05"),
        (Orthogonal, {"gain": math.nan}, "gain = nan: should be"),
        (Eye, {"gain": "1"}, "gain = '1': should be a number"),
        (Sparse, {"sparsity": 0.0}, "greater than 0"),
        (Sparse, {"sparsity": 1.0}, "less than 1"),
        (Sparse, {"sparsity": 0.5, "std": 0.0}, "greater than 0"),
        (LSUV, {"tol": 0.0}, "greater than 0"),
        (LSUV, {"max_iter": 0}, "greater than 0"),
    ],
)
def test_bad_options_are_refused(cls: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**options)


@pytest.mark.parametrize(
    ("shape", "n_in", "n_out"),
    [((784, 64), 784, 64), ((5,), 1, 5), ((3, 3, 8, 16), 72, 144), ((1, 1), 1, 1)],
)
def test_fans(shape: tuple[int, ...], n_in: int, n_out: int) -> None:
    w = np.empty(shape)
    assert (fan_in(w), fan_out(w)) == (n_in, n_out)
