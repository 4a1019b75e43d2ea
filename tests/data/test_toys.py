"""Data sets that are drawn."""

import copy
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from layerkit import ConfigError
from layerkit.data.datasets import Data
from layerkit.data.splits import draw_split
from layerkit.data.toys import TOYS
from layerkit.runs.experiment import make_experiment


def options(name: str) -> dict[str, Any]:
    return {"name": name} if TOYS[name].classes else {"name": name, "target": "number"}


@pytest.mark.parametrize("name", TOYS)
def test_each_toy_is_drawn_from_the_seed(name: str) -> None:
    first, same, other = (Data(**options(name)).load(seed) for seed in (0, 0, 1))
    assert (len(first.train), len(first.test)) == (400, 100)
    np.testing.assert_array_equal(first.train.x, same.train.x)
    assert not np.array_equal(first.train.x, other.train.x)
    assert first.train.x.shape[1:] == TOYS[name].shape
    if classes := TOYS[name].classes:
        counts = np.bincount(first.test.t)
        assert len(counts) == classes
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("name", TOYS)
def test_noise_is_added_to_the_same_points(name: str) -> None:
    exact, noisy = (Data(**options(name), noise=noise).load(0).train for noise in (0.0, 0.1))
    added = noisy.x - exact.x if TOYS[name].classes else noisy.t - exact.t
    assert added.std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "sine"}, "target = 'class': sine is a curve, set target = \"number\""),
        ({"name": "moons", "target": "number"}, "moons has classes"),
        ({"name": "digits", "noise": 0.1}, "noise = 0.1: not allowed with name = 'digits'"),
        ({"path": "a.npz", "examples": 9}, "examples = 9: not allowed with path = 'a.npz'"),
        ({"name": "xor", "noise": -1}, "Data.noise = -1: should be greater than or equal to 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("'", ".").replace('"', ".")):
        Data(**given)


def test_a_file_may_name_a_toy_and_leave_out_the_shape() -> None:
    table: dict[str, Any] = {
        "data": {"name": "spiral", "examples": 100, "noise": 0.0, "validation_size": 0.25},
        "network": {
            "body": {"type": "Dense", "units": 2},
            "loss": {"type": "SoftmaxCrossEntropy"},
        },
        "optimizer": {"type": "SGD"},
    }
    experiment = make_experiment(copy.deepcopy(table))
    assert experiment.network.shape == (2,)
    assert len(experiment.load_data().train) == 60
    wrong = copy.deepcopy(table) | {"data": {"name": "spirall"}}
    with pytest.raises(ConfigError, match=r"^data.name = 'spirall': should be [^\n]*$"):
        make_experiment(wrong)
    del table["data"]
    assert make_experiment(table).network.shape == (64,)


def test_the_digits_are_those_of_scikit_learn() -> None:
    known, loaded = load_digits(), Data(name="digits").load(0)
    seen = np.sort(np.concatenate([loaded.train.x, loaded.test.x]).sum(axis=1))
    np.testing.assert_array_equal(seen, np.sort(known.data.sum(axis=1) / 16))
    assert np.bincount(loaded.train.t).sum() + len(loaded.test) == len(known.target)


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize(("N", "classes"), [(10, 2), (97, 5), (400, 3), (6, 3)])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 2 / 3])
def test_splits_are_those_of_scikit_learn(
    N: int, classes: int, share: float, stratify: bool
) -> None:
    t = np.random.default_rng(N).integers(0, classes, N)
    try:
        expected = train_test_split(
            np.arange(N), test_size=share, stratify=t if stratify else None, random_state=N
        )
    except ValueError:
        with pytest.raises(ValueError, match=r"would be|in one part"):
            draw_split(share, t, N, stratify=stratify)
        return
    for found, wanted in zip(draw_split(share, t, N, stratify=stratify), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
