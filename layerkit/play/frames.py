"""Frames: all that the page draws after a step, and what is predicted for one example."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.arrays import Array
from layerkit.data.tables import table_of
from layerkit.errors import ConfigError, DataError, DivergenceError, listed
from layerkit.play.maps import (
    MOST_POINTS,
    View,
    activations_of,
    first_examples,
    look,
    map_of,
    probabilities,
)
from layerkit.play.wire import number, packed
from layerkit.training.evaluation import measure_sets, metric_names

if TYPE_CHECKING:
    from layerkit.play.session import Session

MOST_WEIGHTS = 20_000
"""Parameters with more numbers are not sent with a frame."""


def show(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Return a frame, of another example or over other columns: the message "frame"."""
    reply, examples = {}, len(session.dataset.train)
    example = message.get("example", session.example)
    if type(example) is not int or not 0 <= example < examples:
        raise ConfigError(f"example = {example!r}: should be from 0 to {examples - 1}")
    if "columns" in message:
        columns = _columns(session, message["columns"])
        session.view = View(session.dataset, table_of(session.network.body), columns)
        reply["data"] = session.view.describe()
    session.example = example
    return {**reply, "frame": frame_of(session)}


def _columns(session: Session, columns: Any) -> list[int]:
    """Return the columns of a map from a message."""
    if session.view.kind != "table":
        raise ConfigError(f"columns = {columns!r}: only for tables of three columns or more")
    numbers = session.view.numbers
    known = isinstance(columns, list) and all(type(i) is int for i in columns)
    if not known or len({*columns} & {*numbers}) != len(columns) or len(columns) > 2:
        raise ConfigError(
            f"columns = {columns!r}: should be one or two columns with numbers, of "
            f"{listed(map(str, numbers))}; or []"
        )
    return list(columns)


def frame_of(session: Session) -> dict[str, Any]:
    """Return all that the page draws after a step."""
    progress, network, experiment = session.trainer.progress, session.network, session.experiment
    assert experiment
    drawn = None
    if session.view.columns:
        drawn, neurons = map_of(network, session.view)
    else:
        neurons = activations_of(network, first_examples(session.dataset.train)[[session.example]])
    return {
        "step": progress.step,
        "epoch": len(progress.records),
        "batch": progress.batch,
        "batches": progress.batches,
        "epochs": experiment.training.epochs,
        "lr": _rate(session),
        **_measured(session),
        "map": drawn,
        "neurons": neurons,
        "weights": {
            address: packed(param.value)
            for address, param in network.params().items()
            if param.value.size <= MOST_WEIGHTS
        },
        "example": session.example,
        "diverged": session.diverged,
    }


def _rate(session: Session) -> float | None:
    """The learning rate of the next step."""
    optimizer: Any = session.trainer.optimizer
    schedule, rate = optimizer.schedules.get("lr"), getattr(optimizer, "lr", None)
    return rate * schedule(session.trainer.progress.step, optimizer.steps) if schedule else rate


def _measured(session: Session) -> dict[str, float | None]:
    assert session.experiment
    sources = {}
    for name, source in session.experiment.sources.items():
        sources[name] = copy.copy(source)
        sources[name].x, sources[name].t = source.x[:MOST_POINTS], source.t[:MOST_POINTS]
        sources[name].a = None if source.a is None else source.a[:MOST_POINTS]
    metrics = session.experiment.training.metrics
    try:
        found = measure_sets(session.network, sources, metrics, session.network.targets.names)
    except DivergenceError:  # a step will say where
        names = metric_names(session.network, sources, metrics)
        found = dict.fromkeys(names, math.nan)
    return {name: number(value) for name, value in found.items()}


def predict(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Return what is predicted for an example, and all activations: the message "predict"."""
    x = _example(session, message.get("x"))
    z, found = look(session.network, x)
    reply: dict[str, Any] = {"outputs": [number(value) for value in z.ravel()]}
    if session.network.loss.judges_classes:
        p = probabilities(session.network, z)[0]
        reply["probabilities"] = [number(value) for value in p.ravel()]
    prediction = session.network.targets.predicted(z).ravel()[0]
    reply["prediction"] = prediction.item() if hasattr(prediction, "item") else prediction
    return {**reply, "activations": {address: packed(y[0]) for address, y in found.items()}}


def _example(session: Session, given: Any) -> Array:
    """Return one example from a message as the network takes it (1, features)."""
    (features,) = session.network.shape
    try:
        x = np.array(given, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"x = {given!r}: should be a list of {features} numbers") from error
    if x.shape != (features,) or not np.isfinite(x).all():
        raise DataError(f"x = {given!r}: should be a list of {features} finite numbers")
    if session.view.dataset.train.x.dtype == np.uint8:
        return np.round(255 * np.clip(x, 0, 1)).astype(np.uint8)[None]
    return x[None]
