"""A step of the tutorial's network on the digits, for docs/trace.md and docs/tutorial.md."""

from functools import cache
from pathlib import Path

from layerkit import Trace, trace
from layerkit.runs.experiment import read_experiment

EXPERIMENT = Path(__file__).parents[2] / "experiments/digits.toml"
EXAMPLE = 4


@cache
def traced() -> Trace:
    """Train the network for an epoch, and follow an example through a step after it."""
    experiment = read_experiment(EXPERIMENT, ["training.epochs=1"])
    digits = experiment.load_data()
    experiment.run(digits)
    return trace(
        experiment.network,
        digits.train.x[EXAMPLE : EXAMPLE + 1],
        digits.train.t[EXAMPLE : EXAMPLE + 1],
        experiment.new_optimizer(),
        image=digits.image,
        title="A digit in one step of the tutorial's network, which was trained for an epoch",
    )


def write_step(path: Path) -> None:
    """Write what becomes of the example."""
    path.parent.mkdir(parents=True, exist_ok=True)
    traced().save(path)
