"""What is done around every optimizer's rule."""

import copy
import math
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    APL,
    LAMB,
    LARS,
    LBFGS,
    SGD,
    Adam,
    AdamW,
    Arena,
    ConfigError,
    ConstantSchedule,
    Dense,
    Flatten,
    LinearSchedule,
    Momentum,
    Muon,
    Network,
    Optimizer,
    Param,
    PReLU,
    ReLU,
    Rprop,
    Schedule,
    Sequential,
    SoftmaxCrossEntropy,
    SReLU,
    Tanh,
    Zeros,
    fit,
    from_config,
    to_config,
)
from layerkit.config.tables import choices_for
from layerkit.optimizers.around import (
    add_l1,
    add_l2,
    clip_norm,
    clip_value,
    decay_weights,
    scale_step,
)

OPTIMIZERS: list[Any] = [
    cls for cls in choices_for(Optimizer) if cls.__module__.startswith("layerkit.optimizers.")
]


class Halving(Schedule):
    def factor(self, step: int, steps: int) -> float:
        return 0.5**step


def arena() -> Arena:
    """W (2, 2) = 1 2 3 4, b (2,) = 5 6, with gradients of 3 and 4 and 0."""
    place = Arena({"body.W": Param((2, 2), Zeros()), "body.b": Param((2,), Zeros())}, "float64")
    place.values = np.arange(1.0, 7.0)
    place.grads = np.array([3.0, 4.0, 0, 0, 6.0, 8.0])
    return place


def step(optimizer: Optimizer, place: Arena, times: int = 1) -> np.ndarray[Any, Any]:
    optimizer.bind(place)
    before = place.values.copy()
    for _ in range(times):
        optimizer.step(place.values, place.grads)
    moved: np.ndarray[Any, Any] = place.values - before
    return moved


def test_each_function_does_its_formula() -> None:
    g, w, mask, s = np.array([3.0, -4.0]), np.array([-2.0, 8.0]), np.array([1.0, 0.0]), np.empty(2)
    clip_norm(g, 5.0, s)
    assert g.tolist() == [3, -4]
    clip_norm(g, 2.5, s)
    assert g.tolist() == [1.5, -2]
    clip_value(g, 1.75)
    assert g.tolist() == [1.5, -1.75]
    add_l2(g, w, 0.5, mask, s)
    assert g.tolist() == [0.5, -1.75]
    add_l1(g, w, 0.25, mask, s)
    assert g.tolist() == [0.25, -1.75]
    decay_weights(w, 0.25, mask, s)
    assert w.tolist() == [-1.5, 8]
    scale_step(w, np.array([0.5, 4.0]), 0.5, s)
    assert w.tolist() == [-0.5, 6]


def test_decay_is_decoupled_and_leaves_biases_alone() -> None:
    place = arena()
    place.grads = np.zeros(6)
    assert step(Adam(lr=0.1, weight_decay=0.5), place).tolist() == pytest.approx(
        [-0.05, -0.1, -0.15, -0.2, 0, 0]
    )


@pytest.mark.parametrize(
    ("options", "gradient"),
    [
        ({"l2": 0.5}, [3.5, 5, 1.5, 2, 6, 8]),
        ({"l1": 0.5}, [3.5, 4.5, 0.5, 0.5, 6, 8]),
        ({"l2": 0.5, "penalize": ["*.b"]}, [3, 4, 0, 0, 8.5, 11]),
        ({"l2": 0.5, "penalize": ["*"]}, [3.5, 5, 1.5, 2, 8.5, 11]),
        ({"clip_value": 5.0}, [3, 4, 0, 0, 5, 5]),
        ({"clip_norm": 5.0}, [3, 4, 0, 0, 3, 4]),
        ({"clip_norm": 2.5}, [1.5, 2, 0, 0, 1.5, 2]),
        ({"clip_global_norm": 125**0.5 / 2}, [1.5, 2, 0, 0, 3, 4]),
        ({"clip_global_norm": 12.0}, [3, 4, 0, 0, 6, 8]),
        # g is clipped, then the penalty is added
        ({"clip_value": 1.0, "l2": 1.0}, [2, 3, 3, 4, 1, 1]),
        ({"rates": {"body.W": 0.5}}, [1.5, 2, 0, 0, 6, 8]),
        ({"rates": {"*": 0.0, "*.b": 2.0}}, [0, 0, 0, 0, 12, 16]),
        # a frozen parameter has no gradient that others would be clipped for
        ({"rates": {"*.b": 0.0}, "clip_global_norm": 2.5}, [1.5, 2, 0, 0, 0, 0]),
    ],
    ids=str,
)
def test_the_gradient_that_counts(options: dict[str, Any], gradient: list[float]) -> None:
    place = arena()
    before = place.grads.copy()
    assert step(SGD(lr=1.0, **options), place).tolist() == pytest.approx([-g for g in gradient])
    assert np.array_equal(place.grads, before), "the network's gradient is read only"


def test_a_penalty_is_the_derivative_of_what_its_docstring_says() -> None:
    place = arena()
    place.grads = np.zeros(6)
    place.values[0] = -1
    w = place.values[:4].copy()
    moved = step(SGD(lr=1.0, l1=0.3, l2=0.2), place)

    def penalty(w: np.ndarray[Any, Any]) -> float:
        return float(0.3 * abs(w).sum() + 0.2 * (w**2).sum() / 2)

    h = 1e-6
    for i, e in enumerate(np.eye(4)):
        slope = (penalty(w + h * e) - penalty(w - h * e)) / (2 * h)
        assert -moved[i] == pytest.approx(slope, rel=1e-6)


def test_huge_gradients_are_clipped_to_the_limit_and_not_to_0() -> None:
    place = Arena({"w": Param((2,), Zeros())}, "float32")
    place.grads = np.array([3e30, 4e30])
    with np.errstate(all="raise"):
        moved = step(SGD(lr=1.0, clip_global_norm=5.0), place)
    assert moved.tolist() == pytest.approx([-3, -4])


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", [SGD, Momentum, Adam])
def test_frozen_parameters_stay_bit_for_bit(optimizer: Any, decay: float) -> None:
    free, part = arena(), arena()
    one = optimizer(lr=0.1, weight_decay=decay)
    other = optimizer(lr=0.1, weight_decay=decay, rates={"*.W": 0.0})
    step(one, free, 7)
    step(other, part, 7)
    assert part.values[:4].tolist() == [1, 2, 3, 4]
    assert np.array_equal(part.values[4:], free.values[4:]), "the rest moves as without"


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_what_is_left_goes_downhill_with_its_penalty(cls: Any) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(30, 3)), rng.integers(2, size=30)
    body = Sequential([Dense(6), Tanh(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,), dtype="float64").initialize(0)
    W, frozen = (net.params()[f"body.layers.{i}.W"].value for i in (2, 0))
    frozen *= 10
    frozen_before = frozen.copy()
    optimizer = cls(l2=0.1, rates={"body.layers.0.*": 0.0})
    optimizer.bind(net.arena)

    def height() -> float:
        return net.gradient(x, t) + 0.1 * float((W**2).sum()) / 2

    start = height()
    for _ in range(20):
        net.gradient(x, t)
        optimizer.step(net.arena.values, net.arena.grads, lambda: net.gradient(x, t))
    assert np.array_equal(frozen, frozen_before)
    assert height() < start


def test_the_search_of_lbfgs_knows_the_penalty() -> None:
    """Of (w - 1)^2 / 2 + 3 w^2 / 2 for each number that is not frozen, the minimum is 1/4."""
    place = Arena({"W": Param((2, 1), Zeros()), "U": Param((2, 1), Zeros())}, "float64")
    place.values = np.array([5.0, -1.0, 7.0, 8.0])

    def evaluate() -> float:
        place.grads = place.values - 1
        return float(((place.values - 1) ** 2).sum() / 2)

    optimizer = LBFGS(l2=3.0, rates={"U": 0.0})
    optimizer.bind(place)
    for _ in range(10):
        evaluate()
        optimizer.step(place.values, place.grads, evaluate)
    np.testing.assert_allclose(place.values, [0.25, 0.25, 7, 8], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": 0.1}, r"LBFGS.weight_decay = 0.1: should be 0, .*; use l2"),
        ({"rates": {"*": 0.5}}, r"LBFGS.rates.\* = 0.5: should be 0 or 1"),
        ({"rates": {"*.b": 1.0, "*.W": 2.0}}, r"LBFGS.rates.\*.W = 2.0: should be 0 or 1"),
    ],
)
def test_lbfgs_refuses_what_changes_a_step_after_the_search(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        LBFGS(**options)


def test_options_that_do_nothing_change_no_bit() -> None:
    plain, with_options = arena(), arena()
    step(Adam(lr=0.1), plain, 5)
    quiet = Adam(lr=0.1, clip_global_norm=1e9, rates={"*": 1.0}, l2=1e-300)
    step(quiet, with_options, 5)
    assert np.array_equal(plain.values, with_options.values)


def test_a_schedule_multiplies_an_option_for_the_step_alone() -> None:
    place, optimizer = arena(), SGD(lr=1.0, schedules={"lr": Halving()})
    place.grads = np.ones(6)
    assert step(optimizer, place, 3).tolist() == [-1.75] * 6
    assert optimizer.lr == 1.0
    assert optimizer == SGD(lr=1.0, schedules={"lr": Halving()})


def test_a_schedule_may_change_the_decay_too_and_starts_anew_with_a_training() -> None:
    place, optimizer = arena(), SGD(lr=1.0, weight_decay=0.5, schedules={"weight_decay": Halving()})
    place.grads = np.zeros(6)
    step(optimizer, place, 2)
    assert place.values[0] == 0.5 * 0.75
    step(optimizer, place)
    assert place.values[0] == 0.5 * 0.75 * 0.5


class Growing(Schedule):
    """1 for a while, then more and more, and in the end less."""

    def factor(self, step: int, steps: int) -> float:
        return 1.5 ** max(step - 3, 0) if step < 9 else 0.5


class Asked(Schedule):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.steps: list[int] = []

    def factor(self, step: int, steps: int) -> float:
        self.steps.append(step)
        return 1 / (1 + step)


def test_a_schedule_is_asked_once_for_each_step() -> None:
    lr, eps, place = Asked(), Asked(), arena()
    optimizer = Adam(schedules={"lr": lr, "eps": eps})
    optimizer.bind(place, steps=10)
    assert lr.steps == eps.steps == list(range(10))
    for _ in range(12):  # two more than there should be
        optimizer.step(place.values, place.grads)
    assert lr.steps == eps.steps == [*range(10), *range(12)]


class Undefined(Schedule):
    def factor(self, step: int, steps: int) -> float:
        return math.nan if step == 2 else 1.0


@pytest.mark.parametrize(
    ("options", "step", "message"),
    [
        ({"schedules": {"beta2": ConstantSchedule(2.0)}}, 0, "beta2 = 1.998: should be less than"),
        ({"schedules": {"beta1": ConstantSchedule(2.0)}}, 0, "beta1 = 1.8: should be less than 1"),
        ({"schedules": {"eps": ConstantSchedule(0.0)}}, 0, "eps = 0.0: should be greater than 0"),
        ({"beta1": 0.8, "schedules": {"beta1": Growing()}}, 8, "beta1 = .*: should be less than 1"),
        ({"schedules": {"lr": Undefined()}}, 2, "lr = nan: should be a finite number"),
        (
            {"clip_value": 1.0, "schedules": {"clip_value": ConstantSchedule(0.0)}},
            0,
            "clip_value = 0.0: should be greater than 0",
        ),
    ],
    ids=str,
)
def test_a_schedule_keeps_to_the_limits_of_its_option(
    options: dict[str, Any], step: int, message: str
) -> None:
    place, optimizer = arena(), Adam(**options)
    with pytest.raises(ConfigError, match=f"^Adam.{message}") as caught:
        optimizer.bind(place, steps=10)
    assert caught.value.place == f"schedules, step {step}"
    assert (optimizer.t, optimizer.layout, optimizer.steps) == (0, [], None)


def test_where_the_end_is_unknown_a_step_keeps_to_the_limits() -> None:
    w, optimizer = np.ones(3), Adam(beta1=0.8, schedules={"beta1": Growing()})
    for _ in range(4):
        optimizer.step(w, np.ones(3))
    before = w.copy()
    with pytest.raises(ConfigError, match=r"beta1 = 1\.2"):
        optimizer.step(w, np.ones(3))
    assert optimizer.t == 4
    assert optimizer.beta1 == 0.8
    assert np.array_equal(w, before)


def test_a_learning_rate_may_come_down_to_0() -> None:
    place, optimizer = arena(), SGD(lr=1.0, schedules={"lr": LinearSchedule(steps=2)})
    optimizer.bind(place, steps=4)
    place.grads = np.ones(6)
    for _ in range(4):
        optimizer.step(place.values, place.grads)
    assert place.values.tolist() == (np.arange(1.0, 7.0) - 1.5).tolist()


def test_bounds_that_are_scheduled_stay_in_order() -> None:
    grow: dict[str, Schedule] = {"min_step": ConstantSchedule(8.0)}
    with pytest.raises(ConfigError, match=r"min_step = 8\.0: should not be greater than max_step"):
        Rprop(min_step=1.0, max_step=2.0, schedules=grow).bind(arena(), steps=3)
    grow["max_step"] = ConstantSchedule(8.0)
    Rprop(min_step=1.0, max_step=2.0, schedules=grow).bind(arena(), steps=3)


def test_rprop_has_no_learning_rate_to_schedule() -> None:
    with pytest.raises(ConfigError, match=r"Rprop.schedules.lr: would have no effect.* max_step"):
        Rprop(schedules={"lr": Halving()})


def test_after_its_end_a_schedule_stays_where_it_is() -> None:
    place, optimizer = arena(), SGD(lr=1.0, schedules={"lr": LinearSchedule(end=0.5)})
    place.grads = np.ones(6)
    optimizer.bind(place, steps=2)
    moves = []
    for _ in range(5):
        before = place.values[0]
        optimizer.step(place.values, place.grads)
        moves.append(float(before - place.values[0]))
    assert moves == [1.0, 0.75, 0.5, 0.5, 0.5]


def test_a_step_that_is_refused_changes_nothing() -> None:
    w, optimizer = np.ones(3), SGD(lr=1.0, schedules={"lr": LinearSchedule()})
    with pytest.raises(ConfigError, match="length is not known"):
        optimizer.step(w, np.ones(3))
    assert (w.tolist(), optimizer.t, optimizer.lr) == ([1, 1, 1], 0, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": {"body.w": 0.1}}, r"SGD.rates: no parameter is called 'body.w'; did you mean"),
        ({"penalize": ["head.*"]}, r"SGD.penalize: no parameter is called 'head\.\*'"),
    ],
)
def test_names_that_no_parameter_has(options: dict[str, Any], message: str) -> None:
    place = arena()
    with pytest.raises(ConfigError, match=message):
        SGD(**options).bind(place)


def test_no_option_takes_memory_of_the_size_of_the_network() -> None:
    place = Arena({name: Param((250, 200), Zeros()) for name in "ABC"}, "float32")
    place.values, place.grads = np.ones(150_000), np.ones(150_000)
    options: dict[str, Any] = {"l1": 0.1, "l2": 0.1, "weight_decay": 0.1, "clip_norm": 1.0}
    optimizer = Adam(rates={"A": 0.0, "B": 0.5}, schedules={"lr": Halving()}, **options)
    step(optimizer, place)
    tracemalloc.start()
    try:
        optimizer.step(place.values, place.grads)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < place.values.nbytes / 10


def test_two_vectors_have_no_names() -> None:
    w = np.ones(3)
    with pytest.raises(ConfigError, match="have no names"):
        SGD(rates={"*": 0.0}).step(w, np.ones(3))
    assert w.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": -0.1}, "weight_decay = -0.1: should be greater than or equal to 0"),
        ({"l1": float("nan")}, "l1 = nan: should be a finite number"),
        ({"clip_value": 0.0}, "clip_value = 0.0: should be greater than 0"),
        ({"clip_value": 1.0, "clip_norm": 2.0}, "clip_value = 1.0 and clip_norm = 2.0: give one"),
        ({"rates": {"*": -1.0}}, r"rates.\* = -1.0: should be greater"),
        ({"schedules": {"lr": 0.5}}, "schedules.lr = 0.5: should be of type Schedule"),
        ({"schedules": {"rate": Halving()}}, "schedules.rate: no number of SGD has this name"),
        ({"schedules": {"LR": Halving()}}, "did you mean 'lr'"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SGD(**options)


def test_decay_without_a_rate_is_refused() -> None:
    class Fixed(Optimizer):
        def update(self, w: Any, g: Any) -> None:
            w -= g

    with pytest.raises(ConfigError, match="multiplied by lr, which Fixed does not have"):
        Fixed(weight_decay=0.1)


def test_all_of_them_go_through_a_configuration() -> None:
    optimizer = Adam(
        lr=0.1,
        weight_decay=0.2,
        l1=0.1,
        penalize=["*.b"],
        rates={"body.layers.0.*": 0.0},
        clip_norm=1.0,
        schedules={"lr": Halving()},
    )
    table = to_config(optimizer)
    assert table["schedules"] == {"lr": {"type": "Halving"}}
    assert from_config(table, Adam) == optimizer
    assert "l2" not in repr(optimizer)
    assert to_config(SGD(lr=1.0)).keys() == {"type", "lr", "weight_decay", "l1", "l2"}


def test_a_training_with_a_frozen_layer() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    body = Sequential([Dense(8), ReLU(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    before = {address: param.value.copy() for address, param in net.params().items()}
    fit(net, Adam(rates={"body.layers.0.*": 0.0}), x, x[:, 0] > 0, epochs=2, batch_size=10)
    for address, param in net.params().items():
        assert np.array_equal(param.value, before[address]) == address.startswith("body.layers.0.")


@pytest.mark.parametrize("layer", [PReLU(), PReLU(shared=False), SReLU(), APL()], ids=str)
def test_parameters_of_activations_are_no_weights(layer: Any) -> None:
    net = Network(Sequential([layer, Flatten()]), SoftmaxCrossEntropy(), shape=(3, 2))
    assert not any(param.decay for param in net.params().values())


def moved(optimizer: Optimizer, decay: bool) -> Any:
    """Return what 3 steps do to a parameter with two axes, which decay applies to or not."""
    place = Arena({"a": Param((2, 3), Zeros(), decay=decay)}, "float64")
    place.values, place.grads = np.arange(1.0, 7.0), np.array([3.0, -4.0, 1.0, 2.0, 0.5, -7.0])
    return step(optimizer, place, 3)


def test_muon_turns_matrices_and_not_tables_of_slopes() -> None:
    np.testing.assert_array_equal(moved(Muon(lr=0.1), False), moved(AdamW(lr=0.1), False))
    assert (moved(Muon(lr=0.1), True) != moved(AdamW(lr=0.1), True)).any()


@pytest.mark.parametrize("cls", [LARS, LAMB])
def test_the_trust_ratio_does_not_depend_on_what_is_penalized(cls: Any) -> None:
    for decay in (True, False):
        plain = moved(cls(lr=0.1), decay)
        for penalize in ([], ["*"]):
            np.testing.assert_array_equal(moved(cls(lr=0.1, penalize=penalize), decay), plain)
        spared = moved(cls(lr=0.1, weight_decay=0.5, penalize=[]), decay)
        np.testing.assert_array_equal(spared, plain)
        assert (moved(cls(lr=0.1, weight_decay=0.5, penalize=["*"]), decay) != plain).any()
    assert (moved(cls(lr=0.1), True) != moved(cls(lr=0.1), False)).all()


COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda optimizer: pickle.loads(pickle.dumps(optimizer)),
]
WITH_ALL: dict[str, Any] = {"l2": 0.1, "clip_norm": 1.0, "rates": {"*.W": 0.0}}


@pytest.mark.parametrize("how", COPIES, ids=["copy", "deepcopy", "pickle"])
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_copy_goes_on_alone_and_alike(cls: Any, how: Callable[[Any], Any]) -> None:
    place, optimizer = arena(), cls(**WITH_ALL)
    step(optimizer, place, 3)
    other, w = how(optimizer), place.values.copy()
    kept = {name: slot.copy() for name, slot in other.memory.items()}
    optimizer.step(place.values, place.grads)
    for name, slot in other.memory.items():
        assert np.array_equal(slot, kept[name]), name
    other.step(w, place.grads)
    np.testing.assert_array_equal(w, place.values)


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_state_goes_on_in_another_optimizer_of_vectors_without_names(cls: Any) -> None:
    one, other, w, g = cls(l2=0.1), cls(l2=0.1), np.arange(1.0, 7.0), np.linspace(-1.0, 1.0, 6)
    for _ in range(3):
        one.step(w, g)
    other.load_state_dict(one.state_dict())
    u = w.copy()
    one.step(w, g)
    other.step(u, g)
    np.testing.assert_array_equal(u, w)


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_a_pickle_holds_no_scratch_memory(cls: Any) -> None:
    place, optimizer = arena(), cls(**WITH_ALL)
    step(optimizer, place, 3)
    state = optimizer.__getstate__()
    assert not any(isinstance(value, np.ndarray) for value in state.values())
    assert state["memory"].keys() == optimizer.memory.keys()


def test_addresses_are_read_when_a_training_begins() -> None:
    place, optimizer = arena(), SGD(lr=1.0, rates={"*.W": 0.0})
    place.grads = np.ones(6)
    assert step(optimizer, place).tolist() == [0, 0, 0, 0, -1, -1]
    optimizer.rates = {"*.b": 0.0}
    assert step(optimizer, place).tolist() == [-1, -1, -1, -1, 0, 0]
