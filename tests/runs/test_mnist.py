"""The tutorial's results on the real MNIST: `make slow`, with LAYERKIT_DATA or a download."""

from pathlib import Path

import pytest

from layerkit import Record
from layerkit.runs.experiment import read_experiment

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def last_record(name: str, *settings: str) -> Record:
    experiment = read_experiment(EXPERIMENTS / name, settings)
    return experiment.run(experiment.load_data())[-1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sigmoid_with_momentum_reaches_what_the_tutorial_prints(seed: int) -> None:
    record = last_record("sigmoid_momentum.toml", f"training.seed={seed}")
    assert record.train_loss < 0.035
    assert record.test_accuracy > 0.965
    assert record.test_loss < 0.095


@pytest.mark.slow
def test_relu_with_the_right_derivative_passes_the_tutorial() -> None:
    assert 0.945 < last_record("relu_sgd.toml").test_accuracy < 0.96
    assert last_record("relu_adam.toml").test_accuracy > 0.965


@pytest.mark.slow
def test_relu_as_printed_stops_where_the_tutorial_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import as_printed

    assert 0.92 < as_printed.test_accuracy("ReLUAsPrinted", 0, 10, None) < 0.935
