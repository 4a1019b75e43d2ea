"""A step that has failed, repeated: where its values stop being finite."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.errors import FileError
from layerkit.graph.sequential import Sequential
from layerkit.inspection.summary import aligned
from layerkit.inspection.watch import Watch, watched
from layerkit.training.batches import Iterated
from layerkit.training.trainer import Trainer

if TYPE_CHECKING:
    from layerkit.training.divergence import FailedStep


class Replay:
    """A step that is repeated on copies: what was seen, and the first value that is not finite.

    As text, it is the range of what each layer returned, forward and backward, what the
    parameters' gradients and changes were, and the verdict.

    Parameters
    ----------
    failed : FailedStep

    Attributes
    ----------
    loss : float
        Of the batch, this time.
    same : bool
        Whether that is, bit for bit, the loss of the training.
    """

    def __init__(self, failed: FailedStep) -> None:
        from threadpoolctl import threadpool_limits

        self.failed = failed
        self.network, self.optimizer = copy.deepcopy((failed.network, failed.optimizer))
        self.optimizer.bind(self.network.arena, failed.optimizer.steps)
        trainer = Trainer(
            self.network,
            self.optimizer,
            Iterated(self.network, ()),  # the batch is at hand
            failed.options,
            generator(failed.state["generators"]["order"]),
            {},
        )
        trainer.load_state_dict(failed.state)
        self.watch, w = Watch(self.network), self.network.arena.values.copy()
        with (
            threadpool_limits(failed.threads, user_api="blas"),
            np.errstate(all="ignore"),
            watched(self.network, self.watch.look, containers=True),
        ):
            self._look_around()
            trainer.take_step(failed.batch)
            self.steps = self.network.arena.values - w
        self.gradient = vars(self).get("gradient", self.network.arena.grads)
        self._see_params("total", self.gradient)
        self.loss, recorded = trainer.loss, failed.loss
        self.same = self.loss == recorded or (math.isnan(self.loss) and math.isnan(recorded))

    def _look_around(self) -> None:
        """Look at what is computed outside of the layers, too."""
        watch, network, loss = self.watch, self.network, self.network.loss
        backpropagate, step = network.backpropagate, self.optimizer.step
        losses, forward, backward = loss.losses, loss.forward, loss.backward

        def see_part(x: Array, *others: Any) -> tuple[float, float]:
            watch.see("", "examples", x)
            found = backpropagate(x, *others)
            # an optimizer may look at the batch again, from its first example on
            watch.start = (watch.start + len(x)) % len(self.failed.batch.x)
            return found

        def see_losses(z: Array, t: Array) -> Array:
            watch.see("", "z", z)
            found = losses(z, t)
            watch.see("", "losses", found)
            return found

        def see_loss(*given: Any, **options: Any) -> tuple[float, float]:
            found = forward(*given, **options)
            watch.see("", "loss", found[0], rows=False)
            return found

        def see_derivative() -> Array:
            dz = backward()
            watch.see("", "dz", dz)
            return dz

        def see_step(w: Array, g: Array, again: Callable[[], float]) -> None:
            self.gradient = g.copy()
            self._see_params("total", g)
            seen = dict(watch.seen)
            step(w, g, again)
            # an optimizer may have looked at other places, and values there be what they like
            watch.seen, watch.first = seen, None
            for slot in self.optimizer.memory.values():
                if slot.shape == w.shape:
                    self._see_params("memory", slot)
            self._see_params("update", w)

        vars(network)["backpropagate"] = see_part
        vars(loss).update(losses=see_losses, forward=see_loss, backward=see_derivative)
        vars(self.optimizer)["step"] = see_step

    def _see_params(self, kind: str, vector: Array) -> None:
        """Look at a vector parameter by parameter."""
        for address, part in self.network.arena.slices.items():
            self.watch.see(address, kind, vector[part], rows=False)

    @property
    def part(self) -> Configurable:
        """What did the computation that went wrong, or else the network."""
        first = self.watch.first
        if first is None:
            return self.network
        if first.kind in ("memory", "update"):
            return self.failed.optimizer
        if first.kind == "examples":
            return self.failed.options.augmentation or self.network
        return self.watch.part(first)

    @property
    def verdict(self) -> str:
        """A sentence: where the first value is not finite, and of what it was made."""
        first = self.watch.first
        if first is None:
            return "all values are finite when the step is repeated"
        return self.watch.describe(first, self.part, self.failed.batch.rows)

    @property
    def advice(self) -> str:
        """What to try."""
        first, own, optimizer = self.watch.first, type(self.part), self.failed.optimizer
        limit = math.sqrt(np.finfo(self.network.dtype).max)
        sizes = first.causes.values() if first else ()
        unknown = 0.0 if first and first.kind == "examples" else limit
        if max(sizes, default=unknown) < limit and not own.__module__.startswith("layerkit."):
            return f"Numbers of this size are no reason for it: look at {own.__name__}"
        examples = self.watch.seen.get(("", "examples"))
        if examples and examples.largest > limit:
            return f"Scale the examples, which go up to {examples.largest:.2g}"
        return f"Try a smaller learning rate than {optimizer} has, or scale the examples"

    def __str__(self) -> str:
        loss = f"The loss is {self.loss}"
        if self.same:
            loss += ", as in the training" if math.isnan(self.loss) else ", bit for bit as before"
        else:
            loss += (
                f", but it was {self.failed.loss}: the last digits depend on NumPy, its BLAS and "
                "the processor"
            )
        verdict = self.verdict[0].upper() + self.verdict[1:]
        return f"{self._passes()}\n\n{self._params()}\n\n{loss}.\n{verdict}.\n{self.advice}."

    def _passes(self) -> str:
        """The table of what was computed, forward and backward."""
        loss = type(self.network.loss).__name__
        layers = [
            (address, type(layer).__name__)
            for address, layer in self.network.layers()
            if not isinstance(layer, Sequential)
        ]
        rows: list[tuple[str, ...]] = [("forward", "", "smallest", "largest", "not finite", "")]
        rows.append(self._row("", "examples", "examples"))
        rows += [self._row(address, name, "y") for address, name in layers]
        rows.append(self._row("", loss, "losses"))
        rows.append(("backward", *[""] * 5))
        rows.append(self._row("", loss, "dz"))
        rows += [self._row(address, name, "dx") for address, name in reversed(layers)]
        return aligned(rows, right=(2, 3, 4))

    def _row(self, address: str, name: str, kind: str) -> tuple[str, ...]:
        numbers = self.watch.seen.get((address, kind))
        cells = ("", "", "")
        if numbers:
            ends = (numbers.low, numbers.high) if numbers.lost < numbers.size else ()
            low, high = (f"{end:.3g}" for end in ends or (math.nan, math.nan))
            cells = (low, high, f"{numbers.lost / numbers.size:.1%}")
        return address, name, *cells, self._mark(address, kind)

    def _params(self) -> str:
        """The table of the parameters."""
        rows: list[tuple[str, ...]] = [("parameter", "largest", "gradient, norm", "step, norm", "")]
        for address, part in self.network.arena.slices.items():
            largest = self.watch.seen[address, "value"].largest
            norms = [
                f"{np.linalg.norm(vector[part].astype(float)):.3g}"
                for vector in (self.gradient, self.steps)
            ]
            marks = [self._mark(address, kind) for kind in PARAMETER]
            rows.append((address, f"{largest:.3g}", *norms, "".join(marks)))
        return aligned(rows, right=(1, 2, 3))

    def _mark(self, address: str, kind: str) -> str:
        """What stands in the row of the first value that is not finite."""
        first = self.watch.first
        shown = first and (first.address, ROWS.get(first.kind, first.kind))
        return "<- first" if shown == (address, kind) else ""


ROWS = {"x": "y", "refused": "y", "loss": "losses", "dy": "dx"}
"""In which row of the table a place stands that has no row of its own."""
PARAMETER = ("value", "gradient", "total", "memory", "update")
"""Places that are parameters'."""


def generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator of random numbers in this state.

    Raises
    ------
    FileError
        When NumPy has no such generator.
    """
    kind = getattr(np.random, state["bit_generator"], None)
    if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
        raise FileError(f"NumPy has no random generator {state['bit_generator']!r}")
    bits = kind()
    bits.state = state
    return np.random.Generator(bits)
