"""The options of train and fit, and that a refusal leaves no trace."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from layerkit import (
    EMA,
    SGD,
    Adam,
    BatchNorm,
    Checkpoints,
    ConfigError,
    Dense,
    Dropout,
    EarlyStopping,
    ImageAugmentation,
    LayerkitError,
    LinearSchedule,
    Momentum,
    Network,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    Training,
    fit,
    train,
)
from layerkit.callbacks import Callback
from layerkit.progress import Progress
from layerkit.training.loop import train_step
from layerkit.training.options import Options

X = np.random.default_rng(0).normal(size=(14, 4))
T = np.arange(14) % 3
BESIDE = {"sample_weight", "validation", "test", "mpi", "resume"}
"""Options of `train` that a configuration file has elsewhere: in its data, and in the command."""
FILES = {"threads", "folds", "warm_start"}
"""Options of a configuration file that in Python are a matter of the caller's."""


def network() -> Network:
    body = Sequential([Standardize(), Dense(5), BatchNorm(), Dropout(0.3), Dense(3)])
    return Network(body, SoftmaxCrossEntropy(), (4,)).initialize(2)


def test_the_options_of_train_are_those_of_configuration_files() -> None:
    of_files = {option.name for option in fields(Training)}
    assert set(get_type_hints(Options)) == (of_files - FILES) | BESIDE
    documented = " ".join((train.__doc__ or "").split())
    for name in get_type_hints(Options):
        assert re.search(rf"\b{name}\b", documented), name


def test_without_options_the_two_agree() -> None:
    trainer = train(network(), SGD(), X, T)
    assert trainer.progress.options == Training()


def test_each_option_reaches_the_training(tmp_path: Path) -> None:
    callbacks = [EarlyStopping(monitor="train_loss")]
    options: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 5,
        "gradient_accumulation_steps": 2,
        "seed": 7,
        "average": EMA(0.5),
        "augmentation": ImageAugmentation(shift=1.0, image=(2, 2)),
        "class_weight": [1.0, 2.0, 3.0],
        "target_weight": None,
        "standardize_targets": False,
        "metrics": ["f1_macro"],
        "measure_train": False,
        "engine": "numpy",
        "checkpoints": Checkpoints(tmp_path),
        "callbacks": callbacks,
    }
    assert options.keys() | FILES == {option.name for option in fields(Training)}
    options["callbacks"] = [EarlyStopping(monitor="test_loss")]
    trainer = train(network(), SGD(), X, T, test=(X, T), **options)
    assert trainer.progress.options == Training(**options)
    assert (trainer.progress.epochs, trainer.source.batches, trainer.parts) == (3, 2, 2)
    assert trainer.augmentation == options["augmentation"]


@pytest.mark.parametrize("begin", [train, fit])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("batchsize", "; did you mean 'batch_size'?"),
        ("epoch", "; did you mean 'epochs'?"),
        ("validation_data", ""),
        ("threads", ""),
        ("lr", ""),
    ],
)
def test_unknown_options_are_refused(begin: Any, name: str, hint: str) -> None:
    net, optimizer = network(), SGD()
    with pytest.raises(ConfigError, match=f"no option '{name}'{re.escape(hint)}"):
        begin(net, optimizer, X, T, **{name: 1})
    assert not net.adapted


def test_numbers_of_numpy_s_are_numbers() -> None:
    options: dict[str, Any] = {
        "epochs": np.int64(2),
        "batch_size": np.int32(5),
        "seed": np.uint8(3),
        "class_weight": np.array([1, 2, 3], np.float32),
        "measure_train": np.bool_(False),
    }
    plain: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 5,
        "seed": 3,
        "class_weight": [1.0, 2.0, 3.0],
        "target_weight": None,
    }
    trainer = train(network(), SGD(), X, T, **options)
    assert trainer.progress.options == Training(**plain, measure_train=False)
    other = train(network(), SGD(), X, T, **plain, measure_train=False)
    trainer.run(), other.run()
    np.testing.assert_array_equal(trainer.network.arena.values, other.network.arena.values)


@pytest.mark.parametrize("weights", [{0: 2.0, 2: 0.5}, [2.0, 1.0, 0.5], (2, 1, 0.5), "balanced"])
def test_weights_of_classes_in_all_their_forms(weights: Any) -> None:
    trainer = train(network(), SGD(), X, T, class_weight=weights)
    counts = np.bincount(T)
    wanted = len(T) / (3 * counts) if weights == "balanced" else np.array([2.0, 1.0, 0.5])
    source: Any = trainer.source
    np.testing.assert_allclose(source.a, wanted[T])


# Random numbers


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937])
def test_a_generator_draws_a_seed_for_each_training(kind: Any) -> None:
    """Which is told, and repeats that training."""
    rng, numbers = np.random.Generator(kind(5)), np.random.Generator(kind(5))
    seeds = []
    for _ in range(2):
        nets = [network().adapt(X) for _ in range(2)]
        trainer = train(nets[0], SGD(), X, T, epochs=2, batch_size=4, seed=rng)
        options: Any = trainer.progress.options
        seeds.append(options.seed)
        trainer.run()
        fit(nets[1], SGD(), X, T, epochs=2, batch_size=4, seed=seeds[-1])
        np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)
    assert seeds == numbers.integers(2**63, size=2).tolist()


# A refusal leaves no trace


class RefusesRun(Callback):
    def check(self, progress: Progress) -> None:
        raise ConfigError("a test")


class Unfit(Callback):
    """Remembers something, so that its presence is a part of a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        return {}


def refusals(folder: Path) -> dict[str, dict[str, Any]]:
    from layerkit import Lambda

    wrong = X.copy()
    wrong[3, 2] = np.inf
    broken = network()
    vars(broken["body.layers.4"])["forward"] = lambda x, train=True: x
    checkpoints = Checkpoints(folder)
    return {
        "an unknown option": {"batchsize": 3},
        "a wrong option": {"epochs": 0},
        "a seed": {"seed": -1},
        "examples": {"x": wrong},
        "targets": {"t": T + 1},
        "weights": {"sample_weight": -np.ones(14)},
        "weights of classes": {"class_weight": [1.0]},
        "classes without weight": {"sample_weight": np.zeros(14)},
        "a validation set": {"validation": (wrong, T)},
        "a test set": {"test": (X, T[1:])},
        "metrics": {"metrics": ["f1_marco"], "test": (X, T)},
        "metrics of nothing": {"metrics": ["f1_macro"]},
        "a batch that is too small": {"batch_size": 13},
        "a callback": {"callbacks": [RefusesRun()]},
        "an augmentation": {"augmentation": ImageAugmentation(image=(3, 3))},
        "an average": {"x": lambda: iter([(X, T)]), "t": None, "average": EMA()},
        "a layer": {"network": broken},
        "an iterator": {"x": iter([(X, T)]), "t": None},
        "a function in a layer": {"network": Lambda(np.sin, np.cos)},
        "resume": {"resume": True},
        "resume in another word": {"resume": "yes", "checkpoints": checkpoints},
        "checkpoints of another training": {"checkpoints": checkpoints},
        "another training": {"checkpoints": checkpoints, "resume": True, "batch_size": 5},
        "a callback that is not in them": {
            "checkpoints": checkpoints,
            "resume": True,
            "batch_size": 4,
            "callbacks": [Unfit()],
        },
        "arrays that don't fit": {
            "checkpoints": checkpoints,
            "resume": "force",
            "batch_size": 4,
            "average": EMA(),
        },
    }


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("name", refusals(Path()))
def test_a_refusal_changes_neither_network_nor_optimizer_nor_files(
    name: str, used: bool, tmp_path: Path
) -> None:
    fit(network(), Momentum(), X, T, epochs=1, batch_size=4, checkpoints=Checkpoints(tmp_path))
    options = {"x": X, "t": T, "batch_size": 7, **refusals(tmp_path)[name]}
    net, rng = options.pop("network", network()), np.random.default_rng(3)
    optimizer = Momentum(schedules={"lr": LinearSchedule(steps=30)}, rates={"*.b": 0.5})
    if used and isinstance(net, Network) and name != "a layer":
        for _ in range(2):
            train_step(net.adapt(X), optimizer, X, T)
    before = trace(net, optimizer, tmp_path), rng.bit_generator.state
    with pytest.raises(LayerkitError) as caught:
        train(net, optimizer, **{"seed": rng, **options})
    assert str(caught.value)
    assert (trace(net, optimizer, tmp_path), rng.bit_generator.state) == before


@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(rates={"body.layers.9.W": 0.5}),
        Adam(schedules={"lr": LinearSchedule(warmup=99)}),
    ],
)
def test_an_optimizer_that_does_not_fit_changes_nothing(optimizer: Adam, tmp_path: Path) -> None:
    net = network()
    before = trace(net, optimizer, tmp_path)
    with pytest.raises(LayerkitError):
        fit(net, optimizer, X, T)
    assert trace(net, optimizer, tmp_path) == before


def trace(net: Any, optimizer: Any, folder: Path) -> Any:
    """All that a refusal might have changed, in every bit."""
    arrays: list[Any] = []
    if isinstance(net, Network):
        arena = net.arena
        arrays = [part.tobytes() for part in (arena.values, arena.grads, arena.states)]
        arrays += [(layer.wants_dx, "forward" in vars(layer)) for _, layer in net.layers()]
        arrays += [layer.rng.bit_generator.state for _, layer in net.layers() if layer.random]
    kept = {
        name: {key: slot.tobytes() for key, slot in value.items()} if name == "memory" else value
        for name, value in vars(optimizer).items()
        if name not in ("w", *optimizer.scratch)
    }
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return arrays, repr(kept), files
