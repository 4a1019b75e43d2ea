from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import layerkit.callbacks
import layerkit.runs.experiment
from layerkit import (
    Adam,
    Dense,
    EarlyStopping,
    Network,
    Schedule,
    SoftmaxCrossEntropy,
    fit,
    from_config,
)
from layerkit.callbacks import MonitorWarning
from layerkit.config.options import Configurable
from layerkit.data.datasets import Data
from layerkit.data.labels import numbered
from layerkit.errors import ConfigError, LayerkitError, LayerkitWarning, nearest
from layerkit.files.networks import _check_tensors
from layerkit.foreign import OURS, SYNONYMS
from layerkit.progress import Progress
from layerkit.training.class_weights import by_number, example_weights
from layerkit.training.scale import ScaleWarning


def test_every_synonym_leads_to_a_name_that_exists() -> None:
    options = {field.name for cls in Configurable.registry.values() for field in fields(cls)}
    measured = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
    assert SYNONYMS.keys() <= Configurable.registry.keys() | options | measured | {"roc_auc"}


def test_no_synonym_means_two_things() -> None:
    names = [name for theirs in SYNONYMS.values() for name in theirs.split()]
    assert len(OURS) == len(names) == len({name.lower() for name in names})


@pytest.mark.parametrize(
    ("wanted", "name", "ours"),
    [
        (layerkit.Layer, "BatchNorm1d", "BatchNorm"),
        (layerkit.Layer, "Linear", "Dense"),
        (layerkit.Initializer, "kaiming_normal", "HeNormal"),
        (layerkit.Loss, "BCEWithLogitsLoss", "BinaryCrossEntropy"),
        (Schedule, "OneCycleLR", "OneCycleSchedule"),
        (layerkit.Callback, "TerminateOnNaN", "StopOnNonFinite"),
    ],
)
def test_names_of_other_libraries_are_recognised(
    wanted: type[Configurable], name: str, ours: str
) -> None:
    with pytest.raises(ConfigError, match=f"here it is called '{ours}'"):
        from_config({"type": name}, wanted)


def test_options_of_other_libraries_are_recognised() -> None:
    with pytest.raises(ConfigError, match="here it is called 'lr'"):
        from_config({"type": "Adam", "learning_rate": 0.1}, Adam)
    with pytest.raises(ConfigError, match="here it is called 'units'"):
        from_config({"type": "Dense", "out_features": 3}, Dense)


def test_a_name_is_not_translated_where_ours_is_not_allowed() -> None:
    assert nearest("Identity", ["Eye", "Zeros"]) == "here it is called 'Eye'"
    assert nearest("Identity", ["Dense", "Identities"]) == "did you mean 'Identities'?"
    assert nearest("Linear", ["ReLU"]) == ""


def test_a_warning_points_at_the_users_line() -> None:
    x = np.arange(-9.0, 9.0)[:, None] * 100
    net = Network(Dense(2), SoftmaxCrossEntropy(), (1,))
    stopping = EarlyStopping(monitor="validation_roc_auc")
    options: Any = {"validation": (x[:2], [0, 0]), "metrics": ["roc_auc"], "callbacks": [stopping]}
    with pytest.warns(LayerkitWarning) as told:
        fit(net, Adam(), x, x[:, 0] > 0, **options)
    assert [warning.category for warning in told] == [ScaleWarning, MonitorWarning]
    assert {warning.filename for warning in told} == {__file__}


def test_every_error_is_a_layerkit_error_and_a_value_error() -> None:
    errors = [vars(layerkit.errors)[name] for name in layerkit.errors.__all__ if "Error" in name]
    assert all(
        issubclass(error, LayerkitError) and issubclass(error, ValueError) for error in errors
    )


MANY = [f"name {i}" for i in range(3000)]
SAVED = {"body": {"type": "ReLU"}, "shape": [1]}
MEASURED: Any = SimpleNamespace(measured=MANY)
OF_MANY = Network(Dense(3000), SoftmaxCrossEntropy(), shape=(1,))


@pytest.mark.parametrize(
    "refused",
    [
        lambda: from_config({"optimizer": {}}, layerkit.runs.experiment.Experiment),
        lambda: numbered(np.array(["else"]), MANY),
        lambda: Data(path="t.csv", label="y", classes=[*MANY, MANY[0]]),
        lambda: by_number([1.0] * 2999, MANY),
        lambda: by_number({"else": 1.0}, MANY),
        lambda: example_weights([1.0] * 2999, OF_MANY, np.arange(3)),
        lambda: _check_tensors(Path("file"), SAVED, dict.fromkeys(MANY, np.zeros(1))),
        lambda: EarlyStopping(monitor="else").check(MEASURED),
        lambda: Data(path="t.csv", label=MANY[0], features=MANY),
    ],
)
def test_long_lists_are_cut(refused: Callable[[], Any]) -> None:
    with pytest.raises(LayerkitError) as caught:
        refused()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("part", "name", "sentence"),
    [
        (lambda net: net["body"], "trainable", r"an option of the optimizer, rates="),
        (lambda net: net["body.W"], "requires_grad", r"an option of the optimizer, rates="),
        (lambda net: net, "trainable", r"an option of the optimizer, rates="),
        (lambda net: Progress(net, Adam(), 1), "stop_training", r"write progress.stop\(reason\)"),
    ],
)
def test_what_nobody_would_read_is_not_assigned(
    part: Callable[[Network], Any], name: str, sentence: str
) -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    owner = part(net)
    before = dict(vars(owner))
    with pytest.raises(AttributeError, match=sentence):
        setattr(owner, name, np.zeros((3, 2)))
    assert vars(owner) == before
    net.predict(np.ones((1, 3)))
