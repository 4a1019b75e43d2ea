"""Dropout, normalizations and fitted layers at work: training, files, copies, threads."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from layerkit import (
    SGD,
    AlphaDropout,
    Array,
    BatchNorm,
    DataError,
    Dense,
    Dropout,
    GaussianNoise,
    GroupNorm,
    LayerNorm,
    Momentum,
    Network,
    ReLU,
    RMSNorm,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    evaluate,
    fit,
    train,
)
from layerkit.runs.experiment import read_experiment

DIGITS = """
[network]
shape = [64]
loss = {type = "SoftmaxCrossEntropy"}

[network.body]
type = "Sequential"
layers = [
    {type = "Standardize"},
    {type = "Reshape", shape = [8, 8]},
    {type = "GaussianNoise", std = 0.1},
    {type = "Flatten"},
    {type = "Dense", units = 48},
    {type = "BatchNorm"},
    {type = "ReLU"},
    {type = "Dropout", rate = 0.2},
    {type = "Dense", units = 10},
]

[optimizer]
type = "Momentum"
lr = 0.5
beta = 0.9

[data]
name = "digits"

[training]
epochs = 8
batch_size = 32
seed = 1
"""

RNG = np.random.default_rng(0)
X = RNG.normal(1e3, 50, size=(300, 6))
T = (X[:, 0] - 1e3) * (X[:, 1] - 1e3) > 0


def network(seed: int = 0) -> Network:
    body = Sequential(
        [
            Standardize(),
            GaussianNoise(0.05),
            Dense(12),
            BatchNorm(),
            ReLU(),
            Dropout(0.1),
            Dense(12),
            LayerNorm(),
            ReLU(),
            AlphaDropout(0.05),
            Dense(8),
            GroupNorm(groups=2),
            RMSNorm(),
            Dense(2),
        ]
    )
    return Network(body, SoftmaxCrossEntropy(), shape=(6,)).initialize(seed)


def train_on(net: Network) -> Array:
    """All numbers after three epochs more."""
    fit(net, SGD(lr=0.1), X, T, epochs=3, batch_size=20, seed=7)
    return np.concatenate([net.arena.values, net.arena.states])


def reloaded(net: Network, folder: Path) -> Network:
    net.save(folder / "model.safetensors")
    return Network.load(folder / "model.safetensors")


COPIES: dict[str, Callable[[Network], Network]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "a copy of a copy": lambda net: copy.deepcopy(copy.deepcopy(net)),
}


def test_an_experiment_learns_the_digits_and_predicts_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "digits.toml"
    path.write_text(DIGITS)
    experiment = read_experiment(path)
    dataset = experiment.load_data()
    records = experiment.run(dataset)
    assert records[-1].test_accuracy > 0.95
    net, x = experiment.network, dataset.test.x
    same = reloaded(net, tmp_path)
    for ask in (Network.outputs, Network.predict_proba):
        np.testing.assert_array_equal(ask(same, x), ask(net, x))
    assert evaluate(same, x, dataset.test.t) == evaluate(net, x, dataset.test.t)
    again = read_experiment(path)
    again.run(dataset)
    np.testing.assert_array_equal(again.network.arena.values, net.arena.values)
    np.testing.assert_array_equal(again.network.arena.states, net.arena.states)


def test_a_file_has_all_that_was_learned(tmp_path: Path) -> None:
    net = network()
    train_on(net)
    same = reloaded(net, tmp_path)
    np.testing.assert_array_equal(same.outputs(X), net.outputs(X))
    states = {name for name in net.declared() if name not in net.params()}
    assert {name.rsplit(".", 1)[1] for name in states} == {
        *("fitted", "mean", "rest", "scale", "variance")
    }
    for name in states:
        np.testing.assert_array_equal(same.declared()[name].value, net.declared()[name].value)


def test_it_learns_from_raw_numbers() -> None:
    net = network()
    fit(net, Momentum(lr=0.3), X, T, epochs=40, batch_size=20)
    assert evaluate(net, X, T)[0] > 0.85


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("epochs", [0, 2])
def test_copies_train_on_as_the_original(how: str, epochs: int) -> None:
    net = network()
    if epochs:
        fit(net, SGD(lr=0.1), X, T, epochs=epochs, batch_size=20)
    twin = COPIES[how](net)
    if epochs:
        np.testing.assert_array_equal(twin.outputs(X), net.outputs(X))
    alone = train_on(net)
    np.testing.assert_array_equal(train_on(twin), alone)
    np.testing.assert_array_equal(twin.outputs(X), net.outputs(X))


def test_networks_in_one_process_do_not_share_random_numbers() -> None:
    alone = [train_on(network(seed)) for seed in (0, 1)]
    nets = [network(seed) for seed in (0, 1)]
    steps = [train(net, SGD(lr=0.1), X, T, epochs=3, batch_size=20, seed=7) for net in nets]
    for _ in zip(*steps, strict=True):
        np.random.default_rng(0).random()
    for net, expected in zip(nets, alone, strict=True):
        np.testing.assert_array_equal(
            np.concatenate([net.arena.values, net.arena.states]), expected
        )
    assert not np.array_equal(alone[0], alone[1])


def test_two_layers_of_one_network_draw_different_numbers() -> None:
    one, two = Dropout(0.5), Dropout(0.5)
    Network(Sequential([one, two, Dense(2)]), SoftmaxCrossEntropy(), shape=(50,))
    x = np.ones((20, 50))
    assert not np.array_equal(one.forward(x), two.forward(x))


def test_initialize_begins_anew() -> None:
    net = network(seed=5)
    first = train_on(net)
    np.testing.assert_array_equal(train_on(net.initialize(5)), first)


def test_threads_predict_the_same() -> None:
    net = network()
    train_on(net)
    batches = [RNG.normal(1e3, 50, size=(n, 6)) for n in (1, 50, 7, 200)] * 25
    expected = [net.outputs(x) for x in batches[:4]] * 25
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(net.outputs, batches), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_predictions_do_not_depend_on_the_batch() -> None:
    net = network()
    train_on(net)
    singly = np.concatenate([net.outputs(x[None]) for x in X[:20]])
    np.testing.assert_allclose(net.outputs(X)[:20], singly, rtol=1e-4, atol=1e-5)


def test_a_last_batch_of_one_is_refused_before_the_first_step() -> None:
    net = network()
    before = net.arena.values.copy(), net.arena.states.copy()
    with pytest.raises(DataError, match=r"body.layers.3: BatchNorm needs at least 2 examples"):
        fit(net, SGD(), X[:61], T[:61], batch_size=20)
    for found, expected in zip((net.arena.values, net.arena.states), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match="a batch of one example"):
        net.adapt(X).gradient(X[:1], T[:1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_stays_in_the_type_of_the_network(dtype: Literal["float32", "float64"]) -> None:
    body = network().body
    net = Network(copy.deepcopy(body), SoftmaxCrossEntropy(), shape=(6,), dtype=dtype)
    fit(net, SGD(lr=0.1), X, T, epochs=1, batch_size=20)
    assert net.outputs(X).dtype == dtype
    assert {item.value.dtype for item in net.declared().values()} == {np.dtype(dtype)}
