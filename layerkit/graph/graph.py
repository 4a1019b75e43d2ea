"""Layers with names, wired at will."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from layerkit.arrays import Array, Shape
from layerkit.errors import ConfigError, at, suggestion
from layerkit.graph.container import Container, suiting
from layerkit.graph.merging import MERGES, Sources, total
from layerkit.initializers.base import Initializer
from layerkit.layers.base import Layer

ENDS = ("input", "output")


class Graph(Container):
    """Layers with names, and edges that say what each of them reads. No way leads in a circle.

    An edge goes from the name of what is read to the name of the reader: ``"a -> b"``. Several in
    a row are written as one, ``"a -> b -> c"``, and one node may be read by many. The graph's own
    ends are ``input`` and ``output``. What reads several arrays says how they become one:

        a + b -> c      their sum, number by number
        a * b -> c      their product, number by number
        a, b -> c       one behind the other along the last axis

    Backward, each node gets the sum of the gradients of all who read it.

    Parameters
    ----------
    nodes : dict of str to Layer
        By names of letters, digits and underscores. The order doesn't matter.
    edges : list of str
        In any order. Each node has one place behind an arrow.

    Raises
    ------
    ConfigError
        For names that are unknown, nodes that read nothing or twice, nodes that nobody reads,
        circles.
    ShapeError
        When what is merged doesn't fit.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.network import Network
    >>> from layerkit.layers.activations.rectifiers import ReLU
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> graph = Graph(
    ...     nodes={"hidden": Dense(8), "relu": ReLU(), "logits": Dense(3)},
    ...     edges=["input -> hidden -> relu", "relu, input -> logits -> output"],
    ... )
    >>> net = Network(graph, SoftmaxCrossEntropy(), shape=(4,))
    >>> net["body.nodes.logits.W"].shape
    (12, 3)
    >>> Graph({"a": Dense(3)}, ["input -> a -> b -> output"])
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: Graph.edges.0 = 'input -> a -> b -> output': there is no node \
'b'; known are a, input, output
    """

    nodes: dict[str, Layer]
    edges: list[str]

    def parts(self) -> Iterator[tuple[str, Layer]]:
        """The nodes, in the order in which they work."""
        for name in self._sorted():
            if name != "output":
                yield f"nodes.{name}", self.nodes[name]

    def wiring(self) -> dict[str, Sources]:
        """What the edges say."""
        part = {"input": "input", "output": "output"} | {
            name: f"nodes.{name}" for name in self.nodes
        }
        return {
            part[reader]: Sources(tuple(part[name] for name in names), merge)
            for reader, (names, merge) in self._sorted().items()
        }

    def _sorted(self) -> dict[str, Sources]:
        """What each node reads, and at last the output, each behind all that it reads."""
        sources = self._read_edges()
        try:
            graph = {reader: names for reader, (names, _) in sources.items()}
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise ConfigError(f"Graph.edges: a circle: {' -> '.join(error.args[1])}") from error
        return {name: sources[name] for name in order if name != "input"}

    def _read_edges(self) -> dict[str, Sources]:
        """What each node and the output reads; ConfigError with all that is wrong."""
        problems = [
            f"Graph.nodes.{name}: a name has letters, digits and underscores, and is not input or "
            "output, which are the ends of the graph"
            for name in self.nodes
            if not re.fullmatch(r"\w+", name) or name in ENDS
        ]
        known, found = dict.fromkeys([*self.nodes, *ENDS]), dict[str, Sources]()
        for i, edge in enumerate(self.edges):
            sources, readers = _parse(edge)
            names = [*sources.names, *readers]
            wrong = [
                f"there is no node {name!r}"
                + (
                    "; names are joined before the first arrow only, and by one kind of sign"
                    if re.search("[,+*]", name)
                    else suggestion(name, list(known))
                )
                for name in dict.fromkeys(names)
                if name not in known
            ]
            if not readers:
                wrong = ["should look like 'input -> a -> b' or 'a + b -> c'"]
            if "input" in readers:
                wrong.append("nothing leads to the input")
            if "output" in [*sources.names, *readers[:-1]]:
                wrong.append("nothing comes after the output")
            for reader in readers:
                if reader in found:
                    wrong.append(
                        f"{reader} reads something already; to bring both together, write them "
                        f"before one arrow, as 'a + b -> {reader}'"
                    )
                found[reader], sources = sources, Sources((reader,))
            problems += [f"Graph.edges.{i} = {edge!r}: {reason}" for reason in wrong]
        if not self.nodes:
            problems = ["Graph.nodes = {}: should have at least one node"]
        if problems := problems or self._loose_ends(found):
            raise ConfigError("\n".join(problems))
        return found

    def _loose_ends(self, found: dict[str, Sources]) -> list[str]:
        """Nodes without a way to them or from them. Without circles, the rest is connected."""
        read = {name for sources in found.values() for name in sources.names}
        return [
            *(
                f"Graph.nodes.{name}: reads nothing; add an edge, as 'input -> {name}'"
                for name in self.nodes
                if name not in found
            ),
            *(
                f"Graph.nodes.{name}: nobody reads it; add an edge, as '{name} -> output', or take "
                "it out"
                for name in self.nodes
                if name not in read
            ),
            *(["Graph.edges: none leads to the output"] if "output" not in found else []),
        ]

    def init_before(self) -> Initializer:
        """What suits the readers of the input; each node learns what suits its own readers."""
        wishes: dict[str, list[Initializer]] = {name: [] for name in ("input", *self.nodes)}
        for reader, sources in reversed(self._sorted().items()):
            wish = self.default_init
            if reader != "output":
                node = self.nodes[reader]
                node.default_init = suiting(reversed(wishes[reader]))
                wish = node.init_before()
            for name in sources.names:
                wishes[name].append(wish)
        return suiting(reversed(wishes["input"]))

    def build(self, shape: Shape) -> Shape:
        """Build the nodes, each behind what it reads."""
        self.init_before()
        *self.order, (_, self.result) = self._sorted().items()
        shapes = {"input": shape}
        for name, sources in self.order:
            node, address = self.nodes[name], f"{self.address}.nodes.{name}"
            node.wants_dx = self.wants_dx or set(sources.names) != {"input"}
            with at(address):
                read = sources.shape(shapes)
            shapes[name] = node.place(read, address)
        return self.result.shape(shapes)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Go through the nodes, each behind what it reads."""
        values = {"input": x}
        for name, sources in self.order:
            values[name] = self.nodes[name].forward(sources.merged(values), train)
        self.values = values
        return self.result.merged(values)

    def backward(self, dy: Array) -> Array:
        """Go back; when a node's turn comes, all who read it have sent their gradients."""
        sent: dict[str, list[Array]] = {name: [] for name in self.values}
        self.result.send(dy, self.values, sent)
        for name, sources in reversed(self.order):
            dx = self.nodes[name].backward(total(sent.pop(name)))
            if self.nodes[name].wants_dx:
                sources.send(dx, self.values, sent)
        return total(sent["input"]) if self.wants_dx else dy


def _parse(edge: str) -> tuple[Sources, list[str]]:
    """Take "a + b -> c -> d" apart: what is read, and the readers one behind the other."""
    first, *readers = (words.strip() for words in edge.split("->"))
    sign = next((sign for sign in MERGES if sign in first), "+")
    return Sources(tuple(name.strip() for name in first.split(sign)), MERGES[sign]), readers
