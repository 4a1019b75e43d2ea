"""Parameters of PyTorch in and out: the same outputs and gradients, and nothing by guess."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from layerkit import (
    LSUV,
    Add,
    BatchNorm,
    ConfigError,
    Dense,
    Embedding,
    FileError,
    Flatten,
    Graph,
    GroupNorm,
    Join,
    Layer,
    LayerkitError,
    LayerNorm,
    MeanSquaredError,
    Multiply,
    Network,
    PReLU,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    Softplus,
    Standardize,
    Tanh,
    Threshold,
    load_state_dict,
    save_state_dict,
    state_dict,
)
from tests.exchange.reference import FOLDER, REFERENCE


def network(*layers: Layer, shape: Shape = (6,), dtype: Any = "float32") -> Network:
    return Network(Sequential(list(layers)), MeanSquaredError(), shape=shape, dtype=dtype)


def gate() -> Graph:
    nodes = {"value": Dense(5), "gate": Dense(5), "short": Dense(2, bias=False), "out": Dense(1)}
    others = {"tanh": Tanh(), "open": Sigmoid(), "product": Multiply(), "both": Join()}
    edges = [
        *("input -> value -> tanh", "input -> gate -> open", "tanh, open -> product"),
        *("input -> short", "product, short -> both -> out -> p -> output"),
    ]
    return Graph(nodes | others | {"p": Sigmoid()}, edges)


def networks() -> dict[str, Network]:
    """The networks of the modules with these names."""
    return {
        "sequential": network(
            Dense(8), BatchNorm(), ReLU(), Dense(8), PReLU(shared=False), Dense(3)
        ),
        "gate": Network(gate(), MeanSquaredError(), shape=(6,)),
        "words": network(Embedding(10, 4), Dense(4), ReLU(), Flatten(), Dense(2), shape=(5,)),
        "positions": network(Dense(8), LayerNorm(), ReLU(), Dense(3), shape=(5, 6)),
        "norms": network(
            *(Dense(8), GroupNorm(2), Dense(8), LayerNorm(), Dense(8)),
            *(BatchNorm(scale=False, shift=False), Dense(3)),
        ),
        "newer": network(
            *(Dense(8), RMSNorm(eps=1e-5), Dense(8), Softplus(2.0), Threshold(0.1, -0.3), Dense(3)),
        ),
        "double": network(Dense(5), Tanh(), Dense(2), dtype="float64"),
    }


NAMES = {
    "words": {"body.layers.0": "table", "body.layers.1": "hidden", "body.layers.4": "out"},
    "sequential": {f"body.layers.{i}": f"{j}" for i, j in enumerate((0, 1, 2, 4, 5, 6)) if i != 2},
}
"""Where PyTorch's names are others than ours; it counts a Dropout."""


@pytest.mark.parametrize("name", networks())
@pytest.mark.parametrize("given", ["file", "dict"])
def test_outputs_and_gradients_are_those_of_pytorch(name: str, given: str) -> None:
    net, path = networks()[name], FOLDER / f"{name}.safetensors"
    load_state_dict(net, path if given == "file" else load_file(path))
    x, y = (REFERENCE[f"{name}/{part}"] for part in "xy")
    atol = 1e-12 if name == "double" else 1e-6
    assert np.allclose(net.outputs(x), y, rtol=1e-6, atol=atol)
    net.body.backward(np.ones_like(net.body.forward(net.inputs.convert(x), train=False)))
    net.arena.values = net.arena.grads  # so that they are put into PyTorch's layout
    found = state_dict(net, NAMES.get(name))
    grads = {key: v for key, v in REFERENCE.items() if key.startswith(f"{name}/grad/")}
    assert grads
    for key, grad in grads.items():
        assert np.allclose(found[key.rpartition("/")[2]], grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", networks())
def test_a_round_trip_is_exact(name: str, tmp_path: Path) -> None:
    net, path = networks()[name], tmp_path / "back.safetensors"
    load_state_dict(net, FOLDER / f"{name}.safetensors")
    save_state_dict(net, path, NAMES.get(name))
    other, back, theirs = (
        networks()[name],
        load_file(path),
        load_file(FOLDER / f"{name}.safetensors"),
    )
    load_state_dict(other, path)
    assert np.array_equal(other.arena.values, net.arena.values)
    assert np.array_equal(other.arena.states, net.arena.states)
    assert back.keys() == theirs.keys()
    for key in (key for key in theirs if not key.endswith("num_batches_tracked")):
        assert np.array_equal(back[key], theirs[key])
        assert back[key].dtype == theirs[key].dtype


def linear(outputs: int, inputs: int, dtype: str = "float32") -> dict[str, Any]:
    rows = np.arange(outputs * inputs, dtype=dtype).reshape(outputs, inputs)
    return {"weight": rows, "bias": np.arange(outputs, dtype=dtype)}


def module(**parts: dict[str, Any]) -> dict[str, Any]:
    """A state_dict; a double underscore stands for a dot."""
    tensors = {(part, key): value for part, found in parts.items() for key, value in found.items()}
    return {f"{part.replace('__', '.')}.{key}": value for (part, key), value in tensors.items()}


def three() -> Network:
    return network(Dense(6), ReLU(), Dense(6), ReLU(), Dense(2))


def test_equal_shapes_are_taken_in_the_order_of_numbers() -> None:
    a, b = linear(6, 6), {key: -value for key, value in linear(6, 6).items()}
    for source in (
        module(n__10=b, n__9=a, n__12=linear(2, 6)),
        module(fc2=b, fc1=a, o=linear(2, 6)),
    ):
        net = three()
        load_state_dict(net, source)
        assert np.array_equal(net.params()["body.layers.0.W"].value, a["weight"].T)
        assert np.array_equal(net.params()["body.layers.2.W"].value, b["weight"].T)


def test_names_say_which_is_which_and_leave_out_the_rest() -> None:
    source = module(dec=linear(6, 6), enc=linear(6, 6), strange={"alpha": np.ones(3)})
    net = network(Standardize(), Dense(6), ReLU(), Dense(6))
    before = net.arena.values.copy()
    load_state_dict(net, source, {"body.layers.1": "enc"})
    assert np.array_equal(net.params()["body.layers.1.b"].value, np.arange(6))
    assert np.array_equal(net.params()["body.layers.3.W"].value.ravel(), before[42:78])
    found = state_dict(net, {"body.layers.3": "dec", "body.layers.1": "enc"})
    assert list(found) == ["dec.weight", "dec.bias", "enc.weight", "enc.bias"]


BODIES: list[tuple[Layer, list[str]]] = [
    (Dense(6), ["weight", "bias"]),
    (Residual(Dense(6, bias=False)), ["body.weight"]),
    (Sequential([Residual(Sequential([Dense(6, bias=False)]))]), ["0.body.0.weight"]),
    (Graph({"a": PReLU(), "s": Add()}, ["input -> a", "a, input -> s -> output"]), ["a.weight"]),
]


@pytest.mark.parametrize(("body", "names"), BODIES)
def test_modules_have_the_names_of_addresses(body: Layer, names: list[str]) -> None:
    net = Network(body, MeanSquaredError(), shape=(6,))
    assert list(state_dict(net)) == names
    load_state_dict(net, state_dict(net))


def test_halves_are_widened_and_layers_are_adapted() -> None:
    net = network(Dense(6, init=LSUV()))
    assert not net.adapted
    load_state_dict(net, module(fc=linear(6, 6, "float16")))
    assert net.adapted
    assert np.array_equal(net.params()["body.layers.0.W"].value, linear(6, 6)["weight"].T)


A, B = linear(6, 6), linear(2, 6)
WRONG: list[tuple[Any, Any, Any, type[LayerkitError], str]] = [
    (three, module(enc=A, dec=A, out=B), None, ConfigError, "have the same shapes, bias (6,), wei"),
    (three, module(fc1=A, out=B), None, ShapeError, "1 modules have the shapes bias (6,), weight"),
    (three, module(a1=A, a2=A, a3=A, o=B), None, ShapeError, "3 modules have the shapes bias (6,)"),
    (
        three,
        module(a1=A, a2=A, o=B, p=linear(1, 6)),
        None,
        ShapeError,
        "no layer of the network ha",
    ),
    (
        three,
        {},
        None,
        ShapeError,
        "0 modules have the shapes bias (6,), weight (6, 6); should be 2",
    ),
    (three, module(a=A), {"body.layers.4": "a"}, ShapeError, "body.layers.4 is Dense(units=2), in"),
    (three, module(a=A), {"body.layers.1": "a"}, ConfigError, "'body.layers.1' is not the address"),
    (three, module(a=A), {"body.layers.0": "aa"}, ConfigError, "no module 'aa'; did you mean 'a'?"),
    (
        three,
        module(lstm={"bias_hh_l0": np.ones(3)}),
        None,
        ConfigError,
        "lstm.bias_hh_l0: no layer",
    ),
    (
        lambda: network(Standardize()),
        {},
        None,
        ConfigError,
        "body.layers.0: Standardize has no cou",
    ),
    (three, {"0.weight": object()}, None, ShapeError, "modules have"),
    (three, 3, None, ConfigError, "source is a int; should be a path or a dict"),
    (
        *(lambda: network(Dense(6)), module(a=linear(6, 6, "float64")), None, ConfigError),
        "a.weight is float64, and the network float32",
    ),
    (
        *(lambda: network(Dense(6)), module(a=A | {"bias": np.full(6, np.nan, "f")}), None),
        *(ConfigError, "a.bias has values that are not finite"),
    ),
]


@pytest.mark.parametrize(("make", "source", "names", "error", "sentence"), WRONG)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(
    make: Any, source: Any, names: Any, error: type[LayerkitError], sentence: str
) -> None:
    net = make()
    before = net.arena.values.copy()
    with pytest.raises(error, match=re.escape(sentence)):
        load_state_dict(net, source, names)
    assert np.array_equal(net.arena.values, before)


def test_what_pytorch_does_not_have_is_not_written() -> None:
    with pytest.raises(ConfigError, match=r"body.layers.0: Standardize has no counterpart"):
        state_dict(network(Standardize(), Dense(2)))
    with pytest.raises(ConfigError, match="given twice: a, a"):
        state_dict(three(), {"body.layers.0": "a", "body.layers.2": "a"})


HUGE = b'{"a.weight":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "damaged, or not a safetensors file"),
        (b"\x80\x02}q\x00.", "safetensors.torch.save_file(module.state_dict(), path)"),
        ((2**62).to_bytes(8, "little") + b"{}", "header too large"),
        (len(HUGE).to_bytes(8, "little") + HUGE, "damaged"),
    ],
)
def test_a_file_that_is_damaged_or_another_is_refused(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "module.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileError, match=re.escape(sentence)):
        load_state_dict(three(), path)


def test_a_missing_file_and_whole_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="can't be read: No such file"):
        load_state_dict(three(), tmp_path / "none.safetensors")
    save_file({"a.weight": np.ones((6, 6), np.int8)}, tmp_path / "int8.safetensors")
    with pytest.raises(ConfigError, match=r"a.weight is I8; should be one of F16, F32, F64"):
        load_state_dict(three(), tmp_path / "int8.safetensors")
    with pytest.raises(ConfigError, match=r"network = .*: should be of type Network; the arg"):
        save_state_dict(three().body, tmp_path / "body.safetensors")  # type: ignore[arg-type]
    three().save(tmp_path / "own.safetensors")
    with pytest.raises(ConfigError, match="it is a network of layerkit; "):
        load_state_dict(three(), tmp_path / "own.safetensors")
