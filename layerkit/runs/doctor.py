"""The doctor for configuration files and runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from layerkit.inspection.doctor.diagnose import diagnose
from layerkit.inspection.doctor.diagnosis import Diagnosis
from layerkit.runs.folder import read_history
from layerkit.runs.one_step import before_a_step
from layerkit.training.batches import Arrays
from layerkit.training.scale import ScaleWarning


def diagnose_run(
    path: str | Path, settings: Sequence[str] = (), data_dir: str | Path | None = None
) -> Diagnosis:
    """Diagnose a configuration file with its initial weights, or a run with its last.

    Parameters
    ----------
    path : str or Path
        A file, or the folder of a run.
    settings, data_dir
        As for `read_experiment` and `Experiment.load_data`.

    Raises
    ------
    LayerkitError
        As when a training run begins.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScaleWarning)  # they are among the findings
        experiment, dataset, trainer = before_a_step(path, settings, data_dir)
    network, source, training = experiment.network, trainer.source, experiment.training
    assert isinstance(source, Arrays)
    named = network.targets.named
    parts = {name: (part.inputs, named(part.t)) for name, part in dataset.parts().items()}
    with experiment.limited(), dataset.train.naming():
        return diagnose(
            network,
            *parts["train"],
            trainer.optimizer,
            sample_weight=source.a,
            validation=parts.get("validation"),
            test=parts["test"],
            records=read_history(path) if Path(path).is_dir() else (),
            batch_size=training.batch_size * training.gradient_accumulation_steps,
        )
