"""The normal distribution function without SciPy."""

import numpy as np
import pytest
from scipy import special

from layerkit.layers.activations.normal import ndtr


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 1e-7)])
def test_it_is_that_of_scipy(dtype: str, rtol: float) -> None:
    x = np.array([*np.linspace(-12, 12, 4801), -30.0, -np.inf, np.inf, np.nan], dtype)
    found = ndtr(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, special.ndtr(x), rtol=rtol, atol=1e-45)
