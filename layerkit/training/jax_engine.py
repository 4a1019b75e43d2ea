"""The engine of JAX: an epoch of the recorded step as one compiled program, on whatever it runs on.

K    the number of steps that are taken in one call, a window
w    all parameters; `state` has them with the states of layers, the slots and the averages
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.logs import ProgressBar
from layerkit.errors import DivergenceError
from layerkit.files.mapped import Subset, mapped_file
from layerkit.losses.base import mean_loss
from layerkit.optimizers.around import follow_schedules
from layerkit.recording.jax_functions import Function, Pieces, exact, jax, whole
from layerkit.recording.recorder import moving_and_fixed, record_batch, record_update
from layerkit.streams import stream
from layerkit.training.averaging import AveragedWeights
from layerkit.training.batches import Arrays, Batch
from layerkit.training.divergence import Divergence
from layerkit.training.recorded import first_batch, refusing
from layerkit.training.trainer import Trainer, is_finite

WINDOW = 256
"""The largest number of steps in one call; after it, callbacks are told how far the run is."""
SMALL = 2**14
"""Pieces of fewer numbers than this are put together before they are looked at."""
BYTES = 2**26
"""The largest size of the batches that are brought to the device for one call."""


class Window(NamedTuple):
    """Batches of one size, whose steps are taken in one call.

    `batches` has them as they came, and `before` the states of the augmentation's generator;
    `example` is the first one.
    """

    data: tuple[Any, Any, Any]
    rows: Any
    example: tuple[Any, Any, Any]
    steps: int
    batches: Any
    before: Sequence[Any] = ()


class JaxTrainer(Trainer):
    """A training run whose steps are compiled by JAX; measuring and all else is done by NumPy.

    Before each window of steps the state goes to the device, and comes back after it: callbacks,
    checkpoints and averages find it where it always is. Where a value is not finite, the window
    ends before that step, which is then taken by NumPy, to say where.
    """

    def __init__(
        self, progress: Any, source: Any, seed: int, *, average: Any = None, **more: Any
    ) -> None:
        super().__init__(progress, source, seed, **more)
        self.seed = int(stream(seed, "JAX").integers(2**63))
        self.average: AveragedWeights | None = average
        self.options, self.known, self.runs = list[Any](), dict[Any, Any](), dict[Any, Any]()
        self.data: Any = None
        self.device = jax().devices()[0]
        name = (
            "cpu" if self.device.platform == "cpu" else f"{self.device} {self.device.device_kind}"
        )
        self.where = f"JAX {jax().__version__} on {name}"
        self.moving: list[str] = []
        hooks = self.listening["batch_begin"] + self.listening["batch_end"]
        self.largest = 1 if any(callback.each_batch for callback in hooks) else WINDOW

    def check(self) -> None:
        """Refuse what can't be recorded or is not in JAX; before the first step."""
        self._follow()
        with exact():
            self._update()
            if batch := first_batch(self.network, self.source):
                self._gradient(*batch)

    def _follow(self) -> None:
        """Forget what is compiled with other options than now: callbacks may change them."""
        of_layers = repr((self.network.body, self.network.loss))
        self.moving, fixed = moving_and_fixed(self.optimizer)
        options = [of_layers, self.moving, *(vars(self.optimizer)[name] for name in fixed)]
        if options != self.options:
            self.options, self.known, self.runs = options, {}, {}

    @refusing()
    def _update(self) -> Function:
        """Return the step of the optimizer, and of the average that follows it."""
        if "update" not in self.known:
            average = self.average.average if self.average else None
            program = record_update(self.network, self.optimizer, self.moving, average)
            self.known["update"] = Function(program)
        found: Function = self.known["update"]
        return found

    @refusing()
    def _gradient(self, x: Array, t: Array, a: Array | None) -> Function:
        """Return loss and gradient of batches of this kind."""
        kind = t.ndim, t.dtype, a is not None and a.ndim
        if kind not in self.known:
            self.known[kind] = Function(record_batch(self.network, (x, t, a)))
        found: Function = self.known[kind]
        return found

    def _train_epoch(self) -> bool:
        """Take a step for each batch left in this epoch; return False to end the run early."""
        progress = self.progress
        windows = self._rows() if self._resident() else self._collected()
        self._tell("epoch_begin")
        for attendant in self.attendants:
            attendant.epoch_begin(self)
        for window in windows:
            self._tell("batch_begin")
            with exact():
                taken = self._take(window)
            if taken < window.steps:
                self._diverge(window, taken)
            self._tell("batch_end")
            leaving = progress.leaving and progress.batch != progress.batches
            for attendant in self.attendants:
                attendant.batch_end(self, leaving)
            if leaving:
                return False
        if not is_finite(self.network.arena.values):
            self._fail(None)
            raise DivergenceError("the parameters are not finite after the last batch")
        return True

    def _diverge(self, window: Window, taken: int) -> NoReturn:
        """Let NumPy take the step that was not finite, and say where."""
        if window.before:
            self.augmenting.bit_generator.state = window.before[taken]  # type: ignore[union-attr]
        for attendant in self.attendants:
            if isinstance(attendant, Divergence):
                attendant.epoch_begin(self)
        batch = window.batches[taken]
        batch = batch if isinstance(batch, Batch) else self._batch(batch)
        try:
            self.step(batch)
        except DivergenceError:
            self._fail(batch)
            raise
        raise DivergenceError(
            f"batch {self.progress.batch + 1}: the loss or its gradient is not finite with "
            "engine = 'jax', though it is with NumPy; try a smaller learning rate"
        )

    def _room_for(self, size: int) -> int:
        """Return how many steps the next window may have, up to a checkpoint that is due."""
        most, checkpoints = min(self.largest, size), self.progress.options.checkpoints
        if checkpoints and checkpoints.every:
            most = min(most, checkpoints.every - self.progress.step % checkpoints.every)
        return most

    def _resident(self) -> bool:
        """Whether all examples lie in memory, and go to the device as they are."""
        source = self.source
        if not isinstance(source, Arrays) or self.augmentation:
            return False
        rows = source.x.x if isinstance(source.x, Subset) else source.x
        return isinstance(rows, np.ndarray) and mapped_file(rows) is None

    def _rows(self) -> Iterator[Window]:
        """Yield windows of rows of the examples, which are on the device."""
        source: Any = self.source
        if self.data is None:
            data = source.x[:], self.network.targets.convert(source.t), source.a
            self.example = _first(data)
            with exact():
                self.data = jax().device_put(data)
        if self.progress.batch:
            self.rng.bit_generator.state = self.order
        self.order = self.rng.bit_generator.state
        order, size = self.rng.permutation(len(source.x)), source.batch_size
        start = self.progress.batch * size
        while start < len(order):
            count = min(self._room_for(WINDOW), (len(order) - start) // size)
            stop = min(start + max(count, 1) * size, len(order))
            rows = order[start:stop].reshape(max(count, 1), -1)
            yield Window(self.data, rows, self.example, len(rows), rows)
            start = stop

    def _batch(self, rows: Array) -> Batch:
        """Return a batch of the examples in memory."""
        source: Any = self.source
        a = None if source.a is None else source.a[rows]
        return Batch(source.x[rows], source.t[rows], a, rows)

    def _collected(self) -> Iterator[Window]:
        """Yield windows of batches from elsewhere, of the same size and kind each."""
        found: list[tuple[Any, ...]] = []
        for batch in self.batches():
            x = self.network.inputs.convert(np.asarray(batch.x))
            t, a = self.network.targets.convert(batch.t), batch.sample_weight
            if found and _kind(found[0]) != _kind((x, t, a)):
                yield _stacked(found)
                found = []
            before = self.augmenting.bit_generator.state if self.augmenting else None
            if self.augmentation and self.augmenting:  # after a checkpoint of the batches before
                x = self.augmentation(x, self.augmenting)
            raw = copy.deepcopy(batch)  # the next one may overwrite it
            found.append(
                (np.array(x), np.array(t), None if a is None else np.array(a), raw, before)
            )
            if len(found) >= self._room_for(max(1, BYTES // x.nbytes)):
                yield _stacked(found)
                found = []
        if found:
            yield _stacked(found)

    def _take(self, window: Window) -> int:
        """Take the steps of a window; return how many there were before one was not finite."""
        progress, optimizer = self.progress, self.optimizer
        if optimizer.t == 0:
            w = self.network.arena.values
            optimizer._like, optimizer.memory = (w.shape, w.dtype), optimizer.allocate(w)
        run, K = self._run(window)
        courses = self._courses(window.steps, K)
        data: Any = window.data
        rows = window.rows
        if rows is not None:
            rows = np.concatenate([rows, np.zeros((K - len(rows), rows.shape[1]), rows.dtype)])
        elif window.steps < K:
            pad = [(0, K - window.steps)]
            data = tuple(
                part if part is None else np.pad(part, pad + [(0, 0)] * (part.ndim - 1))
                for part in data
            )
        given = data, rows, courses, optimizer.t
        memory = self._memory()
        steps, after, totals, weights = run(memory, window.steps, *given)
        taken = int(steps)
        for name, vector in memory.items():
            vector[...] = after[name]
        optimizer.t += taken
        optimizer.w = self.network.arena.values
        if self.average:
            self.average.step += taken
        for total, weight in np.stack([totals, weights], axis=1)[:taken].tolist():
            progress.loss = mean_loss(total, weight)
            progress.loss_sum += total
            progress.weight_sum += weight
        progress.step += taken
        progress.batch += taken
        progress.size = taken * (len(data[1][0]) if rows is None else rows.shape[1])
        return taken

    def _memory(self) -> dict[str, Array]:
        """Return the vectors that a step changes, by name."""
        arena = self.network.arena
        found = {"w": arena.values, "g": arena.grads, "states": arena.states}
        found |= self.optimizer.memory
        if self.average:
            (_, values, _), (_, states, _) = self.average.vectors
            found |= {"average": values, "average_states": states}
        return found

    def _courses(self, count: int, K: int) -> dict[str, Array]:
        """Return the numbers that differ from step to step, for each of the steps."""
        optimizer = self.optimizer
        steps, found = range(optimizer.t, optimizer.t + count), []
        for step in steps if optimizer.schedules else steps[:1]:
            given = follow_schedules(optimizer, step - optimizer._begun, optimizer.steps)
            found.append([vars(optimizer)[name] for name in self.moving])
            vars(optimizer).update(given)
        found += [found[-1]] * (K - len(found))
        courses = dict(zip(self.moving, np.array(found).T, strict=True))
        if self.average:
            start, average = self.average.step, self.average
            shares = [average.average.share(start + i, average.steps) for i in range(count)]
            courses["share"] = np.array(shares + shares[-1:] * (K - count))
        return courses

    def _run(self, window: Window) -> tuple[Callable[..., Any], int]:
        """Return the compiled function for such windows, and its number of steps."""
        self._follow()
        update, (x, t, a) = self._update(), window.example
        gradient = self._gradient(self.network.inputs.convert(x), t, a)
        size = len(window.batches[0]) if window.rows is not None else window.data[0].shape[1]
        key = size, *_kind(window.example)
        if key not in self.runs or window.steps > self.runs[key][1]:
            for callback in self.listening["batch_end"]:
                if isinstance(callback, ProgressBar) and callback.bar is not None:
                    callback.bar.set_postfix_str("JAX compiles the step")
            self.runs[key] = self._compiled(gradient, update), window.steps
        found: tuple[Callable[..., Any], int] = self.runs[key]
        return found

    def _compiled(self, gradient: Function, update: Function) -> Callable[..., Any]:
        """Return a function that takes `count` steps, or fewer up to one that is not finite."""
        lax, numpy, random, tree = jax().lax, jax().numpy, jax().random, jax().tree
        dtype, parts, seed = self.network.dtype, self.parts, self.seed
        slices, size = list(self.network.arena.slices.values()), len(self.network.arena.values)
        by_itself = update.is_elementwise(size) and size > 0
        places = {
            name: slices if by_itself and len(vector) == size else [slice(0, len(vector))]
            for name, vector in self._memory().items()
        }

        vectors = [name for name, found in places.items() if found is slices]

        def pieces(memory: Mapping[str, Any]) -> dict[str, Any]:
            return {
                name: vector if isinstance(vector, Pieces) else Pieces.of(vector, places[name])
                for name, vector in memory.items()
                if name in places
            }

        def batch_of(data: Any, rows: Any, i: Any) -> list[Any]:
            if rows is None:
                return [None if part is None else part[i] for part in data]
            return [
                None if part is None else part.at[rows[i]].get(mode="promise_in_bounds")
                for part in data
            ]

        def part_of(batch: Any, part: slice, memory: Any, key: Any) -> Any:
            x, t, a = batch[0][part], batch[1][part], batch[2]
            x = x.astype(dtype) / 255 if x.dtype == np.uint8 else x.astype(dtype)
            given = {"x": x, "t": t} | ({} if a is None else {"a": a[part]})
            return gradient(given, memory, key)

        def loss_of(batch: list[Any], memory: Any, key: Any) -> Any:
            N = len(batch[1])
            if parts == 1:
                found = part_of(batch, slice(None), memory, key)
                return found["total"], found["weight"], memory | pieces(found)
            rows, sums, total, weight = math.ceil(N / parts), numpy.zeros(size, dtype), 0.0, 0.0
            for number, start in enumerate(range(0, N, rows)):
                part = slice(start, start + rows)
                found = part_of(batch, part, memory, random.fold_in(key, number))
                memory = memory | pieces(found)
                sums += whole(memory["g"]) * numpy.asarray(found["weight"], dtype)
                total, weight = total + found["total"], weight + found["weight"]
            share = numpy.where(weight == 0, 0.0, 1 / numpy.where(weight == 0, 1.0, weight))
            sums *= numpy.asarray(share, dtype)
            return total, weight, memory | pieces({"g": sums})

        def updated(given: dict[str, Any], memory: Any) -> Any:
            if not by_itself:
                return pieces(update(given, memory))
            found: dict[str, dict[int, Any]] = {name: {} for name in vectors}
            for part in slices:
                one = {name: memory[name].parts[part.start] for name in vectors}
                for name, piece in update(given, memory | one, part=part).items():
                    found[name][part.start] = piece
            return {name: Pieces(parts) for name, parts in found.items() if parts}

        def run(state: Any, count: Any, data: Any, rows: Any, courses: Any, t: Any) -> Any:
            def go_on(carry: Any) -> Any:
                return (carry[0] < count) & carry[-1]

            def step(carry: Any) -> Any:
                i, before, totals, weights, _ = carry
                memory: Any = {name: Pieces(parts) for name, parts in before.items()}
                key = random.fold_in(random.key(seed), t + i)
                total, weight, memory = loss_of(batch_of(data, rows, i), memory, key)
                total, weight = numpy.float64(total), numpy.float64(weight)
                loss = total / numpy.where(weight == 0, 1.0, weight)
                finite = _is_finite(loss, memory["g"].parts.values())
                given = {name: course[i] for name, course in courses.items()}
                memory |= updated(given | {"step": t + i + 1}, memory)
                after = {name: vector.parts for name, vector in memory.items()}
                kept = tree.map(lambda new, old: numpy.where(finite, new, old), after, before)
                totals, weights = totals.at[i].set(total), weights.at[i].set(weight)
                return i + finite, kept | {"g": after["g"]}, totals, weights, finite

            K = len(courses["lr"])
            cut = {name: vector.parts for name, vector in pieces(state).items()}
            start = 0, cut, numpy.zeros(K), numpy.zeros(K), True
            taken, cut, totals, weights, _ = lax.while_loop(go_on, step, start)
            after = {name: Pieces(parts).whole() for name, parts in cut.items()}
            return taken, after, totals, weights

        compiled: Callable[..., Any] = jax().jit(run, donate_argnums=0)
        return compiled


def _is_finite(loss: Any, g: Collection[Any]) -> Any:
    """Whether loss and gradient are: their squares tell it fastest, unless these are too large."""
    numpy, lax = jax().numpy, jax().lax
    small = [part for part in g if part.size < SMALL] or [numpy.zeros(0)]
    joined = [numpy.concatenate(small), *(part for part in g if part.size >= SMALL)]
    squares = sum(numpy.vdot(part, part) for part in joined)

    def slowly() -> Any:
        return numpy.isfinite(loss + sum((0 * part).sum() for part in g))

    return lax.cond(numpy.isfinite(loss + squares), lambda: numpy.bool_(True), slowly)


def _kind(item: Sequence[Any]) -> list[Any]:
    """Return the shapes and dtypes of x, t and a."""
    return [part if part is None else (part.shape, part.dtype) for part in item[:3]]


def _stacked(found: list[tuple[Any, ...]]) -> Window:
    """Return batches of one kind as a window."""
    x, t, a, batches, before = zip(*found, strict=True)
    data = np.stack(x), np.stack(t), None if a[0] is None else np.stack(a)
    rest = before if before[0] is not None else ()
    return Window(data, None, _first(found[0][:3]), len(found), batches, rest)


def _first(data: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Return the first example of a batch."""
    x, t, a = (None if part is None else part[:1] for part in data)
    return x, t, a
