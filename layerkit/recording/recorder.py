"""Recording a network: its prediction, or a step of its training, as a `Program`."""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from layerkit.arrays import Array, number
from layerkit.config.checks import check_kind
from layerkit.errors import ConfigError, DataError, RecordingError
from layerkit.fitting import check_layers
from layerkit.layers.watch import watched
from layerkit.network import Network
from layerkit.optimizers.around import numbers
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Param
from layerkit.recording.arrays import Draws, Recorded, Scalar, Tape, value_of
from layerkit.recording.operations import Line, Value, flat
from layerkit.recording.program import UNSEEN, Call, Merge, OfBatch, Program
from layerkit.streams import stream

if TYPE_CHECKING:
    from layerkit.training.averaging import Average, AveragedWeights

RECORDED = 11, 13
"""Numbers of examples of the two runs that are recorded, and become one program."""
CHECKED = 131
"""The number of examples with which the program is compared with the layers; then few of them."""


def record(
    network: Network,
    x: Any,
    t: Any = None,
    optimizer: Optimizer | None = None,
    *,
    sample_weight: Any = None,
    average: Average | None = None,
) -> Program:
    """Record a prediction as a program of NumPy operations; with targets, a step of training.

    Network and optimizer stay as they are. The program holds for any number of examples of the
    dtype of x, and gives the same numbers as the layers, to the last bit: it is compared with them,
    for other examples, parameters and numbers of the step.

    Parameters
    ----------
    network : Network
        The network to record.
    x : array
        At least one example; several different ones prove more.
    t : array, optional
        Targets: then forward with ``train=True``, loss and backward are recorded.
    optimizer : Optimizer, optional
        Then its step, too. What its schedules change is an input of the program.
    sample_weight : array, optional
        Then it is an input of the program, ``a``.
    average : Average, optional
        The average of the weights, after the step; its share is an input of the program.

    Returns
    -------
    Program
        The operations in order; ``run`` computes with them.

    Raises
    ------
    RecordingError
        When a layer, loss or optimizer decides by values, or keeps something from batch to batch
        that is not a State, with the line; LBFGS does.
    ShapeError, DataError
        For examples or targets that don't fit.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> program = record(net, np.ones((1, 3), np.float32))
    >>> [op.name for op in program.ops][:2]
    ['dot', 'add']
    >>> z = program.run(x=np.ones((5, 3), np.float32))["z"]
    >>> float(abs(z - net.outputs(np.ones((5, 3)))).max())
    0.0
    """
    check_parts(network, optimizer)
    network.check_adapted()
    for address, part in (*network.layers(), ("loss", network.loss)):
        for name in vars(part):
            if inspect.isfunction(getattr(type(part), name, None)):
                raise RecordingError(
                    f"{address}: {name} was put on this {type(part).__name__}, and no copy has "
                    "it: write a class of your own with it, so that it can be recorded"
                )
    if t is None and (optimizer is not None or sample_weight is not None):
        raise ConfigError("record: a step needs targets t")
    given = inputs_of(network, x, t, sample_weight)
    if average is not None and optimizer is None:
        raise ConfigError("record: an average needs an optimizer, whose steps it follows")
    return _proved(given, lambda: Subject(network, optimizer, average, vectors=t is not None))


def check_parts(network: Any, optimizer: Any, order: str = "network, x, t, optimizer") -> None:
    """Raise a ConfigError for objects of other types, such as classes."""
    check_kind("network", network, Network, order)
    if optimizer is not None:
        check_kind("optimizer", optimizer, Optimizer, order)


def inputs_of(network: Network, x: Any, t: Any = None, sample_weight: Any = None) -> dict[str, Any]:
    """Return the inputs x, t and a of a program, as far as they are given."""
    if t is None:
        return {"x": network.inputs.check(x)[:]}
    rows, targets, weights = network.check(x, t, sample_weight)
    return {"x": rows[:], "t": targets} | ({} if weights is None else {"a": weights})


def record_batch(network: Network, batch: Sequence[Array | None]) -> Program:
    """Record loss and gradient as `record` does, for a batch x, t, a that was converted.

    The outputs have the sum of the losses and the weight, too.
    """
    pairs = zip(("x", "t", "a"), batch, strict=True)
    given = {name: part for name, part in pairs if part is not None}
    return _proved(given, lambda: Subject(network, converted=True))


def examples_like(network: Network) -> Array:
    """Return a few examples of the kind that the network takes: random, or zeros if it has to be.

    An Embedding takes whole numbers alone.
    """
    numbers = stream(0, "examples for a listing").random((3, *network.shape))
    if network.seen.pixels == "bytes":
        return (255 * numbers).astype(np.uint8)
    if network.seen.pixels == "flags":
        return (numbers > 0.5).astype(np.uint8)
    if network.inputs.table is not None:  # codes of categories are whole numbers
        most = network.inputs.table.most
        numbers = np.where(most < 0, numbers, np.floor(numbers * (most + 1)))
    x = numbers.astype(network.dtype)
    try:
        check_layers(network.body, network.inputs, x)
    except DataError:
        return np.zeros_like(x)
    return x


def record_update(
    network: Network,
    optimizer: Optimizer,
    changing: Sequence[str],
    average: Average | None = None,
) -> Program:
    """Record the step of an optimizer alone, whose options `changing` are inputs.

    With an average of the weights, which follows it; its share is an input, too.
    """
    return _proved({}, lambda: Subject(network, optimizer, average, changing))


def moving_and_fixed(optimizer: Optimizer) -> tuple[list[str], list[str]]:
    """Return the options that a recorded update takes as inputs, and those that it has built in.

    A callback may change these too, or give an option a schedule: then the update has to be
    recorded anew.
    """
    moving = [name for name in numbers(optimizer) if name == "lr" or name in optimizer.schedules]
    others = [option.name for option in fields(optimizer) if option.name not in moving]
    return moving, [name for name in others if name != "schedules"]


def _proved(given: dict[str, Array], subject: Callable[[], Subject]) -> Program:
    """Record two runs of new subjects as one program, and compare it with runs of another."""
    first, second, plain = subject(), subject(), subject()
    looks = list(plain.looks(given))  # first: what a layer raises by itself is raised so
    (tape, program), (other, _) = (
        subject.record({name: _cycle(part, N, start) for name, part in given.items()})
        for subject, N, start in zip((first, second), RECORDED, (0, RECORDED[0]), strict=True)
    )
    merge = Merge(tape, other, *RECORDED)
    merge.calls(first.returned, second.returned)
    program.ops = merge.ops()
    for value in program.inputs.values():  # also those that no operation reads
        value.shape = (OfBatch("{k} * N", 1), *value.shape[1:]) if value.shape else ()
    for look in looks:
        look.check(program)
    return program


def _cycle(rows: Array, N: int, start: int = 0) -> Array:
    """Return N rows, from the beginning again where there are fewer."""
    return np.asarray(rows[(np.arange(N) + start) % len(rows)])


class Subject:
    """Copies of a network, its optimizer and its average, to run with plain or recorded arrays.

    Attributes
    ----------
    numbers : dict of str to float
        Those of the next step: ``step``, the options that change, and ``share``.
    returned : list of Call
        The calls of the layers and the loss, in the order in which they return.
    converted : bool
        Whether targets are given as the loss takes them, and the sums of the loss are wanted.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | None = None,
        average: Average | None = None,
        changing: Sequence[str] | None = None,
        *,
        vectors: bool = True,
        converted: bool = False,
    ) -> None:
        self.net, self.vectors, self.converted = copy.deepcopy(network), vectors, converted
        self.optimizer: Optimizer | None = None
        self.averaged: AveragedWeights | None = None
        self.returned: list[Call] = []
        self.numbers: dict[str, Any] = {}
        self.changing: list[str] = []
        if optimizer is not None:
            self.changing = list(optimizer.schedules if changing is None else changing)
            self._bind(copy.deepcopy(optimizer))
        if average is not None:
            from layerkit.training.averaging import AveragedWeights

            step, steps = self.numbers["step"], optimizer.steps if optimizer else None
            self.averaged = AveragedWeights(self.net.arena, average, steps or step)
            self.numbers["share"] = average.share(step - 1, steps or step)

    def _bind(self, optimizer: Optimizer) -> None:
        self.optimizer, options, arena = optimizer, vars(optimizer), self.net.arena
        self.numbers = {"step": optimizer.t + 1, **{name: options[name] for name in self.changing}}
        options["schedules"] = {}
        optimizer.bind(arena, optimizer.steps)
        if not optimizer.t:
            optimizer._like = arena.values.shape, arena.values.dtype
            optimizer.memory = optimizer.allocate(arena.values)

    def memory(self) -> dict[str, Array]:
        """Return what a step changes by name, or what a prediction reads."""
        if not self.vectors:
            return {name: item.value for name, item in self.net.declared().items()}
        arena = self.net.arena
        found = {"w": arena.values, "g": arena.grads, "states": arena.states}
        if self.optimizer is not None:
            found |= self.optimizer.memory
        if self.averaged is not None:
            pairs = zip(("average", "average_states"), self.averaged.vectors, strict=True)
            found |= {name: a for name, (_, a, _) in pairs}
        return found

    def run(self, tape: Tape, given: dict[str, Array], numbers: dict[str, Any]) -> dict[str, Any]:
        """Predict, or take a step; return what comes out."""
        found: dict[str, Any] = {}
        if "x" in given:
            with tape.within("input", "input"):
                x, t = self.net.inputs.convert(given["x"]), given.get("t")
                if t is not None and not self.converted:
                    t = self.net.targets.convert(t)
            if t is None:
                return self.predict(tape, x)
            found = self.gradient(tape, x, t, given.get("a"))
        if self.optimizer is not None:
            self.step(tape, self.optimizer, numbers)
        return found

    def gradient(self, tape: Tape, x: Array, t: Array, a: Array | None) -> dict[str, Any]:
        """Leave the gradient in the arena; return the outputs z and the loss."""
        net = self.net
        z = net.body.forward(x, train=True)
        with tape.within("loss", "loss", net.loss):
            total, weight = net.loss.forward(z, t, a)
            found = {"z": z, "loss": mean(total, weight)}
            if self.converted:
                if isinstance(z, Recorded):  # a weight that depends on N alone becomes a value, too
                    weight = tape.scalar(operator.mul, weight, 1.0)
                found |= {"total": total, "weight": weight}
        with tape.within("backward", "loss", net.loss):
            dz = net.loss.backward()
            self.judge(tape, "backward", type(net.loss).gradients, dz)
        net.body.backward(dz)
        return found

    def predict(self, tape: Tape, x: Array) -> dict[str, Any]:
        """Return the outputs z, the predictions y, and the probabilities p, if there are any."""
        net = self.net
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
            self.judge(tape, "outputs", type(net.loss).predict, *found.values())
        return found

    def judge(self, tape: Tape, phase: str, method: Any, *arrays: Array) -> None:
        """Remember what the loss returns: it may have been made where nothing is recorded."""
        if not tape.values:  # a run with plain arrays
            return
        values = tuple(tape.find(array) for array in arrays)
        self.returned.append(Call("loss", phase, 0, 0, (), values, Line.of(method)))

    def step(self, tape: Tape, optimizer: Optimizer, numbers: dict[str, Any]) -> None:
        """Let the optimizer take a step, and the average follow it."""
        w, g, name = self.net.arena.values, self.net.arena.grads, type(optimizer).__name__

        def again() -> NoReturn:
            raise RecordingError(
                f"{name} searches: it evaluates the batch again at other parameters, and how often "
                "depends on values; so its step can't be recorded"
            )

        vars(optimizer).update({option: numbers[option] for option in self.changing})
        vars(optimizer).update(t=numbers["step"], w=w)
        with tape.within("optimizer", "optimizer", optimizer):
            optimizer._apply(w, g, again)
        if self.averaged is not None:
            with tape.within("average", "average", self.averaged):
                self.averaged.mix(numbers["share"])

    def record(self, given: dict[str, Array]) -> tuple[Tape, Program]:
        """Run with recorded arrays; return the tape and its program."""
        layers, tape = dict(self.net.layers()), Tape()
        memory = {name: tape.give("memory", name, part) for name, part in self.memory().items()}
        self._replace(tape, memory)
        generators = {}
        for address, layer in layers.items():
            if layer.random:
                generators[address] = copy.deepcopy(layer.rng)
                layer.rng = Draws(tape, address, layer.rng)  # type: ignore[assignment]
        inputs: dict[str, Any] = {n: tape.give("input", n, rows) for n, rows in given.items()}
        numbers = {
            name: tape.number(name, value, option=name in self.changing)
            for name, value in self.numbers.items()
        }

        def wrap(address: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
            line = Line.of(getattr(type(layers[address]), name))

            def recorded(*args: Any, **options: Any) -> Any:
                start = len(tape.ops)
                with tape.within(name, address, layers[address]):
                    result = _wrapped(tape, method(*args, **options))
                taken, returned = (
                    tuple(tape.find(item) for item in flat(items) if isinstance(item, np.ndarray))
                    for items in (args, result)
                )
                stop = len(tape.ops)
                self.returned.append(Call(address, name, start, stop, taken, returned, line))
                return result

            return recorded

        with (
            watched(layers.items(), wrap, containers=True),
            np.errstate(all="ignore"),
            tape.honest(),
        ):
            outputs = self.run(tape, inputs, numbers)
        given_values, kept, made = (
            {name: _value(tape, name, item) for name, item in items.items()}
            for items in (inputs | numbers, memory, outputs)
        )
        calls = [call for call in self.returned if call.address in layers]
        return tape, Program(tape.ops, given_values, kept, made, generators, calls)

    def _replace(self, tape: Tape, memory: dict[str, Recorded]) -> None:
        """Put recorded arrays in the place of the memory."""
        arena, declared = self.net.arena, self.net.declared()
        if not self.vectors:
            for name, item in declared.items():
                item._value = memory[name]
            return
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
        w, states = memory["w"], memory["states"]
        if self.optimizer is not None:
            slots = {name: memory[name] for name in self.optimizer.memory}
            self.optimizer.memory = slots  # type: ignore[assignment]
            vars(self.optimizer)["s"] = _scratch(tape, w)
        if self.averaged is not None:
            vectors = ((w, memory["average"]), (states, memory["average_states"]))
            self.averaged.vectors = [(v, a, _scratch(tape, v)) for v, a in vectors if v.size]

    def look(self, given: dict[str, Array], numbers: dict[str, Any]) -> Look:
        """Run with plain arrays; return what was before, and what came out."""
        before = copy.deepcopy(self.memory())
        rngs = {name: copy.deepcopy(part.rng) for name, part in self.net.layers() if part.random}
        returned: list[list[Array]] = []

        def wrap(address: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
            def noted(*args: Any, **options: Any) -> Any:
                result = method(*args, **options)
                returned.append([np.array(x) for x in flat(result) if isinstance(x, np.ndarray)])
                return result

            return noted

        with watched(self.net.layers(), wrap, containers=True), np.errstate(all="ignore"):
            outputs = self.run(Tape(), given, numbers)
        after = {name: np.array(item) for name, item in (self.memory() | outputs).items()}
        return Look(given | numbers, before, rngs, after, returned)

    def looks(self, given: dict[str, Array]) -> Iterator[Look]:
        """Look twice, one after the other: with many and few examples, and other numbers."""
        few = 1
        if self.vectors:
            few = max(layer.smallest_batch for _, layer in self.net.layers())
        self.net.arena.values *= 0.75
        if not given:
            grads = self.net.arena.grads
            grads[...] = stream(0, "gradients of a look").standard_normal(grads.shape)
        for i, N in enumerate((CHECKED, few)):
            numbers = {name: 0.9 * number for name, number in self.numbers.items()}
            if numbers:
                numbers["step"] = self.numbers["step"] + i
            if "share" in numbers:
                numbers["share"] = (1.0, 0.25)[i]
            yield self.look({name: _other(part, N) for name, part in given.items()}, numbers)


def _value(tape: Tape, name: str, item: Any) -> Value:
    if isinstance(item, np.ndarray):
        return tape.find(item)
    if not isinstance(item, Scalar):
        raise RecordingError(f"{name}: a number that was made where nothing is recorded; {UNSEEN}")
    return item.value


def mean(total: Any, weight: Any) -> Any:
    """Return `mean_loss`, decided by no value."""
    if isinstance(weight, float):
        return total / weight if weight else 0.0
    return number(np.where(weight == 0, 0.0, total / (weight + (weight == 0))))


def _other(rows: Array, N: int) -> Array:
    """Return N rows, not as they were recorded: from the second on, or a single one halved.

    Whole numbers stay: they may be codes of categories.
    """
    if len(rows) == 1 and rows.dtype.kind == "f":
        rows = np.where(rows % 1 == 0, rows, rows / 2)
    return _cycle(rows, N, start=1)


def _scratch(tape: Tape, w: Array) -> Recorded:
    zeros = np.zeros(w.shape, w.dtype)
    return tape.wrap(zeros, Value("constant", w.shape, w.dtype, "s", zeros.copy()))


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


@dataclass
class Look:
    """A run of the layers: what it was given, and all that came out of it."""

    given: dict[str, Any]
    memory: dict[str, Array]
    generators: dict[str, np.random.Generator]
    after: dict[str, Array]
    returned: list[list[Array]]

    def check(self, program: Program) -> None:
        """Run the program in the same way; RecordingError unless it gives the same bits."""
        memory = copy.deepcopy(self.memory)
        generators = copy.deepcopy(self.generators)
        found = memory | program.run(memory=memory, generators=generators, **self.given)
        for name, item in found.items():
            if np.asarray(item).tobytes() != self.after[name].tobytes():
                raise self.refusal(program, name)

    def refusal(self, program: Program, name: str) -> RecordingError:
        """Return an error about the first layer that returned something else."""
        what = (
            "gives other numbers with another batch than was recorded: something depends on "
            "values, is kept from the batch before, or was done where nothing is recorded; "
            f"{UNSEEN}"
        )
        now: dict[Value, Any] = {}
        ops, found = [0], list[Call]()

        def watch(op: Any, results: tuple[Any, ...]) -> None:
            now.update(zip(op.outputs, results, strict=True))
            ops[0] += 1
            for call, returned in zip(program.calls, self.returned, strict=False):
                if call.stop == ops[0] and call not in found:
                    pairs = zip(call.outputs, returned, strict=False)
                    if any(v in now and now[v].tobytes() != x.tobytes() for v, x in pairs):
                        found.append(call)

        memory, generators = copy.deepcopy(self.memory), copy.deepcopy(self.generators)
        program.run(memory=memory, generators=generators, watch=watch, **self.given)
        return found[0].refusal(what) if found else RecordingError(f"{name}: {what}")
