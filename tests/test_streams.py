import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import (
    SGD,
    Adam,
    BatchNorm,
    ConfigError,
    Dense,
    Dropout,
    Graph,
    ImageAugmentation,
    Layer,
    Network,
    Sequential,
    SoftmaxCrossEntropy,
)
from layerkit.data.datasets import Data
from layerkit.runs.experiment import Experiment
from layerkit.streams import as_seed, stream
from layerkit.training.lr_range import lr_range
from layerkit.training.options import Training

PACKAGE = Path(layerkit.__file__).parent


def first(seed: int, name: str) -> tuple[float, ...]:
    return tuple(stream(seed, name).random(4))


def network(body: Layer, seed: int = 0) -> Network:
    return Network(body, SoftmaxCrossEntropy(), shape=(64,)).initialize(seed)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the streams that are made."""
    found, make = list[str](), np.random.SeedSequence

    def noted(seed: int, spawn_key: tuple[int, ...]) -> np.random.SeedSequence:
        found.append(bytes(spawn_key).decode())
        return make(seed, spawn_key=spawn_key)

    monkeypatch.setattr(np.random, "SeedSequence", noted)
    return found


def test_a_run_draws_from_these_streams(names: list[str]) -> None:
    body = Sequential([Dense(5), BatchNorm(), Dropout(), Dropout(), Dense(10)])
    experiment = Experiment(
        network(body),
        Adam(),
        Data(name="digits", validation_size=0.2),
        Training(augmentation=ImageAugmentation(shift=1.0), epochs=1),
    )
    names.clear()
    dataset = experiment.load_data()
    experiment.run(dataset)
    lr_range(network(Dense(10)), SGD(), dataset.train.x, dataset.train.t, steps=3)
    found = set(names)
    weights = {
        *("layers.0.W", "layers.0.b", "layers.1.gamma", "layers.1.beta", "layers.1.mean"),
        *("layers.1.variance", "layers.4.W", "layers.4.b", "W", "b"),
    }
    assert found == {
        *("split by test_size", "split by validation_size", "batches", "augmentation"),
        *(f"weights body.{name}" for name in weights),
        *("layer body.layers.2", "layer body.layers.3", "batches of the range test"),
        *("trial of an augmentation", "outputs of a sample"),
    }
    drawn = {first(seed, name) for seed in (0, 1) for name in found}
    assert len(drawn) == 2 * len(found)
    plain = {tuple(np.random.default_rng(seed).random(4)) for seed in (0, 1)}
    assert not drawn & plain, "a user may draw the data from the same seed"


def test_nobody_else_makes_generators() -> None:
    found = set[str]()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("default_rng", "SeedSequence"):
                found.add(path.name)
    assert found == {"streams.py"}


def test_streams_are_the_same_everywhere_and_for_ever() -> None:
    """Saved figures depend on them."""
    assert stream(0, "batches").integers(1000, size=4).tolist() == [205, 416, 538, 364]
    assert stream(2**70, "layer body").integers(1000, size=4).tolist() == [616, 304, 349, 858]


def test_a_seed_may_be_drawn() -> None:
    rng, again = (np.random.default_rng(4) for _ in range(2))
    seeds: list[Any] = [as_seed(rng), as_seed(rng)]
    assert seeds == again.integers(2**63, size=2).tolist()
    number: Any = np.int64(3)
    assert as_seed(number) == 3
    assert as_seed(None) != as_seed(None)
    a, b, c = (network(Dense(10)).initialize(rng or 9) for rng in (rng, rng, None))
    assert len({net.arena.values.tobytes() for net in (a, b, c)}) == 3


@pytest.mark.parametrize("seed", [-1, 0.5, "a", [1, 2]])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    for use in (network(Dense(10)).initialize, Data(name="digits").load):
        with pytest.raises(ConfigError, match=r"seed = .*: should be 0, 1, 2 …, or a numpy"):
            use(seed)


@pytest.mark.parametrize(
    ("fewer", "more"),
    [
        (
            lambda: Sequential([Dense(3), Dense(2)]),
            lambda: Sequential([Dense(3), Dense(2), Dropout(), BatchNorm(), Dense(4)]),
        ),
        (
            lambda: Graph({"b": Dense(2)}, ["input -> b -> output"]),
            lambda: Graph({"a": Dropout(), "b": Dense(2)}, ["input -> a -> b -> output"]),
        ),
    ],
)
def test_other_layers_leave_the_first_weights_as_they_are(fewer: Any, more: Any) -> None:
    small, large = network(fewer(), seed=3), network(more(), seed=3)
    for address, param in small.params().items():
        np.testing.assert_array_equal(param.value, large.params()[address].value)
