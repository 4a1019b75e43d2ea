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
    State,
    Zeros,
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
    assert np.allclose(net.arena.states[4:], 0, atol=1e-5)


def test_nothing_is_predicted_before() -> None:
    net = network(Centred(), Dense(2))
    for ask in (net.predict, lambda x: net.gradient(x, T[:2])):
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


def test_random_layers_leave_weights_of_a_seed_as_they_are() -> None:
    plain, noisy = network(Dense(3), Dense(2)), network(Noisy(), Dense(3), Noisy(), Dense(2))
    assert np.array_equal(plain.arena.values, noisy.arena.values)


def test_a_layer_without_a_network_has_no_random_numbers() -> None:
    with pytest.raises(AttributeError, match="no random numbers yet"):
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
    with pytest.raises(DataError, match=r"body\.layers\.0: Pairs needs at least 2 .* is one of 1"):
        fit(net, SGD(), X[:21], T[:21], batch_size=10)
    assert np.array_equal(net.arena.values, before)
    fit(net, SGD(), X[:22], T[:22], batch_size=10, epochs=1)
    fit(net, SGD(), X[:20], T[:20], batch_size=10, epochs=1)


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
    assert np.array_equal(new.arena.states, unseen.arena.states)
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
