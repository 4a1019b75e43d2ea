"""The page of a step of the tutorial's network on the embedded digits, for docs/trace.md."""

from pathlib import Path

from layerkit import trace
from layerkit.runs.experiment import read_experiment

EXPERIMENT = Path(__file__).parents[2] / "experiments/digits.toml"


def write_step(path: Path) -> None:
    """Train the network for an epoch, and write what becomes of an example in a step after it."""
    experiment = read_experiment(EXPERIMENT, ["training.epochs=1"])
    digits = experiment.load_data()
    experiment.run(digits)
    found = trace(
        experiment.network,
        digits.train.x[4:5],
        digits.train.t[4:5],
        experiment.new_optimizer(),
        image=digits.image,
        title="A digit in one step of the tutorial's network, which was trained for an epoch",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save(path)
