"""Traces: what becomes of an example, or of a batch, in one step of a network."""

from __future__ import annotations

import html
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import ConfigError
from layerkit.files.atomic import write_atomically
from layerkit.inspection.summary import aligned, described
from layerkit.network import Network
from layerkit.optimizers.around import check_schedules
from layerkit.optimizers.base import Optimizer
from layerkit.recording.authors import Statement, formulas, statement, whole_method
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import Call, Filled, Program, constant
from layerkit.recording.recorder import inputs_of, record


@dataclass
class Moment:
    """A statement of a method at work: copies of what it reads and makes, NumPy's operations."""

    start: int
    stop: int
    ops: list[Op]
    statement: Statement | None
    given: list[Value] = field(default_factory=list)
    made: list[Value] = field(default_factory=list)
    reads: dict[str, Array] = field(default_factory=dict)
    writes: dict[str, Array] = field(default_factory=dict)


@dataclass
class Step:
    """A layer at work in one phase, or the loss, or the optimizer.

    Attributes
    ----------
    phase : {"input", "forward", "loss", "backward", "optimizer", "outputs"}
    address, layer : str
        Such as ``body.layers.0`` and ``Dense(units=64)``.
    formula : str
        From its docstring.
    values : dict of str to array
        The values that come out: y, or the gradients dW, db and dx, or the steps of the parameters.
    moments : list of Moment
        Statement by statement.
    images : {"", "inputs", "all"}
        Whether its inputs, or all of its arrays, have a number for each pixel of the examples.
    """

    phase: str
    address: str
    layer: str
    formula: str
    start: int
    stop: int
    call: Call | None
    values: dict[str, Array] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    images: str = ""


@dataclass(repr=False)
class Trace:
    """A trace: what becomes of examples in one step of a network, or in a prediction.

    Made by `trace`. It is shown as a table; in a notebook as a page to step through, which `save`
    writes to a file.

    Attributes
    ----------
    title : str
        The title of the page; one is chosen where it is empty.
    steps : list of Step
        The steps in the order of computation.
    image : (int, int), optional
        The height and width of examples that are images.
    classes : list of str
        The names of the classes; empty where there are none.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy, trace
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> net["body.W"].value = [[1, 0], [0, 1], [1, 1]]
    >>> found = trace(net, [[1.0, 0.0, 2.0]])
    >>> found.steps[1].address, found.steps[1].values
    ('body', {'y': array([[3., 2.]], dtype=float32)})
    """

    title: str
    steps: list[Step]
    image: tuple[int, int] | None = None
    classes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        head = ["phase", "address", "value", "shape", "smallest", "mean", "largest", "zeros"]
        rows = [[*head, "formula"]]
        for step in self.steps:
            address = step.address if step.address not in ("input", "optimizer") else ""
            first = [step.phase, address, step.formula]
            for name, array in step.values.items():
                phase, address, formula = first
                rows.append([phase, address, name, str(array.shape), *statistics(array), formula])
                first = ["", "", ""]
        return aligned(rows, right=(4, 5, 6, 7))

    def _repr_html_(self) -> str:
        from layerkit.recording.page import page

        style = "width: 100%; height: 760px; border: 0; border-radius: 8px"
        return f'<iframe srcdoc="{html.escape(page(self))}" style="{style}"></iframe>'

    def save(self, path: str | Path) -> None:
        """Write a page for the browser, in one file that needs nothing else.

        Raises
        ------
        FileError
            When it can't be written.
        """
        from layerkit.recording.page import page

        write_atomically(Path(path), page(self).encode())


def extent(array: Array) -> tuple[float, float, float]:
    """Return the smallest, the mean and the largest number.

    A mean that is less than the precision of the largest number is rounding: then it is 0.

    Examples
    --------
    >>> extent(np.array([0.1, 0.2, -0.3], dtype=np.float32))[1]
    0.0
    """
    with np.errstate(all="ignore"):
        low, mean, high = float(array.min()), float(array.mean(dtype=float)), float(array.max())
    if array.dtype.kind == "f" and abs(mean) < np.finfo(array.dtype).eps * max(-low, high):
        mean = 0.0
    return low, mean, high


def statistics(array: Array) -> list[str]:
    """Return the smallest, the mean, the largest number, and the share of zeros.

    Examples
    --------
    >>> statistics(np.array([0.0, 0.5, -2.0, 0.0]))
    ['-2', '-0.375', '0.5', '50%']
    """
    return [*(f"{x:.3g}" for x in extent(array)), f"{(array == 0).mean():.0%}"]


def trace(
    network: Network,
    x: Any,
    t: Any = None,
    optimizer: Optimizer | None = None,
    *,
    sample_weight: Any = None,
    image: tuple[int, int] | None = None,
    title: str = "",
) -> Trace:
    """Follow examples through one step of training, or without targets through a prediction.

    Network and optimizer stay as they are.

    Parameters
    ----------
    network : Network
        The network that the examples go through.
    x : array
        The examples to follow (N, *shape); one is enough.
    t : array, optional
        Their targets: then it is a step of training, with loss and backward.
    optimizer : Optimizer, optional
        Then its step is followed, too.
    sample_weight : array, optional
        How much each example counts.
    image : (int, int), optional
        The height and width of images, where each example is one as a row of numbers.
    title : str, optional
        The title of the page.

    Returns
    -------
    Trace
        Shown as a table; in a notebook as a page to step through, which ``save`` writes to a
        file.

    Raises
    ------
    RecordingError
        When a layer, the loss or the optimizer can't be recorded, with the line.
    ShapeError, DataError
        For examples or targets that don't fit.
    ConfigError
        For fewer examples than a layer needs, such as one for BatchNorm; for an image of another
        size.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> found = trace(net, [[1.0, 0.0, 2.0]], [1], SGD(lr=0.1))
    >>> for step in found.steps:
    ...     print(f"{step.phase}: {', '.join(step.values)}")
    input: x, t
    forward: y
    loss: L
    backward: dz
    backward: dW, db
    optimizer: step of body.W, step of body.b
    >>> print(f"{found.steps[2].values['L']:.2f}")
    2.33
    """
    program = record(network, x, t, optimizer, sample_weight=sample_weight)
    if image is not None and not (np.shape(image) == (2,) and network.shape == (math.prod(image),)):
        raise ConfigError(
            f"image = {image}: should be a height and a width; an example has the shape "
            f"{network.shape}"
        )
    given = inputs_of(network, x, t, sample_weight)
    given["x"] = np.asarray(given["x"])  # of sparse rows
    N = len(given["x"])
    for address, layer in network.layers() if t is not None else ():
        if layer.smallest_batch > N:
            raise ConfigError(
                f"{address}: {type(layer).__name__} needs at least {layer.smallest_batch} "
                f"examples in a batch; there {'is' if N == 1 else 'are'} {N} "
                f"(layerkit trace --batch {layer.smallest_batch})"
            )
    if optimizer is not None:
        given |= scheduled(optimizer)
    parts: dict[str, Any] = {"input": network.inputs, "loss": network.loss, "optimizer": optimizer}
    steps = _Run(network, program, parts | dict(network.layers())).steps(given)
    return Trace(title, steps, image, [str(name) for name in network.classes or []])


def scheduled(optimizer: Optimizer) -> dict[str, float]:
    """Return the options that have schedules, as they are in the next step."""
    check_schedules(optimizer, optimizer.steps)
    step = optimizer.t - optimizer._begun
    return {
        name: getattr(optimizer, name) * schedule(step, optimizer.steps)
        for name, schedule in optimizer.schedules.items()
    }


class _Run:
    """Runs a program, and keeps copies of what each statement reads and writes."""

    def __init__(self, network: Network, program: Program, parts: dict[str, Any]) -> None:
        self.network, self.program, self.parts = network, program, parts
        self.maker = {value: op for op in program.ops for value in op.outputs}
        self.known = {value.name: value for value in self.maker if value.name}
        self.lasting = {
            value for op in program.ops for value in op.outputs if value.root.kind == "memory"
        }
        end = len(program.ops)
        self.last_read = {value: i for i, op in enumerate(program.ops) for value in op.reads}
        for values in (program.outputs.values(), *(call.outputs for call in program.calls)):
            self.last_read |= dict.fromkeys(values, end)
        self.images = self._pixelwise()
        self.names: dict[str, dict[Value, str]] = {address: {} for address in parts}
        self.current: dict[Value, Any] = {}

    def steps(self, given: dict[str, Any]) -> list[Step]:
        """Run it once, and return its steps."""
        program, self.N = self.program, len(given["x"])
        steps = list(self._steps())
        moments = [(step, moment) for step in steps for moment in step.moments]
        memory = {name: value.array.copy() for name, value in program.memory.items()}
        before = memory["w"].copy() if "w" in memory else None
        self.current = {value: value.array for value in program.inputs.values()}
        self.current |= {program.inputs[name]: item for name, item in given.items()}
        self.current |= {value: memory[name] for name, value in program.memory.items()}
        done = 0

        def look(op: Op | None = None, results: tuple[Any, ...] = ()) -> None:
            nonlocal done
            if op is not None:
                done += 1
                self.current.update(zip(op.outputs, results, strict=True))
            for step, moment in moments:
                if moment.stop == done and moment.ops:
                    moment.writes = self._copies(step, moment.made)
            for step in steps:
                if step.stop == done:
                    step.values = self._values(step)
            for step, moment in moments:
                if moment.start == done:
                    moment.reads = self._copies(step, moment.given)
                    if not moment.ops:
                        moment.writes = self._returned(step) if step.call else self._values(step)

        look()
        program.run(memory=memory, watch=look, **given)
        if before is not None and steps[-1].phase == "optimizer":
            steps[-1].values = {
                f"step of {name}": part for name, part in self._by_parameter(memory["w"] - before)
            }
        return steps

    def _steps(self) -> Iterator[Step]:
        """Yield the steps in order: the calls of layers, and what is done between them."""
        ops = self.program.ops
        leaves = [c for c in self.program.calls if not any(self.parts[c.address].parts())]
        spans: list[tuple[int, int, Call | None]] = [(c.start, c.stop, c) for c in leaves]
        inside = {i for call in leaves for i in range(call.start, call.stop)}
        others = [i for i, op in enumerate(ops) if i not in inside and op.phase != "memory"]
        for i in others:
            start, stop, call = spans[-1] if spans else (0, 0, None)
            same = call is None and stop == i and ops[start].place == ops[i].place
            spans[len(spans) - same :] = [(start if same else i, i + 1, None)]
        begin = sum(op.phase == "memory" for op in ops)
        if not any(op.phase == "input" for op in ops):
            spans.insert(0, (begin, begin, None))
        for start, stop, call in sorted(spans, key=lambda span: span[0]):
            source = call or ops[start]
            phase, address = source.phase, source.address
            if call is None and start == stop:
                phase = address = "input"
            part = self.parts[address]
            step = Step(phase, address, "", "", start, stop, call)
            standardized = self.network.seen.scale is not None and "t" in self.program.inputs
            if phase == "input":
                step.formula = "t is standardized: (t - mean) / scale" if standardized else ""
            else:
                step.layer = described(part)
                step.formula = formulas(type(part))[phase == "backward"]
            self._name(step, part)
            step.moments = list(self._moments(step, part))
            step.images = "all" if phase == "input" else self.images.get(address, "")
            yield step

    def _pixelwise(self) -> dict[str, str]:
        """Return the addresses of layers whose inputs, or all arrays, are like the examples."""
        like, found = set(self._batch()[:1]), dict[str, str]()
        for call in self.program.calls:
            layer = self.parts[call.address]
            if call.phase == "forward" and like & set(call.inputs) and not any(layer.parts()):
                mixes = any(len(param.shape) > 1 for param in layer.params().values())
                alike = layer.output_shape == self.network.shape and not mixes
                found[call.address] = "all" if alike else "inputs"
                like |= set(call.outputs if alike else ())
        return found

    def _name(self, step: Step, part: Any) -> None:
        """Name the values that a step is given, and those that it returns."""
        names, call = self.names[step.address], step.call
        whole = [c for c in self.program.calls if c.address == "body"]
        if call is not None:
            for values, known in zip((call.inputs, call.outputs), _ends(call, part), strict=True):
                names.update({v: n for v, n in zip(values, known, strict=True) if v not in names})
        elif step.phase == "input":
            given = {name: self.program.inputs.get(name) for name in ("x", "t")}
            names.update({v: f"{name} as {v.dtype}" for name, v in given.items() if v})
            names.update(zip(self._batch(), ("x", "t", "a"), strict=False))
        elif step.address == "loss":
            names.update(dict.fromkeys(self._batch()[1:2], "t") | {whole[0].outputs[0]: "z"})
            names.update(dict.fromkeys((v for call in whole[1:] for v in call.inputs), "dz"))
            if "loss" in self.program.outputs:
                names[self.program.outputs["loss"]] = "L"

    def _moments(self, step: Step, part: Any) -> Iterator[Moment]:
        """Yield the statements of a step, in order."""
        ops = self.program.ops
        if step.start == step.stop:
            moment = Moment(step.start, step.stop, [], None)
            if step.call is not None:
                moment.statement = whole_method(inspect.unwrap(getattr(type(part), step.phase)))
                moment.given = list(step.call.inputs)
            yield moment
        found: list[tuple[int, Statement | None]] = []
        for i in range(step.start, step.stop):
            made_by = statement(ops[i].line, type(part))
            found.append((i, made_by or (found[-1][1] if found else None)))
        for made_by, group in groupby(found, lambda item: item[1]):
            numbers = [i for i, _ in group]
            start, stop = numbers[0], numbers[-1] + 1
            moment = Moment(start, stop, ops[start:stop], made_by)
            new = {value for op in moment.ops if op.writes is None for value in op.outputs}
            given = dict.fromkeys(value for op in moment.ops for value in op.reads)
            moment.given = [v for v in given if v not in new and not self._is_trifle(v)]
            written = {op.writes for op in moment.ops}
            made = dict.fromkeys(value for op in moment.ops for value in op.outputs)
            moment.made = [
                v
                for v in made
                if v.kind != "constant"  # as scratch memory is
                and (self.last_read.get(v, -1) >= stop or v in written & self.lasting)
            ]
            if step.phase == "input":
                moment.made = self._batch()
            if moment.made:  # or else it was a check
                self._name_targets(step, moment)
                yield moment

    def _is_trifle(self, value: Value) -> bool:
        """Whether a value is a constant such as a row of ones, or 0, 1, 2 …"""
        if value.kind != "constant" or isinstance(value.array, Filled):
            return value.kind == "constant"
        return not value.array.size or bool((value.array == value.array.flat[0]).all())

    def _name_targets(self, step: Step, moment: Moment) -> None:
        """Name what a statement makes by what it is assigned to."""
        names = self.names[step.address]
        targets = moment.statement.targets if moment.statement else ()
        for value, target in zip(moment.made[-len(targets) :], targets, strict=False):
            if value not in names and not value.name:
                names[value] = target

    def name(self, step: Step, value: Value) -> str:
        """Return what a layer calls a value, as far as that can be known."""
        known = self.names[step.address].get(value)
        if known is None and value.name:
            known = value.name.replace(f"{step.address}.", "")
        if known is None and value.base is not None:
            base = self.name(step, value.base)
            known = f"{base}.T" if self.maker[value].name == "transpose" else base
        if known is None:
            known = f"{self.maker[value].name}(…)" if value in self.maker else "constant"
        return known

    def _returned(self, step: Step) -> dict[str, Array]:
        """Return copies of what a layer returns; of x by the name of y, where it returns its x."""
        assert step.call is not None
        _, names = _ends(step.call, self.parts[step.address])
        found = [np.array(self.current[value]) for value in step.call.outputs]
        return dict(zip(names, found, strict=True))

    def _copies(self, step: Step, values: list[Value]) -> dict[str, Array]:
        """Return copies of what values are now, by their names; vectors by parameters."""
        found: dict[str, Array] = {}
        for value in values:
            if value not in self.current:
                self.current[value] = constant(value.array, self.N)
            name, array = self.name(step, value), np.array(self.current[value])
            if step.phase == "optimizer" and array.shape == self.program.memory["w"].array.shape:
                found |= {f"{name}: {of}": part for of, part in self._by_parameter(array)}
            else:
                found[name] = array
        return found

    def _by_parameter(self, vector: Array) -> Iterator[tuple[str, Array]]:
        """Yield the parts of a vector that belong to the parameters."""
        for name, param in self.network.params().items():
            yield name, vector[self.network.arena.slices[name]].reshape(param.shape)

    def _batch(self) -> list[Value]:
        """Return examples as the body takes them, targets as the loss does, and weights."""
        x = next(call for call in self.program.calls if call.address == "body").inputs[0]
        made = [op.output for op in self.program.ops if op.phase == "input"]
        t = next((value for value in reversed(made) if value is not x), None)
        inputs = self.program.inputs
        return [v for v in (x, t or inputs.get("t"), inputs.get("a")) if v is not None]

    def _values(self, step: Step) -> dict[str, Array]:
        """Return what comes out of a step."""
        if step.phase == "input":
            return self._copies(step, self._batch())
        if step.phase == "outputs":
            return {name: np.array(self.current[v]) for name, v in self.program.outputs.items()}
        if step.call is None:
            return step.moments[-1].writes
        gradients: list[str] = []
        if step.phase == "backward":
            gradients = [f"d{step.address}.{name}" for name in self.parts[step.address].params()]
        found = self._copies(step, [self.known[name] for name in gradients])
        return found | self._returned(step)


def _ends(call: Call, layer: Any) -> tuple[list[str], list[str]]:
    """Return the names of what a layer is given and of what it returns."""
    args = list(inspect.signature(layer.forward).parameters.values())
    inputs = [p.name for p in args if p.name != "train"]
    if any(p.kind is p.VAR_POSITIONAL for p in args):
        number = len(call.inputs) if call.phase == "forward" else len(call.outputs)
        inputs = [f"x{i + 1}" for i in range(number)]
    if call.phase == "forward":
        return inputs, ["y"]
    gradients = ["dx"] if inputs == ["x"] else [f"d{name}" for name in inputs]
    return ["dy"], gradients[: len(call.outputs)]
