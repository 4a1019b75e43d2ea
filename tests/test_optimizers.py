"""Optimizers against implementations of their formulas in plain Python."""

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Adam,
    ConfigError,
    Dense,
    Momentum,
    Nesterov,
    Network,
    Optimizer,
    RMSProp,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
)

OPTIMIZERS: list[Any] = [SGD, Momentum, Nesterov, RMSProp, Adam]
STEPS = 300
STARTS = [-3.0, -0.5, 0.1, 2.0, 7.0]


def slope(w: float) -> float:
    """The derivative of sin(3 w) + 0.1 w^2: hills and valleys."""
    return 3 * math.cos(3 * w) + 0.2 * w


def sgd(w: float, lr: float) -> float:
    for _ in range(STEPS):
        w = w - lr * slope(w)
    return w


def heavy_ball(w: float, lr: float, beta: float) -> float:
    """PyTorch's momentum: the moving-average form with lr (1 - beta)."""
    v = 0.0
    for _ in range(STEPS):
        v = beta * v + slope(w)
        w = w - lr * (1 - beta) * v
    return w


def nesterov(w: float, lr: float, beta: float) -> float:
    """Sutskever's form, which takes the gradient ahead; its point ahead is what ours calls w."""
    v = 0.0
    for _ in range(STEPS):
        v = beta * v - lr * slope(w + beta * v)
        w = w + v
    return w + beta * v


def rmsprop(w: float, lr: float, alpha: float, eps: float) -> float:
    v = 0.0
    for _ in range(STEPS):
        g = slope(w)
        v = alpha * v + (1 - alpha) * g**2
        w = w - lr * g / (math.sqrt(v) + eps)
    return w


def adam(w: float, lr: float, beta1: float, beta2: float, eps: float) -> float:
    """With the means written out as sums over all gradients so far."""
    past: list[float] = []
    for t in range(1, STEPS + 1):
        past.append(slope(w))
        m = math.fsum((1 - beta1) * beta1 ** (t - i) * g for i, g in enumerate(past, 1))
        v = math.fsum((1 - beta2) * beta2 ** (t - i) * g * g for i, g in enumerate(past, 1))
        w = w - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return w


@pytest.mark.parametrize(
    ("optimizer", "reference"),
    [
        (SGD(lr=0.05), lambda w: sgd(w, 0.05)),
        (Momentum(lr=0.05, beta=0.8), lambda w: heavy_ball(w, 0.05, 0.8)),
        (Nesterov(lr=0.01, beta=0.9), lambda w: nesterov(w, 0.01, 0.9)),
        (RMSProp(lr=0.01, alpha=0.9, eps=1e-3), lambda w: rmsprop(w, 0.01, 0.9, 1e-3)),
        (
            Adam(lr=0.02, beta1=0.8, beta2=0.99, eps=1e-3),
            lambda w: adam(w, 0.02, 0.8, 0.99, 1e-3),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Optimizer) else "",
)
def test_the_path_is_that_of_the_formula(
    optimizer: Optimizer, reference: Callable[[float], float]
) -> None:
    w = np.array(STARTS)
    for _ in range(STEPS):
        optimizer.step(w, np.array([slope(float(value)) for value in w]))
    np.testing.assert_allclose(w, [reference(start) for start in STARTS], rtol=1e-12, atol=1e-12)


def test_sgd_on_a_bowl_is_a_geometric_series() -> None:
    w, optimizer = np.array([1.0, -2.0]), SGD(lr=0.1)
    for _ in range(50):
        optimizer.step(w, 0.5 * w)
    np.testing.assert_allclose(w, np.array([1.0, -2.0]) * 0.95**50, rtol=1e-13)


@pytest.mark.parametrize("g", [1e-3, 1.0, 1e3])
def test_the_first_step_of_adam_has_the_length_of_its_learning_rate(g: float) -> None:
    w = np.zeros(1)
    Adam(lr=0.01, eps=1e-12).step(w, np.array([g]))
    assert w[0] == pytest.approx(-0.01)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_float32_network_stays_float32(make: Any) -> None:
    optimizer = make()
    net = Network(Sequential([Dense(4), Sigmoid(), Dense(3)]), SoftmaxCrossEntropy(), (5,))
    x, t = np.random.default_rng(0).normal(size=(7, 5)), np.arange(7) % 3
    for _ in range(3):
        net.gradient(x, t)
        optimizer.step(net.arena.values, net.arena.grads)
    arrays = [net.arena.values, net.arena.grads, net.outputs(x), net.predict_proba(x)]
    arrays += [optimizer.s, *optimizer.memory.values()]
    arrays += [array for p in net.params().values() for array in (p.value, p.grad)]
    assert {array.dtype for array in arrays} == {np.dtype("float32")}


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_no_step_but_the_first_takes_memory_of_the_size_of_the_network(
    make: Any,
) -> None:
    optimizer, w, g = make(), np.zeros(100_000, np.float32), np.ones(100_000, np.float32)
    optimizer.step(w, g)
    tracemalloc.start()
    try:
        optimizer.step(w, g)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < w.nbytes / 2


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_refused_first_step_changes_nothing(make: Any) -> None:
    fresh, w = make(), np.ones(3)
    with pytest.raises(ShapeError, match=r"float64 parameters \(3,\) with gradients \(2,\)"):
        fresh.step(w, np.ones(2))
    assert w.tolist() == [1, 1, 1]
    assert (fresh.t, fresh.memory) == (0, {})
    fresh.step(np.ones(5), np.ones(5))
    assert fresh.t == 1


@pytest.mark.parametrize(
    ("w", "g"),
    [(np.ones(4), np.ones(4)), (np.ones(3, "f4"), np.ones(3, "f4")), (np.ones((3, 1)), np.ones(3))],
)
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_an_optimizer_refuses_another_network(make: Any, w: Any, g: Any) -> None:
    used = make()
    used.step(np.ones(3), np.ones(3))
    memory = {name: slot.copy() for name, slot in used.memory.items()}
    with pytest.raises(ShapeError, match=r"began with float64 \(3,\); make a new one"):
        used.step(w, g)
    assert used.t == 1
    assert (w == 1).all()
    for name, slot in used.memory.items():
        np.testing.assert_array_equal(slot, memory[name])


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -0.1, "0.1", True, None])
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_learning_rates_that_cannot_be_are_refused(make: Any, bad: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{make.__name__}\.lr = {bad!r}: should be"):
        make(lr=bad)


@pytest.mark.parametrize("bad", [math.nan, 1.0, -0.1, 1.5])
@pytest.mark.parametrize(
    ("cls", "option"),
    [
        (Momentum, "beta"),
        (Nesterov, "beta"),
        (RMSProp, "alpha"),
        (Adam, "beta1"),
        (Adam, "beta2"),
    ],
)
def test_decays_are_from_zero_to_less_than_one(cls: Any, option: str, bad: float) -> None:
    with pytest.raises(ConfigError, match=f"{option} = {bad}: should be"):
        cls(**{option: bad})
    assert getattr(cls(**{option: 0}), option) == 0.0
