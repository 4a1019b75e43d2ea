"""Rows of sparse matrices: dense when they are needed so, and multiplied as they are by a Dense."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.files.mapped import Subset
from layerkit.graph.container import Container
from layerkit.graph.sequential import Sequential
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense

RARE, MANY = 32, 50_000
"""It pays to multiply rows as they are when at most 1 number in RARE is stored, and when there are
at least MANY numbers, zeros included: `experiments/sparse_speed.py` measures it."""


class SparseRows(Subset):
    """Rows of a sparse matrix of SciPy; for NumPy's functions they are the dense array.

    Parts of them are sparse too. They have what a Dense does with its input, `dot` and `T`.

    Parameters
    ----------
    matrix : sparse matrix
        A sparse matrix that is stored by rows, or its transpose.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = SparseRows(csr_array([[0, 0, 2], [1, 0, 0]]))
    >>> rows.dot(np.eye(3)[:, 2:])
    array([[2.],
           [0.]])
    >>> np.asarray(rows[1:])
    array([[1, 0, 0]])
    """

    def __init__(self, matrix: Any) -> None:
        self.x: Any = matrix
        self.shape, self.dtype, self.ndim = matrix.shape, matrix.dtype, matrix.ndim
        self.nbytes = matrix.data.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice | np.ndarray):
            return SparseRows(self.x[index])
        row, *rest = index if isinstance(index, tuple) else (index,)
        return self.x[[row]].toarray()[0][(*rest,)]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self.x.toarray(), dtype)

    def view(self, dtype: Any) -> SparseRows:
        """Return the same rows in another dtype."""
        return SparseRows(self.x.astype(dtype))

    def arrays(self) -> Iterator[Array]:
        """Return the arrays that hold the rows."""
        return iter((self.x.indptr, self.x.indices, self.x.data))

    def min(self) -> Any:
        """Return the lowest number, or 0."""
        return self.x.data.min(initial=0)

    def max(self) -> Any:
        """Return the highest number, or 0."""
        return self.x.data.max(initial=0)

    def mean_squares(self) -> Array:
        """Return the mean square of each column."""
        squares = np.square(self.x.data, dtype=float)
        return np.bincount(self.x.indices, squares, self.shape[1]) / len(self)

    @property
    def T(self) -> SparseRows:  # noqa: N802
        """The transpose."""
        return SparseRows(self.x.T)

    def dot(self, W: Array, out: Array | None = None) -> Array:
        """Return the product with a dense matrix."""
        product: Array = self.x @ W
        if out is None:
            return product
        out[...] = product
        return out

    def converted(self, convert: Any, body: Layer | None) -> Array | SparseRows:
        """Return the rows with converted numbers: sparse if that pays for `body`, else dense."""
        size = math.prod(self.shape)
        pays = self.x.nnz * RARE <= size >= MANY and body is not None and takes_sparse(body)
        if not pays:
            return convert(self.x.toarray())
        x = self.x.copy()
        x.data = convert(x.data)
        return SparseRows(x)


def takes_sparse(layer: Layer) -> bool:
    """Whether all that reads the input of a layer is a Dense.

    Examples
    --------
    >>> from layerkit import ReLU, Residual
    >>> bodies = Sequential([Dense(8), ReLU()]), Residual(Dense(8)), Dense(2)
    >>> [takes_sparse(body) for body in bodies]
    [True, False, True]
    """
    if not isinstance(layer, Container):
        return type(layer) is Dense
    readers = {name for name, read in layer.wiring().items() if "input" in read}
    parts = dict(layer.parts())
    plain = type(layer).forward in (Container.forward, Sequential.forward)
    return plain and "output" not in readers and all(takes_sparse(parts[name]) for name in readers)
