"""Optimizers against implementations of their formulas in plain Python."""

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from layerkit import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    Adam,
    AdamW,
    AMSGrad,
    CenteredRMSProp,
    ConfigError,
    Dense,
    HeavyBall,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    Network,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
)
from layerkit.config.tables import choices_for

OPTIMIZERS: list[Any] = [
    cls for cls in choices_for(Optimizer) if cls.__module__.startswith("layerkit.optimizers.")
]
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
    assert {array.dtype for array in arrays if array.dtype.kind == "f"} == {np.dtype("float32")}


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


NEVER: list[Any] = [math.nan, math.inf, -math.inf, -0.1, "0.1", True, [0.1]]
BAD: dict[str, list[Any]] = {
    name: bad
    for bad, names in (
        ([0.0, None], ("lr", "eps", "trust", "min_step", "max_step")),
        ([0.0], ("clip_value", "clip_norm", "clip_global_norm")),
        ([None], ("weight_decay", "l1", "l2", "momentum_decay", "eps_root")),
        ([1.0, 1.5, None], ("beta", "beta1", "beta2", "beta3", "alpha", "rho", "momentum")),
        ([0.0, 1.0, 1.5, None], ("eta_minus",)),
        ([0.0, 0.5, 1.0, None], ("eta_plus",)),
        ([0, 1.0, None], ("history_size",)),
    )
    for name in names
}
"""What is refused, beside NEVER."""
SMALLEST = {"eta_minus": 1e-9, "eta_plus": 1 + 1e-9, "history_size": 1, "max_step": 1e-6}
"""What is taken, if it is neither 0 nor a very small number."""
NOT_NUMBERS = {"penalize", "rates", "schedules"}


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_options_that_cannot_be_are_refused(cls: Any) -> None:
    for name in {option.name for option in fields(cls)} - NOT_NUMBERS:
        for bad in NEVER + BAD[name]:
            with pytest.raises(ConfigError, match=rf"^{cls.__name__}\.{name} = .*: should"):
                cls(**{name: bad})
        smallest = SMALLEST.get(name, 1e-300 if 0.0 in BAD[name] else 0.0)
        assert getattr(cls(**{name: smallest}), name) == smallest


def test_the_bounds_of_a_step_are_in_order() -> None:
    with pytest.raises(ConfigError, match=r"min_step = 2\.0: should not be greater than max_step"):
        Rprop(min_step=2.0, max_step=1.0)


def random_steps(optimizer: Optimizer, shape: tuple[int, ...] = (5,), steps: int = 50) -> Any:
    w, rng = np.zeros(shape), np.random.default_rng(0)
    for _ in range(steps):
        optimizer.step(w, rng.normal(size=shape))
    return w


def test_the_mean_of_gradients_is_a_scaled_sum() -> None:
    mean, total = Momentum(lr=0.3, beta=0.9), HeavyBall(lr=0.3 * (1 - 0.9), beta=0.9)
    np.testing.assert_allclose(random_steps(mean), random_steps(total), rtol=1e-13)


@pytest.mark.parametrize("other", [HeavyBall, Nesterov])
def test_without_memory_momentum_is_descent(other: Any) -> None:
    np.testing.assert_array_equal(random_steps(other(lr=0.3, beta=0.0)), random_steps(SGD(lr=0.3)))


def test_amsgrad_is_adam_as_long_as_the_mean_square_grows() -> None:
    adam, amsgrad, w, u = Adam(), AMSGrad(), np.zeros(3), np.zeros(3)
    for t in range(1, 20):
        adam.step(w, np.array([t, -t, t**2], float))
        amsgrad.step(u, np.array([t, -t, t**2], float))
    np.testing.assert_array_equal(w, u)
    adam.step(w, np.zeros(3))
    amsgrad.step(u, np.zeros(3))
    assert (w != u).all()


def test_the_centred_mean_square_of_equal_gradients_is_their_variance_zero() -> None:
    w, optimizer = np.zeros(1, np.float32), CenteredRMSProp(lr=1.0, alpha=0.5, eps=0.1)
    for _ in range(100):
        before = w.copy()
        optimizer.step(w, np.full(1, 0.1, np.float32))
    assert (before - w)[0] == pytest.approx(0.1 / 0.1, rel=1e-2)


def test_the_first_two_steps_of_nadam() -> None:
    """Worked out by hand, with beta1 = beta2 = 1/2, momentum_decay = 0, so that mu = 1/4."""
    w, nadam = np.zeros(1), NAdam(lr=1.0, beta1=0.5, beta2=0.5, eps=1.0, momentum_decay=0.0)
    nadam.step(w, np.array([2.0]))  # m = 1, v = 2, v' = 4, p = 1/4
    first = (3 / 4 / (3 / 4) * 2 + 1 / 4 / (15 / 16) * 1) / (2 + 1)
    assert w[0] == pytest.approx(-first, rel=1e-15)
    nadam.step(w, np.array([0.0]))  # m = 1/2, v = 1, v' = 4/3, p = 1/16
    second = (1 / 4 / (63 / 64) * 0.5) / (math.sqrt(4 / 3) + 1)
    assert w[0] == pytest.approx(-first - second, rel=1e-15)


def test_radam_begins_as_momentum_with_a_corrected_mean() -> None:
    """With beta2 = 0.999, rho exceeds 5 from step 6 on."""
    w, m, radam = np.zeros(1), 0.0, RAdam(lr=0.1)
    expected = 0.0
    for t in range(1, 7):
        radam.step(w, np.array([float(t)]))
        m = 0.9 * m + 0.1 * t
        expected -= 0.1 * m / (1 - 0.9**t)
        assert (w[0] == pytest.approx(expected, rel=1e-12)) == (t < 6)


def test_a_lion_steps_by_its_learning_rate() -> None:
    w = random_steps(Lion(lr=0.25, weight_decay=0.0), steps=1)
    np.testing.assert_array_equal(abs(w), 0.25)


def test_rprop_forgets_a_gradient_that_has_turned() -> None:
    w, rprop = np.zeros(1), Rprop(lr=1.0, eta_minus=0.5, eta_plus=2.0)
    path = []
    for g in (1.0, 1.0, -1.0, -1.0, -1.0):
        rprop.step(w, np.array([g]))
        path.append(float(w[0]))
    assert path == [-1.0, -3.0, -3.0, -2.0, 0.0]


@pytest.mark.parametrize("make", [LARS, LAMB])
def test_the_length_of_a_step_does_not_depend_on_the_size_of_the_gradient(make: Any) -> None:
    w = np.array([[3.0, 0.0], [0.0, 4.0]])
    g = np.random.default_rng(0).normal(size=(2, 2))
    moved = []
    for size in (1.0, 1e3):
        u = w.copy()
        make(lr=0.01).step(u, size * g)
        moved.append(u - w)
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-5)
    trust = 0.001 if make is LARS else 1.0
    assert np.linalg.norm(moved[0]) == pytest.approx(0.01 * trust * 5)


@pytest.mark.parametrize("make", [LARS, LAMB])
def test_parameters_that_are_zero_begin_with_a_ratio_of_one(make: Any) -> None:
    w = np.zeros(2)
    make(lr=0.5).step(w, np.array([2.0, -2.0]))
    np.testing.assert_allclose(w, [-1.0, 1.0] if make is LARS else [-0.5, 0.5], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(20, 5), (5, 20), (12, 12), (1, 7), (30, 1)])
def test_muon_makes_the_singular_values_equal(shape: tuple[int, int], dtype: str) -> None:
    g = np.random.default_rng(0).normal(size=shape).astype(dtype) * 1e-3
    w = np.zeros(shape, dtype)
    Muon(lr=1 / (0.2 * math.sqrt(max(shape))), weight_decay=0.0).step(w, g)
    U, _, Vt = np.linalg.svd(g, full_matrices=False)
    turned = -U.T @ w @ Vt.T
    assert w.dtype == dtype
    assert np.diag(turned).min() > 0.65
    assert np.diag(turned).max() < 1.25
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-4)


def test_muon_stays_where_a_matrix_has_no_gradient() -> None:
    w = np.ones((2, 3))
    Muon(weight_decay=0.0).step(w, np.zeros((2, 3)))
    np.testing.assert_array_equal(w, 1.0)


def test_muon_moves_all_but_matrices_as_adamw_does() -> None:
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.3, "eps": 0.1}
    np.testing.assert_array_equal(random_steps(Muon(**options)), random_steps(AdamW(**options)))
    cube = random_steps(Muon(**options), (2, 3, 4))
    np.testing.assert_array_equal(cube, random_steps(AdamW(**options), (2, 3, 4)))


@pytest.mark.parametrize("searching", [True, False])
@pytest.mark.parametrize("history_size", [3, 20])
def test_lbfgs_solves_least_squares(history_size: int, searching: bool) -> None:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(40, 8)) * np.geomspace(1, 10, 8), rng.normal(size=40)
    w, g, lbfgs = np.zeros(8), np.zeros(8), LBFGS(history_size=history_size)

    def evaluate() -> float:
        error = A @ w - b
        g[:] = A.T @ error
        return float(error @ error) / 2

    for _ in range(60):
        evaluate()
        lbfgs.step(w, g, evaluate if searching else None)
    np.testing.assert_allclose(w, np.linalg.lstsq(A, b)[0], atol=1e-4)


def test_lbfgs_learns_digits_better_than_descent() -> None:
    data = load_digits()
    x, t = data.data[:200] / 16, data.target[:200]

    def learn(optimizer: Optimizer, steps: int) -> float:
        net = Network(Sequential([Dense(16), Sigmoid(), Dense(10)]), SoftmaxCrossEntropy(), (64,))
        net.initialize(seed=0)
        for _ in range(steps):
            net.gradient(x, t)
            optimizer.step(net.arena.values, net.arena.grads, lambda: net.gradient(x, t))
        return net.gradient(x, t)

    best = min(learn(SGD(lr=lr), 200) for lr in (0.3, 1.0, 3.0))
    assert learn(LBFGS(), 40) < best / 10


@pytest.mark.parametrize("wall", [math.nan, math.inf])
def test_a_search_comes_back_from_where_there_is_no_loss(wall: float) -> None:
    w, g = np.array([4.0]), np.zeros(1)

    def evaluate() -> float:
        """Return w - log(w - 1/2), with a minimum at 3/2."""
        g[:] = 1 - 1 / (w - 0.5)
        return float(w[0]) - math.log(w[0] - 0.5) if w[0] > 0.5 else wall

    lbfgs = LBFGS(lr=1000.0)
    for _ in range(20):
        evaluate()
        lbfgs.step(w, g, evaluate)
    assert w[0] == pytest.approx(1.5, abs=1e-4)


def test_a_tiny_decay_of_lamb_is_next_to_none() -> None:
    w, plain = np.ones(3, "float32"), np.ones(3, "float32")
    LAMB(weight_decay=1e-39).step(w, 3 * w)
    LAMB().step(plain, 3 * plain)
    np.testing.assert_array_equal(w, plain)
