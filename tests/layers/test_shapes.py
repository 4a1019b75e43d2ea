import copy
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Array,
    Concat,
    ConfigError,
    Constant,
    DataError,
    Dense,
    Embedding,
    Flatten,
    HeNormal,
    Lambda,
    Layer,
    Network,
    ReLU,
    Reshape,
    Sequential,
    Shape,
    ShapeError,
    SoftmaxCrossEntropy,
    Take,
    evaluate,
    fit,
    from_config,
)
from layerkit.fitting import check_layers
from layerkit.parameters import Arena

X = np.arange(48.0).reshape(2, 2, 3, 4)


def test_flatten_and_reshape_go_row_by_row_and_back() -> None:
    flatten, reshape = Flatten(), Reshape((6, 4))
    assert flatten.place((2, 3, 4), address="flatten") == (24,)
    assert reshape.place((2, 3, 4), address="reshape") == (6, 4)
    for layer, shape in ((flatten, (2, 24)), (reshape, (2, 6, 4))):
        for x in (X, np.asfortranarray(X), X[::-1]):
            y = layer.forward(x)
            np.testing.assert_array_equal(y, np.ascontiguousarray(x).reshape(shape))
            np.testing.assert_array_equal(layer.backward(y), x)


def test_flatten_makes_a_row_of_a_single_number() -> None:
    layer = Flatten()
    assert layer.place((), address="flatten") == (1,)
    assert layer.forward(np.ones(3)).shape == (3, 1)
    assert layer.backward(np.ones((3, 1))).shape == (3,)


def test_reshape_refuses_another_number_of_numbers() -> None:
    layer = Reshape((5, 5))
    with pytest.raises(ShapeError, match=r"takes examples of 25 numbers; \(2, 3, 4\) has 24"):
        layer.place((2, 3, 4), address="reshape")
    with pytest.raises(ConfigError, match="greater than 0"):
        Reshape((5, -1))


@pytest.mark.parametrize("layer", [Flatten(), Reshape((3,)), Take([2, 0, 1])], ids=repr)
def test_weights_before_them_suit_the_activation_after(layer: Layer) -> None:
    body = Sequential([Dense(3), copy.deepcopy(layer), ReLU(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    assert net.params()["body.layers.0.W"].init == HeNormal()


# Take


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [[0], [2, 0], [1, 1, -2, -1, 1], [-3, 0]])
@pytest.mark.parametrize("axis", [-1, -2, -3])
def test_take_picks_and_adds_up(axis: int, columns: list[int], dtype: str) -> None:
    """Against a loop: a column that is taken twice gets both gradients."""
    layer, shape, rng = Take(columns, axis), [4, 4, 4], np.random.default_rng(0)
    shape[axis] = 3
    wanted = list(shape)
    wanted[axis] = len(columns)
    assert layer.place(tuple(shape), address="take") == tuple(wanted)
    x, dy = (rng.normal(size=(5, *sizes)).astype(dtype) for sizes in (shape, wanted))
    y, dx = layer.forward(x), layer.backward(dy)
    expected = np.zeros_like(x)
    for i, column in enumerate(columns):
        np.testing.assert_array_equal(y.take(i, axis), x.take(column, axis))
        np.moveaxis(expected, axis, 0)[column] += dy.take(i, axis)
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize(
    ("layer", "shape", "sentence"),
    [
        (
            Take([0, 4]),
            (3, 4),
            r"Take\.columns has 4: should be from -4 to 3, as axis -1 of \(3, 4\)",
        ),
        (
            Take([-4], axis=-2),
            (3, 4),
            r"has -4: should be from -3 to 2, as axis -2 of \(3, 4\) has 3",
        ),
        (
            Take([0], axis=0),
            (3, 4),
            r"Take\.axis = 0: should be -2 or -1: the axes of an exam",
        ),
        (Take([0]), (), "Take takes examples of at least one axis"),
    ],
    ids=repr,
)
def test_take_refuses_what_is_not_there(layer: Layer, shape: Shape, sentence: str) -> None:
    with pytest.raises(ShapeError, match=sentence):
        layer.place(shape, address="take")


@pytest.mark.parametrize("columns", [[], [0.5], "0", 1])
def test_take_wants_a_list_of_whole_numbers(columns: Any) -> None:
    with pytest.raises(ConfigError, match=r"Take\.columns.* = .*: should"):
        Take(columns)


def test_embedding_of_some_columns_stands_beside_numbers(tmp_path: Path) -> None:
    """The first column is a word, and the others are numbers that Embedding would refuse."""
    rng = np.random.default_rng(0)
    words = rng.integers(6, size=300)
    x = np.stack([words, rng.normal(size=300), rng.normal(size=300) - 0.5], axis=1)
    t = (2 * (words % 2) - 1 + x[:, 1] > 0).astype(int)
    embedded = Sequential([Take([0]), Embedding(6, 2), Flatten()])
    body = Sequential([Concat([embedded, Take([1, 2])]), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,)).initialize(0)
    records = fit(net, SGD(lr=0.3), x, t, epochs=60, batch_size=10)
    assert records[-1].train_accuracy > 0.95
    net.save(tmp_path / "model.safetensors")
    same = Network.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(same.outputs(x), net.outputs(x))
    x[17, 0] = 6
    with pytest.raises(DataError, match=r"whole numbers from 0 to 5, not 6\.0") as caught:
        check_layers(net.body, net.inputs, x)
    assert "layers.1, examples 0 to 299" in caught.value.__notes__[0]


# Embedding


def table(n: int, dim: int, shape: Shape, dtype: str = "float64") -> Embedding:
    layer = Embedding(n, dim)
    layer.place(shape, address="embedding")
    Arena(layer.params(), dtype)
    layer.W.init.fill(layer.W.value, np.random.default_rng(0))
    return layer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5)])
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (5, 3), (1000, 2)])
def test_embedding_looks_up_and_adds_up(n: int, dim: int, shape: Shape, dtype: str) -> None:
    layer, rng = table(n, dim, shape, dtype), np.random.default_rng(1)
    x = rng.integers(n, size=(6, *shape))
    y = layer.forward(x.astype(dtype))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, layer.W.value[x])
    dy = np.asarray(rng.normal(size=y.shape), dtype)
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, np.zeros(x.shape))
    dW = np.zeros((n, dim))
    np.add.at(dW, x, dy)
    np.testing.assert_allclose(layer.W.grad, dW, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wrong", [-1, 5, 0.5, 4.0001, np.nan, np.inf, -np.inf, 1e30])
def test_embedding_refuses_what_is_no_number_of_a_row(wrong: float) -> None:
    layer, x = table(5, 2, (3,)), np.zeros((4, 3))
    x[2, 1] = wrong
    sentence = f"from 0 to 4, not {float(wrong)}, its input [1] for example 2; keep"
    for refuse in (layer.check, layer.forward, partial(layer.forward, train=False)):
        with pytest.raises(DataError) as caught:
            refuse(x)
        assert sentence in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_embedding_takes_whole_numbers_of_any_type(dtype: str) -> None:
    table(5, 2, (5,)).check(np.arange(5, dtype=dtype)[None])


def test_a_first_layer_that_looks_up_or_picks_returns_no_dx() -> None:
    layer = table(5, 2, (3,))
    layer.wants_dx = False
    layer.forward(np.zeros((4, 3)))
    assert layer.backward(np.ones((4, 3, 2))) is None
    np.testing.assert_array_equal(layer.W.grad, [[12, 12], *[[0, 0]] * 4])
    take = Take([0])
    take.place((3,), address="take")
    take.wants_dx = False
    take.forward(np.zeros((4, 3)))
    assert take.backward(np.ones((4, 1))) is None


def test_embedding_refuses_data_before_anything_has_changed() -> None:
    body = Sequential([Embedding(5, 2), Flatten(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,)).initialize(0)
    before = net.arena.values.copy()
    x = np.zeros((500, 3))
    x[300, 2] = -1
    with pytest.raises(DataError, match=r"from 0 to 4, not -1\.0"):
        fit(net, SGD(), x, np.zeros(500, int), batch_size=10)
    np.testing.assert_array_equal(net.arena.values, before)
    with pytest.raises(DataError, match=r"input \[2\] for example 300") as caught:
        net.predict(x)
    assert caught.value.place == "examples 0 to 499"
    longer = np.concatenate([np.zeros((1024, *x.shape[1:])), x])
    with pytest.raises(DataError, match=r"input \[2\] for example 1324") as caught:
        evaluate(net, longer, np.zeros(1524, int))
    assert caught.value.place == "examples 1024 to 1523"


def test_embedding_takes_the_last_number_that_float32_can_tell_apart() -> None:
    with pytest.raises(ConfigError, match="n = 16777217: should be less than or equal to 16777216"):
        Embedding(n=2**24 + 1, dim=1)
    x = np.array([2**24 - 1], np.float32)
    layer = table(2**24, 1, (), "float32")
    layer.W.value[-1] = 7
    assert layer.forward(x).item() == 7


def test_embedding_says_that_bytes_become_fractions() -> None:
    body = Sequential([Embedding(9, 2), Flatten(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    with pytest.raises(DataError, match="uint8, are divided by 255: use a wider type"):
        net.predict(np.full((2, 3), 2, np.uint8))
    assert net.predict(np.ones((2, 3), np.uint16)).shape == (2,)


def test_embedding_learns_which_words_belong_together() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(20, size=(300, 4))
    t = (np.sum(x % 2, axis=1) > 2).astype(int)
    body = Sequential([Embedding(n=20, dim=1, init=Constant(0.1)), Flatten(), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(4,))
    records = fit(net, SGD(lr=1.0), x, t, epochs=60, batch_size=10)
    assert records[-1].train_accuracy > 0.97
    W = net.params()["body.layers.0.W"].value[:, 0]
    assert (W[::2].max() < W[1::2].min()) or (W[::2].min() > W[1::2].max())


# Lambda


def half(x: Array) -> Array:
    return x / 2


def constant_half(x: Array) -> Array:
    return np.full_like(x, 0.5)


def test_a_lambda_is_copied_and_pickled_with_its_network() -> None:
    body = Sequential([Dense(2), Lambda(half, constant_half)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(3,)).initialize(5)
    x = np.random.default_rng(0).normal(size=(4, 3))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.outputs(x), net.outputs(x))
        assert twin.gradient(x, [0, 1, 1, 0]) == net.gradient(x, [0, 1, 1, 0])
        np.testing.assert_array_equal(twin.arena.grads, net.arena.grads)


def test_functions_without_a_name_can_be_copied_but_not_pickled() -> None:
    layer = Lambda(lambda x: x * x, lambda x: 2 * x)
    assert copy.deepcopy(layer) == layer
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(layer)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"function": "numpy.sin", "derivative": "numpy.cos"}, "function = 'numpy.sin': should be"),
        ({"function": np.sin, "derivative": 1}, "derivative = 1: should be"),
    ],
)
def test_a_lambda_takes_nothing_but_functions(options: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=f"Lambda.{place} a Python function; no file can hold"):
        Lambda(**options)
    with pytest.raises(ConfigError, match=place):
        from_config({"type": "Lambda", **options}, Lambda)


def test_a_network_with_a_lambda_is_not_saved(tmp_path: Path) -> None:
    net = Network(Sequential([Dense(2), Lambda(half, constant_half)]), SoftmaxCrossEntropy(), (3,))
    with pytest.raises(ConfigError, match=r"Lambda has a Python function, .*half.*, which no file"):
        net.save(tmp_path / "model.safetensors")
    assert not any(tmp_path.iterdir())
