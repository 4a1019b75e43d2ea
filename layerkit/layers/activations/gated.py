"""Gated linear units: one half of the features, times what the other half lets through."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.layers.activations.curves import Identity
from layerkit.layers.activations.rectifiers import ReLU
from layerkit.layers.activations.rows import RowActivation
from layerkit.layers.activations.sigmoids import Sigmoid
from layerkit.layers.activations.swish import GELU, SiLU
from layerkit.layers.base import Layer
from layerkit.layers.shapes import along


class GLU(RowActivation):
    """y = a sigmoid(b), with x = [a, b]; da = dy sigmoid(b), db = dy a sigmoid'(b).

    The gated linear unit: b says how much of a is let through.
    Shapes: x (N, ..., 2n), y (N, ..., n). The second half is the gate, as in PyTorch.
    Range (-inf, inf).
    Source: Dauphin, Fan, Auli and Grangier (2016), Language modeling with gated convolutional
    networks, arXiv:1612.08083. The relatives differ in `gate` only.

    Parameters
    ----------
    axis : int
        The axis of an example that is halved, counted from its end (PyTorch: dim).

    Raises
    ------
    ShapeError
        When the length of the axis is odd.

    Examples
    --------
    >>> glu = GLU()
    >>> glu.place((4,), address="glu")
    (2,)
    >>> glu.forward(np.array([[1.0, 2.0, 0.0, 100.0]]))
    array([[0.5, 2. ]])
    """

    gate: ClassVar[type[Layer]] = Sigmoid

    def build(self, shape: Shape) -> Shape:
        halved = self.divided(shape, 2)
        half = halved[self.axis]
        self.first = along(self.axis, slice(half))
        self.second = along(self.axis, slice(half, None))
        self.g = self.gate()
        return halved

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        a, b = x[self.first], x[self.second]
        g = self.g.forward(b, train=train)
        self.a, self.gb = a, g
        return a * g

    @np.errstate(over="ignore")
    def backward(self, dy: Array) -> Array:
        return np.concatenate([dy * self.gb, self.g.backward(dy * self.a)], self.axis)


class ReGLU(GLU):
    """y = a max(b, 0), with x = [a, b]; da = dy max(b, 0), db = dy a where b > 0, else 0.

    GLU with ReLU as its gate.
    Range (-inf, inf).
    Not differentiable where b = 0, where the derivative is taken as 0.
    Source: Shazeer (2020), GLU variants improve transformer, arXiv:2002.05202.

    Examples
    --------
    >>> reglu = ReGLU()
    >>> reglu.place((4,), address="reglu")
    (2,)
    >>> reglu.forward(np.array([[1.0, 2.0, 3.0, -1.0]]))
    array([[3., 0.]])
    """

    gate = ReLU


class GEGLU(GLU):
    """y = a gelu(b), with x = [a, b]; da = dy gelu(b), db = dy a gelu'(b).

    GLU with GELU as its gate.
    Range (-inf, inf).
    Source: Shazeer (2020), GLU variants improve transformer, arXiv:2002.05202.

    Examples
    --------
    >>> geglu = GEGLU()
    >>> geglu.place((4,), address="geglu")
    (2,)
    >>> geglu.forward(np.array([[1.0, 2.0, 3.0, -1.0]])).round(4)
    array([[ 2.996 , -0.3173]])
    """

    gate = GELU


class SwiGLU(GLU):
    """y = a silu(b), with x = [a, b]; da = dy silu(b), db = dy a silu'(b).

    GLU with SiLU, or Swish, as its gate.
    Range (-inf, inf).
    Source: Shazeer (2020), GLU variants improve transformer, arXiv:2002.05202, with beta = 1.

    Examples
    --------
    >>> swiglu = SwiGLU()
    >>> swiglu.place((4,), address="swiglu")
    (2,)
    >>> swiglu.forward(np.array([[1.0, 2.0, 3.0, -1.0]])).round(4)
    array([[ 2.8577, -0.5379]])
    """

    gate = SiLU


class Bilinear(GLU):
    """y = a b, with x = [a, b]; da = dy b, db = dy a.

    GLU without a function at its gate: the halves of the features are multiplied.
    Range (-inf, inf).
    Source: Shazeer (2020), GLU variants improve transformer, arXiv:2002.05202. PyTorch's
    Bilinear is another thing, a layer with weights.

    Examples
    --------
    >>> bilinear = Bilinear()
    >>> bilinear.place((4,), address="bilinear")
    (2,)
    >>> bilinear.forward(np.array([[1.0, 2.0, 3.0, -1.0]]))
    array([[ 3., -2.]])
    """

    gate = Identity
