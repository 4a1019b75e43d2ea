"""When it pays to multiply the rows of a sparse matrix as they are, rather than to make them dense.

A row of the table is a batch: the milliseconds to read it from a matrix of float64, convert it to
float32, and send it through a first Dense, forward and backward, made dense and as it is; and
whether `fit` takes it as it is.

    python experiments/sparse_speed.py --units 64
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from layerkit import Array, Dense, MeanSquaredError, Network
from layerkit.data.sparse import SparseRows

BATCHES = (1, 32, 128, 1024)
FEATURES = (500, 2_000, 20_000, 100_000)
SHARES = (0.1, 0.03, 0.01, 0.001)
"""The parts of the numbers that are stored."""
LARGEST = 3e7
"""The numbers of a batch that are made dense, zeros included."""


def milliseconds(call: Callable[[], object], seconds: float) -> float:
    """The shortest of the calls that fit into so many seconds, and of three at least."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def compare(batch: int, features: int, share: float, units: int, seconds: float) -> str:
    """Return a row of the table."""
    rng, dense = np.random.default_rng(0), Dense(units)
    net = Network(dense, MeanSquaredError(), shape=(features,))
    rows = SparseRows(sparse.random_array((2 * batch, features), density=share, rng=rng).tocsr())
    chosen, dy = rng.permutation(2 * batch)[:batch], np.ones((batch, units), np.float32)

    def step(x: Array | SparseRows) -> None:
        dense.forward(x)  # type: ignore[arg-type]
        dense.backward(dy)

    made_dense = milliseconds(lambda: step(np.asarray(rows[chosen]).astype(np.float32)), seconds)
    as_it_is = milliseconds(lambda: step(rows[chosen].view(np.float32)), seconds)
    taken = isinstance(net.inputs.convert(rows[chosen]), SparseRows)
    return (
        f"{batch:5}  {features:8,}  {share:6.1%}  {made_dense:8.2f}  {as_it_is:8.2f}  "
        f"{made_dense / as_it_is:6.1f}  {'as it is' if taken else 'dense'}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each number")
    options = parser.parse_args()
    print("batch  features  stored  dense ms     as is   ratio  taken")
    with threadpool_limits(1):
        for batch in BATCHES:
            for features in FEATURES:
                for share in SHARES if math.prod((batch, features)) < LARGEST else ():
                    print(compare(batch, features, share, options.units, options.seconds))
