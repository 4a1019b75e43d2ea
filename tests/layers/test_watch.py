"""Looking into layers while they work, and what stays where somebody has put it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Adam,
    Add,
    Array,
    ConfigError,
    Dense,
    DivergenceError,
    Graph,
    Join,
    Layer,
    Multiply,
    Network,
    ReLU,
    Residual,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    Tanh,
    fit,
    train,
)
from layerkit.callbacks import Callback
from layerkit.files.mapped import CHUNK, Subset
from layerkit.layers.watch import inputs_of, replaced, watched
from layerkit.progress import Progress
from layerkit.training.batches import Batch
from layerkit.training.evaluation import evaluate

X = np.random.default_rng(0).normal(size=(9, 3))
T = np.arange(9) % 2


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def nested() -> Network:
    """A Graph with nodes of several inputs, a Residual and a Sequential inside each other."""
    graph = Graph(
        {"a": Dense(3), "s": Sigmoid(), "product": Multiply(), "sum": Add(), "both": Join()},
        [
            *("input -> a -> s", "s, a, input -> product", "product, s -> sum"),
            "sum, a -> both -> output",
        ],
    )
    body = Sequential([Residual(Sequential([Dense(3), Tanh()])), graph, Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), (3,), "float64").initialize(4)


def by_hand(network: Network, x: Array) -> dict[str, Array]:
    """All activations of `nested`, by address."""
    p = {address: param.value for address, param in network.params().items()}

    def dense(x: Array, address: str) -> Array:
        y: Array = x @ p[f"{address}.W"] + p[f"{address}.b"]
        return y

    found = {"body.layers.0.body.layers.0": dense(x, "body.layers.0.body.layers.0")}
    found["body.layers.0.body.layers.1"] = np.tanh(found["body.layers.0.body.layers.0"])
    found["body.layers.0.body"] = found["body.layers.0.body.layers.1"]
    y = found["body.layers.0"] = found["body.layers.0.add"] = x + found["body.layers.0.body"]
    nodes = "body.layers.1.nodes"
    a = found[f"{nodes}.a"] = dense(y, f"{nodes}.a")
    s = found[f"{nodes}.s"] = sigmoid(a)
    product = found[f"{nodes}.product"] = s * a * y
    total = found[f"{nodes}.sum"] = product + s
    found[f"{nodes}.both"] = found["body.layers.1"] = np.concatenate([total, a], axis=1)
    found["body.layers.2"] = found["body"] = dense(found["body.layers.1"], "body.layers.2")
    return found


@pytest.mark.parametrize("rows", [1, 9, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_the_outputs_of_each_layer_are_those_by_hand(rows: int) -> None:
    network = nested()
    x = np.random.default_rng(1).normal(size=(rows, 3))
    wanted = by_hand(network, x)
    assert wanted.keys() == {address for address, _ in network.layers()}
    for address, y in wanted.items():
        np.testing.assert_allclose(network.outputs(x, of=address), y, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(network.outputs(x), network.outputs(x, of="body"))


def test_the_inputs_of_each_layer_are_those_by_hand() -> None:
    network = nested()
    y, nodes = by_hand(network, X), "body.layers.1.nodes"
    first = y["body.layers.0"]
    for address, wanted in {
        "body": [X],
        "body.layers.0.add": [y["body.layers.0.body"], X],
        "body.layers.1": [first],
        f"{nodes}.a": [first],
        f"{nodes}.product": [y[f"{nodes}.s"], y[f"{nodes}.a"], first],
        f"{nodes}.sum": [y[f"{nodes}.product"], y[f"{nodes}.s"]],
        f"{nodes}.both": [y[f"{nodes}.sum"], y[f"{nodes}.a"]],
    }.items():
        found = inputs_of(network[address], network.body, X)  # type: ignore[arg-type]
        assert len(found) == len(wanted)
        for x, right in zip(found, wanted, strict=True):
            np.testing.assert_allclose(x, right, rtol=1e-12)


def test_bytes_and_subsets_go_in_as_they_do_for_a_prediction() -> None:
    network = nested()
    images = np.random.default_rng(0).integers(0, 256, (5, 3)).astype(np.uint8)
    found = network.outputs(images, of="body.layers.0")
    np.testing.assert_allclose(found, by_hand(network, images / 255)["body.layers.0"], rtol=1e-12)
    some = network.outputs(Subset(X, np.array([4, 1])), of="body.layers.1")
    np.testing.assert_allclose(some, by_hand(network, X[[4, 1]])["body.layers.1"], rtol=1e-12)


def test_the_output_of_the_first_layer_is_not_the_array_that_was_given() -> None:
    """Where a layer returns its very input."""
    network = Network(
        Sequential([Sequential([ReLU()]), Residual(Dense(3))]),
        SoftmaxCrossEntropy(),
        (3,),
        "float64",
    )
    for layer in network.body.layers:  # type: ignore[attr-defined]
        vars(layer)["forward"] = same
    x = X.copy()
    network.outputs(x, of="body.layers.0")[...] = 7
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("body.layers.1.nodes.product ", "nothing is there; did you mean 'body.layers.1.nodes.pro"),
        ("body.layer.0", "did you mean 'body.layers.0'"),
        ("", "'': nothing is there"),
        ("body.layers.2.W", "'body.layers.2.W' is a parameter; should be the address of a layer"),
        (3, "3: nothing is there"),
    ],
)
def test_addresses_of_no_layer(address: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        nested().outputs(X, of=address)
    assert sentence in str(caught.value)


class Half(Layer):
    """Uses one of its two parts."""

    used: Layer
    spare: Layer

    def build(self, shape: Shape) -> Shape:
        self.spare.place(shape, address=f"{self.address}.spare")
        return self.used.place(shape, address=f"{self.address}.used")

    def forward(self, x: Array, train: bool = True) -> Array:
        return self.used.forward(x, train=train)

    def backward(self, dy: Array) -> Any:
        return self.used.backward(dy)


def test_a_layer_that_the_body_never_calls() -> None:
    network = Network(Half(Dense(2), Dense(3)), SoftmaxCrossEntropy(), (3,))
    assert network.outputs(X, of="body.used").shape == (9, 2)
    with pytest.raises(ConfigError, match=r"body\.spare: the body never calls this Dense"):
        network.outputs(X, of="body.spare")
    assert methods(network) == {}


def test_what_is_not_finite_inside_is_refused() -> None:
    network = nested()
    network["body.layers.0.body.layers.0.W"].value = 1e308 * np.ones((3, 3))  # type: ignore[union-attr]
    with pytest.raises(DivergenceError, match="the output for example 0 is not finite"):
        network.outputs(abs(X) + 9, of="body.layers.0.body.layers.0")


def test_the_outputs_of_an_inner_layer_are_the_prediction_s() -> None:
    """Not those of a training: nothing is dropped, and no state changes."""
    from layerkit import BatchNorm, Dropout

    body = Sequential([BatchNorm(), Dropout(0.5), Dense(2)])
    network = Network(body, SoftmaxCrossEntropy(), (3,), "float64")
    for layer in body.layers:
        layer.forward(X) if isinstance(layer, BatchNorm) else None
    states = network.arena.states.copy()
    mean, variance = (network[f"body.layers.0.{name}"].value for name in ("mean", "variance"))  # type: ignore[union-attr]
    right = (X - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(network.outputs(X, of="body.layers.1"), right, rtol=1e-12)
    np.testing.assert_array_equal(network.arena.states, states)


# A method that somebody has put on an object


def same(x: Array, train: bool = True) -> Array:
    return x


def methods(network: Network) -> dict[str, Any]:
    """The methods that are on layers, loss and network themselves, by address."""
    parts = {**dict(network.layers()), "loss": network.loss, "": network}
    return {
        f"{address}.{name}": vars(part)[name]
        for address, part in parts.items()
        for name in ("forward", "backward", "losses", "backpropagate")
        if name in vars(part)
    }


def small() -> Network:
    body = Sequential([Standardize(), Dense(4), ReLU(), Residual(Dense(4)), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(3,)).initialize(2)


class Doubling:
    """A forward that somebody put on a layer: it doubles what the layer returns."""

    def __init__(self, network: Network, address: str) -> None:
        layer: Any = network[address]
        self.forward, self.calls = layer.forward, 0
        layer.forward = self

    def __call__(self, *xs: Array, train: bool = True) -> Array:
        self.calls += 1
        y: Array = self.forward(*xs, train=train)
        return 2 * y


OWN = ["body", "body.layers.0", "body.layers.2", "body.layers.3", "body.layers.3.body"]


def explode(network: Network) -> None:
    with pytest.raises(DivergenceError):
        fit(network, SGD(lr=1e30), 100 * X, T, epochs=9, batch_size=3)


def fail(network: Network) -> None:
    class Fails(Callback):
        def batch_end(self, progress: Progress) -> None:
            raise KeyError

    with pytest.raises(KeyError):
        fit(network, SGD(), X, T, epochs=1, callbacks=[Fails()])


def refuse(network: Network) -> None:
    with pytest.raises(ConfigError):
        fit(network, SGD(), X, T, batch_size=0)
    with pytest.raises(ConfigError):
        fit(network, SGD(rates={"nothing": 0.5}), X, T)


USES: dict[str, Callable[[Network], object]] = {
    "fit": lambda network: fit(network, Adam(), X, T, epochs=2, batch_size=4),
    "outputs": lambda network: network.adapt(X).outputs(X),
    "outputs of the layer": lambda network: [
        network.adapt(X).outputs(X, of=address) for address in OWN
    ],
    "adapt": lambda network: network.adapt(X),
    "input_gradient": lambda network: network.adapt(X).input_gradient(X, output=0),
    "evaluate": lambda network: evaluate(network.adapt(X), X, T),
    "divergence": explode,
    "an error in the middle": fail,
    "a refusal": refuse,
}


@pytest.mark.parametrize("address", OWN)
@pytest.mark.parametrize("use", USES)
def test_a_forward_on_a_layer_stays_there(use: str, address: str) -> None:
    network = small()
    own = Doubling(network, address)
    USES[use](network)
    assert methods(network) == {f"{address}.forward": own}


@pytest.mark.parametrize("address", OWN[:1] + OWN[2:])
def test_a_forward_on_a_layer_is_used(address: str) -> None:
    plain, network = small().adapt(X), small().adapt(X)
    own, wanted = Doubling(network, address), 2 * plain.outputs(X, of=address)
    np.testing.assert_allclose(network.outputs(X, of=address), wanted, rtol=1e-6)
    own.calls = 0
    fit(network, SGD(), X, T, epochs=2, batch_size=3, measure_train=False)
    # once for each of three batches in two epochs, and twice to see what it returns; before the
    # first weights once more, for the scale of their inputs
    assert own.calls == 2 * 3 + 2 + (address == "body")
    assert (network.arena.values != fitted(plain).arena.values).any()


def fitted(network: Network) -> Network:
    fit(network, SGD(), X, T, epochs=2, batch_size=3, measure_train=False)
    return network


def test_what_a_forward_on_a_layer_returns_is_checked() -> None:
    network = small()
    vars(network["body.layers.2"])["forward"] = lambda x, train=True: x[:, :2]
    with pytest.raises(ShapeError, match=r"ReLU\.forward returns float32 \(2, 2\)") as caught:
        fit(network, SGD(), X, T, epochs=1)
    assert caught.value.place == "body.layers.2"
    assert list(methods(network)) == ["body.layers.2.forward"]
    assert not network.adapted


def test_data_go_to_adapting_layers_through_a_forward_on_another() -> None:
    body = Sequential([ReLU(), Standardize(), Dense(2)])
    network = Network(body, SoftmaxCrossEntropy(), (3,), "float64")
    vars(body.layers[0])["forward"] = lambda x, train=True: 10 * x + 1
    network.adapt(X)
    np.testing.assert_allclose(
        network["body.layers.1.mean"].value,  # type: ignore[union-attr]
        10 * X.mean(axis=0) + 1,
        rtol=1e-12,
    )


# The one way in which methods are replaced


def test_replacing_inside_replacing_puts_back_each() -> None:
    relu: Any = ReLU()
    first, second = (lambda x, train=True: x + 1), (lambda x, train=True: x + 2)
    relu.forward = first
    with replaced(relu, forward=second, backward=second):
        assert relu.forward is relu.backward is second
        with replaced(relu, forward=same):
            assert relu.forward is same
        assert relu.forward is second
    assert vars(relu)["forward"] is first
    assert "backward" not in vars(relu)


def test_an_error_puts_everything_back() -> None:
    network = small()
    own = Doubling(network, "body.layers.2")

    def wrap(address: str, name: str, method: Any) -> Any:
        if address == "body.layers.4":
            raise KeyError
        return same

    with pytest.raises(KeyError), watched(network.layers(), wrap):
        pass
    with pytest.raises(KeyError), watched(network.layers(), lambda *given: same, containers=True):
        raise KeyError
    assert methods(network) == {"body.layers.2.forward": own}


def test_watching_sees_each_call_with_and_without_containers() -> None:
    network, seen = small().adapt(X), list[tuple[str, str, Shape]]()

    def look(address: str, name: str, method: Any) -> Any:
        def looking(*given: Any, **options: Any) -> Any:
            seen.append((address, name, given[0].shape))
            return method(*given, **options)

        return looking

    with watched(network.layers(), look, containers=True):
        network.gradient(X, T)
    inside = [("body.layers.3.body", (9, 4)), ("body.layers.3.add", (9, 4))]
    layers = [
        *(("body", (9, 3)), ("body.layers.0", (9, 3)), ("body.layers.1", (9, 3))),
        *(("body.layers.2", (9, 4)), ("body.layers.3", (9, 4)), *inside, ("body.layers.4", (9, 4))),
    ]
    assert [(address, shape) for address, name, shape in seen if name == "forward"] == layers
    back = ["", ".layers.4", ".layers.3", ".layers.3.add", ".layers.3.body"]
    back += [".layers.2", ".layers.1"]  # before all parameters, nothing gets a gradient
    assert [address for address, name, _ in seen if name == "backward"] == [
        f"body{part}" for part in back
    ]
    seen.clear()
    with watched(network.layers(), look):
        network.outputs(X)
    assert [address for address, *_ in seen] == [
        address for address, _ in layers if address not in ("body", "body.layers.3")
    ]
    assert methods(network) == {}


def test_a_trainer_may_be_watched_too() -> None:
    network, seen = small(), list[str]()
    trainer = train(network, SGD(), X, T, epochs=1, batch_size=3)
    step = trainer.step

    def watching(batch: Batch) -> None:
        seen.append("step")
        step(batch)

    with replaced(trainer, step=watching):
        trainer.run()
    assert seen == ["step"] * 3
