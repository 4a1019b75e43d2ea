"""Optimizers with a step for each parameter as a whole, in order of increasing complexity.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
|w|  the norm of one parameter, the root of the sum of its squares
W, G  one parameter with two axes, and its gradient
M    a running mean of G
s    scratch memory
"""

from __future__ import annotations

import math
from dataclasses import field

import numpy as np

from layerkit.arrays import Array, number
from layerkit.config.options import Amount, Decay, Rate
from layerkit.optimizers.adam import Moments
from layerkit.optimizers.base import Optimizer


def trust_ratio(trust: float, w: Array, u: Array) -> float:
    """Return trust |w| / |u|, or 1 if w or u is 0."""
    w_norm, u_norm = number(np.linalg.norm(w)), number(np.linalg.norm(u))
    known = (w_norm > 0) * (u_norm > 0)
    return known * trust * w_norm / (u_norm + (u_norm == 0)) + (1 - known)


class LARS(Optimizer):
    """v <- beta v + lr r u;  w <- w - v, u = g + weight_decay w, r = trust |w| / |u|.

    Layer-wise adaptive rate scaling: momentum with steps in proportion to each parameter's norm.
    r is computed for each parameter, and is 1 if w or u is 0. Biases, scales of normalizations and
    parameters of activations have r = 1, and no weight decay unless `penalize` names them.

    optax's, with these exceptions as its masks. The source divides by |g| + weight_decay |w|.

    Source: You, Gitman and Ginsburg (2017), Large Batch Training of Convolutional Networks,
    arXiv:1708.03888.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta : float
        How much of v is kept at each step.
    trust : float
        The length of the first step of a parameter, divided by lr and |w|.
    weight_decay : float
        The share of w in u: not decoupled, since r scales it too.

    Examples
    --------
    >>> w = np.array([3.0, 4.0])
    >>> LARS(lr=1.0, trust=0.1).step(w, g=np.array([0.0, 100.0]))
    >>> w
    array([3. , 3.5])
    """

    lr: Rate = 0.1
    beta: Decay = 0.9
    trust: Rate = 0.001
    slots = ("v",)
    decoupled = False

    def update(self, w: Array, g: Array, v: Array) -> None:
        u = np.multiply(w, self.around.mask, out=self.s)
        u *= self.weight_decay
        u += g
        for segment in self.layout:
            lr, where = self.lr, segment.where
            if segment.is_weight:
                lr *= trust_ratio(self.trust, w[where], u[where])
            u[where] *= lr
        v *= self.beta
        v += u
        w -= v


class LAMB(Moments):
    """w <- w - lr r u, u = m' / (sqrt(v') + eps) + weight_decay w, r = |w| / |u|.

    Adam with steps in proportion to each parameter's norm. m' and v' are Adam's. r is computed for
    each parameter, and is 1 if w or u is 0. Biases, scales of normalizations and parameters of
    activations have r = 1, and no weight decay unless `penalize` names them.

    optax's, with these exceptions as its masks. The source has a function of |w| instead of |w|.

    Source: You et al. (2020), Large Batch Optimization for Deep Learning: Training BERT in 76
    minutes, arXiv:1904.00962.

    Parameters
    ----------
    lr : float
        Learning rate, the length of a step divided by |w|.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.
    weight_decay : float
        The share of w in u: not decoupled, since r scales it too.

    Examples
    --------
    >>> w = np.array([3.0, 4.0])
    >>> LAMB(lr=0.1).step(w, g=np.array([0.0, 100.0]))
    >>> w.round(6)
    array([3. , 3.5])
    """

    eps: Rate = 1e-6
    decoupled = False

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        self.average(g, m, v, self.s)
        u = self.change(m, v, self.s, 1.0)
        for segment in self.layout:
            lr, where = self.lr, segment.where
            if self.weight_decay and segment.decays:
                u[where] += self.weight_decay * w[where]
            if segment.is_weight:
                lr *= trust_ratio(1.0, w[where], u[where])
            u[where] *= lr
        w -= u


class Muon(Moments):
    """W <- W - 0.2 lr sqrt(max(shape of W)) Q: momentum, made equally large in all directions.

    M <- momentum M + (1 - momentum) G, and Q is U V^T for the singular value decomposition U S V^T
    of (1 - momentum) G + momentum M. Five steps X <- a X + b X X^T X + c (X X^T)^2 X of Newton and
    Schulz make all singular values but the very small ones roughly 1, from 0.68 to 1.21.

    For matrices: parameters with two axes, except those of activations. AdamW changes all others.
    Both have decoupled `weight_decay`.

    PyTorch's with ``adjust_lr_fn="match_rms_adamw"``: the factor of lr makes a step as large as one
    of AdamW, so that one lr serves both. Ours computes in the precision of W, PyTorch in bfloat16.
    In the first source, embeddings and the last layer are left to AdamW too.

    Source: Jordan et al. (2024), Muon: An optimizer for hidden layers in neural networks,
    https://kellerjordan.github.io/posts/muon/; for the factor, Liu et al. (2025), Muon is Scalable
    for LLM Training, arXiv:2502.16982.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta1, beta2, eps : float
        Adam's, for parameters that are not matrices.
    momentum : float
        How much of the mean of G is kept at each step, for matrices.
    weight_decay : float
        Decoupled: w <- w - lr weight_decay w before each update.

    Examples
    --------
    >>> W = np.zeros((2, 2))
    >>> Muon(lr=3.5, weight_decay=0.0).step(W, g=np.array([[100.0, 0.0], [0.0, -3.0]]))
    >>> W.round()
    array([[-1.,  0.],
           [ 0.,  1.]])
    """

    momentum: Decay = 0.95
    weight_decay: Amount = field(default=0.1, kw_only=True)

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        for segment in self.layout:
            W, G, M, V, S = (x[segment.where].reshape(segment.shape) for x in (w, g, m, v, self.s))
            if segment.is_weight and len(segment.shape) == 2:
                self.update_matrix(W, G, M, S)
            else:
                self.average(G, M, V, S)
                W -= self.change(M, V, S, self.lr)

    def update_matrix(self, W: Array, G: Array, M: Array, X: Array) -> None:
        """Do W <- W - 0.2 lr sqrt(max(shape)) Q; X is scratch memory."""
        M *= self.momentum
        M += np.multiply(G, 1 - self.momentum, out=X)
        np.subtract(M, G, out=X)
        X *= self.momentum
        X += G
        factor = 0.2 * self.lr * math.sqrt(max(W.shape))
        if W.shape[0] <= W.shape[1]:
            W -= factor * polar_factor(X @ X.T) @ X
        else:
            W -= X @ (factor * polar_factor(X.T @ X))


def polar_factor(A: Array) -> Array:
    """Return P such that P X has singular values near 1, for A = X X^T.

    Each step of Newton and Schulz multiplies X by p(A) = a + b A + c A^2, and so A by p(A)^2. It is
    enough to follow A, which is small where X is long.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    norm = number(np.maximum(number(np.trace(A)) ** 0.5, 1e-7))
    identity = np.eye(len(A), dtype=A.dtype)
    A = A / norm**2
    P = identity / norm
    for _ in range(5):
        p = a * identity + b * A + c * (A @ A)
        P = p @ P
        A = p @ A @ p
    return P
