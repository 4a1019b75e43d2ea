"""The tutorial's ReLU beside the right one: why its ReLU run stops at 93%.

Trains ``relu_sgd.toml`` with both, from the same seeds:

    python experiments/as_printed.py --data-dir FOLDER
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from layerkit import Array, LayerkitError, ReLU
from layerkit.runs.experiment import read_experiment

CONFIG = Path(__file__).with_name("relu_sgd.toml")


class ReLUAsPrinted(ReLU):
    """y = max(x, 0), with the printed "derivative": 1 everywhere.

    The first `where` leaves nothing below 0, so the second one finds everything at or above it.
    """

    def backward(self, dy: Array) -> Array:
        """Return dy times what the tutorial calls the derivative."""
        slope = np.where(self.y < 0, 0, self.y)
        slope = np.where(slope >= 0, 1, slope)
        return dy * slope


def main() -> None:
    """Train both networks for each seed and print their test accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", help="folder with the IDX files of MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    print("seed  as printed  right derivative")
    for seed in range(options.seeds):
        accuracies = [
            test_accuracy(relu, seed, options.epochs, options.data_dir)
            for relu in ("ReLUAsPrinted", "ReLU")
        ]
        print(f"{seed:>4}  {accuracies[0]:>10.4f}  {accuracies[1]:>16.4f}", flush=True)


def test_accuracy(relu: str, seed: int, epochs: int, data_dir: str | None) -> float:
    """Train the configured network with this ReLU and return its accuracy on the test images."""
    settings = [
        f"network.body.layers.1.type={relu}",
        f"training.seed={seed}",
        f"training.epochs={epochs}",
    ]
    experiment = read_experiment(CONFIG, settings)
    return experiment.run(experiment.load_data(data_dir))[-1].test_accuracy


if __name__ == "__main__":
    try:
        main()
    except LayerkitError as error:
        sys.exit(str(error))
