"""Unrolled source computes the same bits as the layers, and reads as if written by hand."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit import (
    LBFGS,
    SGD,
    Adam,
    AdamW,
    Array,
    BatchNorm,
    CosineSchedule,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    Loss,
    MeanSquaredError,
    Momentum,
    Network,
    Optimizer,
    Orthogonal,
    ReLU,
    Rprop,
    Sequential,
    Shape,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    fit,
)
from layerkit.config.tables import from_config, to_config
from layerkit.errors import ConfigError, RecordingError
from layerkit.losses.base import mean_loss
from layerkit.recording import unroll
from layerkit.recording.source import short_names
from tests.test_contract import LAYERS, LOSSES, OPTIMIZERS, named, numbers_for

CHANGED = [
    *(SGD(clip_norm=0.1), SGD(clip_global_norm=0.1), SGD(clip_value=0.1), SGD(l1=0.1, l2=0.1)),
    Adam(weight_decay=0.1, rates={"body.layers.0.*": 0.5}),
    Adam(penalize=["*.b"], l2=0.1),
    SGD(schedules={"lr": CosineSchedule()}),
    AdamW(schedules={"weight_decay": CosineSchedule()}),
]


def function_of(source: str) -> Any:
    """The function that a source defines; it knows nothing of layerkit."""
    assert "layerkit" not in source
    space: dict[str, Any] = {}
    exec(source, space)
    return space["train_step" if "def train_step" in source else "predict"]


def called(function: Any, given: dict[str, Any]) -> Any:
    """What a function returns for those of the arguments that it takes."""
    code = function.__code__
    with np.errstate(all="ignore"):
        return function(**{name: given[name] for name in code.co_varnames[: code.co_argcount]})


def check_step(net: Network, optimizer: Optimizer, x: Array, t: Any, a: Any = None) -> None:
    """Two steps of the layers and of the source, of other batches than it was made from."""
    weights = None if a is None else a[:5]
    step = function_of(unroll(net, optimizer, x[:5], t[:5], sample_weight=weights))
    net, optimizer = copy.deepcopy(net), copy.deepcopy(optimizer)
    optimizer.bind(net.arena, 4)
    arena, batch = net.arena, net.check(x, t, a)
    given: dict[str, Any] = {"w": arena.values.copy(), "g": arena.grads.copy()}
    given |= {"states": arena.states.copy()}
    given |= {
        name: slot.copy() for name, slot in copy.deepcopy(optimizer).allocate(arena.values).items()
    }
    rngs = [copy.deepcopy(layer.rng) for _, layer in net.layers() if layer.random]
    given |= {f"rng{i}": rng for i, rng in enumerate(rngs)} | {"rng": rngs[0] if rngs else None}
    for number, size in enumerate((len(x), 3)):
        rows = slice(0, size)
        targets = net.targets.convert(batch[1][rows])
        weights = None if batch[2] is None else batch[2][rows]
        now = {
            name: getattr(optimizer, name) * schedule(number, 4)
            for name, schedule in optimizer.schedules.items()
        }
        numbers = {"x": batch[0][rows], "t": targets, "a": weights, "step": number + 1}
        loss = called(step, given | numbers | now)
        with np.errstate(all="ignore"):
            converted = net.inputs.convert(batch[0][rows])
            expected = mean_loss(*net.backpropagate(converted, targets, weights))
            optimizer.step(arena.values, arena.grads)
        assert np.float64(loss).tobytes() == np.float64(expected).tobytes()
        for name, array in (("w", arena.values), ("g", arena.grads), ("states", arena.states)):
            assert given[name].tobytes() == array.tobytes(), name
        for name, slot in optimizer.memory.items():
            assert given[name].tobytes() == slot.tobytes(), name


def check_prediction(net: Network, x: Array) -> None:
    """Outputs, predictions and probabilities of the layers and of the source."""
    predict = function_of(unroll(net, x=x[:5]))
    short = short_names(net)
    given = {short[name]: item.value for name, item in net.declared().items()}
    found = called(predict, given | {"x": x})
    with np.errstate(all="ignore"):
        z = net.body.forward(net.inputs.convert(x), train=False)
    y = net.loss.predict(z)
    expected = [z] if y is z and z.shape[-1] > 1 else [z, net.targets.predicted(z)]
    if net.loss.has_probabilities:
        p = net.loss.predict_proba(z)
        expected.append(np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p)
    for one, other in zip(found if len(expected) > 1 else [found], expected, strict=True):
        assert np.asarray(one).tobytes() == other.tobytes()


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers(layer: Layer, shape: Shape) -> None:
    rng = np.random.default_rng(0)
    numbers = numbers_for(layer, shape)
    body = [copy.deepcopy(layer)] if numbers is not None else [Dense(shape[-1]), layer]
    net = Network(copy.deepcopy(Sequential(body)), MeanSquaredError(), shape=shape)
    x = rng.normal(size=(7, *shape)).astype("f") if numbers is None else numbers.astype("f")
    net.adapt(x)
    net.arena.values += 0.1 * rng.standard_normal(net.arena.values.shape)
    check_prediction(net, x)
    check_step(net, SGD(), x, rng.normal(size=(7, *net.body.output_shape)))


@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=named)
def test_losses(loss: Loss, shape: Shape, targets: Any) -> None:
    rng = np.random.default_rng(0)
    net = Network(Dense(shape[-1]), copy.deepcopy(loss), shape=(*shape[:-1], 4))
    x, t = rng.normal(size=(7, *net.shape)), np.resize(targets, (7, *np.shape(targets)[1:]))
    check_prediction(net, x)
    check_step(net, SGD(), x, t)
    check_step(net, SGD(), x, t, rng.random(7))
    assert "def train_step(x, t, w, g)" in unroll(net, SGD())


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *CHANGED], ids=named)
def test_optimizers(optimizer: Optimizer) -> None:
    rng = np.random.default_rng(0)
    net = Network(Sequential([Dense(4), ReLU(), Dense(3)]), MeanSquaredError(), shape=(3,))
    x, t = rng.normal(size=(7, 3)).astype("f"), rng.normal(size=(7, 3))
    if isinstance(optimizer, LBFGS):
        with pytest.raises(RecordingError, match="LBFGS"):
            unroll(net, optimizer)
    else:
        check_step(net, optimizer, x, t)


@pytest.mark.parametrize(
    ("batch", "dtype"), [(1, "float32"), (2, "float64"), (128, "float32"), (1000, "float32")]
)
def test_any_batch_of_bytes(batch: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    body = Sequential([Dense(64), Sigmoid(), Dropout(0.1), Dense(10)])
    net = Network(body, SoftmaxCrossEntropy(), (784,), dtype)
    x, t = rng.integers(0, 256, (batch, 784)).astype(np.uint8), rng.integers(0, 10, batch)
    check_step(net, Momentum(lr=4.0), x, t)
    check_prediction(net, x)


@pytest.mark.parametrize(
    ("layers", "optimizer"),
    [
        ([Dense(8), Sigmoid(), Dropout(0.2), Dense(3)], Momentum(lr=1.0)),
        ([Dense(8, init=Orthogonal()), BatchNorm(), ReLU(), Dense(3)], Rprop()),
        ([Dense(8), Dense(3)], Adam(schedules={"lr": CosineSchedule()})),
        ([Dense(8), LayerNorm(), ReLU(), Dense(3)], SGD()),
    ],
)
def test_a_training(layers: list[Layer], optimizer: Optimizer) -> None:
    rng = np.random.default_rng(0)
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), shape=(6,))
    x, t = rng.normal(size=(100, 6)).astype("f"), rng.integers(0, 3, 100)
    space: dict[str, Any] = {}
    before = net.arena.values.copy()
    exec(unroll(net, optimizer, x, t, epochs=3, batch_size=32, seed=5), space)
    assert net.arena.values.tobytes() == before.tobytes()
    rates = {
        n: [getattr(optimizer, n) * f(i, 12) for i in range(12)]
        for n, f in optimizer.schedules.items()
    }
    w, *_, losses = space["train"](x, t, **rates)
    assert len(losses) == 12
    fit(net.initialize(5), optimizer, x, t, epochs=3, batch_size=32, seed=5)
    assert w.tobytes() == net.arena.values.tobytes()


def test_parts_of_a_step_need_an_optimizer() -> None:
    net = Network(Dense(3), SoftmaxCrossEntropy(), shape=(6,))
    for name, value in (("t", [0]), ("sample_weight", [1.0]), ("epochs", 2)):
        options: dict[str, Any] = {name: value}
        with pytest.raises(ConfigError, match=f"unroll: {name} is for a step"):
            unroll(net, x=np.ones((1, 6)), **options)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"epochs": 1.5}, {"batch_size": 0}, {"seed": -1}])
def test_numbers_of_a_loop_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    net = Network(Dense(3), SoftmaxCrossEntropy(), shape=(6,))
    [(name, value)] = wrong.items()
    with pytest.raises(ConfigError, match=f"{name} = {value}: should be a whole number, at least"):
        unroll(net, SGD(), **{"epochs": 1, **wrong})


def test_a_training_that_needs_the_data_is_refused() -> None:
    net = Network(Sequential([Standardize(), Dense(3)]), SoftmaxCrossEntropy(), shape=(6,))
    with pytest.raises(RecordingError, match=r"body.layers.0: Standardize is fitted to the"):
        unroll(net, SGD(), epochs=1)


ROWS = [pair for pair in LAYERS if len(pair[1]) == 1 and numbers_for(*pair) is None]
RULES = [rule for rule in [*OPTIMIZERS, *CHANGED] if not isinstance(rule, LBFGS)]


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    layers=st.lists(st.integers(0, len(ROWS) - 1), min_size=2, max_size=5),
    rule=st.integers(0, len(RULES) - 1),
)
def test_any_layers_together(layers: list[int], rule: int) -> None:
    optimizer = from_config(to_config(RULES[rule]), type(RULES[rule]))
    pairs = [ROWS[i] for i in layers]
    body = [copy.deepcopy(part) for layer, shape in pairs for part in (Dense(shape[-1]), layer)]
    net = Network(Sequential([*body, Dense(3)]), SoftmaxCrossEntropy(), shape=(4,))
    x = np.random.default_rng(0).normal(size=(9, 4)).astype("f")
    net.adapt(x)
    check_prediction(net, x)
    check_step(net, optimizer, x, np.arange(9) % 3)


def test_examples_are_found_that_the_network_takes() -> None:
    body = Sequential([Embedding(5, 2), Flatten(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    assert "x: examples (N, 3), float32" in unroll(net, SGD())
    flags = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    fit(flags, SGD(), np.eye(3, dtype=np.uint8), [0, 1, 1], epochs=1)
    assert "x: examples (N, 3), bool" in unroll(flags, SGD())


def test_a_long_signature_is_wrapped() -> None:
    body = Sequential([Dense(8) for _ in range(20)])
    source = unroll(Network(body, MeanSquaredError(), shape=(8,)))
    assert max(map(len, source.splitlines())) <= 88


def test_statements_are_those_of_a_person() -> None:
    net = Network(
        Sequential([Dense(64), Sigmoid(), Dense(10)]), SoftmaxCrossEntropy(), shape=(784,)
    )
    for optimizer, lines in [
        (None, ["h = x @ W0 + b0", "z = a @ W1 + b1", "return z, y, p"]),
        (
            Momentum(),
            [
                *("lr = 0.1", "beta = 0.9", "W0 = w[:50176].reshape(784, 64)"),
                *("e = np.exp(-np.abs(h))", "loss = (-log_p[t, n]).sum(dtype=float) / N"),
                *("dz[t, n] -= 1", "dz = dz.T / N", "dW1[...] = a.T @ dz", "da = dz @ W1.T"),
                *("dh = e * s * s * da", "v += g * (1 - beta)", "w -= v * lr"),
            ],
        ),
        (
            AdamW(lr=0.01),
            [
                *("mask[:50176] = True", "w -= w * mask * (lr * weight_decay)"),
                "w -= m / (np.sqrt(v) / (1 - beta2**step) ** 0.5 + eps) * (lr / (1 - beta1**step))",
            ],
        ),
    ]:
        source = unroll(net, optimizer)
        assert source == unroll(net, optimizer)
        said = [line.strip() for line in source.splitlines()]
        assert max(map(len, source.splitlines())) <= 88
        for line in lines:
            assert line in said
