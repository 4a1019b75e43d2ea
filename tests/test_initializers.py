import math
from typing import Any

import numpy as np
import pytest

from layerkit import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LeCunNormal,
    LeCunUniform,
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


@pytest.mark.parametrize("init", [init for row in VARIANCES for init in row[:2]], ids=repr)
def test_the_seed_decides(init: Initializer) -> None:
    np.testing.assert_array_equal(filled(init, 1), filled(init, 1))
    assert (filled(init, 1) != filled(init, 2)).mean() > 0.99


def test_zeros() -> None:
    assert not filled(Zeros()).any()


@pytest.mark.parametrize(
    ("shape", "n_in", "n_out"),
    [((784, 64), 784, 64), ((5,), 1, 5), ((3, 3, 8, 16), 72, 144), ((1, 1), 1, 1)],
)
def test_fans(shape: tuple[int, ...], n_in: int, n_out: int) -> None:
    w = np.empty(shape)
    assert (fan_in(w), fan_out(w)) == (n_in, n_out)
