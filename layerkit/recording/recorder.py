"""Recording a network: its prediction, or a step of its training, as a `Program`."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import ConfigError
from layerkit.layers.watch import watched
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.lbfgs import LBFGS
from layerkit.parameters import Param
from layerkit.recording.arrays import (
    Draws,
    Recorded,
    RecordingError,
    Scalar,
    Tape,
    Value,
    flat,
    value_of,
)
from layerkit.recording.program import UNSEEN, Call, Merge, OfBatch, Program


def record(
    network: Network,
    x: Any,
    t: Any = None,
    optimizer: Optimizer | None = None,
    *,
    sample_weight: Any = None,
) -> Program:
    """Record a prediction as a program of NumPy operations; with targets, a step of training.

    Network and optimizer stay as they are. The program holds for any number of examples of the
    dtype of x, and gives the same numbers as the layers, to the last bit.

    Parameters
    ----------
    network : Network
    x : array
        At least one example.
    t : array, optional
        Targets: then forward with ``train=True``, loss and backward are recorded.
    optimizer : Optimizer, optional
        Then its step, too. What its schedules change is an input of the program.
    sample_weight : array, optional
        Then it is an input of the program, ``a``.

    Raises
    ------
    RecordingError
        When a layer, loss or optimizer decides by values, with the line; LBFGS does.
    ShapeError, DataError
        For examples or targets that don't fit.

    Examples
    --------
    >>> from layerkit import Dense, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> program = record(net, np.ones((1, 3), np.float32))
    >>> [op.name for op in program.ops][:2]
    ['dot', 'add']
    >>> z = program.run(x=np.ones((5, 3), np.float32))["z"]
    >>> float(abs(z - net.outputs(np.ones((5, 3)))).max())
    0.0
    """
    network.check_adapted()
    if isinstance(optimizer, LBFGS):
        raise RecordingError("LBFGS can't be recorded: what it computes depends on what it finds")
    if t is None:
        if optimizer is not None or sample_weight is not None:
            raise ConfigError("record: a step needs targets t")
        batch: tuple[Any, Any, Any] = network.inputs.check(x)[:], None, None
    else:
        rows, targets, weights = network.check(x, t, sample_weight)
        batch = rows[:], network.targets.convert(targets), weights
    return record_batch(network, batch, optimizer)


def record_batch(
    network: Network,
    batch: Sequence[Array | None],
    optimizer: Optimizer | None = None,
    *,
    sums: bool = False,
) -> Program:
    """Record as `record` does, for a batch x, t, a that was checked and converted.

    With `sums`, the outputs of a step have the sum of the losses and the weight, too.
    """
    runs = [_run(network, optimizer, [_cycle(part, N) for part in batch], sums) for N in SIZES]
    return _merged(*runs)


def record_update(network: Network, optimizer: Optimizer, changing: Sequence[str]) -> Program:
    """Record the step of an optimizer alone, whose options `changing` are inputs."""
    runs = [_run_update(network, optimizer, changing) for _ in SIZES]
    return _merged(*runs)


Run = tuple[Tape, Program, dict[str, Array]]
"""A tape, its program, and what came out."""
SIZES = 11, 13
"""The numbers of examples of the two runs."""


def _merged(first: Run, second: Run) -> Program:
    (tape, program, _), (other, given, after) = first, second
    program.ops = Merge(tape, other, *SIZES).ops()
    for value in program.inputs.values():  # also those that no operation reads
        value.shape = (OfBatch("{k} * N", 1), *value.shape[1:]) if value.shape else ()
    _check(program, given, after)
    return program


def _cycle(rows: Array | None, N: int) -> Array | None:
    """Return N rows, from the beginning again where there are fewer."""
    return None if rows is None else np.asarray(rows[np.arange(N) % len(rows)])


def _run(
    network: Network, optimizer: Optimizer | None, batch: list[Array | None], sums: bool = False
) -> Run:
    """Run a copy of the network on a tape."""
    net, tape = copy.deepcopy(network), Tape()
    inputs: dict[str, Any] = {}
    memory = _remember(net, tape, vectors=batch[1] is not None)
    generators, calls = {}, list[Call]()
    for address, layer in net.layers():
        if layer.random:
            generators[address] = copy.deepcopy(layer.rng)
            layer.rng = Draws(tape, address, layer.rng)  # type: ignore[assignment]
    for name, rows in zip(("x", "t", "a"), batch, strict=True):
        if rows is not None:
            inputs[name] = tape.give("input", name, rows)

    def wrap(address: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **options: Any) -> Any:
            start = len(tape.ops)
            with tape.within(name, address, net[address]):
                result = _wrapped(tape, method(*args, **options))
            given, returned = (
                tuple(tape.find(item) for item in flat(items) if isinstance(item, np.ndarray))
                for items in (args, result)
            )
            calls.append(Call(address, name, start, len(tape.ops), given, returned))
            return result

        return recorded

    with watched(net.layers(), wrap, containers=True), np.errstate(all="ignore"):
        with tape.within("input", "input"):
            x = net.inputs.convert(inputs["x"])
        if batch[1] is None:
            outputs = _predict(net, tape, x)
        else:
            outputs = _step(net, tape, x, inputs["t"], inputs.get("a"), sums)
            if optimizer is not None:
                inputs |= _apply(net, tape, optimizer, memory, list(optimizer.schedules))
    program = Program(
        tape.ops,
        {name: item.value for name, item in inputs.items()},
        {name: value_of(item) for name, item in memory.items()},
        {name: item.value for name, item in outputs.items()},
        generators,
        calls,
    )
    found = {name: _plain(item) for name, item in (memory | outputs).items()}
    return tape, program, found


def _plain(item: Any) -> Any:
    return item.number if isinstance(item, Scalar) else np.array(item.view(np.ndarray))


def _wrapped(tape: Tape, result: Any) -> Any:
    """Return what a layer returned as Recorded: it may have kept a plain array with `out`."""
    if isinstance(result, tuple):
        return tuple(_wrapped(tape, item) for item in result)
    if isinstance(result, np.ndarray) and not (isinstance(result, Recorded) and result.value):
        value = tape.find(result)
        recorded = result.view(Recorded)
        recorded.tape, recorded.value = tape, value
        return recorded
    return result


def _remember(net: Network, tape: Tape, vectors: bool) -> dict[str, Recorded]:
    """Put Recorded arrays in the place of the network's memory, and return them by name."""
    arena, declared = net.arena, net.declared()
    if not vectors:
        memory = {name: tape.give("memory", name, item.value) for name, item in declared.items()}
        for name, item in declared.items():
            item._value = memory[name]
        return memory
    memory = {
        name: tape.give("memory", name, getattr(arena, attribute))
        for name, attribute in (("w", "values"), ("g", "grads"), ("states", "states"))
    }
    vars(arena).update(values=memory["w"], grads=memory["g"], states=memory["states"])
    start = 0
    for name, item in declared.items():
        with tape.within("memory", name):
            if isinstance(item, Param):
                item._value = memory["w"][arena.slices[name]].reshape(item.shape)
                item._grad = memory["g"][arena.slices[name]].reshape(item.shape)
                value_of(item._value).name, value_of(item._grad).name = name, f"d{name}"
            else:
                end = start + item.value.size
                item._value = memory["states"][start:end].reshape(item.shape)
                value_of(item._value).name, start = name, end
    return memory


def _predict(net: Network, tape: Tape, x: Array) -> dict[str, Any]:
    z = net.body.forward(x, train=False)
    with tape.within("outputs", "loss", net.loss):
        z = net.targets.restore(z)
        y = net.loss.predict(z)
        if y.ndim == z.ndim and y.shape[-1] == 1:
            y = y[..., 0]
        found: dict[str, Any] = {"z": z, "y": y}
        if net.loss.has_probabilities:
            p = net.loss.predict_proba(z)
            found["p"] = np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p
    return found


def _step(
    net: Network, tape: Tape, x: Array, t: Array, a: Array | None, sums: bool
) -> dict[str, Any]:
    z = net.body.forward(x, train=True)
    with tape.within("loss", "loss", net.loss):
        total, weight = net.loss.forward(z, t, a)
        found = {"z": z, "loss": total / (weight + (weight == 0))}
        if sums:
            # a weight that depends on N alone becomes a value, too
            found |= {"total": total, "weight": tape.scalar(operator.mul, weight, 1.0)}
    with tape.within("backward", "loss", net.loss):
        dz = net.loss.backward()
    net.body.backward(dz)
    return found


def _run_update(network: Network, optimizer: Optimizer, changing: Sequence[str]) -> Run:
    """Run the step of a copy of the optimizer on a tape."""
    net, tape = copy.deepcopy(network), Tape()
    memory = _remember(net, tape, vectors=True)
    inputs = _apply(net, tape, optimizer, memory, changing)
    program = Program(
        tape.ops,
        {name: item.value for name, item in inputs.items()},
        {name: value_of(item) for name, item in memory.items()},
        {},
    )
    return tape, program, {name: _plain(item) for name, item in memory.items()}


def _apply(
    net: Network,
    tape: Tape,
    given: Optimizer,
    memory: dict[str, Recorded],
    changing: Sequence[str],
) -> dict[str, Scalar]:
    """Record the optimizer's step; add its slots to `memory`, return the numbers of the step."""
    optimizer = copy.deepcopy(given)
    options = vars(optimizer)
    options["schedules"] = {}
    w, g = net.arena.values, net.arena.grads
    optimizer.bind(net.arena)
    numbers = {"step": tape.number("step", optimizer.t + 1)}
    if not optimizer.t:
        optimizer._like = w.shape, w.dtype
        optimizer.memory = optimizer.allocate(w.view(np.ndarray))
    slots = {name: tape.give("memory", name, slot) for name, slot in optimizer.memory.items()}
    memory |= slots
    optimizer.memory = slots  # type: ignore[assignment]
    for name in changing:
        numbers[name] = tape.number(name, options[name], option=True)
    options.update(numbers, t=numbers["step"])
    options.pop("step")
    with tape.within("optimizer", "optimizer", optimizer):
        options["s"] = tape.wrap(np.zeros_like(w.view(np.ndarray)), _scratch(w))
        optimizer._apply(w, g)
    return numbers


def _scratch(w: Array) -> Value:
    return Value("constant", w.shape, w.dtype, "s", np.zeros(w.shape, w.dtype))


def _check(program: Program, given: Program, after: dict[str, Array]) -> None:
    """Run the program with the second batch; RecordingError unless it gives the same bits."""
    inputs = {name: value.array for name, value in given.inputs.items()}
    memory = {name: value.array.copy() for name, value in given.memory.items()}
    found = memory | program.run(memory=memory, **inputs)
    for name, array in found.items():
        if np.asarray(array).tobytes() != np.asarray(after[name]).tobytes():
            raise RecordingError(
                f"the recorded program gives another {name} than the layers: something was done "
                f"where nothing is recorded. {UNSEEN}"
            )
