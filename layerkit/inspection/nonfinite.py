"""Values that are not finite: where the first one appears, and from what numbers."""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.errors import DivergenceError
from layerkit.layers.watch import Method, watched

if TYPE_CHECKING:
    from layerkit.network import Network

KINDS = {
    "examples": "the examples, as they are given to the network",
    "value": "{address} itself",
    "x": "the input of {address} ({part}), forward",
    "y": "the output of {address} ({part}), forward",
    "losses": "the losses of the examples ({part})",
    "loss": "the loss of the batch ({part})",
    "dz": "the derivative of the loss ({part})",
    "dy": "what is sent back to {address} ({part}), backward",
    "gradient": "the gradient of {address}, backward",
    "dx": "what {address} ({part}) sends back, backward",
    "total": "the gradient of {address}, summed over the parts of the batch",
    "memory": "what {part} remembers of {address}, in the update",
    "update": "the parameter {address}, after the update by {part}",
    "refused": "what {address} ({part}) computes inside, forward",
}
"""The kinds of values that may stop being finite, in words; x, y … as in the formulas."""
CAUSES = {
    "y": {"x": "its input", "value": "its parameters"},
    "refused": {"x": "its input", "value": "its parameters"},
    "losses": {"z": "the outputs"},
    "loss": {"losses": "the losses"},
    "dz": {"z": "the outputs", "losses": "the losses"},
    "gradient": {"dy": "the gradient sent back to it", "x": "its input"},
    "dx": {"dy": "the gradient sent back to it", "x": "its input", "value": "its parameters"},
    "memory": {"total": "its gradient", "value": "its value"},
    "update": {"total": "its gradient", "value": "its value before"},
}
"""For each kind of value, the values that it is computed from, in words."""


class Range(NamedTuple):
    """The range of the finite numbers of an array, and how many are not finite.

    Examples
    --------
    >>> numbers = Range.of(np.array([[1.0, -2.0], [np.inf, 0.5]]))
    >>> numbers.low, numbers.high, numbers.lost, numbers.row, numbers.value
    (-2.0, 1.0, 1, 1, inf)
    """

    low: float
    high: float
    lost: int
    size: int
    row: int = 0
    value: float = 0.0

    @classmethod
    def of(cls, array: Array | float) -> Self:
        """Return the range of an array; `row` and `value` are of the first lost number."""
        x = np.atleast_1d(array)
        finite = np.isfinite(x)
        low = float(x.min(where=finite, initial=math.inf))
        high = float(x.max(where=finite, initial=-math.inf))
        lost = np.argwhere(~finite)
        first = tuple(lost[0]) if len(lost) else (0,)
        value = float(x[first]) if len(lost) else 0.0
        return cls(low, high, len(lost), x.size, int(first[0]), value)

    @property
    def largest(self) -> float:
        """The largest absolute value among the finite numbers."""
        return max(self.high, -self.low)

    def joined(self, other: Range | None) -> Range:
        """Return the range of both together."""
        if other is None:
            return self
        low, high = min(self.low, other.low), max(self.high, other.high)
        return self._replace(
            low=low, high=high, lost=self.lost + other.lost, size=self.size + other.size
        )


class Finding(NamedTuple):
    """The first value that is not finite: where, in which example of the batch, what it is."""

    address: str
    kind: str
    row: int | None
    value: float
    causes: dict[str, float]
    """The largest numbers from which it was computed, by their names in words."""


class Watch:
    """A watch on all values in a network, which finds the first one that is not finite.

    Attributes
    ----------
    seen : dict of (str, str) to Range
        The ranges by address and kind, such as ``("body.layers.0", "y")``.
    first : Finding or None
        The first value that is not finite, in the order of computation.
    start : int
        Number of examples of the batch in the parts before.
    """

    def __init__(self, network: Network) -> None:
        self.network, self.layers = network, dict(network.layers())
        self.seen: dict[tuple[str, str], Range] = {}
        self.first: Finding | None = None
        self.start = 0
        for address, item in network.declared().items():
            self.see(address, "value", item.value, rows=False)
        for address, layer in self.layers.items():
            for name in layer.params():
                value = self.seen[f"{address}.{name}", "value"]
                self.seen[address, "value"] = value.joined(self.seen.get((address, "value")))

    def see(self, address: str, kind: str, array: Array | float, rows: bool = True) -> None:
        """Look at an array; `rows` says whether its first axis is that of the examples."""
        numbers, key = Range.of(array), (address, kind)
        self.seen[key] = numbers.joined(self.seen.get(key))
        if numbers.lost and self.first is None:
            row = numbers.row + self.start if rows else None
            self.first = Finding(address, kind, row, numbers.value, self._causes(address, kind))

    def look(self, address: str, name: str, method: Method) -> Method:
        """Wrap a method of a layer, for `watched`."""
        before, after = ("x", "y") if name == "forward" else ("dy", "dx")
        layer = self.layers[address]

        def watching(*given: Array, **options: Any) -> Any:
            for array in given:
                self.see(address, before, array)
            try:
                result = method(*given, **options)
            except DivergenceError:
                if self.first is None:
                    causes = self._causes(address, "refused")
                    self.first = Finding(address, "refused", None, math.inf, causes)
                raise
            if after == "dx":
                for name, param in layer.params().items():
                    self.see(f"{address}.{name}", "gradient", param.grad, rows=False)
            for array in result if isinstance(result, tuple) else (result,):
                if after == "y" or (layer.wants_dx and array is not None):
                    self.see(address, after, array)
            return result

        return watching

    def part(self, finding: Finding) -> Configurable:
        """Return the part that did the computation: a layer, or else the loss."""
        address = finding.address
        layer = self.layers.get(address) or self.layers.get(address.rpartition(".")[0])
        return layer or self.network.loss

    def describe(self, finding: Finding, part: Configurable, rows: Array | None = None) -> str:
        """Return a sentence: where the first value is not finite, and from what it was computed.

        Parameters
        ----------
        finding : Finding
        part : Configurable
            The part that computed it.
        rows : array, optional
            The numbers of the batch's examples in the training data.
        """
        name = repr(part) if finding.kind in ("memory", "update") else type(part).__name__
        where = KINDS[finding.kind].format(address=finding.address, part=name)
        example = ""
        if finding.row is not None:
            example = f", example {finding.row} of the batch"
            if rows is not None:
                example += f" (number {rows[finding.row]:,} of the training data)"
        causes = [f"{name} up to {size:.2g}" for name, size in finding.causes.items()]
        made = f", from {' and '.join(causes)}" if causes else ""
        return f"the first value that is not finite is in {where}{example}: {finding.value}{made}"

    def _causes(self, address: str, kind: str) -> dict[str, float]:
        """Return the largest numbers that go into a value, found by its address or its layer's."""
        layer, found = address.rpartition(".")[0], {}
        for cause, name in CAUSES.get(kind, {}).items():
            numbers = self.seen.get((address, cause)) or self.seen.get((layer, cause))
            if numbers and numbers.lost < numbers.size:
                found[name] = numbers.largest
        return found


def first_not_finite(network: Network, x: Array) -> str:
    """Return a sentence: where the first value is not finite when `x` goes through the network."""
    network = copy.deepcopy(network)
    watch = Watch(network)
    with watched(network.layers(), watch.look, containers=True), suppress(DivergenceError):
        network.body.forward(x, train=False)
    if watch.first:
        return watch.describe(watch.first, watch.part(watch.first))
    return "the output of the body is finite, the loss of it is not"
