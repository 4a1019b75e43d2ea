"""What layers share with their network: states, random numbers, a look at the data, copies."""

import copy
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LSUV,
    SGD,
    Array,
    ConfigError,
    CosineSchedule,
    DataError,
    Dense,
    HeNormal,
    Layer,
    Network,
    Ones,
    ReLU,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    State,
    Zeros,
    evaluate,
    fit,
)

X = np.random.default_rng(0).normal(3, 2, size=(2500, 4))
T = (X[:, 0] > 3).astype(int)


class Centred(Layer):
    """y = x - mean, the mean of the training data."""

    adapts = True

    def build(self, shape: Shape) -> Shape:
        self.mean = State(shape, Zeros())
        return shape

    def adapt(self, batches: Iterable[Array]) -> None:
        self.mean.value = np.concatenate(list(batches)).mean(axis=0)

    def forward(self, x: Array, train: bool = True) -> Array:
        y: Array = x - self.mean.value
        return y

    def backward(self, dy: Array) -> Array:
        return dy


class Noisy(Layer):
    """y = x + noise while training."""

    random = True

    def forward(self, x: Array, train: bool = True) -> Array:
        noise: Array = np.asarray(self.rng.normal(size=x.shape))
        return x + noise.astype(x.dtype) if train else x

    def backward(self, dy: Array) -> Array:
        return dy


class Pairs(Layer):
    """A layer that needs two examples."""

    smallest_batch = 2

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy


def network(*layers: Layer) -> Network:
    return Network(Sequential([*layers]), SoftmaxCrossEntropy(), shape=(4,))


def test_training_shows_the_data_to_layers_that_adapt_once() -> None:
    net = network(Centred(), Dense(3), Centred(), Dense(2))
    fit(net, SGD(lr=0.1), X, T, epochs=1)
    first, second = (net["body.layers.0"], net["body.layers.2"])
    assert isinstance(first, Centred)
    assert isinstance(second, Centred)
    assert np.allclose(first.mean.value, X.mean(axis=0), rtol=1e-5)
    kept = net.arena.states.copy()
    assert kept[4:].any()
    fit(net, SGD(lr=0.1), X + 5, T, epochs=1)
    assert np.array_equal(net.arena.states, kept), "a network adapts to its first training alone"
    net.initialize()
    assert not net.arena.states.any()


def test_the_second_layer_adapts_to_what_the_first_gives_after_it_has_adapted() -> None:
    net = network(Centred(), Centred(), Dense(2)).adapt(X)
    assert np.allclose(net["body.layers.1.mean"].value, 0, atol=1e-5)  # type: ignore[union-attr]


def test_features_that_would_become_constant_are_refused() -> None:
    x = X.copy()
    x[:, 2] = 1.7e9 + x[:, 2]
    with pytest.raises(DataError, match=r"feature 2 goes from 1\d+\.\d+ to .* float32 can't tell"):
        fit(network(Centred(), Dense(2)), SGD(), x, T, epochs=1)
    body = Sequential([Centred(), Dense(2)])
    Network(body, SoftmaxCrossEntropy(), (4,), "float64").adapt(x)


class Fussy(Centred):
    """Refuses data whose mean is not positive."""

    def adapt(self, batches: Iterable[Array]) -> None:
        super().adapt(batches)
        if self.mean.value[0] <= 0:
            raise DataError("the mean should be positive")


def test_a_refused_adaptation_leaves_all_as_it_was() -> None:
    net, optimizer = network(Centred(), Fussy(), Dense(2)), SGD(schedules={"lr": CosineSchedule()})
    optimizer.bind(net.arena, steps=1000)
    before = net.arena.values.copy()
    with pytest.raises(DataError, match="should be positive"):
        fit(net, optimizer, X, T, epochs=1)
    assert not net.adapted
    assert not net.arena.states.any()
    assert np.array_equal(net.arena.values, before)
    assert optimizer.steps == 1000


def test_what_was_fitted_in_another_precision_is_refused() -> None:
    body = Sequential([Centred(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), (4,), "float64").adapt(X)
    with pytest.raises(ConfigError, match="fitted in float64, and the network is float32"):
        network(*copy.deepcopy(net.body.layers))  # type: ignore[attr-defined]


def test_nothing_is_predicted_before() -> None:
    net = network(Centred(), Dense(2))
    for ask in (
        net.predict,
        lambda x: net.gradient(x, T[:2]),
        lambda x: evaluate(net, x, T[:2]),
    ):
        with pytest.raises(ConfigError, match=r"train it, or call network\.adapt\(x\)"):
            ask(X[:2])
    net.adapt(X).predict(X[:2])


def test_weights_from_data() -> None:
    net = network(Dense(50, init=LSUV()), ReLU(), Dense(2, init=LSUV()))
    fit(net, SGD(lr=1e-9), X.astype("float32"), T, epochs=1)
    W, b = (net[f"body.layers.0.{name}"] for name in "Wb")
    assert isinstance(W, State)
    assert isinstance(b, State)
    first = X[:1024] @ W.value + b.value
    assert first.var() == pytest.approx(1, rel=0.1)


def test_each_layer_has_a_random_stream_of_the_seed() -> None:
    def draw(net: Network) -> tuple[Array, Array]:
        return tuple(net[f"body.layers.{i}"].rng.random(3) for i in (0, 1))  # type: ignore

    one, other = network(Noisy(), Noisy(), Dense(2)), network(Noisy(), Noisy(), Dense(2))
    a, b = draw(one)
    assert not np.array_equal(a, b)
    assert np.array_equal((a, b), draw(other))
    assert not np.array_equal((a, b), draw(one))
    assert np.array_equal((a, b), draw(one.initialize(0)))
    assert not np.array_equal((a, b), draw(one.initialize(1)))


def test_a_layer_without_a_network_has_no_random_numbers() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rng'; it is not built: put it"):
        Noisy().forward(X)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copies_train_on_alike_with_states_and_noise(how: str) -> None:
    net, optimizer = network(Centred(), Noisy(), Dense(2)), SGD(lr=0.1)
    fit(net, optimizer, X, T, epochs=1)
    twin, follower = (
        copy.deepcopy((net, optimizer))
        if how == "deepcopy"
        else pickle.loads(pickle.dumps((net, optimizer)))
    )
    assert twin.adapted
    for n, o in ((net, optimizer), (twin, follower)):
        fit(n, o, X, T, epochs=1)
    assert np.array_equal(net.arena.values, twin.arena.values)
    assert np.array_equal(net.arena.states, twin.arena.states)
    assert not np.shares_memory(net.arena.states, twin.arena.states)


def test_saved_and_loaded(tmp_path: Path) -> None:
    net = network(Centred(), Dense(2))
    net.save(tmp_path / "new.safetensors")
    assert not Network.load(tmp_path / "new.safetensors").adapted
    fit(net, SGD(lr=0.1), X, T, epochs=1)
    net.save(tmp_path / "model.safetensors")
    same = Network.load(tmp_path / "model.safetensors")
    assert np.array_equal(same.outputs(X), net.outputs(X))
    assert np.array_equal(same.arena.states, net.arena.states)


def test_a_last_batch_that_is_too_small_is_refused_before_the_first_step() -> None:
    net = network(Pairs(), Dense(2))
    before = net.arena.values.copy()
    with pytest.raises(
        DataError, match=r"body\.layers\.0: Pairs needs at least 2 .* leave a last one of 1"
    ):
        fit(net, SGD(), X[:21], T[:21], batch_size=10)
    assert np.array_equal(net.arena.values, before)
    fit(net, SGD(), X[:22], T[:22], batch_size=10, epochs=1)
    fit(net, SGD(), X[:20], T[:20], batch_size=10, epochs=1)


class WholeNumbers(Layer):
    """A layer that takes whole numbers."""

    def check(self, x: Array) -> None:
        if (x % 1).any():
            raise DataError(f"takes whole numbers, not {x[x % 1 != 0][0]}")

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy


@pytest.mark.parametrize("part", ["train", "test"])
def test_layers_look_at_all_they_will_be_given_before_the_first_step(part: str) -> None:
    net = network(WholeNumbers(), Dense(2))
    before, x = net.arena.values.copy(), np.ones((1500, 4))
    data, t = {"train": x.copy(), "test": x.copy()}, np.ones(1500, int)
    data[part][1200, 2] = 1.5
    with pytest.raises(DataError, match=r"takes whole numbers, not 1\.5") as error:
        fit(net, SGD(), data["train"], t, test=(data["test"], t), epochs=1)
    assert error.value.place == "body.layers.0, examples 1024 to 1499"
    assert np.array_equal(net.arena.values, before)


def test_what_has_adapted_stays_when_a_new_part_adapts() -> None:
    net = network(Centred(), Dense(8, init=LSUV()), Sigmoid(), Dense(2))
    fit(net, SGD(lr=0.5), X, T, epochs=1)
    new = network(*net.body[:3], Dense(2, init=LSUV()))  # type: ignore[index]
    fit(new, SGD(rates={"body.layers.1.*": 0.0}), X + 5, T, epochs=1)
    for address in ("body.layers.0.mean", "body.layers.1.W"):
        assert np.array_equal(new.declared()[address].value, net.declared()[address].value)


def test_a_network_that_has_adapted_in_part_is_saved_as_such(tmp_path: Path) -> None:
    net = network(Centred(), Dense(2)).adapt(X)
    new = network(*net.body[:1], Centred(), Dense(2))  # type: ignore[index]
    new.save(tmp_path / "model.safetensors")
    loaded = Network.load(tmp_path / "model.safetensors").adapt(X + 1)
    old, kept, fitted = (
        x["body.layers." + name].value  # type: ignore[union-attr]
        for x, name in ((net, "0.mean"), (loaded, "0.mean"), (loaded, "1.mean"))
    )
    assert np.array_equal(kept, old)
    assert np.allclose(fitted, 1, atol=1e-5)


def test_predictions_are_no_views_of_the_examples() -> None:
    net = Network(WholeNumbers(), SoftmaxCrossEntropy(), shape=(4,))
    x = np.ones((3, 4), "float32")
    net.outputs(x)[:] = 7
    assert (x == 1).all()


def test_parts_by_their_addresses() -> None:
    net = network(Dense(3), Sequential([Sigmoid(), Dense(2)]))
    assert net["body"] is net.body
    assert net["body.layers.1.layers.1"] is net.body.layers[1].layers[1]  # type: ignore
    assert net["body.layers.0.W"] is net.params()["body.layers.0.W"]
    with pytest.raises(ConfigError, match=r"'body\.layer\.0': nothing is there; did you mean"):
        net["body.layer.0"]


def test_copies_of_trained_layers_carry_their_numbers_into_another_network() -> None:
    net = network(Dense(3), Sigmoid(), Dense(2))
    fit(net, SGD(lr=0.5), X, T, epochs=1)
    features = copy.deepcopy(net.body.layers[:2])  # type: ignore[attr-defined]
    new = network(*features, Dense(2))
    W = net.params()["body.layers.0.W"].value
    assert np.array_equal(new.params()["body.layers.0.W"].value, W)
    fit(new, SGD(lr=0.5), X, T, epochs=1)
    assert not np.array_equal(new.params()["body.layers.0.W"].value, W)
    fresh = network(Dense(3), Sigmoid(), Dense(2)).initialize(1)
    assert np.array_equal(
        new.initialize(1).params()["body.layers.0.W"].value,
        fresh.params()["body.layers.0.W"].value,
    )


def test_a_copied_layer_has_seen_the_data_if_the_original_has() -> None:
    unseen = network(Centred(), Dense(2, init=LSUV()))
    assert not network(*copy.deepcopy(list(unseen.body.layers))).adapted  # type: ignore[attr-defined]
    assert not copy.deepcopy(unseen).adapted
    fit(unseen, SGD(), X, T, epochs=1)
    new = network(*unseen.body[:1], Dense(2))  # type: ignore[index]
    assert new.adapted
    fit(new, SGD(), X + 5, T, epochs=1)
    assert np.array_equal(new.arena.states, unseen.arena.states[: len(new.arena.states)])
    assert not network(*unseen.body[:1], Dense(2, init=LSUV())).adapted  # type: ignore[index]


def test_numbers_of_another_shape_are_refused_and_not_lost() -> None:
    net = network(Dense(3), Dense(2))
    first = copy.deepcopy(net["body.layers.0"])
    assert isinstance(first, Dense)
    with pytest.raises(ShapeError, match=r"value of shape \(4, 3\) .* of shape \(7, 3\)") as error:
        Network(Sequential([first, Dense(2)]), SoftmaxCrossEntropy(), shape=(7,))
    assert error.value.place == "body.layers.0.W"
    last = Dense(2)
    with pytest.raises(ShapeError, match="value of shape"):
        Network(Sequential([first, last]), SoftmaxCrossEntropy(), shape=(7,))
    network(Dense(8), last)
    again = network(first, Dense(2))
    assert np.array_equal(
        again.params()["body.layers.0.W"].value, net.params()["body.layers.0.W"].value
    )


def test_the_default_weights_suit_the_activation_that_follows() -> None:
    body = Sequential([Dense(3), ReLU(), Sequential([Dense(3)]), ReLU(), Dense(3), Sigmoid()])
    net = network(body, Dense(3, init=Ones()), ReLU(), Dense(2))
    inits = [type(p.init).__name__ for name, p in net.params().items() if name.endswith("W")]
    assert inits == ["HeNormal", "HeNormal", "LeCunNormal", "Ones", "LeCunNormal"]
    assert Dense(3) == Dense(3, init=None) != Dense(3, init=HeNormal())


def test_sample_weights_reach_the_loss() -> None:
    net = network(Dense(2))
    weights: Any = np.zeros(10)
    weights[:3] = 2
    loss = net.gradient(X[:10], T[:10], sample_weight=weights)
    g = net.arena.grads.copy()
    assert loss == pytest.approx(net.gradient(X[:3], T[:3]))
    assert np.allclose(g, net.arena.grads, atol=1e-7)
    with pytest.raises(DataError, match=r"sample weights of shape \(9,\)"):
        net.gradient(X[:10], T[:10], sample_weight=weights[:9])


class Bounded(Layer):
    """Takes numbers up to 10 alone."""

    def check(self, x: Array) -> None:
        if abs(x).max() > 10:
            raise DataError(f"{abs(x).max():.3g}; should be at most 10")

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy


def test_a_layer_checks_what_the_layers_before_it_make_of_the_data() -> None:
    x = 1000 * X
    net = network(Standardize(), Bounded(), Dense(2))
    fit(net, SGD(), x, T, epochs=1, validation=(x, T))
    x[5] = 1e6
    for options in ({"x": x}, {"validation": (x, T)}):
        given: Any = {"x": 1000 * X} | options
        with pytest.raises(DataError, match="should be at most 10") as caught:
            fit(net, SGD(), t=T, epochs=1, **given)
        assert caught.value.place == "body.layers.1, examples 0 to 1023"
