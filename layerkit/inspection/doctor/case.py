"""A case: a network with its examples, run forward, backward and some steps, to be looked at."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.files.mapped import reader
from layerkit.layers.activations.rectifiers import Rectifier
from layerkit.layers.activations.sigmoids import HardSigmoid, Saturating, Sigmoid
from layerkit.layers.watch import Method, watched
from layerkit.losses.base import ElementwiseLoss, mean_loss
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.streams import stream

SAMPLE = 1000
"""Number of examples that go through the network: of more, the shares hardly change."""
STEPS = 20
"""Number of steps that are tried on a copy: the averages of an optimizer need some to settle."""
LENGTH = 1000
"""The length of a training run that has none yet, for schedules that end with it."""
FLAT = 0.05
"""The slope at which an activation counts as level, in parts of its largest: a sigmoid has it
below 0.013 and above 0.987, where learning is 20 times as slow."""
POOR = 0.5
"""The loss in parts of the best constant answer's, from which on the network does well."""


class Slopes(NamedTuple):
    """The slopes dy/dx of an activation: for each unit the largest, and how often it is level."""

    kind: str
    largest: Array
    level: Array


class Steps(NamedTuple):
    """Some steps on a copy: the losses, and the sizes of the steps by parameter."""

    losses: list[float]
    sizes: dict[str, float]


class Case:
    """A network, its examples, and what is known about its training; nothing of it is changed.

    Parameters
    ----------
    network, optimizer, x, t, sample_weight, records, batch_size
        As for `diagnose`.
    held_out : dict of str to (x, t)
        Validation and test examples.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer | None,
        x: Any,
        t: Any,
        sample_weight: Any,
        held_out: Mapping[str, Any],
        records: Sequence[Mapping[str, float]],
        batch_size: int,
    ) -> None:
        self.network, self.optimizer = copy.deepcopy(network), copy.deepcopy(optimizer)
        net, learn = self.network, network.seen.pixels is None
        self.x, self.t, self.a = net.check(x, t, sample_weight, learn=learn)
        self.network.adapt(x)
        self.given = x
        self.held_out = {
            name: net.check(*given[:2])[:2] for name, given in held_out.items() if given is not None
        }
        self.records, self.batch_size = records, batch_size
        self.rows = spread_over(len(self.t), SAMPLE)
        self.sample = self.batch(self.rows)
        self.loss = copy.copy(net.loss)
        self.loss.build(net.body.output_shape)

    def batch(self, rows: Array) -> tuple[Array, Array, Array | None]:
        """Return examples, targets and weights as the network takes them."""
        x = self.network.inputs.convert(reader(self.x, len(rows))(rows))
        t = self.network.targets.convert(self.t[rows])
        return x, t, None if self.a is None else self.a[rows]

    @property
    def trained(self) -> bool:
        """Whether the network was trained: there is a history."""
        return bool(self.records)

    @property
    def does_well(self) -> bool:
        """Whether the loss after training is far better than that of a constant answer."""
        return self.trained and not self.answer[0] > POOR * self.guess

    def curve(self, name: str) -> list[float]:
        """Return a column of the history, such as "train_loss"; empty if it was not measured."""
        return [record[name] for record in self.records if name in record]

    @cached_property
    def labels(self) -> Array | None:
        """The class numbers of all training examples; None where they have none."""
        return labels_of(self.network, self.t)

    def class_name(self, k: int) -> str:
        """Return the name of a class, or its number."""
        return repr(self.network.classes[k]) if self.network.classes else str(k)

    @property
    def columns(self) -> list[str]:
        """The names of the columns of x; none where they have none."""
        if table := self.network.inputs.table:
            return [column.name for column in table.ready()]
        return self.network.seen.features or []

    def column(self, j: int) -> str:
        """Return the name of a column of x, or its number."""
        return f"column {self.columns[j]!r}" if self.columns else f"feature {j}"

    @cached_property
    def prints(self) -> list[int]:
        """A number for each training row, the same for equal rows."""
        return fingerprints(self.network, self.x)

    @cached_property
    def passes(self) -> tuple[dict[str, Slopes], dict[str, float]]:
        """Slopes of activations, and the sizes of the gradients that reach layers, by address.

        Layers are in the order in which they are called, and gradients are those of layers with
        weights.
        """
        net, layers = self.network, dict(self.network.layers())
        slopes: dict[str, Slopes] = {}
        order: list[str] = []
        sizes: dict[str, float] = {}

        def look(address: str, name: str, method: Method) -> Method:
            layer = layers[address]
            weights = any(param.decay for param in layer.params().values())

            def forward(*xs: Array, **options: Any) -> Array:
                peak = 0.0
                if kind := kind_of(layer):
                    method(np.zeros_like(xs[0][:1]), **options)
                    peak = float(slope(layer, xs[0][:1]).max())
                y = method(*xs, **options)
                if kind and y.ndim > 1:
                    d = np.abs(slope(layer, y)).reshape(-1, y.shape[-1])
                    slopes[address] = Slopes(kind, d.max(axis=0), (d < FLAT * peak).mean(axis=0))
                if weights:
                    order.append(address)
                return y

            def backward(dy: Array) -> Any:
                if weights:
                    sizes[address] = rms(dy)
                return method(dy)

            return forward if name == "forward" else backward

        with np.errstate(all="ignore"), watched(net.layers(), look):
            x, t, a = self.sample
            net.backpropagate(x, t, a)
        return slopes, {address: sizes[address] for address in order if address in sizes}

    @cached_property
    def grads(self) -> dict[str, Array]:
        """The gradient of the sample by address, of weights."""
        _ = self.passes
        params = self.network.params()
        return {name: param.grad.copy() for name, param in params.items() if param.decay}

    @cached_property
    def steps(self) -> Steps | None:
        """Some steps with the optimizer on a copy; None without an optimizer."""
        if self.optimizer is None:
            return None
        return self._try(copy.deepcopy(self.network), self.optimizer)

    @cached_property
    def first_steps(self) -> Steps | None:
        """The same with initial weights."""
        if self.optimizer is None:
            return None
        net, seen = copy.deepcopy(self.network), asdict(self.network.seen)
        net.initialize(0).adapt(self.given).targets.see(seen)
        return self._try(net, self.optimizer)

    def _try(self, net: Network, optimizer: Optimizer) -> Steps:
        """Take some steps from where a network is, and look at them."""
        optimizer = copy.deepcopy(optimizer)
        optimizer.bind(net.arena, optimizer.steps or LENGTH)
        rng, losses, N = stream(0, "doctor"), list[float](), len(self.t)
        params = {name: param for name, param in net.params().items() if param.decay}
        ratios: dict[str, list[float]] = {name: [] for name in params}
        with np.errstate(all="ignore"):
            for _ in range(STEPS):
                x, t, a = self.batch(np.sort(rng.choice(N, min(N, self.batch_size), False)))
                before = {name: param.value.copy() for name, param in params.items()}

                def again(x: Array = x, t: Array = t, a: Array | None = a) -> float:
                    return mean_loss(*net.backpropagate(x, t, a))

                losses.append(again())
                if not np.isfinite(losses[-1]):
                    break
                optimizer.step(net.arena.values, net.arena.grads, again)
                for name, param in params.items():
                    if size := rms(before[name]):
                        ratios[name].append(rms(param.value - before[name]) / size)
        sizes = {name: float(np.median(found)) for name, found in ratios.items() if found}
        return Steps(losses, sizes)

    @cached_property
    def answer(self) -> tuple[float, Array]:
        """The loss of the sample, as the network predicts, and which examples are right."""
        x, t, a = self.sample
        with np.errstate(all="ignore"):
            z = self.network.body.forward(x, train=False)
            return self.loss.mean(z, t, a), self.loss.hits(z, t)

    @cached_property
    def guess(self) -> float:
        """The loss of the best answer that is the same for all examples; nan where unknown."""
        _, t, a = self.sample
        shape, best = self.network.body.output_shape, math.nan
        with np.errstate(all="ignore"):
            for constant in self._constants(t, a):
                z = np.broadcast_to(constant, (len(t), *shape)).astype(self.network.dtype)
                best = float(np.fmin(best, self.loss.mean(z, t, a)))
        return best if best > 0 else math.nan

    def _constants(self, t: Array, a: Array | None) -> list[Array]:
        """Return outputs that may be the best of those that don't depend on the example."""
        labels = labels_of(self.network, t)
        if labels is not None:
            D = self.network.body.output_shape[-1]
            counts = np.bincount(labels.ravel(), minlength=max(D, 2))
            share = np.maximum(counts, 0.5) / counts.sum()
            if D == 1:
                return [np.zeros(1), np.log(share[1:2] / share[0])]
            return [np.zeros(len(share)), np.log(share)]
        if self.loss.judges_classes and isinstance(self.loss, ElementwiseLoss):
            share = np.clip(t.mean(axis=0), 0.5 / len(t), 1 - 0.5 / len(t))
            return [np.zeros(1), np.log(share / (1 - share))]
        if self.network.targets.standardizable and isinstance(self.loss, ElementwiseLoss):
            known = t if a is None or a.shape != t.shape else np.where(a > 0, t, np.nan)
            return [np.nanmean(known, axis=0), np.nanmedian(known, axis=0)]
        return []


def spread_over(N: int, most: int) -> Array:
    """Return up to `most` of N rows, evenly spread.

    Examples
    --------
    >>> spread_over(10, 4)
    array([0, 2, 5, 7])
    """
    count = min(N, most)
    return np.arange(count) * N // count


def labels_of(network: Network, t: Array) -> Array | None:
    """Return targets as class numbers; None where they are something else."""
    if not network.targets.exclusive:
        return None
    K = max(network.body.output_shape[-1], 2)
    if t.ndim > len(network.body.output_shape) and t.shape[-1] == 1:
        t = t[..., 0]
    if t.ndim != len(network.body.output_shape) or not np.isin(t, np.arange(K)).all():
        return None
    return t.astype(np.intp)


def fingerprints(network: Network, x: Any) -> list[int]:
    """Return a number for each row, the same for equal rows."""
    found: list[int] = []
    for chunk in network.inputs.chunks(x):
        rows: Array = np.ascontiguousarray(np.asarray(chunk) + 0)  # -0.0 is 0.0
        found += [hash(row.tobytes()) for row in rows]
    return found


def kind_of(layer: Any) -> str:
    """Return whether an activation may be dead or saturated; empty for other layers."""
    if isinstance(layer, Rectifier):
        return "dead"
    return "saturated" if isinstance(layer, Saturating | Sigmoid | HardSigmoid) else ""


def slope(layer: Any, y: Array) -> Array:
    """Return dy/dx of an activation at the numbers that it saw last."""
    return type(layer).backward(layer, np.ones_like(y))


def rms(x: Array) -> float:
    """Return the root mean square.

    Examples
    --------
    >>> rms(np.array([3.0, -3.0]))
    3.0
    """
    return float(np.sqrt(np.mean(np.square(x, dtype=float))))
