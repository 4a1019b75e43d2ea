"""Variants of Adam, in order of increasing complexity.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
m    a running mean of g
v    a running mean of g^2
m'   m, corrected for its start at 0: m' = m / (1 - beta1^t)
v'   v, corrected for its start at 0: v' = v / (1 - beta2^t), in Adan with beta3
u    the greatest v so far, or a decaying maximum of |g|
d    a running mean of the changes of g
t    the number of the step, from 1
s    scratch memory
"""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Amount, Decay, Rate
from layerkit.optimizers.adam import Moments
from layerkit.optimizers.base import Optimizer


class AMSGrad(Moments):
    """u <- max(u, v);  w <- w - lr m' / (sqrt(u') + eps): Adam whose divisor never shrinks.

    PyTorch's ``Adam(amsgrad=True)``: u is the greatest v so far, corrected as v is in Adam,
    u' = u / (1 - beta2^t). In Keras eps is added before the correction, optax takes the
    greatest v', and in the source nothing is corrected.

    Source: Reddi, Kale and Kumar (2018), On the Convergence of Adam and Beyond, arXiv:1904.09237.

    Parameters
    ----------
    lr : float
        Learning rate, the length of the first step of each parameter.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.

    Examples
    --------
    >>> w, amsgrad = np.array([1.0]), AMSGrad(lr=0.1, beta1=0.0, beta2=0.5)
    >>> for g in [2.0, 0.0]:
    ...     amsgrad.step(w, np.array([g]))
    >>> w.round(6), amsgrad.memory["u"]
    (array([0.9]), array([2.]))
    """

    slots = ("m", "v", "u")

    def update(self, w: Array, g: Array, m: Array, v: Array, u: Array) -> None:
        self.average(g, m, v, self.s)
        np.maximum(u, v, out=u)
        w -= self.change(m, u, self.s, self.lr)


class Adamax(Optimizer):
    """m <- beta1 m + (1 - beta1) g;  u <- max(beta2 u, |g| + eps);  w <- w - lr m' / u.

    Adam with a decaying maximum instead of the root mean square; m' = m / (1 - beta1^t).

    PyTorch's: eps is added to |g| inside the maximum. Keras adds it to u; the source has none.

    Source: Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, arXiv:1412.6980.

    Parameters
    ----------
    lr : float
        Learning rate, the length of the first step of each parameter.
    beta1, beta2 : float
        How much of the mean of g and of the maximum is kept at each step.
    eps : float
        Added to the size of g, so that nothing is divided by 0.

    Examples
    --------
    >>> w, adamax = np.array([1.0]), Adamax(lr=0.1, beta1=0.0, beta2=0.5)
    >>> for g in [2.0, 0.5]:
    ...     adamax.step(w, np.array([g]))
    >>> w.round(6), adamax.memory["u"]
    (array([0.85]), array([1.]))
    """

    lr: Rate = 0.002
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Rate = 1e-8
    slots = ("m", "u")

    def update(self, w: Array, g: Array, m: Array, u: Array) -> None:
        s = self.s
        m *= self.beta1
        m += np.multiply(g, 1 - self.beta1, out=s)
        u *= self.beta2
        np.abs(g, out=s)
        s += self.eps
        np.maximum(u, s, out=u)
        np.divide(m, u, out=s)
        s *= self.lr / (1 - self.beta1**self.t)
        w -= s


class NAdam(Moments):
    """w <- w - lr ((1 - mu_t) / (1 - p) g + mu_(t+1) / (1 - p mu_(t+1)) m) / (sqrt(v') + eps).

    Adam with Nesterov's look ahead. m, v and v' are Adam's, p = mu_1 mu_2 … mu_t, and
    mu_t = beta1 (1 - 0.96^(momentum_decay t) / 2) grows from about half of beta1 to beta1.

    PyTorch's. Keras's is the same with momentum_decay = 1, and in optax's mu is beta1 from the
    beginning; the source leaves its course open.

    Source: Dozat (2016), Incorporating Nesterov Momentum into Adam.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.
    momentum_decay : float
        How fast mu grows.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> NAdam(lr=0.1).step(w, g=np.array([1e-3, -1e3]))
    >>> w.round(6)
    array([0.894356, 1.105645])
    """

    lr: Rate = 0.002
    momentum_decay: Amount = 0.004

    def allocate(self, w: Array) -> dict[str, Array]:
        """Return means of 0 and the empty product 1."""
        return super().allocate(w) | {"p": np.ones(1, w.dtype)}

    def update(self, w: Array, g: Array, m: Array, v: Array, p: Array) -> None:
        s = self.s
        mu, mu_next = self.mu(self.t), self.mu(self.t + 1)
        self.average(g, m, v, s)
        p *= mu
        product = p.item()
        for part, factor in (
            (g, (1 - mu) / (1 - product)),
            (m, mu_next / (1 - product * mu_next)),
        ):
            np.sqrt(v, out=s)
            s /= (1 - self.beta2**self.t) ** 0.5
            s += self.eps
            np.divide(part, s, out=s)
            s *= self.lr * factor
            w -= s

    def mu(self, t: int) -> float:
        """Return how much of the past counts at step t."""
        return self.beta1 * (1 - 0.96 ** (t * self.momentum_decay) / 2)


class RAdam(Moments):
    """w <- w - lr r m' sqrt(1 - beta2^t) / (sqrt(v) + eps), or w - lr m' while v is not reliable.

    Adam, with its m, v and m', but the variance of its step rectified. v is reliable where
    rho = n - 2 t beta2^t / (1 - beta2^t) > 5, with n = 2 / (1 - beta2) - 1. Then
    r = sqrt((rho - 4) (rho - 2) n / ((n - 4) (n - 2) rho)).

    PyTorch's: eps is added to the root of v, before the correction. The source has no eps, and
    divides where rho > 4.

    Source: Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond,
    arXiv:1908.03265.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.

    Examples
    --------
    >>> w, radam = np.array([1.0]), RAdam(lr=0.1)
    >>> for _ in range(5):
    ...     radam.step(w, g=np.array([0.5]))
    >>> w.round(6)
    array([0.75])
    """

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        s = self.s
        self.average(g, m, v, s)
        lr, correction = self.lr / (1 - self.beta1**self.t), 1 - self.beta2**self.t
        n = 2 / (1 - self.beta2) - 1
        rho = n - 2 * self.t * self.beta2**self.t / correction
        reliable = rho > 5  # without a decision: what is not counts 0 times
        rho += (5 - rho) * (1 - reliable)
        r = (reliable * (rho - 4) * (rho - 2) * n / ((n - 4) * (n - 2) * rho)) ** 0.5
        np.sqrt(v, out=s)
        s += self.eps
        np.divide(m, s, out=s)
        s *= lr * r * correction**0.5
        w -= s
        w -= np.multiply(m, lr * (1 - reliable), out=s)


class Adan(Optimizer):
    """w <- w - lr (m' + (1 - beta2) d') / (sqrt(v' + eps_root) + eps): Adam that sees changes of g.

    c is g less the g of the step before, and 0 at the first step;
    m <- beta1 m + (1 - beta1) g;  d <- beta2 d + (1 - beta2) c;
    v <- beta3 v + (1 - beta3) (g + (1 - beta2) c)^2; primes are corrected as in Adam, each
    with its own beta.

    optax's. In the source, whose betas are 1 minus ours, the factor of c and of d' is our beta2,
    as in the authors' own code, which has no eps_root.

    Source: Xie et al. (2022), Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep
    Models, arXiv:2208.06677.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta1, beta2, beta3 : float
        How much of the means of g, of its change and of the square is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.
    eps_root : float
        Added under the root.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> Adan(lr=0.1, eps_root=0.0).step(w, g=np.array([1e-3, -1e3]))
    >>> w.round(6)
    array([0.900001, 1.1     ])
    """

    lr: Rate = 0.001
    beta1: Decay = 0.98
    beta2: Decay = 0.92
    beta3: Decay = 0.99
    eps: Rate = 1e-8
    eps_root: Amount = 1e-8
    slots = ("before", "m", "d", "v")

    def update(self, w: Array, g: Array, before: Array, m: Array, d: Array, v: Array) -> None:
        s, t = self.s, self.t
        c = np.subtract(g, before, out=before)
        c *= t > 1
        m *= self.beta1
        m += np.multiply(g, 1 - self.beta1, out=s)
        d *= self.beta2
        d += np.multiply(c, 1 - self.beta2, out=s)
        np.multiply(c, 1 - self.beta2, out=s)
        s += g
        s *= s
        s *= 1 - self.beta3
        v *= self.beta3
        v += s
        np.copyto(before, g)
        for mean, factor in (
            (m, 1 / (1 - self.beta1**t)),
            (d, (1 - self.beta2) / (1 - self.beta2**t)),
        ):
            np.divide(v, 1 - self.beta3**t, out=s)
            s += self.eps_root
            np.sqrt(s, out=s)
            s += self.eps
            np.divide(mean, s, out=s)
            s *= self.lr * factor
            w -= s
