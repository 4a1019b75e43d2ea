"""An experiment in Python."""

import numpy as np

from layerkit import (
    SGD,
    Dense,
    Network,
    ReduceLROnPlateau,
    SoftmaxCrossEntropy,
    Training,
)
from layerkit.experiment import Experiment


def test_a_run_leaves_the_experiment_as_it_is() -> None:
    """A callback that lowers the rate lowers it for one run, not in the configuration."""
    lowering = ReduceLROnPlateau(monitor="train_loss", patience=1, min_delta=1e3)
    experiment = Experiment(
        Network(Dense(10), SoftmaxCrossEntropy(), (64,)),
        SGD(lr=0.5),
        training=Training(epochs=4, callbacks=[lowering]),
    )
    dataset = experiment.load_data()
    first = [record.row() | {"seconds": 0} for record in experiment.run(dataset)]
    weights = experiment.network.arena.values.copy()
    assert experiment.optimizer == SGD(lr=0.5)
    second = [record.row() | {"seconds": 0} for record in experiment.run(dataset)]
    assert first == second
    np.testing.assert_array_equal(experiment.network.arena.values, weights)
