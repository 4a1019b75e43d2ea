"""Initializers for matrices; parameters with more axes are seen as (n_in, n_out)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Fraction, Rate, Size
from layerkit.errors import ShapeError
from layerkit.initializers.base import Initializer, fill_normal


class Orthogonal(Initializer):
    """WᵀW = gain² I, or W Wᵀ = gain² I where n_in < n_out: uniform over all such W.

    The Q of the QR decomposition of a normal matrix, with the diagonal of R made positive.
    Source: Saxe et al. (2013), Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, arXiv:1312.6120.

    Parameters
    ----------
    gain : float
        Factor of lengths: an input of length 1 gives an output of length `gain`, or less where
        n_in > n_out.

    Examples
    --------
    >>> W = np.empty((5, 3))
    >>> Orthogonal().fill(W, np.random.default_rng(0))
    >>> abs(W.T @ W).round(6)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """

    gain: Rate = 1.0

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _orthogonal(w, rng)
        w *= self.gain


class Eye(Initializer):
    """W = gain I: outputs are gain times inputs.

    Named as in NumPy, since `Identity` is the activation. If W is not square, as many inputs as
    possible are passed on, as in PyTorch's eye_.

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
        if w.ndim != 2:
            raise ShapeError(f"a parameter of shape {w.shape} has no diagonal; Eye is for matrices")
        w[...] = 0
        np.fill_diagonal(w, self.gain)


class Sparse(Initializer):
    """w ~ N(0, std²), but ``round(sparsity * n_in)`` weights of each output are 0, never all.

    Each unit reads few inputs. PyTorch's sparse_ counts the other way, over the outputs of each
    input.
    Source: Martens (2010), Deep learning via Hessian-free optimization.

    Parameters
    ----------
    sparsity : float
        Share of the weights that are 0; between 0 and 1.
    std : float
        Standard deviation of the other weights.

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
        W = _matrix(w)
        fill_normal(w, rng, self.std)
        order = rng.permuted(np.tile(np.arange(len(W)), (W.shape[1], 1)), axis=1).T
        W[order < min(round(self.sparsity * len(W)), len(W) - 1)] = 0


class LSUV(Initializer):
    """Orthogonal, then W <- W / sqrt(var(y)) until the outputs y of the layer have variance 1.

    Layer-sequential unit variance: y are all outputs of one batch of training data. If they are
    all equal or not all finite, W stays.

    Source: Mishkin and Matas (2015), All you need is a good init, arXiv:1511.06422.

    Parameters
    ----------
    tol : float
        How far from 1 the variance may be.
    max_iter : int
        Number of divisions at most. One is enough if y = x W.

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
        _orthogonal(w, rng)

    def adapt(self, w: Array, outputs: Callable[[], Array]) -> None:
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
            f"a parameter of shape {w.shape} is not a matrix (inputs, outputs), which this "
            "initializer needs; Zeros or Normal fill any shape"
        )
    return w.reshape(-1, w.shape[-1])


def _orthogonal(w: Array, rng: np.random.Generator) -> None:
    W = _matrix(w)
    tall = W if W.shape[0] >= W.shape[1] else W.T
    Q, R = np.linalg.qr(rng.standard_normal(tall.shape))
    tall[...] = Q * np.copysign(1, np.diag(R))
