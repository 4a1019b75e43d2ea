"""The estimators' defaults beside scikit-learn's: scores on data as they are, in five folds.

    python experiments/defaults.py

`Classifier()` and `Regressor()` are given raw numbers, and so is gradient boosting. The linear
models and the perceptrons of scikit-learn have a StandardScaler before them, the perceptron for
numbers standardized targets too, without which it does not learn in 200 epochs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from layerkit.sklearn import Classifier, Regressor


def data_sets() -> Iterator[tuple[str, bool, Any, Any]]:
    """Name, whether there are classes, X and y of each data set."""
    for name in ("iris", "digits", "breast_cancer", "wine"):
        yield name, True, *getattr(datasets, f"load_{name}")(return_X_y=True)
    labels = datasets.make_multilabel_classification(1000, 20, random_state=0)
    yield "several labels", True, *labels
    yield "moons", True, *datasets.make_moons(500, noise=0.25, random_state=0)
    four = datasets.make_classification(2000, 20, n_informative=8, n_classes=4, random_state=0)
    yield "four classes", True, *four
    yield "diabetes", False, *datasets.load_diabetes(return_X_y=True, scaled=False)
    yield "linnerud", False, *datasets.load_linnerud(return_X_y=True)
    yield "made regression", False, *datasets.make_regression(1000, 20, noise=10, random_state=0)
    for i, noise in ((1, 1), (2, 100), (3, 0.1)):
        made = getattr(datasets, f"make_friedman{i}")(1000, noise=noise, random_state=0)
        yield f"Friedman {i}", False, *made
    yield "swiss roll", False, *datasets.make_swiss_roll(1000, noise=0.5, random_state=0)


def models(classes: bool, several: bool) -> list[Any]:
    """The models of a row: ours, a perceptron, gradient boosting, a linear one."""
    if classes:
        linear: Any = make_pipeline(StandardScaler(), LogisticRegression())
        trees: Any = HistGradientBoostingClassifier(random_state=0)
        perceptron: Any = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
        if several:
            linear, trees = MultiOutputClassifier(linear), MultiOutputClassifier(trees)
        return [Classifier(random_state=0), perceptron, trees, linear]
    linear = make_pipeline(StandardScaler(), Ridge())
    trees = HistGradientBoostingRegressor(random_state=0)
    perceptron = make_pipeline(StandardScaler(), MLPRegressor(random_state=0))
    scaled = TransformedTargetRegressor(perceptron, transformer=StandardScaler())
    trees = MultiOutputRegressor(trees) if several else trees
    return [Regressor(random_state=0), scaled, trees, linear]


def score(model: Any, classes: bool, X: Any, y: Any) -> float:
    """Accuracy, of each label alone if there are several, or R^2, of all folds together."""
    folds = StratifiedKFold if classes and y.ndim == 1 else KFold
    found = cross_val_predict(model, X, y, cv=folds(5, shuffle=True, random_state=0))
    return float(np.mean(found == y) if classes else r2_score(y, found))


def main() -> None:
    """Print a table in Markdown, a line for each data set as soon as it is known."""
    print(
        "| | Classifier, Regressor | MLP | HistGradientBoosting | linear |\n|---|---|---|---|---|"
    )
    for name, classes, X, y in data_sets():
        with warnings.catch_warnings(action="ignore"):  # perceptrons that have not converged
            scores = [score(model, classes, X, y) for model in models(classes, y.ndim > 1)]
        best = f"{max(scores):.3f}"
        cells = [f"{s:.3f}" for s in scores]
        print(f"| {name} |", *(f"**{c}** |" if c == best else f"{c} |" for c in cells), flush=True)


if __name__ == "__main__":
    main()
