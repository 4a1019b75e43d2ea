"""The number of BLAS threads while an estimator is trained."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_limits: list[Any] = []
_running = 0


@contextmanager
def blas_threads(number: int | None) -> Iterator[None]:
    """Limit the threads of BLAS; None leaves them as they are.

    They belong to the process, so trainers in several threads share the limit, and the last one
    that ends gives back what there was before the first.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> with blas_threads(1):
    ...     {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    {1}
    """
    global _running
    if number is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with _lock:
        _limits.append(threadpool_limits(number, user_api="blas"))
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if not _running:
                _limits[0].restore_original_limits()
                _limits.clear()
