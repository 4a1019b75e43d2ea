"""The pictures of a run: those that suit its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from layerkit.arrays import Array
from layerkit.data.examples import Dataset
from layerkit.errors import LayerkitError
from layerkit.metrics.metrics import of_numbers
from layerkit.network import Network
from layerkit.progress import Record
from layerkit.runs.plots.classes import calibration, confusion, roc
from layerkit.runs.plots.columns import MARKERS, boundary, importance
from layerkit.runs.plots.figures import save
from layerkit.runs.plots.images import mistakes, show_images, weights
from layerkit.runs.plots.numbers import predicted
from layerkit.runs.plots.training import curves
from layerkit.training.importance import permutation_importance

MOST_CLASSES = MOST_COLUMNS = 100
"""Of more classes there is no confusion matrix: nobody could read it. Nor ROC curves, nor the
importance of more columns: they would take longer than the training."""
EXAMPLES = 500
"""The number of examples that the importance of columns is measured on, at most."""
TITLES = {
    "roc": "how well classes are told apart",
    "calibration": "probabilities that come true",
    "predicted": "predicted and true numbers",
    "importance": "how much each column matters",
    "boundary": "what two features decide",
}


def draw_run(
    folder: str | Path, network: Network, dataset: Dataset, records: Sequence[Record]
) -> None:
    """Draw all plots that suit the data, and save them to a run's folder.

    Parameters
    ----------
    folder : str or Path
        The run's folder, which the plots are saved to as ``.png`` files.
    network : Network
        The trained network.
    dataset : Dataset
        The data set, whose test examples are drawn.
    records : sequence of Record
        The records of all epochs, as `layerkit.fit` returns them.
    """
    names = dataset.classes or dataset.targets or ()
    figures = {"curves": curves(records, names)} if records else {}
    figures |= _of_images(network, dataset) if dataset.image else _of_tables(network, dataset)
    K = len(dataset.classes)
    if K and K <= MOST_CLASSES:
        figures["confusion"] = confusion(dataset, _predicted(network, dataset))
    elif K:
        print(f"No confusion.png, no roc.png of {K:,} classes: more than {MOST_CLASSES}")
    for name, figure in figures.items():
        save(figure, Path(folder) / f"{name}.png")


def _predicted(network: Network, dataset: Dataset) -> Array:
    return network.loss.predict(network.outputs(dataset.test.inputs)).ravel()


def _of_images(network: Network, dataset: Dataset) -> dict[str, Figure]:
    figures = {"examples": show_images(dataset, dataset.train)}
    if dataset.classes:
        sure = None
        if network.loss.has_probabilities:
            sure = network.predict_proba(dataset.test.inputs).max(axis=-1)
        figures["mistakes"] = mistakes(dataset, _predicted(network, dataset), probabilities=sure)
    for param in network.params().values():
        if len(param.shape) == 2 and param.shape[:1] == network.shape and dataset.image:
            return figures | {"weights": weights(param.value, dataset.image)}
    return figures


def _of_tables(network: Network, dataset: Dataset) -> dict[str, Figure]:
    """Plot the test examples, and what the columns say of them."""
    test, loss, exclusive = dataset.test, network.loss, network.targets.exclusive
    x, w = test.inputs, test.w
    t = network.targets.named(test.t) if exclusive else test.t
    K, C = len(dataset.classes), len(dataset.features or [])
    first, _ = network.targets.check(t[:1], 1)
    numbers = of_numbers(loss, network.body.output_shape, first)
    suits = {
        roc: loss.judges_classes and K <= MOST_CLASSES,
        calibration: loss.has_probabilities,
        predicted: numbers,
        _importance: 0 < C <= MOST_COLUMNS,
        boundary: network.shape == (2,) and (numbers or (exclusive and len(MARKERS) >= K)),
    }
    if C > MOST_COLUMNS:
        print(f"No importance.png of {C:,} columns: more than {MOST_COLUMNS}")
    figures = {}
    for draw in (plot for plot, it_does in suits.items() if it_does):
        name = draw.__name__.strip("_")
        try:
            figures[name] = draw(network, x, t, w)
        except LayerkitError as error:  # such as classes that are not there
            print(f"No {name}.png: {error}")
    for name, figure in figures.items():
        figure.suptitle(f"{TITLES[name]}, test examples", size=11)
    return figures


def _importance(network: Network, x: Any, t: Array, sample_weight: Array | None) -> Figure:
    return importance(permutation_importance(network, x, t, sample_weight, most=EXAMPLES))
