"""Parts of the engines that record a step: what they record before the first one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from layerkit.errors import RecordingError
from layerkit.network import Network
from layerkit.recording.recorder import examples_like
from layerkit.recording.source import targets_like
from layerkit.training.batches import Arrays, Source


def first_batch(network: Network, source: Source) -> tuple[Any, Any, Any] | None:
    """Return a batch x, t, a to record a step of, converted: of an iterable one that is made up.

    None where no targets can be, for the loss.
    """
    if isinstance(source, Arrays):
        x, t, a = source.x[:1], source.t[:1], None if source.a is None else source.a[:1]
    else:
        x, a = examples_like(network), None
        try:
            t, _ = network.targets.check(targets_like(network, x, None), len(x))
        except RecordingError:
            return None
    return network.inputs.convert(np.asarray(x)), network.targets.convert(t), a


@contextmanager
def refusing() -> Iterator[None]:
    """Say in a RecordingError which engine takes what can't be recorded."""
    try:
        yield
    except RecordingError as error:
        error.args = (f"{error}; engine = 'numpy' takes it as it is",)
        raise
