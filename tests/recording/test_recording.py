"""Programs give the same bits as the layers, for everything that is registered."""

import copy
import math
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit import (
    EMA,
    LARS,
    LBFGS,
    SGD,
    SWA,
    Adam,
    Array,
    Average,
    BatchNorm,
    Concat,
    ConfigError,
    CosineSchedule,
    Dense,
    DivergenceError,
    Dropout,
    Flatten,
    Graph,
    Layer,
    LayerNorm,
    LinearSchedule,
    Loss,
    MeanSquaredError,
    Multiply,
    Muon,
    Network,
    Optimizer,
    PReLU,
    ReLU,
    Reshape,
    Residual,
    Rprop,
    Sequential,
    Shape,
    Sigmoid,
    SoftmaxCrossEntropy,
    Sum,
    Tanh,
)
from layerkit.errors import RecordingError
from layerkit.losses.base import ElementwiseLoss, mean_loss
from layerkit.optimizers.around import numbers
from layerkit.recording import Program, record, unroll
from layerkit.training.averaging import AveragedWeights
from tests.test_contract import (
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SEVERAL_INPUTS,
    named,
    numbers_for,
)

SIZES = [50, 1, 7, 2]
EXTREMES = [0.0, -0.0, 1e-38, 1e-45, -1e-20, 1e38, -1e38, 3e4, -88.0, 1.0, -0.5, 0.5]


def batch(N: int, shape: Shape, dtype: str, kind: str = "random") -> Array:
    rng = np.random.default_rng(N)
    if kind == "extreme":
        return rng.choice(EXTREMES, (N, *shape)).astype(dtype)
    return rng.standard_normal((N, *shape)).astype(dtype)


def batch_for(layer: Layer, N: int, shape: Shape, dtype: str, kind: str) -> Array:
    known = numbers_for(layer, shape)
    if known is None:
        return batch(N, shape, dtype, kind)
    return known[np.random.default_rng(N).integers(len(known), size=N)].astype(dtype)


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, item in wanted.items():
        a, b = np.asarray(found[name]), np.asarray(item)
        assert (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes()), name


def assert_predicts(program: Program, net: Network, x: Array) -> None:
    with np.errstate(all="ignore"):
        z = net.targets.restore(net.body.forward(net.inputs.convert(x), train=False))
        wanted = {"z": z, "y": net.targets.predicted(z)}
        if net.loss.has_probabilities:
            p = net.loss.predict_proba(z)
            wanted["p"] = np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p
    memory = {address: item.value for address, item in net.declared().items()}
    assert_same(program.run(x=x, memory=memory), wanted)


def assert_steps(
    program: Program,
    net: Network,
    x: Array,
    t: Array,
    a: Array | None = None,
    optimizer: Optimizer | None = None,
    averaged: AveragedWeights | None = None,
) -> None:
    """Let the network take a step, and the program the same one."""
    rngs = {address: copy.deepcopy(part.rng) for address, part in net.layers() if part.random}
    memory = {name: vector.copy() for name, vector in vectors(net, optimizer, averaged).items()}
    given: dict[str, Any] = {"x": x, "t": t} | ({} if a is None else {"a": a})
    for name, value in program.memory.items():
        memory.setdefault(name, value.array.copy())
    if optimizer is not None:
        given["step"] = optimizer.t + 1
        for name, schedule in optimizer.schedules.items():
            factor = schedule(optimizer.t - optimizer._begun, optimizer.steps)
            given[name] = getattr(optimizer, name) * factor
    if averaged is not None:
        given["share"] = averaged.average.share(averaged.step, averaged.steps)
    found = memory | program.run(memory=memory, generators=rngs, **given)
    with np.errstate(all="ignore"):
        z = net.body.forward(net.inputs.convert(x))
        sums = net.loss.forward(z, net.targets.convert(t), a)
        wanted = {"z": z.copy(), "loss": mean_loss(*sums)}
        net.body.backward(net.loss.backward())
        if optimizer is not None:
            optimizer.step(net.arena.values, net.arena.grads)
        if averaged is not None:
            averaged.step_end(None)  # type: ignore[arg-type]
    assert_same(found, wanted | vectors(net, optimizer, averaged))
    for address, part in net.layers():
        if part.random:
            assert part.rng.bit_generator.state == rngs[address].bit_generator.state


def vectors(
    net: Network, optimizer: Optimizer | None, averaged: AveragedWeights | None
) -> dict[str, Array]:
    found = {"w": net.arena.values, "g": net.arena.grads, "states": net.arena.states}
    if averaged is not None:
        (_, values, _), (_, states, _) = averaged.vectors
        found |= {"average": values, "average_states": states}
    return found | (optimizer.memory if optimizer is not None else {})


def network(body: Layer, shape: Shape, loss: Loss | None = None, dtype: str = "float32") -> Network:
    net = Network(copy.deepcopy(body), loss or MeanSquaredError(), shape=shape, dtype=dtype)  # type: ignore[arg-type]
    net.arena.values += 0.1 * np.random.default_rng(3).standard_normal(net.arena.values.shape)
    return net if net.adapted else net.adapt(batch_for(body, 9, shape, dtype, "random"))


# Layers


def several(layer: Layer, shapes: list[Shape]) -> Layer:
    """A graph that hands several arrays to a layer."""
    nodes: dict[str, Layer] = {}
    for i, shape in enumerate(shapes):
        nodes[f"in{i}"] = Sequential([Dense(math.prod(shape)), Reshape(shape)])
    edges = [*(f"input -> {name}" for name in nodes), f"{', '.join(nodes)} -> y -> output"]
    return Graph({**nodes, "y": layer}, edges)


ALONE = [*LAYERS, *((several(layer, shapes), (3,)) for layer, shapes in SEVERAL_INPUTS)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape"), ALONE, ids=named)
def test_layers_are_recorded(layer: Layer, shape: Shape, dtype: str) -> None:
    """In float32 after another layer, to which they have to return dx."""
    behind = dtype == "float32" and numbers_for(layer, shape) is None
    net = network(Sequential([Dense(shape[-1]), layer]) if behind else layer, shape, dtype=dtype)
    least = max(part.smallest_batch for _, part in net.layers())
    x = batch_for(layer, 5, shape, dtype, "random")
    prediction = record(net, x)
    step = record(net, x, batch(5, net.body.output_shape, dtype))
    for kind in ("random", "extreme"):
        for N in SIZES:
            x = batch_for(layer, N, shape, dtype, kind)
            # a normalization raises an error where squares overflow, which a program computes
            refused = suppress(DivergenceError) if kind == "extreme" else nullcontext()
            with refused:
                assert_predicts(prediction, net, x)
                if least <= N:
                    assert_steps(step, net, x, batch(N, net.body.output_shape, dtype))


PARTS: list[Layer] = [
    *(Dense(3), Sigmoid(), Tanh(), ReLU(), PReLU(), LayerNorm(), BatchNorm(), Dropout(0.4)),
    Flatten(),
]


def containers(inner: st.SearchStrategy[Layer]) -> st.SearchStrategy[Layer]:
    few = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(Sequential, few),
        st.builds(lambda layers: Sum([Sequential([x, Dense(2)]) for x in layers]), few),
        st.builds(Concat, few),
        st.builds(lambda layer: Residual(layer, shortcut=Dense(2)), inner.map(ending)),
        st.builds(
            lambda a, b: Graph(
                {"a": Sequential([a, Dense(2)]), "b": Sequential([b, Dense(2)]), "c": Multiply()},
                ["input -> a -> b", "a, b, a -> c -> output"],
            ),
            inner,
            inner,
        ),
    )


def ending(layer: Layer) -> Layer:
    return Sequential([layer, Dense(2)])


BODIES = st.recursive(st.sampled_from(PARTS).map(copy.deepcopy), containers, max_leaves=8)


@settings(max_examples=25, deadline=None, database=None)
@given(body=BODIES, dtype=st.sampled_from(["float32", "float64"]), N=st.integers(2, 40))
def test_graphs_of_random_layers_are_recorded(body: Layer, dtype: str, N: int) -> None:
    net = network(ending(copy.deepcopy(body)), (3,), SoftmaxCrossEntropy(), dtype)
    x, t, optimizer = batch(N, (3,), dtype), np.arange(N) % 2, Adam()
    prediction, step = record(net, x[:2]), record(net, x[:2], t[:2], optimizer)
    for n in (N, 2, N):
        assert_predicts(prediction, net, x[:n])
        assert_steps(step, net, x[:n], t[:n], optimizer=optimizer)


def test_a_step_has_no_gradients_before_all_parameters() -> None:
    body = Sequential([Tanh(), Flatten(), Dense(3), ReLU(), Dense(3)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(2, 3))
    ops = record(net, batch(50, (2, 3), "float32"), np.arange(50) % 3).ops
    back = {op.address for op in ops if op.phase == "backward" and op.address != "loss"}
    assert back == {f"body.layers.{i}" for i in (2, 3, 4)}
    assert len([op for op in ops if op.phase == "backward" and op.name == "dot"]) == 5


def test_bytes_names_and_standardized_targets_are_converted() -> None:
    x = np.random.default_rng(0).integers(0, 256, (9, 4), np.uint8)
    net = network(Dense(3), (4,), SoftmaxCrossEntropy())
    net.check(x, ["b", "a", "c"] * 3, learn=True)
    t = net.check(x, ["b", "a", "c"] * 3)[1]
    assert record(net, x).run(x=x)["p"].tobytes() == net.predict_proba(x).tobytes()
    assert_steps(record(net, x, ["c", "b", "a"] * 3), net, x, t)
    net = network(Dense(1), (4,))
    net.check(x, np.arange(9.0), learn=True, standardize=True)
    assert record(net, x).run(x=x)["y"].tobytes() == net.predict(x).tobytes()
    assert_steps(record(net, x, np.arange(9.0)), net, x, net.check(x, np.arange(9.0))[1])


# Losses


def weights_for(loss: Loss, N: int, shape: Shape) -> list[Array | None]:
    """No weights, and those of examples, positions and outputs; all 0 too, and of other types."""
    rng = np.random.default_rng(N)
    shapes = {(N,), (N, *shape[:-1])}
    if isinstance(loss, ElementwiseLoss):
        shapes.add((N, *shape))
    found: list[Array | None] = [None]
    for each in sorted(shapes):
        found += [rng.uniform(0, 2, each), np.zeros(each)]
    return [*found, rng.uniform(0, 2, N) > 1, rng.integers(0, 3, N)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=named)
def test_losses_are_recorded(loss: Loss, shape: Shape, targets: Any, dtype: str) -> None:
    body = Sequential([Dense(math.prod(shape)), Reshape(shape)])
    net = network(body, (3,), loss, dtype)

    def rows(N: int, kind: str, i: int) -> tuple[Array, Array, Array | None]:
        t = np.asarray(targets)[np.arange(N) % len(targets)]
        return batch(N, (3,), dtype, kind), t, weights_for(loss, N, shape)[i]

    prediction = record(net, batch(5, (3,), dtype))
    for i in range(len(weights_for(loss, 1, shape))):
        x, t, a = rows(5, "random", i)
        step = record(net, x, t, sample_weight=a)
        for kind in ("random", "extreme"):
            for N in SIZES[i % 2 :: 2]:
                x, t, a = rows(N, kind, i)
                assert_predicts(prediction, net, x)
                assert_steps(step, net, x, *net.check(x, t, a)[1:])


# Optimizers


def all_options(optimizer: Optimizer) -> dict[str, Any]:
    """Decay, penalties, rates, clipping, and a schedule of every option."""
    known = {name: x for name, x in numbers(optimizer).items() if x}
    schedules = {name: LinearSchedule(steps=200, end=0.5) for name in known}
    if isinstance(optimizer, Rprop):
        schedules = {"max_step": LinearSchedule(steps=200, end=0.5)}
    options: dict[str, Any] = {"l1": 0.01, "l2": 0.1, "clip_norm": 0.5, "schedules": schedules}
    options["rates"] = {"body.layers.0.W": 0.0, "body.layers.2.*": 0.3}
    if "lr" in known and optimizer.decoupled:
        options["weight_decay"] = 0.1
    return options


SOME: list[dict[str, Any]] = [
    {"weight_decay": 0.1},
    {"l2": 0.1},
    {"l1": 0.1},
    {"clip_value": 0.01},
    {"clip_norm": 0.01},
    {"clip_global_norm": 0.01},
    {"rates": {"body.layers.0.*": 0.3, "body.layers.2.*": 0.0}},
    {"penalize": ["body.layers.0.*"], "l1": 0.1, "weight_decay": 0.1},
    {"schedules": {"lr": CosineSchedule(steps=200, warmup=2)}},
    {"schedules": {"weight_decay": CosineSchedule(steps=200)}, "weight_decay": 0.1},
]
TRIED = [
    *((each, {}, "float64") for each in OPTIMIZERS),
    *((each, all_options(each), "float32") for each in OPTIMIZERS if not isinstance(each, LBFGS)),
    *((each, some, "float32") for each in (SGD(), Adam(), LARS(), Muon()) for some in SOME),
]


@pytest.mark.parametrize(("optimizer", "options", "dtype"), TRIED, ids=named)
def test_optimizers_are_recorded(optimizer: Optimizer, options: dict[str, Any], dtype: str) -> None:
    """Recorded once, and then run step by step; and from a trained optimizer on."""
    body = Sequential([Dense(3), Sigmoid(), Dense(2, bias=False)])
    net = network(body, (3,), SoftmaxCrossEntropy(), dtype)
    x, t = batch(50, (3,), dtype), np.arange(50) % 2
    optimizer = replace(optimizer, **options)
    optimizer.bind(net.arena, 200)
    if isinstance(optimizer, LBFGS):
        with pytest.raises(RecordingError, match=r"^LBFGS searches: it evaluates"):
            record(net, x, t, optimizer)
        return
    early = record(net, x[:3], t[:3], optimizer)
    for N in (7, 50, 2):
        assert_steps(early, net, x[:N], t[:N], optimizer=optimizer)
    late = record(net, x[:3], t[:3], optimizer)
    for step in (3, 4, 99):
        optimizer.t = step
        twin, other = copy.deepcopy(net), copy.deepcopy(optimizer)
        assert_steps(early, twin, x[:7], t[:7], optimizer=other)
        assert_steps(late, net, x[:7], t[:7], optimizer=optimizer)


@pytest.mark.parametrize("average", [EMA(), EMA(decay=0.5), SWA(start=0.5, every=2)], ids=named)
def test_averages_are_recorded(average: Average) -> None:
    net = network(Sequential([BatchNorm(), Dense(2)]), (3,), SoftmaxCrossEntropy())
    x, t, optimizer = batch(50, (3,), "float32"), np.arange(50) % 2, Adam(lr=0.1)
    optimizer.bind(net.arena, 8)
    averaged = AveragedWeights(net.arena, average, 8)
    net["body.layers.1.b"].value[...] = -0.0  # type: ignore[union-attr]
    step = record(net, x[:5], t[:5], optimizer, average=average)
    for N in (7, 50, 2, 9, 5, 5, 5, 5):
        assert_steps(step, net, x[:N], t[:N], optimizer=optimizer, averaged=averaged)
    with pytest.raises(ConfigError, match="an average needs an optimizer"):
        record(net, x, t, average=average)


def test_parts_of_other_types_are_refused() -> None:
    net, x = network(Dense(2), (3,), SoftmaxCrossEntropy()), batch(5, (3,), "float32")
    wrong: list[tuple[Any, Any, str]] = [
        (net, SGD, r"optimizer = <class .*>: should be of type Optimizer, such as SGD\(\)"),
        (net, "SGD", "optimizer = 'SGD': should be of type Optimizer; the arguments are network, "),
        (net.body, SGD(), r"network = Dense\(units=2\): should be of type Network"),
    ]
    for body, optimizer, says in wrong:
        with pytest.raises(ConfigError, match=says):
            record(body, x, np.arange(5) % 2, optimizer)
        with pytest.raises(ConfigError, match=says):
            unroll(body, optimizer)


# Running


def test_a_program_takes_only_what_was_recorded() -> None:
    net = network(Dense(2), (3,), SoftmaxCrossEntropy())
    x, t = batch(5, (3,), "float32"), np.array([0, 1, 1, 0, 1])
    program = record(net, x, t, SGD())
    memory = {name: value.array for name, value in program.memory.items()}
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, r"x is None; the program takes float32 \(N, 3\)"),
        ({"x": x}, r"t is None; the program takes int64 \(N,\)"),
        ({"x": x.astype(float), "t": t}, r"x is float64 \(5, 3\); the program takes float32 \(N"),
        ({"x": x[:, :2], "t": t}, r"x is float32 \(5, 2\); "),
        ({"x": [[0.0] * 9] * 9, "t": t}, r"x is \[\[0.0, .* \.\.\.\]; the program takes"),
        ({"x": x[:0], "t": t[:0]}, "x has no examples; a step needs at least one"),
        ({"x": x, "t": t[:4]}, r"t is int64 \(4,\); the program takes int64 \(N,\)"),
        ({"x": x, "t": t, "lr": 0.1}, "lr: no such input; there are x, t, step"),
        ({"x": x, "t": t, "memory": {}}, r"memory\['w'\] is None; the program takes float32 \(8,"),
        (
            {"x": x, "t": t, "memory": memory | {"g": memory["g"].astype(float)}},
            r"memory\['g'\] is float64 \(8,\)",
        ),
    ]
    for items, message in cases:
        with pytest.raises(RecordingError, match=message):
            program.run(**items)


def test_recording_leaves_network_and_optimizer_as_they_are() -> None:
    net = network(Sequential([BatchNorm(), Dropout(0.5), Dense(2)]), (3,), SoftmaxCrossEntropy())
    x, t, optimizer = batch(5, (3,), "float32"), np.array([0, 1, 1, 0, 1]), Adam()
    for _ in range(2):
        before = copy.deepcopy((net, optimizer))
        record(net, x, t, optimizer, average=EMA())
        twin, other = before
        kept = {name: item.value for name, item in twin.declared().items()} | other.memory
        assert_same({n: i.value for n, i in net.declared().items()} | optimizer.memory, kept)
        assert (optimizer.t, optimizer) == (other.t, other)
        assert net["body.layers.1"].rng.random() == twin["body.layers.1"].rng.random()  # type: ignore[union-attr]
        net.gradient(x, t)
        optimizer.step(net.arena.values, net.arena.grads)


@pytest.mark.parametrize("name", ["forward", "predict"])
def test_methods_that_were_put_on_an_object_are_refused(name: str) -> None:
    """A copy of the network, which is what is recorded, doesn't have them."""
    net = Network(ReLU(), MeanSquaredError(), shape=(3,))
    part: Any = net.body if name == "forward" else net.loss
    setattr(part, name, lambda x, train=True: 2 * x)
    with pytest.raises(RecordingError, match=rf"{name} was put on this (ReLU|MeanSq\w+), and no"):
        record(net, np.ones((2, 3)))
