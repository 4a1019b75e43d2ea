"""Looking into one step: what a layer, the loss or the optimizer reads and makes, with its code."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.errors import ConfigError, suggestion
from layerkit.layers.base import Layer
from layerkit.play.edit import next_batch
from layerkit.recording.authors import Statement, whole_method
from layerkit.recording.page import shown_axes
from layerkit.recording.traces import Step, Trace, statistics, trace

if TYPE_CHECKING:
    from layerkit.play.session import Session

METHODS = {"forward": "forward", "loss": "losses", "backward": "backward", "optimizer": "update"}
"""The method of a part that belongs to each phase of a step."""


def inspected(trace: Trace, address: str, parts: Mapping[str, Configurable]) -> dict[str, Any]:
    """Return what one part of a network does in a step, in plain data.

    Parameters
    ----------
    trace : Trace
        The trace of the step.
    address : str
        Such as ``body.layers.0``, ``loss`` or ``optimizer``.
    parts : mapping of str to Configurable
        All parts by address.

    Returns
    -------
    dict
        ``outline``, all steps in order: phase, address, layer, and whether their numbers are
        finite. ``steps``, those of this part, for a layer with the update of its parameters: the
        formula, what is ``given`` and ``made``, the ``code`` of its method, and its ``moments``,
        statement by statement; ``arrays`` and ``sources``, to which these refer by number. Of the
        ``class`` its name and source.

    Raises
    ------
    ConfigError
        When nothing is at this address.
    """
    known = [address for address in parts if any(step.address == address for step in trace.steps)]
    if address not in known:
        raise ConfigError(f"address = {address!r}: nothing is there{suggestion(address, known)}")
    tables, cls = _Tables(), type(parts[address])
    part = parts[address]
    params = part.params() if isinstance(part, Layer) else {}
    steps = [
        tables.step(step, type(parts[step.address]), "" if step.address == address else address)
        for step in trace.steps
        if step.address == address or (step.phase == "optimizer" and params)
    ]
    return {
        "address": address,
        "outline": [
            {
                "phase": step.phase,
                "address": step.address,
                "layer": step.layer,
                # the examples have been checked: what they lack, a Table takes
                "finite": step.phase == "input"
                or all(bool(np.isfinite(array).all()) for array in step.values.values()),
            }
            for step in trace.steps
        ],
        "steps": steps,
        "arrays": tables.arrays,
        "sources": tables.sources,
        "class": {"name": cls.__name__, "source": inspect.getsource(cls)},
    }


class _Tables:
    """The arrays and the methods of a reply, each once."""

    def __init__(self) -> None:
        self.arrays: list[dict[str, Any]] = []
        self.sources: list[dict[str, Any]] = []
        self.numbers: dict[Any, int] = {}

    def step(self, step: Step, cls: type, of: str) -> dict[str, Any]:
        """Return a step of a part, as far as it is about the parameters of a layer, `of`."""
        given, seen, moments = dict[str, int](), set[str](), []
        made = self.named(step.values, of)
        method = getattr(cls, METHODS.get(step.phase, ""), None)
        code = self.source(whole_method(inspect.unwrap(method))) if method else None
        for moment in step.moments:
            reads, writes = self.named(moment.reads, of), self.named(moment.writes, of)
            given |= {name: n for name, n in reads.items() if name not in seen}
            seen |= reads.keys() | writes.keys()
            found: dict[str, Any] = {"reads": reads, "writes": writes}
            if moment.statement:
                found["source"] = self.source(moment.statement)
                found["lines"] = [moment.statement.start, moment.statement.stop]
            moments.append(found)
        return {
            "phase": step.phase,
            "address": step.address,
            "layer": step.layer,
            "formula": step.formula,
            "given": given,
            "made": made,
            "code": code,
            "moments": moments,
        }

    def named(self, arrays: Mapping[str, Array], of: str) -> dict[str, int]:
        """Return the numbers of arrays by name; those of a layer's parameters by short names."""
        if not of:
            return {name: self.number(array) for name, array in arrays.items()}
        return {
            name.replace(f"{of}.", ""): self.number(array)
            for name, array in arrays.items()
            if f" {of}." in name and "." not in name.partition(f" {of}.")[2]
        }

    def number(self, array: Array) -> int:
        """Return the number of an array; of large ones, some rows and columns are sent."""
        key = array.shape, array.dtype, array.tobytes()
        if key not in self.numbers:
            self.numbers[key] = len(self.arrays)
            axes = shown_axes(array.shape)
            sent = array[np.ix_(*axes)] if array.ndim else array
            known = array[np.isfinite(array)]
            with np.errstate(over="ignore"):
                data = np.ascontiguousarray(sent, "<f4").tobytes()
            self.arrays.append(
                {
                    "shape": array.shape,
                    "sent": sent.shape,
                    "dtype": "float32",
                    "data": base64.b64encode(data).decode(),
                    "statistics": statistics(known) if known.size else [],
                    "lost": array.size - known.size,
                    "whole": array.dtype.kind in "iub",
                }
            )
        return self.numbers[key]

    def source(self, method: Statement | None) -> int | None:
        """Return the number of a method."""
        if method is None:
            return None
        key = method.title, method.file
        if key not in self.numbers:
            self.numbers[key] = len(self.sources)
            self.sources.append({"title": method.title, "lines": method.lines})
        return self.numbers[key]


def look_inside(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Return what a part does in the next step, or with one example: the message "inspect"."""
    trainer, experiment = session.trainer, session.experiment
    assert experiment
    example, failed = message.get("example"), trainer.progress.failed
    batch = failed.batch if failed else next_batch(trainer)
    x, t, a = batch.x, session.network.targets.named(batch.t), batch.sample_weight
    if example is not None:
        train = experiment.sources["train"]
        if type(example) is not int or not 0 <= example < len(train.t):
            raise ConfigError(f"example = {example!r}: should be from 0 to {len(train.t) - 1}")
        rows = slice(example, example + 1)
        x, t = train.x[rows], session.network.targets.named(train.t[rows])
        a = None if train.a is None else train.a[rows]
    image = session.dataset.image
    found = trace(session.network, x, t, trainer.optimizer, sample_weight=a, image=image)
    return inspected(found, message.get("address", "body.layers.0"), session.parts())
