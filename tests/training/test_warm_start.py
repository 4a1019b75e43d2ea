"""Trainings that begin at the weights of another network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    LSUV,
    SGD,
    BatchNorm,
    Dense,
    FileError,
    Layer,
    Network,
    ReLU,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    Standardize,
    Training,
)
from layerkit.runs.experiment import Experiment
from layerkit.training.trainer import Trainer


def prepare(experiment: Experiment) -> Trainer:
    return experiment.prepare(experiment.load_data())


def experiment(path: Path | None, layers: list[Layer], dtype: Any = "float32") -> Experiment:
    network = Network(Sequential(layers), SoftmaxCrossEntropy(), (64,), dtype)
    start = None if path is None else str(path)
    return Experiment(network, SGD(lr=1e-9), training=Training(epochs=1, warm_start=start))


def layers() -> list[Layer]:
    return [Standardize(), Dense(8), BatchNorm(), ReLU(), Dense(10)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    network = Network(Sequential(layers()), SoftmaxCrossEntropy(), (64,)).initialize(99)
    network.adapt(np.random.default_rng(0).normal(5, 3, (50, 64))).save(path)
    return path


def test_the_first_weights_and_states_are_those_of_the_file(saved: Path) -> None:
    ours = experiment(saved, layers())
    ours.run(ours.load_data())
    network, before = ours.network, Network.load(saved)
    np.testing.assert_allclose(network.arena.values, before.arena.values, atol=1e-6)
    for name in ("mean", "scale"):  # of Standardize, which is not fitted anew
        address = f"body.layers.0.{name}"
        old, new = before.declared()[address].value, network.declared()[address].value
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    ("layers", "dtype", "message"),
    [
        ([Dense(10)], "float32", r"has nothing as body\.layers\.0\.W"),
        ([Standardize(), Dense(9), BatchNorm(), Dense(10)], "float32", r"\(64, 8\).*\(64, 9\)"),
        ([Standardize(), Dense(8), BatchNorm(), ReLU(), Dense(10)], "float64", "has float32"),
    ],
)
def test_another_network_is_refused_before_the_training(
    saved: Path, layers: list[Layer], dtype: Any, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        prepare(experiment(saved, layers, dtype))


def test_a_missing_file_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.safetensors: can't be read") as refused:
        prepare(experiment(tmp_path / "none.safetensors", layers()))
    assert refused.value.place == "training.warm_start"


def test_weights_that_are_there_are_not_fitted_to_the_data(tmp_path: Path) -> None:
    plain, fitted = (Dense(10, init=init) for init in (None, LSUV()))
    saved = Network(plain, SoftmaxCrossEntropy(), shape=(64,))
    saved.save(tmp_path / "model.safetensors")
    training = Training(warm_start=str(tmp_path / "model.safetensors"))
    network = Network(fitted, SoftmaxCrossEntropy(), shape=(64,))
    prepare(Experiment(network, SGD(), training=training))
    np.testing.assert_array_equal(network.arena.values, saved.arena.values)
    assert network.adapted
