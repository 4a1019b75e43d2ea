import copy
import pickle
import random
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from layerkit import (
    SGD,
    Add,
    Array,
    BatchNorm,
    Concat,
    ConfigError,
    Dense,
    FileError,
    Graph,
    HeNormal,
    Identity,
    Join,
    Layer,
    LeCunNormal,
    Multiply,
    Network,
    ReLU,
    Residual,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Sum,
    fit,
    from_config,
    to_config,
)
from layerkit.graph.container import Container, Wiring
from layerkit.inspection.drawing import svg
from layerkit.layers.watch import watched
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.testing import check_layer

RNG = np.random.default_rng(3)
X, T = RNG.normal(size=(60, 4)), RNG.integers(0, 3, 60)


def network(body: Layer, shape: Shape = (4,), dtype: Any = "float64") -> Network:
    return Network(body, SoftmaxCrossEntropy(), shape, dtype)


def results(part: Layer, dy: Array) -> dict[str, Array]:
    """y, dx and all gradients of a part whose dx is wanted; biases are not 0."""
    net = network(part)
    net.body.want_dx(True)
    net.arena.values += 0.1
    y = net.body.forward(X)
    dx = net.body.backward(dy)
    where = "body."
    values = {name.removeprefix(where): param.value for name, param in net.params().items()}
    grads = {f"d {name.removeprefix(where)}": param.grad for name, param in net.params().items()}
    return {"y": y, "dx": dx, **values, **grads}


def assert_close(found: Array, right: Array) -> None:
    np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-14)


# Sequential: parts and slices


def trained() -> Network:
    net = network(Sequential([Dense(8), BatchNorm(), ReLU(), Dense(5), ReLU(), Dense(3)]))
    fit(net, SGD(lr=0.1), X, T, epochs=3)
    return net


def body_of(net: Network) -> Sequential:
    assert isinstance(net.body, Sequential)
    return net.body


def test_a_sequential_is_a_sequence() -> None:
    layers = [Dense(3), ReLU(), Dense(2)]
    body = Sequential(layers)
    assert len(body) == 3
    assert list(body) == layers
    assert body[1] is layers[1]
    assert body[-1] is layers[2]
    with pytest.raises(IndexError):
        body[3]
    part = body[1:]
    assert part == Sequential([ReLU(), Dense(2)])
    assert part[0] is not layers[1]
    with pytest.raises(ConfigError, match=r"Sequential.layers = \[\]: should not be empty"):
        body[3:]


def test_a_slice_takes_weights_and_states_along() -> None:
    net = trained()
    x = X
    for layer in body_of(net).layers[:-1]:
        x = layer.forward(x, train=False)
    features = network(body_of(net)[:-1])
    np.testing.assert_array_equal(features.outputs(X), x)
    np.testing.assert_array_equal(features.arena.states, net.arena.states)
    assert features.arena.states.any()


def test_training_what_was_made_of_slices_leaves_the_old_network_alone() -> None:
    net = trained()
    before, values, states = net.outputs(X), net.arena.values.copy(), net.arena.states.copy()
    new = network(Sequential([*body_of(net)[:4], ReLU(), Dense(2)]))
    reused = new.arena.values[: new.arena.slices["body.layers.5.W"].start]
    np.testing.assert_array_equal(reused, values[: reused.size])
    fit(new, SGD(lr=0.5), X, T % 2, epochs=2)
    assert (reused != values[: reused.size]).any()
    np.testing.assert_array_equal(net.arena.values, values)
    np.testing.assert_array_equal(net.arena.states, states)
    np.testing.assert_array_equal(net.outputs(X), before)


def test_a_slice_in_another_place_says_what_does_not_fit() -> None:
    features = body_of(trained())[:2]
    with pytest.raises(ShapeError, match=r"value of shape \(4, 8\) .* of shape \(7, 8\)") as error:
        network(features, shape=(7,))
    assert error.value.place == "body.layers.0.W"


# Against compositions by hand


def test_residual_by_hand() -> None:
    dy = RNG.normal(size=(60, 4))
    found = results(Residual(Sequential([Dense(3), Sigmoid(), Dense(4)])), dy)
    W1, b1, W2, b2 = (found[f"body.layers.{i}.{name}"] for i in (0, 2) for name in "Wb")
    a = 1 / (1 + np.exp(-(X @ W1 + b1)))
    assert_close(found["y"], a @ W2 + b2 + X)
    dh = dy @ W2.T * a * (1 - a)
    assert_close(found["dx"], dh @ W1.T + dy)
    assert_close(found["d body.layers.2.W"], a.T @ dy)
    assert_close(found["d body.layers.0.W"], X.T @ dh)


def test_residual_with_a_shortcut_by_hand() -> None:
    dy = RNG.normal(size=(60, 3))
    found = results(Residual(Dense(3), shortcut=Dense(3)), dy)
    W, b, V, c = (found[f"{part}.{name}"] for part in ("body", "shortcut") for name in "Wb")
    assert_close(found["y"], X @ (W + V) + b + c)
    assert_close(found["dx"], dy @ (W + V).T)
    for part in ("body", "shortcut"):
        assert_close(found[f"d {part}.W"], X.T @ dy)


def test_sum_by_hand() -> None:
    dy = RNG.normal(size=(60, 4))
    found = results(Sum([Dense(4), Identity(), Dense(4), Identity()]), dy)
    W, b, V, c = (found[f"branches.{i}.{name}"] for i in (0, 2) for name in "Wb")
    assert_close(found["y"], X @ (W + V) + b + c + 2 * X)
    assert_close(found["dx"], dy @ (W + V).T + 2 * dy)


def test_concat_by_hand() -> None:
    dy = RNG.normal(size=(60, 9))
    found = results(Concat([Dense(3), Identity(), Dense(2)]), dy)
    W, b, V, c = (found[f"branches.{i}.{name}"] for i in (0, 2) for name in "Wb")
    assert_close(found["y"], np.hstack([X @ W + b, X, X @ V + c]))
    assert_close(found["dx"], dy[:, :3] @ W.T + dy[:, 3:7] + dy[:, 7:] @ V.T)
    assert_close(found["d branches.2.W"], X.T @ dy[:, 7:])


NODES: dict[str, Callable[[], Layer]] = {
    "trunk": lambda: Dense(5),
    "bent": Sigmoid,
    "gate": lambda: Dense(5),
    "product": Multiply,
    "mixed": lambda: Dense(5),
    "sum": Add,
    "out": lambda: Dense(2),
    "both": Join,
}
EDGES = [
    "input -> trunk -> bent",
    "trunk -> gate",
    "bent, gate -> product -> mixed",
    "mixed, trunk, trunk -> sum -> out",
    "out, input -> both -> output",
]


def graph(names: list[str] | None = None, edges: list[str] | None = None) -> Graph:
    return Graph({name: NODES[name]() for name in names or NODES}, edges or EDGES)


def test_a_graph_with_fan_out_by_hand() -> None:
    dy = RNG.normal(size=(60, 6))
    found = results(graph(), dy)
    (A, a), (G, g), (M, m), (V, v) = (
        (found[f"nodes.{name}.W"], found[f"nodes.{name}.b"])
        for name in ("trunk", "gate", "mixed", "out")
    )
    trunk = X @ A + a
    bent, gate = 1 / (1 + np.exp(-trunk)), trunk @ G + g
    total = (bent * gate) @ M + m + 2 * trunk
    assert_close(found["y"], np.hstack([total @ V + v, X]))
    d_total = dy[:, :2] @ V.T
    d_product = d_total @ M.T
    d_trunk = 2 * d_total + d_product * bent @ G.T + d_product * gate * bent * (1 - bent)
    assert_close(found["d nodes.gate.W"], trunk.T @ (d_product * bent))
    assert_close(found["d nodes.trunk.W"], X.T @ d_trunk)
    assert_close(found["dx"], d_trunk @ A.T + dy[:, 2:])


# The wiring of a Graph


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_nodes_does_not_matter_and_that_of_edges_only_for_the_random_numbers(
    seed: int,
) -> None:
    names, edges = list(NODES), list(EDGES)
    random.Random(seed).shuffle(names)
    random.Random(seed).shuffle(edges)
    right = network(graph())
    same = network(graph(names))
    assert same == right
    np.testing.assert_array_equal(same.outputs(X), right.outputs(X))
    other = network(graph(names, edges))
    for name, param in right.params().items():
        other.params()[name].value = param.value
    assert_close(other.outputs(X), right.outputs(X))


def test_addresses_are_the_names_in_the_order_of_work() -> None:
    net = network(graph(edges=EDGES[::-1]))
    places = {address: i for i, (address, _) in enumerate(net.layers())}
    assert set(places) == {"body", *(f"body.nodes.{name}" for name in NODES)}
    for before, after in (("trunk", "bent"), ("gate", "mixed"), ("mixed", "out")):
        assert places[f"body.nodes.{before}"] < places[f"body.nodes.{after}"]
    assert net["body.nodes.gate"] is net.body.nodes["gate"]  # type: ignore[attr-defined]


CIRCLE = ["input, b -> a -> b", "b -> output"]
WRONG = [
    ("ab", ["input -> a -> bb -> output"], "edges.0 = .* there is no node 'bb'; did you mean 'b'"),
    ("ab", ["input -> a -> b -> output", "q -> b"], "there is no node 'q'; known are a, b, input"),
    ("ab", ["input -> a -> b", "a -> b -> output"], "edges.1 = .* b reads something already; .* "),
    (
        "ab",
        ["input -> a -> output"],
        "nodes.b: reads nothing; .*'input -> b'\nGraph.nodes.b: nobody",
    ),
    ("ab", ["input -> a -> output", "input -> b"], "nodes.b: nobody reads it; .* 'b -> output'"),
    ("a", ["input -> a"], "nodes.a: nobody reads it"),
    ("ab", CIRCLE, "edges: a cycle: (a -> b -> a|b -> a -> b)$"),
    ("a", ["a -> a -> output"], "edges: a cycle: a -> a$"),
    ("a", ["input -> a -> output -> a"], "nothing comes after the output"),
    ("a", ["input -> a -> input -> output"], "nothing leads to the input"),
    ("a", ["input"], "edges.0 = 'input': should look like 'input -> a -> b'"),
    ("a", ["input -> -> output"], "there is no node ''"),
    ("a", ["input -> a, a -> output"], "no node 'a, a'; several names are read before the first"),
    ("ab", ["input -> a", "a, input -> b -> output", "a -> b"], "such as 'a, b -> b'"),
    (
        "abc",
        ["a + b -> c"],
        r"edges have no \+: add a node before_c = Add\(\) and write 'a, b -> before_c -> c'$",
    ),
    (
        "ab",
        ["input -> a", "a*input*a -> b -> output"],
        r"no \*: add .* = Multiply\(\) and write 'a, input, a -> before_b -> b -> output'$",
    ),
    (
        "ab",
        ["a, input + b -> output"],
        r"edges have no \+ or \*: a node of Add\(\) or Multiply\(\)",
    ),
    ("ab", ["input -> a + b"], r"edges have no \+ or \*: a node of Add\(\) or Multiply\(\) reads"),
    (
        "ab",
        ["input -> a", "input -> b", "a, b -> output"],
        r"one array: add .* before_output = Join\(\) and write 'a, b -> before_output -> output'",
    ),
    ("a", [], "nodes.a: reads nothing"),
    ("", ["input -> output"], "nodes = {}: should have at least one node"),
    (["in.put"], ["input -> in.put -> output"], "nodes.in.put: a name has letters, digits and _?"),
    (["input"], ["input -> output"], "nodes.input: a name .* is not input or output, which are"),
    (["output"], ["input -> output"], "nodes.output: a name .* is not input or output, which are"),
]


@pytest.mark.parametrize(("names", "edges", "sentence"), WRONG)
def test_edges_that_make_no_graph(names: Any, edges: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Graph({name: Identity() for name in names}, edges)


def test_all_that_is_wrong_is_said_at_once_with_its_place() -> None:
    table = {
        "type": "Sequential",
        "layers": [
            {"type": "Graph", "nodes": {"a": {"type": "Identity"}}, "edges": ["x -> y", "a"]},
            {"type": "Graph", "nodes": {"a": {"type": "Dense", "unit": 3}}, "edges": []},
        ],
    }
    with pytest.raises(ConfigError) as error:
        from_config(table, Sequential)
    said = str(error.value)
    for reason in (
        "layers.0: Graph.edges.0 = 'x -> y': there is no node 'x'",
        "there is no node 'y'",
        "edges.1 = 'a': should look like",
        "layers.1.nodes.a.unit: Dense has no such option; did you mean 'units'?",
    ):
        assert reason in said


class Minus(Layer):
    """y = a - b."""

    def forward(self, a: Array, b: Array, train: bool = True) -> Array:
        return a - b

    def backward(self, dy: Array) -> tuple[Array, Array]:
        return dy, -dy


SHAPES = [
    (Residual(Dense(3)), r"^\(3,\), \(4,\): what is added .* Residual as its shortcut", "body.add"),
    (Residual(Dense(3), Dense(2)), r"^\(3,\), \(2,\): what is added should have one", "body.add"),
    (Sum([Dense(3), Dense(4)]), r"^\(3,\), \(4,\): what is added should have one", "body.add"),
    (
        Graph({"a": Dense(3), "b": Multiply()}, ["input -> a", "a, input -> b -> output"]),
        r"^\(3,\), \(4,\): what is multiplied should have one shape",
        "body.nodes.b",
    ),
    (
        Graph({"a": Dense(3), "b": Dense(2)}, ["input -> a", "a, input -> b -> output"]),
        r"^Dense takes 1 input, not 2 \(\(3,\), \(4,\)\); a Join\(\) before it makes one array",
        "body.nodes.b",
    ),
    (
        Graph({"a": Minus()}, ["input -> a -> output"]),
        r"^Minus takes 2 inputs, not 1 \(\(4,\)\); in a Graph, 'a, b -> node' hands",
        "body.nodes.a",
    ),
    (
        Sequential([ReLU(), Residual(Sequential([Dense(4), Residual(Dense(5))]))]),
        r"^\(5,\), \(4,\): what is added",
        "body.layers.1.body.layers.1.add",
    ),
    (Concat([ReLU(), Dense(2)], axis=1), r"^Join\.axis = 1: should be -1", "body.join"),
]


@pytest.mark.parametrize(("body", "sentence", "place"), SHAPES)
def test_shapes_that_do_not_fit(body: Layer, sentence: str, place: str) -> None:
    with pytest.raises(ShapeError, match=sentence) as error:
        network(copy.deepcopy(body))
    assert error.value.place == place


def test_what_is_joined_may_differ_in_the_last_axis_only() -> None:
    class Halved(Layer):
        def build(self, shape: Shape) -> Shape:
            return (shape[0] // 2, *shape[1:])

        def forward(self, x: Array, train: bool = True) -> Array:
            return x[:, ::2]

        def backward(self, dy: Array) -> Array:
            return np.repeat(dy, 2, axis=1)

    with pytest.raises(
        ShapeError, match=r"\(2, 3\), \(4, 3\): what is joined may differ in axis -1 only"
    ):
        network(Concat([Halved(), Identity()]), shape=(4, 3))
    assert Concat([ReLU(), Identity()]).place((4, 3), address="layer") == (4, 6)
    assert Concat([Halved(), Identity()], axis=-2).place((4, 3), address="layer") == (6, 3)


def test_branches_are_needed() -> None:
    for container in (Sum, Concat):
        with pytest.raises(
            ConfigError, match=rf"{container.__name__}.branches = \[\]: should not be empty"
        ):
            container([])


# Laws


class Guarded(Layer):
    """y = 2 x. What it returns is its own: whoever writes to it gets NumPy's error."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return guarded(2 * x)

    def backward(self, dy: Array) -> Array:
        return guarded(2 * dy)


def guarded(array: Array) -> Array:
    array.flags.writeable = False
    return array


def containers(part: Callable[[], Layer]) -> list[Layer]:
    return [
        Residual(part()),
        Residual(part(), part()),
        Sum([part(), part(), part()]),
        Concat([part(), part()]),
        Graph(
            {"a": part(), "sum": Add(), "b": part(), "both": Join()},
            ["input -> a", "a, a, input -> sum -> b", "a, b -> both -> output"],
        ),
        Graph(
            {"a": part(), "b": part(), "product": Multiply()},
            ["input -> a", "input -> b", "a, b, b -> product -> output"],
        ),
    ]


@pytest.mark.parametrize("i", range(len(containers(Identity))))
def test_nothing_is_added_into_an_array_of_a_part(i: int) -> None:
    net = network(containers(Guarded)[i])
    net.body.want_dx(True)
    y = net.body.forward(guarded(X.copy()))
    net.body.backward(guarded(np.ones_like(y)))


def called_back(net: Network) -> list[str]:
    """Go forward and backward; return the addresses of the leaves whose backward was called."""
    called = []

    def noting(address: str, name: str, method: Any) -> Any:
        def noted(*given: Any, **options: Any) -> Any:
            if name == "backward":
                called.append(address)
            return method(*given, **options)

        return noted

    with watched(net.layers(), noting):
        net.body.backward(np.cos(net.body.forward(X)))
    return called


def leaves(net: Network) -> dict[str, Layer]:
    return {address: layer for address, layer in net.layers() if not any(layer.parts())}


@pytest.mark.parametrize("i", range(len(containers(Identity))))
def test_only_what_reads_parameters_is_asked_for_dx(i: int) -> None:
    first = network(containers(lambda: Dense(4))[i])
    within = "body.nodes.b" if i == 4 else "body"
    for address, layer in leaves(first).items():
        behind = address == within or isinstance(layer, Add | Multiply | Join)
        assert layer.wants_dx == behind
    assert sorted(called_back(first)) == sorted(leaves(first))
    plain = network(Sequential([containers(Guarded)[i], Dense(3)]))
    assert called_back(plain) == ["body.layers.1"]
    behind_a_dense = network(Sequential([Dense(4), containers(Guarded)[i]]))
    assert sorted(called_back(behind_a_dense)) == sorted(leaves(behind_a_dense))
    plain.body.want_dx(True)
    assert sorted(called_back(plain)) == sorted(leaves(plain))


@pytest.mark.parametrize(
    ("edges", "called", "asked"),
    [
        (["input -> p -> q -> d -> output"], "d", ""),
        (["input -> p -> q", "input -> d", "q, d -> both -> output"], "d both", "both"),
        (["input -> p -> d", "p, d -> both -> q -> output"], "d both q", "both q"),
        (["input -> d -> p -> q -> output"], "d p q", "p q"),
        (["input -> p", "input -> q", "p, q -> both -> d -> output"], "d", ""),
        (["input -> p -> q -> output"], "", ""),
    ],
)
def test_no_gradient_goes_to_what_is_before_all_parameters(
    edges: list[str], called: str, asked: str
) -> None:
    nodes = {"p": Guarded(), "q": ReLU(), "d": Dense(4), "both": Add()}
    graph = Graph(
        {name: node for name, node in nodes.items() if re.search(rf"\b{name}\b", str(edges))}, edges
    )
    net, wanted = network(graph), network(copy.deepcopy(graph))
    wanted.body.want_dx(True)
    assert set(called_back(net)) == {f"body.nodes.{name}" for name in called.split()}
    assert sorted(called_back(wanted)) == sorted(leaves(wanted))
    assert {name for name, node in graph.nodes.items() if node.wants_dx} == set(asked.split())
    np.testing.assert_array_equal(net.arena.grads, wanted.arena.grads)


@pytest.mark.parametrize("i", range(len(containers(Identity))))
def test_gradients_are_the_same_whether_dx_is_wanted_or_not(i: int) -> None:
    first = network(containers(lambda: Dense(4))[i])
    later = network(containers(lambda: Dense(4))[i])
    later.body.want_dx(True)
    y = first.body.forward(X)
    later.arena.values = first.arena.values
    np.testing.assert_array_equal(later.body.forward(X), y)
    for net in (first, later):
        net.body.backward(np.cos(y))
    np.testing.assert_array_equal(first.arena.grads, later.arena.grads)


class Scalar(Layer):
    """y = a s: rows a (N, features) times a number s (N, 1) for each."""

    def build(self, a: Shape, s: Shape) -> Shape:
        if s != (1,):
            raise ShapeError(f"Scalar takes one number for each example, not {s}")
        return a

    def forward(self, a: Array, s: Array, train: bool = True) -> Array:
        self.a, self.s = a, s
        return a * s

    def backward(self, dy: Array) -> tuple[Array, Array]:
        return dy * self.s, (dy * self.a).sum(axis=1, keepdims=True)


def test_a_node_reads_several_arrays_in_the_order_of_the_edge() -> None:
    dy = RNG.normal(size=(60, 3))
    nodes = {"a": Dense(3), "s": Dense(1), "scaled": Scalar()}
    found = results(
        Graph(nodes, ["input -> a", "input -> s", "a, s -> scaled -> output"]),
        dy,
    )
    (A, a), (S, s) = ((found[f"nodes.{name}.W"], found[f"nodes.{name}.b"]) for name in "as")
    assert_close(found["y"], (X @ A + a) * (X @ S + s))
    da, ds = dy * (X @ S + s), (dy * (X @ A + a)).sum(axis=1, keepdims=True)
    assert_close(found["d nodes.a.W"], X.T @ da)
    assert_close(found["d nodes.s.W"], X.T @ ds)
    assert_close(found["dx"], da @ A.T + ds @ S.T)
    turned = Graph(copy.deepcopy(nodes), ["input -> a", "input -> s", "s, a -> scaled -> output"])
    with pytest.raises(ShapeError, match=r"one number for each example, not \(3,\)"):
        network(turned)


@pytest.mark.parametrize("dx", [np.ones((2, 4)), [np.ones((2, 4))] * 2, (np.ones((2, 4)),), None])
def test_a_layer_that_does_not_return_a_dx_for_each_input_is_refused(dx: Any) -> None:
    class Wrong(Minus):
        def backward(self, dy: Array) -> Any:
            return dx

    net = network(Graph({"a": Dense(4), "b": Wrong()}, ["input -> a", "a, input -> b -> output"]))
    net.body.forward(X[:2])
    with pytest.raises(ShapeError, match=r"body.nodes.b: Wrong.backward .* a tuple of 2 arrays"):
        net.body.backward(np.ones((2, 4)))


@pytest.mark.parametrize("i", range(len(containers(Identity))))
def test_dx_can_be_wanted_and_not_wanted_of_a_network_that_is_built(i: int) -> None:
    body = Sequential([containers(lambda: Dense(4))[i], Sigmoid()])
    first, later = network(copy.deepcopy(body)), network(body)
    later.body.want_dx(True)
    later.arena.values = first.arena.values
    dy = np.cos(later.body.forward(X))
    right = later.body.backward(dy)
    first.body.forward(X)
    assert first.body.backward(dy) is None
    first.body.want_dx(True)
    np.testing.assert_array_equal(first.body.backward(dy), right)
    np.testing.assert_array_equal(first.arena.grads, later.arena.grads)
    first.body.want_dx(False)
    assert first.body.backward(dy) is None


def test_a_layer_at_two_nodes_is_refused_with_what_to_do_instead() -> None:
    shared = Dense(3)
    twins = Graph(
        {"a": shared, "b": shared, "both": Join()},
        ["input -> a", "input -> b", "a, b -> both -> output"],
    )
    with pytest.raises(
        ConfigError,
        match=r"body.nodes.b: this Dense is in use as body.nodes.a already.*one array .* \(2, fea",
    ):
        network(twins)


def init_of(net: Network, address: str) -> Any:
    return net.params()[f"{address}.W"].init


def test_what_suits_an_activation_travels_back_through_all_containers() -> None:
    body = Sequential(
        [
            Dense(4),
            Residual(Sequential([ReLU(), Dense(4)])),
            Concat([Sequential([Dense(2)]), Dense(2)]),
            Residual(Sequential([Dense(4)]), shortcut=Dense(4)),
            ReLU(),
            Sum([Dense(4), Identity()]),
            Graph(
                {"in": Dense(4), "a": ReLU(), "both": Join(), "b": Dense(3)},
                ["input -> in -> a", "in, a -> both -> b -> output"],
            ),
        ]
    )
    net = network(body)
    he = [name for name, param in net.params().items() if param.init == HeNormal()]
    assert he == [
        "body.layers.0.W",
        "body.layers.3.body.layers.0.W",
        "body.layers.3.shortcut.W",
        "body.layers.6.nodes.in.W",
    ]
    assert init_of(net, "body.layers.2.branches.0.layers.0") == LeCunNormal()


# Deep


def chain(n: int) -> Layer:
    names = [f"n{i}" for i in range(n)]
    nodes: dict[str, Layer] = {
        name: Dense(2) if i % 2 else Sigmoid() for i, name in enumerate(names)
    }
    ways = [f"{a} -> {b}" for a, b in zip(["input", *names], [*names, "output"], strict=True)]
    return Graph(nodes, ways[::-1])


def row(n: int) -> Layer:
    return Sequential([Dense(2) if i % 2 else Sigmoid() for i in range(n)])


def residuals(n: int) -> Layer:
    part: Layer = Dense(2)
    for _ in range(n - 1):
        part = Residual(part)
    return part


def alternating(n: int) -> Layer:
    part: Layer = Dense(2)
    for i in range(n - 1):
        part = Sequential([part]) if i % 2 else Residual(part)
    return part


def graphs(n: int) -> Layer:
    part: Layer = Dense(2)
    for _ in range(n - 1):
        part = Graph({"a": part}, ["input -> a -> output"])
    return part


@pytest.mark.parametrize(
    ("make", "n"),
    [(chain, 1000), (row, 1000), (residuals, 100), (alternating, 100), (graphs, 100)],
)
def test_all_operations_on_deep_networks(
    make: Callable[[int], Layer], n: int, tmp_path: Path
) -> None:
    x, t = np.ones((3, 2)), np.array([0, 1, 0])
    net = network(make(n), shape=(2,))
    net.arena.values *= 1e-3
    fit(net, SGD(lr=1e-3), x, t, epochs=1)
    net.save(tmp_path / "model.safetensors")
    config = {"network": to_config(net), "optimizer": {"type": "SGD"}}
    (tmp_path / "net.toml").write_text(tomli_w.dumps(config))
    assert read_experiment(tmp_path / "net.toml", ["training.epochs=1"]).network == net
    for twin in (
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        Network.load(tmp_path / "model.safetensors"),
    ):
        assert twin == net
        np.testing.assert_array_equal(twin.outputs(x), net.outputs(x))
    assert repr(net.body) == repr(make(n))
    assert net.summary().count("Dense") == sum("W" in name for name in net.params())
    assert svg(net).count("Dense") == net.summary().count("Dense")


def test_slices_of_a_thousand_layers() -> None:
    net = network(row(1000), shape=(2,))
    half = network(body_of(net)[500:], shape=(2,))
    np.testing.assert_array_equal(
        half.arena.values, net.arena.values[net.arena.slices["body.layers.501.W"].start :]
    )


@pytest.mark.parametrize("make", [residuals, alternating, graphs])
def test_what_is_nested_too_deep_is_refused_in_words(make: Callable[[int], Layer]) -> None:
    with pytest.raises(ConfigError, match="layers inside each other, more than 100 levels deep"):
        make(101)


def nested(n: int) -> dict[str, Any]:
    table: dict[str, Any] = {"type": "Dense", "units": 2}
    for _ in range(n - 1):
        table = {"type": "Residual", "body": table}
    return table


@pytest.mark.parametrize(
    ("n", "error"), [(101, ConfigError), (250, ConfigError), (5000, ConfigError)]
)
def test_a_table_nested_too_deep_is_refused_in_words(n: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="inside each other"):
        from_config(nested(n), Residual)


@pytest.mark.parametrize("n", [101, 400, 20000])
def test_a_file_nested_too_deep_is_refused_in_words(n: int, tmp_path: Path) -> None:
    inline = '{type = "Residual", body = ' * (n - 1) + '{type = "Dense", units = 2}' + "}" * (n - 1)
    (tmp_path / "net.toml").write_text(
        f'[network]\nshape = [2]\nloss = {{type = "SoftmaxCrossEntropy"}}\nbody = {inline}\n'
        '[optimizer]\ntype = "SGD"\n'
    )
    with pytest.raises((ConfigError, FileError), match="inside each other") as error:
        read_experiment(tmp_path / "net.toml")
    assert "net.toml" in f"{error.value.place}{error.value}"


def test_more_levels_by_pythons_own_limit() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(3000)
    try:
        net = network(residuals(250), shape=(2,))
        net.arena.values *= 1e-9
        net.gradient(np.ones((3, 2)), [0, 1, 0])
        assert copy.deepcopy(net) == net
    finally:
        sys.setrecursionlimit(limit)


# In a file

FILE = """
[network]
shape = [4]
loss = {type = "SoftmaxCrossEntropy"}

[network.body]
type = "Graph"
edges = [
    "input -> hidden -> bent",
    "bent, input -> both -> logits -> output",
]

[network.body.nodes]
logits = {type = "Dense", units = 3}
hidden = {type = "Dense", units = 8}
bent = {type = "Sigmoid"}
both = {type = "Join"}

[optimizer]
type = "SGD"
"""


def test_a_graph_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "graph.toml"
    path.write_text(FILE)
    net = read_experiment(path, ["network.body.nodes.hidden.units=6"]).network
    assert {name: param.shape for name, param in net.params().items()} == {
        "body.nodes.hidden.W": (4, 6),
        "body.nodes.hidden.b": (6,),
        "body.nodes.logits.W": (10, 3),
        "body.nodes.logits.b": (3,),
    }
    experiment = from_config(tomllib.loads(FILE), Experiment)
    assert tomllib.loads(tomli_w.dumps(to_config(experiment)))["network"]["body"]["nodes"] == {
        "logits": {"type": "Dense", "units": 3, "bias": True},
        "hidden": {"type": "Dense", "units": 8, "bias": True},
        "bent": {"type": "Sigmoid"},
        "both": {"type": "Join", "axis": -1},
    }


def test_a_name_that_stands_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.toml"
    path.write_text(FILE.replace("bent = {", 'hidden = {type = "ReLU"}\nbent = {'))
    with pytest.raises(FileError, match=r"graph\.toml: not a TOML file: .* \(at line 1\d"):
        read_experiment(path)


def test_the_contract_of_parts_in_parts() -> None:
    inner = Graph(
        {"a": Dense(3), "b": Sigmoid(), "product": Multiply()},
        ["input -> a -> b", "a, b -> product -> output"],
    )
    body = Sum([Sequential([Concat([inner, Dense(2)]), Dense(4)]), Residual(Residual(Dense(4)))])
    check_layer(body, (4,))


# Containers of one's own


class Wired(Container):
    """Reads what it is told to read."""

    a: Layer = field(default_factory=Identity)
    b: Layer = field(default_factory=Identity)
    reads: dict[str, list[str]] = field(default_factory=dict)

    def wiring(self) -> Wiring:
        return {name: tuple(names) for name, names in self.reads.items()}


@pytest.mark.parametrize("name", ["order", "asked", "default_init"])
def test_parts_have_no_names_that_containers_use(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: (Container|Layer) has an attribute of this"):
        type(
            "Takes", (Wired,), {"__annotations__": {name: Layer}, name: field(default_factory=Add)}
        )


@pytest.mark.parametrize(
    ("reads", "sentence"),
    [
        ({"a": ["b"], "b": ["input"], "output": ["a"]}, "a reads 'b'; before it are input"),
        ({"a": ["input"], "b": ["c"], "output": ["a"]}, "b reads 'c'; before it are input, a"),
        ({"a": ["input"], "b": ["a"]}, "output reads nothing"),
        ({"a": ["input"], "output": ["a"]}, "b reads nothing"),
        ({"a": ["input"], "b": ["input"], "output": ["b"]}, "a is read by nothing"),
    ],
)
def test_a_wiring_that_does_not_go_through_all_parts_is_refused(
    reads: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^Wired\.wiring: {sentence}") as error:
        Network(Wired(reads=reads), SoftmaxCrossEntropy(), shape=(2,))
    assert error.value.place == "body"
