"""Modules predict what their networks predict, without layerkit."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    GELU,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Lambda,
    Layer,
    Loss,
    MeanSquaredError,
    Network,
    Sequential,
    Shape,
    Sigmoid,
    SoftmaxCrossEntropy,
    Standardize,
    fit,
)
from layerkit.errors import LayerkitError
from layerkit.recording.module import module, numbers
from tests.test_contract import LAYERS, LOSSES, named, numbers_for

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1500, 3))
IMAGES = RNG.integers(0, 256, (40, 64)).astype(np.uint8)
WORDS = np.array(["cat", 'a "dog"\\', "é"])[np.arange(1500) % 3]


def trained(layers: list[Layer], loss: Loss, x: Any, t: Any, **options: Any) -> Network:
    net = Network(Sequential(layers), loss, x.shape[1:])
    fit(net, Adam(), x, t, epochs=2, **options)
    return net


@pytest.mark.processes
@pytest.mark.parametrize("weights", ["inside", "beside"])
def test_a_fresh_interpreter_without_layerkit_predicts_the_same(
    weights: Any, tmp_path: Path
) -> None:
    digits = [Dense(70), Sigmoid(), Dropout(0.1), Dense(10)]
    table: dict[str, tuple[Network, Any]] = {
        "images": (trained(digits, SoftmaxCrossEntropy(), IMAGES, np.arange(40) % 10), IMAGES),
        "words": (trained([Standardize(), Dense(3)], SoftmaxCrossEntropy(), X, WORDS), X),
        "flags": (trained([Dense(1)], BinaryCrossEntropy(), X > 0, X[:, 0] > 0), X > 1),
        "units": (
            trained([BatchNorm(), GELU(), Dense(1)], MeanSquaredError(), X, 3 * X[:, 0]),
            X.astype("f"),
        ),
        "standardized": (
            trained([Dense(2)], MeanSquaredError(), X, 1e3 * X[:, :2], standardize_targets=True),
            X,
        ),
        "sequences": (
            trained(
                [Embedding(5, 2), Flatten(), Dense(2)],
                SoftmaxCrossEntropy(),
                np.arange(60).reshape(20, 3) % 5,
                np.arange(20) % 2,
            ),
            np.arange(30).reshape(10, 3) % 5,
        ),
    }
    lines = ["import sys, numpy as np", "sys.modules['layerkit'] = None", "sys.path.insert(0, '.')"]
    for name, (net, x) in table.items():
        net.to_python(tmp_path / f"{name}.py", weights)
        np.save(tmp_path / f"{name}.x.npy", x)
        lines.append(f"import {name}; x = np.load('{name}.x.npy')")
        for function in ["predict", "predict_proba"][: 1 + net.loss.has_probabilities]:
            lines.append(f"np.save('{name}.{function}.npy', {name}.{function}(x))")
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, check=True)
    for name, (net, x) in table.items():
        for function in ["predict", "predict_proba"][: 1 + net.loss.has_probabilities]:
            expected, found = (
                getattr(net, function)(x),
                np.load(tmp_path / f"{name}.{function}.npy"),
            )
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert found.tobytes() == expected.tobytes(), name


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers_are_said_in_numpy(layer: Layer, shape: Shape, tmp_path: Path) -> None:
    net = Network(copy.deepcopy(Sequential([layer])), MeanSquaredError(), shape=shape)
    x = numbers_for(layer, shape)
    net.adapt(RNG.normal(size=(7, *shape)) if x is None else x)
    net.to_python(tmp_path / "model.py")  # compares


@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=named)
def test_losses_are_said_in_numpy(loss: Loss, shape: Shape, targets: Any, tmp_path: Path) -> None:
    net = Network(Dense(shape[-1]), copy.deepcopy(loss), shape=(*shape[:-1], 4))
    net.to_python(tmp_path / "model.py")
    said = (tmp_path / "model.py").read_text()
    assert ("def predict_proba" in said) == loss.has_probabilities
    assert max(map(len, said.splitlines())) <= 88


def cube(x: Any) -> Any:
    return np.frompyfunc(lambda number: number**3, 1, 1)(x).astype(x.dtype)


def test_what_cannot_be_said_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    new = Network(Sequential([Standardize(), Dense(2)]), SoftmaxCrossEntropy(), (3,))
    own = Network(Sequential([Lambda(cube, cube), Dense(2)]), SoftmaxCrossEntropy(), (3,))
    good = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    for net, path, weights, said in [
        (new, "model.py", "inside", "has not seen"),
        (own, "model.py", "inside", "body.layers.0: .*(vectorized)"),
        (good, "model.txt", "inside", "model.txt: should be a module's name, such as model.py"),
        (good, "my-model.py", "inside", "should be a module's name"),
        (good, "class.py", "inside", "should be a module's name"),
        (good, "model.py", "outside", "weights = 'outside'; should be 'inside' or 'beside'"),
        (good, "none/model.py", "beside", "can't be written"),
    ]:
        with pytest.raises(LayerkitError, match=said):
            net.to_python(tmp_path / path, weights)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())


def test_other_examples_are_refused() -> None:
    space: dict[str, Any] = {}
    net = trained([Dense(10)], SoftmaxCrossEntropy(), IMAGES, np.arange(40) % 10)
    exec(module(net)[0], space)
    for x, said in [
        (IMAGES[0], r"examples have shape \(64,\); should be \(N, 64\)"),
        (IMAGES[:0], "^no examples$"),
        (IMAGES / 1.0, "x should be bytes of images, or numbers from 0 to 1"),
        (IMAGES / np.nan, "x is not finite"),
    ]:
        with pytest.raises(ValueError, match=said):
            space["predict"](x)


def test_numbers_are_short_and_the_same() -> None:
    array = RNG.standard_normal(5000).astype(np.float32)
    text = numbers(array)
    assert len(text) < 13 * len(array)
    assert (np.array(eval(text), np.float32) == array).all()
