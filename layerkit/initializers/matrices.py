"""Initializers for matrices: parameters of more axes count as (n_in, n_out)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Fraction, Rate, Size
from layerkit.errors import ShapeError
from layerkit.initializers.base import Initializer, fill_normal


class Orthogonal(Initializer):
    """WᵀW = gain² I, or W Wᵀ = gain² I where n_in < n_out; each such W is as likely as any other.

    The Q of the QR decomposition of a normal matrix, with the diagonal of R made positive.
    Saxe et al. (2013), arXiv:1312.6120.

    Parameters
    ----------
    gain : float
        The factor of all lengths: an input of length 1 gives an output of length `gain`.

    Examples
    --------
    >>> W = np.empty((5, 3))
    >>> Orthogonal().fill(W, np.random.default_rng(0))
    >>> np.allclose(W.T @ W, np.eye(3))
    True
    """

    gain: Rate = 1.0

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Make the columns orthogonal, or the rows if there are fewer of them."""
        _orthogonal(w, rng)
        w *= self.gain


class Eye(Initializer):
    """W = gain I: outputs are inputs. Named as in NumPy, since `Identity` is the activation.

    Where W is not square, as many inputs as possible are passed on, as by PyTorch's eye_.

    Parameters
    ----------
    gain : float
        The numbers on the diagonal.

    Examples
    --------
    >>> W = np.empty((2, 3))
    >>> Eye(gain=0.5).fill(W, np.random.default_rng(0))
    >>> W
    array([[0.5, 0. , 0. ],
           [0. , 0.5, 0. ]])
    """

    gain: float = 1.0

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Set the diagonal to `gain`, all else to 0."""
        if w.ndim != 2:
            raise ShapeError(f"a parameter of shape {w.shape} has no diagonal; Eye is for matrices")
        w[...] = 0
        np.fill_diagonal(w, self.gain)


class Sparse(Initializer):
    """w ~ N(0, std²), but of the weights to each output round(sparsity * n_in) are 0, never all.

    Martens (2010), Deep learning via Hessian-free optimization: a unit listens to few inputs.
    PyTorch's sparse_ counts the other way, over the outputs of each input.

    Parameters
    ----------
    sparsity : float
        Which part of the weights is 0; between 0 and 1.
    std : float
        Of the other weights.

    Examples
    --------
    >>> W = np.empty((100, 3))
    >>> Sparse(sparsity=0.9).fill(W, np.random.default_rng(0))
    >>> (W != 0).sum(axis=0)
    array([10, 10, 10])
    """

    sparsity: Fraction
    std: Rate = 0.01

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the normal distribution, then choose the zeros of each column."""
        W = _matrix(w)
        fill_normal(w, rng, self.std)
        order = rng.permuted(np.tile(np.arange(len(W)), (W.shape[1], 1)), axis=1).T
        W[order < min(round(self.sparsity * len(W)), len(W) - 1)] = 0


class LSUV(Initializer):
    """Orthogonal, then W /= sqrt(var(y)) until the outputs y of the layer have variance 1.

    y are all outputs of one batch of the training data. Where they are all the same or not finite,
    nothing is changed. Mishkin and Matas (2015), arXiv:1511.06422.

    Parameters
    ----------
    tol : float
        How far from 1 the variance may be.
    max_iter : int
        How often W is divided at most. Once is enough where y = x W.

    Examples
    --------
    >>> rng, W = np.random.default_rng(0), np.empty((20, 10))
    >>> x, init = 7 * rng.normal(size=(50, 20)), LSUV()
    >>> init.fill(W, rng)
    >>> init.adapt(W, outputs=lambda: x @ W)
    >>> print(f"{(x @ W).var():.6f}")
    1.000000
    """

    tol: Rate = 0.01
    max_iter: Size = 10
    from_data = True

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Make W orthogonal."""
        _orthogonal(w, rng)

    def adapt(self, w: Array, outputs: Callable[[], Array]) -> None:
        """Divide by the standard deviation of the outputs, again and again."""
        for _ in range(self.max_iter):
            y = outputs()
            if not 0 < float(y.max()) - float(y.min()) < math.inf:
                break
            variance = float(y.var(dtype="float64"))
            if abs(variance - 1) < self.tol:
                break
            w /= math.sqrt(variance)


def _matrix(w: Array) -> Array:
    """View as (n_in, n_out)."""
    if w.ndim < 2:
        raise ShapeError(
            f"a parameter of shape {w.shape} is no matrix (inputs, outputs), as this initializer "
            "needs; Zeros or Normal fill any shape"
        )
    return w.reshape(-1, w.shape[-1])


def _orthogonal(w: Array, rng: np.random.Generator) -> None:
    W = _matrix(w)
    tall = W if W.shape[0] >= W.shape[1] else W.T
    Q, R = np.linalg.qr(rng.standard_normal(tall.shape))
    tall[...] = Q * np.copysign(1, np.diag(R))
