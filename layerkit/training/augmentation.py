"""Data augmentation: random changes to every batch, so that no example is seen twice.

x    a batch of examples, the batch axis first
N    the number of its examples
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount, Configurable, Decay, Rate, Size
from layerkit.errors import DataError, ShapeError
from layerkit.inspection.mistakes import WRITES_TO_X, calling, check_array, read_only
from layerkit.streams import stream

PIXELS = 12_000
"""Number of pixels computed at once: small temporary arrays stay in the cache, twice as fast."""


class Augmentation(Configurable, ABC):
    """Base class of augmentations: applied to each training batch, but not when measuring.

    A subclass defines `__call__`. It draws only from the generator that it is given, so that a
    run is reproducible from its seed, and never writes to x.

    Examples
    --------
    >>> from layerkit import Amount
    >>> class Grain(Augmentation):
    ...     std: Amount = 0.1
    ...     def __call__(self, x, rng):
    ...         return x + self.std * rng.standard_normal(x.shape, x.dtype)
    >>> Grain()(np.ones((1, 3), np.float32), np.random.default_rng(0)).round(2)
    array([[1.11, 0.86, 0.96]], dtype=float32)
    """

    @abstractmethod
    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return a new batch of the shape and dtype of x.

        Parameters
        ----------
        x : array
            Examples (N, *shape) in the network's dtype.
        rng : Generator
            The source of all random numbers.
        """

    def check(self, x: Array) -> None:
        """Try it on a batch: ShapeError if the shape or the dtype is not that of x."""
        with calling(f"{type(self).__name__}.__call__", WRITES_TO_X):
            y = replace(self)(read_only(x), stream(0, "trial of an augmentation"))
        check_array(str(self), y, x.shape, x.dtype)


class ImageAugmentation(Augmentation):
    """y(p) = x(q), with q = c + S^-1 R^-1 (p - c - d) + e(p): images shifted, rotated, distorted.

    p = (row, column) is a pixel of the new image y and c the center. Each image is scaled by
    S = diag(s_1, s_2), a factor for each axis, rotated by R about the center, counterclockwise,
    and shifted by d. All are drawn uniformly, anew for each image. Values of x between pixels are
    interpolated bilinearly; outside of the image x is 0.

    e is an elastic distortion. Each of its two components is noise U, independent at every pixel,
    smoothed along both axes: e = G U G^T, G_ij proportional to exp(-(i - j)^2 / (2 sigma^2)). The
    rows of G have norm 1, so that e has the same standard deviation everywhere. Source: Simard,
    Steinkraus and Platt (2003), Best practices for convolutional neural networks applied to visual
    document analysis; there the strength is a factor of the smoothed noise.

    Parameters
    ----------
    image : (height, width), optional
        The size of images whose pixels are a row of features. An experiment knows it from its data
        set, if that has images.
    shift : float
        The largest |d|, in pixels along each axis.
    rotate : float
        The largest angle, in degrees.
    scale : float
        The factors are between 1 - scale and 1 + scale.
    elastic : float
        The standard deviation of each component of e, in pixels.
    elastic_sigma : float
        sigma: how smooth e is, in pixels.

    Raises
    ------
    ShapeError
        For examples that are not images of this size, such as images with channels, and for rows
        without a size.
    DataError
        For integers, which can't represent values between two pixels.

    Examples
    --------
    >>> x = np.eye(3, dtype=np.float32).reshape(1, 9)
    >>> augmentation = ImageAugmentation(image=(3, 3), shift=1.0)
    >>> augmentation(x, np.random.default_rng(0)).reshape(3, 3).round(2)
    array([[0.39, 0.  , 0.  ],
           [0.48, 0.39, 0.  ],
           [0.13, 0.48, 0.39]], dtype=float32)
    """

    image: tuple[Size, Size] | None = None
    shift: Amount = 0.0
    rotate: Amount = 0.0
    scale: Decay = 0.0
    elastic: Amount = 0.0
    elastic_sigma: Rate = 4.0

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed images; x may be rows (N, height width) or (N, height, width)."""
        if x.dtype.kind != "f":
            raise DataError(f"images of type {x.dtype}; should be floats: divide bytes by 255")
        height, width = self.size(x.shape[1:])
        images = x.reshape(len(x), height, width)
        y = np.empty((len(x), height * width), x.dtype)
        chunk = max(1, PIXELS // (height * width))
        for start in range(0, len(x), chunk):
            part = images[start : start + chunk]
            y[start : start + chunk] = interpolate(part, self.sampling_grid(part, rng))
        return y.reshape(x.shape)

    def size(self, shape: Shape) -> Shape:
        """Return the height and width of images of this shape."""
        image = self.image or (shape if len(shape) == 2 else ())
        if not image or shape not in (image, (math.prod(image),)):
            wanted = "(height, width); for rows of pixels, set image = (height, width)"
            if image:
                wanted = f"{image}, or rows of {math.prod(image)} pixels"
            raise ShapeError(
                f"images of shape {shape}; should be {wanted}; images with channels can't be "
                "augmented"
            )
        return image

    def sampling_grid(self, x: Array, rng: np.random.Generator) -> Array:
        """Draw q: the rows and the columns (2, N, pixels) where x is sampled for the new pixels."""
        count, height, width = x.shape
        shift = rng.uniform(-self.shift, self.shift, (2, count))
        angle = np.radians(rng.uniform(-self.rotate, self.rotate, count))
        scale = rng.uniform(1 - self.scale, 1 + self.scale, (2, count))
        cos, sin = np.cos(angle), np.sin(angle)
        inverse = np.array([[cos, sin], [-sin, cos]]) / scale[:, None]
        center = np.array([[(height - 1) / 2], [(width - 1) / 2]])
        origin = center - np.einsum("ijn,jn->in", inverse, shift)
        pixels = np.indices((height, width)).reshape(2, -1) - center
        q = inverse.transpose(0, 2, 1).astype(x.dtype) @ pixels.astype(x.dtype)
        q += origin[..., None].astype(x.dtype)
        if self.elastic:
            noise = rng.random((2, *x.shape), x.dtype)
            noise -= 0.5
            # the standard deviation of the noise is 1 / sqrt(12)
            rows = gaussian_kernel(height, self.elastic_sigma) * (math.sqrt(12) * self.elastic)
            columns = gaussian_kernel(width, self.elastic_sigma)
            e = rows.astype(x.dtype) @ noise @ columns.T.astype(x.dtype)
            q += e.reshape(q.shape)
        return q


def gaussian_kernel(size: int, sigma: float) -> Array:
    """G (size, size): a Gaussian around each pixel of a line, in rows of norm 1.

    Examples
    --------
    >>> gaussian_kernel(3, sigma=0.5).round(2)
    array([[0.99, 0.13, 0.  ],
           [0.13, 0.98, 0.13],
           [0.  , 0.13, 0.99]])
    """
    i = np.arange(size)
    G = np.exp(-((i[:, None] - i) ** 2) / (2 * sigma**2))
    return G / np.linalg.norm(G, axis=1, keepdims=True)


def interpolate(x: Array, q: Array) -> Array:
    """Return the values (N, n) of images x (N, height, width) at points q, bilinearly.

    Each is a mean of the four pixels around it, weighted by how near they are; pixels outside of
    the image are 0.

    Parameters
    ----------
    x : array
    q : array
        Rows and columns (2, N, n), counted from 0; (0, 0) is the center of the first pixel.

    Examples
    --------
    >>> x = np.array([[[10.0, 20.0], [30.0, 40.0]]])
    >>> interpolate(x, np.array([[[0.0, 0.5, 0.0]], [[1.0, 0.5, -0.5]]]))
    array([[20., 25.,  5.]])
    """
    count, height, width = x.shape
    # padded with zeros, so that every point, clipped to the edge of them, has four neighbours
    padded = np.zeros((count, height + 3, width + 3), x.dtype)
    padded[:, 1:-2, 1:-2] = x
    points = np.stack([np.clip(q[0] + 1, 0, height + 1), np.clip(q[1] + 1, 0, width + 1)])
    corners = np.floor(points)
    down, right = points - corners
    rows, columns = corners.astype(np.intp)
    line = width + 3
    first = np.arange(count)[:, None] * (height + 3) * line + rows * line + columns
    values = padded.reshape(-1)
    upper, lower = values.take(first), values[line:].take(first)
    upper += right * (values[1:].take(first) - upper)
    lower += right * (values[line + 1 :].take(first) - lower)
    return upper + down * (lower - upper)
