"""Costs: what a training step takes, operation by operation, and what limits it."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from layerkit.inspection.summary import aligned, described
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.recording.authors import statement
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import Program, sized
from layerkit.recording.recorder import inputs_of, record
from layerkit.streams import stream

PRODUCTS = {"dot", "matmul", "inner", "vdot"}
"""Operations that multiply a matrix."""
MOVES = {
    *("getitem", "setitem", "reshape", "transpose", "copy", "astype", "concatenate", "take"),
    *("stack", "broadcast_to", "repeat", "swapaxes", "squeeze", "ravel", "copyto", "fill"),
    *(
        "take_along_axis",
        "put_along_axis",
        "zeros_like",
        "ones_like",
        "empty_like",
        "split",
        "item",
    ),
}
"""Operations that compute nothing."""
ROUNDS, SECONDS = 400, 1.0
"""Limits of the repetitions of a step: their number, and seconds."""
SLOWEST, WIDEST = 10, 32
"""Number of operations in the second table; of characters of a layer in the first."""


@dataclass(frozen=True)
class Cost:
    """The cost of an operation, or of several together.

    Attributes
    ----------
    seconds : float
        The median of many steps.
    flops : int
        Arithmetic of numbers: 2 m n k for a matrix product, 1 for each number of all else, even
        an exp.
    moved, made : int
        Bytes that are read and written, and those of new arrays; none for a view.
    products : int
        The flops of matrix products.
    """

    seconds: float
    flops: int
    moved: int
    made: int
    products: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.flops + other.flops,
            self.moved + other.moved,
            self.made + other.made,
            self.products + other.products,
        )

    def cells(self, whole: float) -> list[str]:
        """Return time, share, flops, bytes, and the rate: of products, or else of bytes."""
        rate = ""
        if self.seconds > 0 and self.products > self.flops / 2:
            rate = f"{self.products / self.seconds / 1e9:.1f} GFLOP/s"
        elif self.seconds > 0 and self.moved:
            rate = f"{self.moved / self.seconds / 1e9:.1f} GB/s"
        return [
            f"{self.seconds * 1e6:,.1f}",
            f"{self.seconds / whole:.0%}",
            f"{self.flops / 1e6:,.3f}",
            f"{self.moved / 1e3:,.1f}",
            f"{self.made / 1e3:,.1f}",
            rate,
        ]


@dataclass(repr=False)
class Profile:
    """The costs of a step, which are shown as tables.

    Made by `profile`.

    Attributes
    ----------
    costs : list of (Op, Cost)
        All operations in order, each with its cost.
    parts : dict of str to object
        The layers, the loss and the optimizer by their addresses.
    seconds : float
        The time of a step of the layers themselves, the median of many.
    examples : int
        The number of examples in the batch.
    kept : int
        Bytes of parameters, gradients, states, and what the optimizer remembers.
    product_rate : float
        Arithmetic per second of a large matrix product on this machine, as it is now.
    byte_rate : float
        Bytes per second of an addition of arrays as large as those of the step.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy, profile
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> found = profile(net, np.ones((10, 3), "float32"), [0, 1] * 5, SGD(lr=0.1))
    >>> found.examples, found.total.products, found.kept
    (10, 280, 64)
    """

    costs: list[tuple[Op, Cost]]
    parts: dict[str, Any]
    seconds: float
    examples: int
    kept: int
    product_rate: float
    byte_rate: float

    @property
    def total(self) -> Cost:
        """The costs of all operations together."""
        return added(cost for _, cost in self.costs)

    @property
    def limit(self) -> float:
        """Seconds of a step of which only the matrix products would take time."""
        return self.total.products / self.product_rate

    def layers(self) -> Iterator[tuple[str, str, Cost]]:
        """Yield phases, addresses and costs, in the order of computation."""
        for (phase, address), group in groupby(self.costs, lambda item: item[0].place):
            yield phase, address, added(cost for _, cost in group)

    def __repr__(self) -> str:
        total, whole = self.total, max(self.seconds, self.total.seconds)
        head = ["µs", "share", "MFLOP", "KB moved", "KB new", "rate"]
        rows = [["phase", "address", "layer", *head]]
        for phase, address, cost in self.layers():
            layer = "" if phase == "input" else described(self.parts[address])[:WIDEST]
            rows.append([phase, address if address != phase else "", layer, *cost.cells(whole)])
        rest = whole - total.seconds
        first = (
            f"A step of {self.examples} examples takes {self.seconds * 1e6:,.0f} µs. Its "
            f"{len(self.costs)} operations of NumPy, one by one, take {total.seconds * 1e6:,.0f} µs"
        )
        rows.append(
            [
                "Python between the operations",
                "",
                "",
                f"{rest * 1e6:,.1f}",
                f"{rest / whole:.0%}",
                *[""] * 4,
            ]
        )
        rows.append(["total", "", "", *(total + Cost(rest, 0, 0, 0, 0)).cells(whole)[:-1], ""])
        slowest = sorted(self.costs, key=lambda item: -item[1].seconds)[:SLOWEST]
        ops = [[*head[:2], "rate", "operation", "phase", "address", "line"]]
        for op, cost in slowest:
            time, share, *_, rate = cost.cells(whole)
            shown = op.inputs[:2] if op.name in PRODUCTS else op.outputs
            shapes = [str(sized(value.shape, self.examples)) for value in shown]
            call = f"{op.name} {' '.join(shapes)}"
            own = statement(op.line, type(self.parts[op.address]))
            line = op.line.text if own else ""
            ops.append([time, share, rate, call, op.phase, op.address, line])
        moved = added(cost for op, cost in self.costs if op.name not in PRODUCTS).moved
        lines = [
            f"{first}\n",
            aligned(rows, range(3, 8)),
            f"\nThe slowest operations:\n{aligned(ops, (0, 1, 2))}\n",
            f"limit: {self.limit * 1e6:,.0f} µs if only the matrix products took time, at the "
            f"{self.product_rate / 1e9:,.0f} GFLOP/s of a large one;",
            f"       {moved / self.byte_rate * 1e6:,.0f} µs more for the bytes that all else "
            f"moves, at the {self.byte_rate / 1e9:,.0f} GB/s of an addition",
            f"kept:  {self.kept / 1e3:,.1f} KB of parameters, gradients, states and slots",
        ]
        return "\n".join(lines)


def profile(
    network: Network,
    x: Any,
    t: Any,
    optimizer: Optimizer | None = None,
    *,
    sample_weight: Any = None,
) -> Profile:
    """Measure what each operation of a step costs, for about two seconds.

    The recorded step is repeated, and the time of each operation is the median. Network and
    optimizer stay as they are.

    Parameters
    ----------
    network : Network
        The network whose step is measured.
    x, t : arrays
        The examples of a whole batch, and their targets.
    optimizer : Optimizer, optional
        Then its step is measured, too.
    sample_weight : array, optional
        How much each example counts.

    Returns
    -------
    Profile
        Shown as tables of the layers and of the operations that take most time.

    Raises
    ------
    RecordingError
        When a layer, the loss or the optimizer can't be recorded, with the line.
    ShapeError, DataError
        For examples or targets that don't fit.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> found = profile(net, np.ones((10, 3), "float32"), [0, 1] * 5, SGD(lr=0.1))
    >>> {(phase, address): cost.products for phase, address, cost in found.layers()}
    {('forward', 'body'): 120, ('loss', 'loss'): 0, ('backward', 'loss'): 0,
    ('backward', 'body'): 160, ('optimizer', 'optimizer'): 0}
    """
    program = record(network, x, t, optimizer, sample_weight=sample_weight)
    given = inputs_of(network, x, t, sample_weight)
    given["x"] = np.asarray(given["x"])  # of sparse rows
    N = len(given["x"])
    times, whole = _times(program, network, optimizer, given)
    costs = [
        (op, Cost(seconds, *work(op, N)))
        for op, seconds in zip(program.ops, times, strict=True)
        if op.phase != "memory"
    ]
    parts: dict[str, Any] = {"input": network.inputs, "loss": network.loss, "optimizer": optimizer}
    large = [cost.moved for _, cost in costs]
    size = sum(n * n for n in large) // max(sum(large), 1)  # of the arrays that most bytes are of
    return Profile(
        costs,
        parts | dict(network.layers()),
        whole,
        N,
        sum(value.array.nbytes for value in program.memory.values()),
        product_rate(network.dtype),
        byte_rate(network.dtype, size),
    )


def added(costs: Any) -> Cost:
    """Return several costs together."""
    return sum(costs, Cost(0.0, 0, 0, 0, 0))


# what is done, by the shapes


def work(op: Op, N: int) -> tuple[int, int, int, int]:
    """Return flops, bytes moved, bytes of new arrays, and flops of products of an operation."""

    def count(value: Value) -> int:
        return int(np.prod(sized(value.shape, N), dtype=np.int64))

    def size(value: Value) -> int:
        return 0 if value.scalar else count(value) * value.dtype.itemsize

    read = op.reads
    made = [v for v in op.outputs if op.writes is None and v.base is None]
    if op.writes is None and not made:
        return 0, 0, 0, 0  # a view
    written = list(op.outputs)
    if op.name in ("getitem", "take", "take_along_axis"):
        moved = 2 * sum(map(size, written)) + sum(map(size, read[1:]))
    elif op.name == "setitem":
        written = read[-1:]
        moved = 2 * sum(map(size, read))
    else:
        moved = sum(map(size, [*read, *written]))
    new = sum(map(size, made))
    if op.name in PRODUCTS:
        flops = 2 * count(op.output) * sized(read[0].shape, N)[-1]
        return flops, moved, new, flops
    flops = 0 if op.name in MOVES else max(map(count, [*read, *written]), default=0)
    return flops, moved, new, 0


# time


def repeated(step: Callable[[], Any], seconds: float) -> None:
    """Call a function as often as there is time, at least three times."""
    end, done = time.perf_counter() + seconds, 0
    while done < 3 or (done < ROUNDS and time.perf_counter() < end):
        step()
        done += 1


def _times(
    program: Program, network: Network, optimizer: Optimizer | None, given: dict[str, Any]
) -> tuple[list[float], float]:
    """Return the median seconds of each operation, and those of a step of the layers, in turns."""
    times: list[list[float]] = [[] for _ in program.ops]
    generators, whole = copy.deepcopy(program.generators), list[float]()

    def timed(op: Op, found: list[float]) -> Op:
        draws = op.kind == "draw"
        call = getattr(generators[op.extra["generator"]], op.name) if draws else op.call
        return replace(op, call=_timed(call, found), kind="method" if draws else op.kind)

    ops = [timed(op, found) for op, found in zip(program.ops, times, strict=True)]
    program = replace(program, ops=ops)
    memory = {name: value.array.copy() for name, value in program.memory.items()}
    net, own = copy.deepcopy((network, optimizer))
    before = net.arena.values.copy()
    if own is not None:
        vars(own)["schedules"] = {}
        own.bind(net.arena)

    def layers() -> None:
        x, t = net.inputs.convert(given["x"]), net.targets.convert(given["t"])
        net.backpropagate(x, t, given.get("a"))
        if own is not None:
            own.step(net.arena.values, net.arena.grads)

    layers = _timed(layers, whole)

    def both() -> None:
        for name, value in program.memory.items():
            memory[name][...] = value.array
        program.run(memory=memory, **given)
        net.arena.values[:] = before
        layers()

    with np.errstate(all="ignore"):
        repeated(both, SECONDS)
    empty: list[float] = []
    nothing = _timed(lambda: None, empty)
    for _ in range(ROUNDS):
        nothing()
    clock = statistics.median(empty)
    return [max(statistics.median(found) - clock, 0.0) for found in times], statistics.median(whole)


def _timed(call: Callable[..., Any], found: list[float]) -> Callable[..., Any]:
    """Return a function that does the same, and appends its seconds to a list."""

    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = call(*args, **kwargs)
        found.append(time.perf_counter() - start)
        return result

    return run


def fastest(call: Callable[[], Any]) -> float:
    """Return the shortest time of a call."""
    times: list[float] = []
    repeated(_timed(call, times), SECONDS / 3)
    return min(times)


def product_rate(dtype: Any, n: int = 512) -> float:
    """Return the arithmetic per second of a product of two large matrices."""
    rng = stream(0, "matrices of a product")
    a, b = (rng.random((n, n)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    return 2 * n**3 / fastest(partial(np.dot, a, b, out=out))


def byte_rate(dtype: Any, size: int) -> float:
    """Return the bytes per second of the sum of two arrays; `size` bytes are moved in all."""
    n = max(size // 3 // np.dtype(dtype).itemsize, 1000)
    a, b, out = np.ones((3, n), dtype)
    return 3 * a.nbytes / fastest(partial(np.add, a, b, out=out))
