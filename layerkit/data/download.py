"""The download of MNIST and Fashion-MNIST from OpenML, by scikit-learn, which keeps the files."""

from __future__ import annotations

import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import FileError

OPENML = {"mnist": "mnist_784", "fashion_mnist": "Fashion-MNIST"}
TIMEOUT = 30.0
"""Seconds without a byte from the server after which a download fails."""
LARGEST = 500_000_000
"""The largest answer of the server, in bytes: several times the largest file."""


def fetch(name: str) -> list[tuple[Array, Array]]:
    """Return images (N, 28, 28) and labels, to train and to test.

    Raises
    ------
    FileError
        If they can't be downloaded.
    """
    from sklearn.datasets import fetch_openml

    get = partial(fetch_openml, OPENML[name], version=1, as_frame=False, n_retries=1)
    try:
        with _bounded(), warnings.catch_warnings(action="ignore"):  # one for every retry
            try:
                bunch = get(parser="pandas")  # the faster parser
            except (ImportError, TypeError):  # pandas is missing, or too new for scikit-learn
                bunch = get(parser="liac-arff")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = f"no answer for {TIMEOUT:g} s"
        raise FileError(
            f"{name} can't be downloaded ({reason}). Connect to the internet once,\n"
            "or give a folder with its four IDX files by --data-dir or LAYERKIT_DATA,\n"
            'or use the data that need no download: [data] name = "digits", [network] shape = [64]'
        ) from error
    x, t = bunch.data.astype(np.uint8).reshape(-1, 28, 28), bunch.target.astype(np.uint8)
    return [(x[:60000], t[:60000]), (x[60000:], t[60000:])]


@contextmanager
def _bounded() -> Iterator[None]:
    """Give `urlopen`, which scikit-learn calls without any, limits of time and size."""
    before = getattr(urllib.request, "_opener", None)
    opener = before or urllib.request.build_opener()

    def open_url(url: Any, data: Any = None, timeout: Any = None) -> Any:
        response = opener.open(url, data, TIMEOUT)
        read, size_so_far = response.read, 0

        def read_some(size: int | None = None) -> bytes:
            nonlocal size_so_far
            block: bytes = read(LARGEST if size is None or size < 0 else size)
            size_so_far += len(block)
            if size_so_far >= LARGEST:
                raise OSError(f"the server sends more than {LARGEST:,} bytes")
            return block

        response.read = read_some
        return response

    urllib.request.install_opener(SimpleNamespace(open=open_url))  # type: ignore[arg-type]
    try:
        yield
    finally:
        urllib.request.install_opener(before)
