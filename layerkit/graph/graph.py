"""Graph: layers with names, wired at will."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from layerkit.errors import ConfigError, suggestion
from layerkit.graph.container import Container, Wiring
from layerkit.layers.base import Layer

ENDS = ("input", "output")
SIGNS = {"+": "Add", "*": "Multiply"}


class Graph(Container):
    """A graph of layers: named nodes, and edges that say what each of them reads; without cycles.

    An edge goes from what is read to the reader: ``"a -> b"``. Several in a row are written as
    one, ``"a -> b -> c"``, and a node may be read by many. The graph's own ends are ``input`` and
    ``output``. A node of several inputs reads them in the order of the edge, ``"a, b -> c"``:

        both = Add()         "a, b -> both -> c"     their sum
        both = Multiply()    "a, b -> both -> c"     their product
        both = Join()        "a, b -> both -> c"     one after the other along the last axis

    Backward, each node gets the sum of the gradients of all that read it.

    Parameters
    ----------
    nodes : dict of str to Layer
        Layers by their names, of letters, digits and underscores. The order doesn't matter.
    edges : list of str
        Edges such as "a -> b", in any order. Each node follows an arrow once.

    Raises
    ------
    ConfigError
        For unknown names, nodes that read nothing or twice, nodes that nobody reads, and cycles.
    ShapeError
        For a node that is given more or fewer inputs than it takes, or other shapes.

    Examples
    --------
    >>> from layerkit import Dense, Join, Network, ReLU, SoftmaxCrossEntropy
    >>> graph = Graph(
    ...     nodes={"hidden": Dense(8), "relu": ReLU(), "both": Join(), "logits": Dense(3)},
    ...     edges=["input -> hidden -> relu", "relu, input -> both -> logits -> output"],
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
        """The nodes, in the order of computation."""
        for name in self._sorted():
            if name != "output":
                yield f"nodes.{name}", self.nodes[name]

    def wiring(self) -> Wiring:
        """Return the wiring that the edges describe."""
        part = {end: end for end in ENDS} | {name: f"nodes.{name}" for name in self.nodes}
        return {
            part[reader]: tuple(part[name] for name in names)
            for reader, names in self._sorted().items()
        }

    def _sorted(self) -> Wiring:
        """Return what each node and the output read, each after all that it reads."""
        reads = self._read_edges()
        try:
            order = list(TopologicalSorter(reads).static_order())
        except CycleError as error:
            raise ConfigError(f"Graph.edges: a cycle: {' -> '.join(error.args[1])}") from error
        return {name: reads[name] for name in order if name != "input"}

    def _read_edges(self) -> Wiring:
        """Return what each node and the output read; ConfigError with everything that is wrong."""
        problems = [
            f"Graph.nodes.{name}: a name has letters, digits and underscores, and is not input or "
            "output, which are the ends of the graph"
            for name in self.nodes
            if not re.fullmatch(r"\w+", name) or name in ENDS
        ]
        known, found = dict.fromkeys([*self.nodes, *ENDS]), Wiring()
        for i, edge in enumerate(self.edges):
            first, *readers = (words.strip() for words in edge.split("->"))
            names = tuple(name.strip() for name in first.split(","))
            wrong = [
                f"there is no node {name!r}{_hint(name, list(known))}"
                for name in dict.fromkeys([*names, *readers])
                if name not in known
            ]
            if not readers:
                wrong = ["should look like 'input -> a -> b' or 'a, b -> c'"]
            if any(sign in edge for sign in SIGNS):
                wrong = [_without_signs(first, readers)]
            if "input" in readers:
                wrong.append("nothing leads to the input")
            if "output" in [*names, *readers[:-1]]:
                wrong.append("nothing comes after the output")
            if len(names) > 1 and readers[:1] == ["output"]:
                wrong.append(f"the output is one array: {_line(names, 'Join', readers)}")
            for reader in readers:
                if reader in found:
                    wrong.append(
                        f"{reader} reads something already; a node that takes several inputs "
                        f"reads them in one edge, such as 'a, b -> {reader}'"
                    )
                found[reader], names = names, (reader,)
            problems += [f"Graph.edges.{i} = {edge!r}: {reason}" for reason in wrong]
        if not self.nodes:
            problems = ["Graph.nodes = {}: should have at least one node"]
        if problems := problems or self._loose_ends(found):
            raise ConfigError("\n".join(problems))
        return found

    def _loose_ends(self, found: Wiring) -> list[str]:
        """Nodes without a path to them or from them. Without circles, the rest is connected."""
        read = {name for names in found.values() for name in names}
        return [
            *(
                f"Graph.nodes.{name}: reads nothing; add an edge such as 'input -> {name}'"
                for name in self.nodes
                if name not in found
            ),
            *(
                f"Graph.nodes.{name}: nobody reads it; add an edge such as '{name} -> output', or "
                "take it out"
                for name in self.nodes
                if name not in read
            ),
            *(["Graph.edges: none leads to the output"] if "output" not in found else []),
        ]


def _hint(name: str, known: list[str]) -> str:
    if "," in name:
        return "; several names are read before the first arrow only"
    return suggestion(name, known)


def _without_signs(first: str, readers: list[str]) -> str:
    """Return the error for an edge with + or *: the node and the edge to write instead."""
    for sign, layer in SIGNS.items():
        names = [name.strip() for name in first.split(sign)]
        if len(names) > 1 and all(re.fullmatch(r"\w+", name) for name in names) and readers:
            return f"edges have no {sign}: {_line(names, layer, readers)}"
    return "edges have no + or *: a node of Add() or Multiply() reads 'a, b -> node'"


def _line(names: Sequence[str], layer: str, readers: list[str]) -> str:
    """Return the node and the edge to write where several arrays have to become one."""
    node = f"before_{readers[0]}"
    edge = " -> ".join([", ".join(names), node, *readers])
    return f"add a node {node} = {layer}() and write '{edge}'"
