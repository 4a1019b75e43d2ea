"""The pictures of a run: those that suit its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layerkit.data.datasets import Dataset
from layerkit.network import Network
from layerkit.progress import Record
from layerkit.runs.plots.classes import confusion
from layerkit.runs.plots.figures import save
from layerkit.runs.plots.images import mistakes, show_images, weights
from layerkit.runs.plots.training import curves

MOST_CLASSES = 100
"""Of more classes there is no picture of the confusion matrix: nobody could read it."""


def draw_run(
    folder: str | Path, network: Network, dataset: Dataset, records: Sequence[Record]
) -> None:
    """Draw all plots that suit the data, and save them to a run's folder."""
    folder = Path(folder)
    figures = {}
    if records:
        figures["curves"] = curves(records, dataset.classes or dataset.targets or ())
    if dataset.classes:
        predicted = network.loss.predict(network.outputs(dataset.test.inputs)).ravel()
        if len(dataset.classes) <= MOST_CLASSES:
            figures["confusion"] = confusion(dataset, predicted)
        else:
            print(f"No confusion.png of {len(dataset.classes):,} classes: more than {MOST_CLASSES}")
        if dataset.image:
            figures["mistakes"] = mistakes(dataset, predicted)
    if dataset.image:
        figures["examples"] = show_images(dataset, dataset.train)
        for param in network.params().values():
            if len(param.shape) == 2 and param.shape[:1] == network.shape:
                figures["weights"] = weights(param.value, dataset.image)
                break
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png")
