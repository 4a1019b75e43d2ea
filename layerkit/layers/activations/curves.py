"""Activations that are neither S-shaped nor rectifiers: lines, waves and shrinkage."""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array, blend, finite, lambert, one_where, squarable
from layerkit.config.options import Amount
from layerkit.layers.base import Layer


class Identity(Layer):
    """y = x; dy/dx = 1.

    Returns its input, where an option or a file needs an activation that does nothing.
    Range (-inf, inf).
    Source: PyTorch's Identity, Keras's linear.

    Examples
    --------
    >>> Identity().forward(np.array([-2.0, 3.0]))
    array([-2.,  3.])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy


class BinaryStep(Layer):
    """y = 1 where x >= 0, else 0; dy/dx = 0.

    The step of the first artificial neurons, through which nothing before it can learn.
    Range {0, 1}.
    Not differentiable at 0, where the derivative is taken as 0.
    Source: McCulloch and Pitts (1943), A logical calculus of the ideas immanent in nervous
    activity. Straight-through: Bengio, Léonard and Courville (2013), Estimating or propagating
    gradients through stochastic neurons for conditional computation, arXiv:1308.3432.

    Parameters
    ----------
    straight_through : bool
        Use 1 as the derivative, so that the layers before it can learn. It is not the true one:
        this is the only activation where `backward` may not be the derivative of `forward`.

    Examples
    --------
    >>> step = BinaryStep(straight_through=True)
    >>> step.forward(np.array([-2.0, 0.0, 3.0]))
    array([0., 1., 1.])
    >>> step.backward(np.array([5.0, 6.0, 7.0]))
    array([5., 6., 7.])
    """

    straight_through: bool = False

    def forward(self, x: Array, train: bool = True) -> Array:
        y = one_where(x >= 0, x)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        if self.straight_through:
            return dy
        return 0 * self.y


class BentIdentity(Layer):
    """y = (sqrt(x^2 + 1) - 1) / 2 + x; dy/dx = x / (2 sqrt(x^2 + 1)) + 1.

    A smooth bend, from slope 1/2 far on the left to 3/2 far on the right.
    Range (-inf, inf).
    Source: Wikipedia, Activation function.

    Examples
    --------
    >>> BentIdentity().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-1.382,  0.   ,  2.618])
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x (1 + x / (h + 1) / 2) with h = sqrt(x^2 + 1): no cancellation at 0."""
        u = squarable(x)
        h = np.sqrt(u * u + 1)
        self.u, self.h = u, h
        y = u / (h + 1)
        y *= 0.5
        y += 1
        y *= x
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.u / self.h
        dx *= 0.5
        dx += 1
        dx *= dy
        return dx


class SoftExponential(Layer):
    """y = (exp(alpha x) - 1) / alpha + alpha; dy/dx = exp(alpha x).

    The soft exponential, from logarithm to exponential function.
    For alpha < 0, y = -log(1 - alpha (x + alpha)) / alpha and dy/dx = 1 / (1 - alpha (x + alpha)),
    and both are nan where x < 1 / alpha - alpha. For alpha = 0, y = x.
    Range (alpha - 1 / alpha, inf) for alpha > 0, else (-inf, inf).
    Source: Godfrey and Gashler (2016), A continuum among logarithmic, linear, and exponential
    functions, and its potential to improve generalization in neural networks, arXiv:1602.01321.
    There alpha is learned; here it is an option.

    Parameters
    ----------
    alpha : float
        -1 gives a logarithm, 0 the identity, 1 the exponential function.

    Examples
    --------
    >>> SoftExponential(1.0).forward(np.array([0.0, 1.0])).round(4)
    array([1.    , 2.7183])
    """

    alpha: float = 0.5

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        if self.alpha == 0:
            return x
        u = x * self.alpha
        self.u = u
        if self.alpha < 0:
            y = np.log1p(-(self.alpha**2) - u)
            y /= -self.alpha
        else:
            y = np.expm1(u)
            y /= self.alpha
            y += self.alpha
        return y

    @np.errstate(over="ignore", divide="ignore")
    def backward(self, dy: Array) -> Array:
        if self.alpha == 0:
            return dy
        if self.alpha < 0:
            d = 1 - self.alpha**2 - self.u
            d[d < 0] = np.nan  # where y is
            dx = dy / d
        else:
            dx = np.exp(self.u)
            dx *= dy
        return dx


class Gaussian(Layer):
    """y = exp(-x^2); dy/dx = -2 x y.

    A bell curve, the unit of radial basis function networks.
    Range (0, 1].
    Source: Broomhead and Lowe (1988), Multivariable functional interpolation and adaptive networks.

    Examples
    --------
    >>> Gaussian().forward(np.array([-2.0, 0.0, 1.0])).round(4)
    array([0.0183, 1.    , 0.3679])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        u = np.clip(x, -40, 40)  # beyond, the result is 0, and the square may overflow
        y = u * u
        np.negative(y, out=y)
        np.exp(y, out=y)
        self.u, self.y = u, y
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.u * self.y
        dx *= -2
        dx *= dy
        return dx


class Sinusoid(Layer):
    """y = sin(x); dy/dx = cos(x).

    The sine.
    There is no limit at infinity: y is nan there.
    Range [-1, 1].
    Source: Wikipedia, Activation function; Sitzmann et al. (2020), Implicit neural representations
    with periodic activation functions, arXiv:2006.09661.

    Examples
    --------
    >>> Sinusoid().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-0.9093,  0.    ,  0.9093])
    """

    @np.errstate(invalid="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return np.sin(x)

    @np.errstate(invalid="ignore")
    def backward(self, dy: Array) -> Array:
        dx = np.cos(self.x)
        dx *= dy
        return dx


class Sinc(Layer):
    """y = sin(x) / x, 1 at x = 0; dy/dx = (cos(x) - y) / x.

    The cardinal sine.
    Range [-0.2173, 1].
    Source: Wikipedia, Activation function. NumPy's sinc(x) is ours at π x.

    Examples
    --------
    >>> Sinc().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([0.4546, 1.    , 0.4546])
    """

    @np.errstate(invalid="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return sin(x) / x, and 1 at x = 0."""
        y = np.sin(finite(x))
        y /= x
        y[x == 0] = 1
        self.x, self.y = x, y
        return y

    @np.errstate(invalid="ignore")
    def backward(self, dy: Array) -> Array:
        """Return dy (cos(x) - y) / x; near 0, dx = -dy x y v: no cancellation.

        There v = (1 - x cos(x) / sin(x)) / x^2, by a continued fraction.
        """
        x, u = self.x, np.clip(self.x, -0.7, 0.7)
        near = u == x
        t = u * u
        np.negative(t, out=t)
        u *= lambert(t)
        u *= self.y
        np.negative(u, out=u)
        dx = np.cos(finite(x))
        dx -= self.y
        dx /= x
        dx[x == 0] = 0
        blend(dx, u, near)
        dx *= dy
        return dx


class HardShrink(Layer):
    """y = x where |x| > threshold, else 0; dy/dx = 1 where |x| > threshold, else 0.

    Hard shrinkage: numbers near 0 become 0, all others stay.
    Range (-inf, -threshold), {0} and (threshold, inf).
    Not differentiable where |x| = threshold, where the derivative is taken as 0.
    Source: Donoho and Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage: hard
    thresholding.

    Parameters
    ----------
    threshold : float
        The largest |x| for which y is 0. The default is Keras's and that of PyTorch's lambd.

    Examples
    --------
    >>> HardShrink().forward(np.array([-2.0, 0.3, 1.0]))
    array([-2.,  0.,  1.])
    """

    threshold: Amount = 0.5

    def forward(self, x: Array, train: bool = True) -> Array:
        y = x * (np.abs(x) > self.threshold)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = one_where(self.y != 0, self.y)
        dx *= dy
        return dx


class SoftShrink(Layer):
    """y = sign(x) max(|x| - threshold, 0); dy/dx = 1 where |x| > threshold, else 0.

    Soft shrinkage: all numbers go towards 0 by a threshold.
    Range (-inf, inf).
    Not differentiable at -threshold and threshold, where the derivative is taken as 0.
    Source: Donoho and Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage: soft
    thresholding.

    Parameters
    ----------
    threshold : float
        The largest |x| for which y is 0. The default is Keras's and that of PyTorch's lambd.

    Examples
    --------
    >>> SoftShrink().forward(np.array([-2.0, 0.3, 1.0]))
    array([-1.5,  0. ,  0.5])
    """

    threshold: Amount = 0.5

    def forward(self, x: Array, train: bool = True) -> Array:
        y = np.clip(x, -self.threshold, self.threshold)
        np.subtract(x, y, out=y)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = one_where(self.y != 0, self.y)
        dx *= dy
        return dx


class TanhShrink(Layer):
    """y = x - tanh(x); dy/dx = tanh(x)^2.

    The part of its input that tanh takes away.
    Range (-inf, inf).
    Source: PyTorch and Keras have it under this name.

    Examples
    --------
    >>> TanhShrink().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-1.036,  0.   ,  1.036])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x - tanh(x); near 0, x w / (1 + w) with x / tanh(x) = 1 + w: no cancellation."""
        u = np.clip(x, -0.7, 0.7)
        near = u == x
        w = u * u
        w *= lambert(w)
        u *= w
        w += 1
        u /= w
        t = np.tanh(x)
        self.t = t
        y = x - t
        blend(y, u, near)
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.t * self.t
        dx *= dy
        return dx
