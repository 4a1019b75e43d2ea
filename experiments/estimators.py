"""The estimators of layerkit.sklearn beside scikit-learn's: scores and times on eight data sets.

Each round splits each data set anew, three quarters to train on, and fits all estimators in turn,
on one core. The perceptrons have scikit-learn's defaults in both libraries, and the same seed, so
that their losses are compared, too. All are given standardized columns, and regressors
standardized targets.

    python experiments/estimators.py
    python experiments/estimators.py --quick
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import layerkit.sklearn

CLASSES: dict[str, Callable[[], Any]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "several labels": lambda: datasets.make_multilabel_classification(1000, 20, random_state=0),
}
NUMBERS: dict[str, Callable[[], Any]] = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "linnerud": lambda: datasets.load_linnerud(return_X_y=True),
    "made regression": lambda: datasets.make_regression(1000, 20, noise=10, random_state=0),
}
THEIRS, OURS = "scikit-learn's MLP", "layerkit's MLP"
SCORES = {"classes": "accuracy", "numbers": "R²"}


@dataclass
class Results:
    """What one estimator did on one data set: a number for each round."""

    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def estimators(classes: bool, several: bool, quick: bool) -> dict[str, Any]:
    """Return new estimators by name, for one target or several."""
    mlp: dict[str, Any] = {"random_state": 0} | ({"max_iter": 3} if quick else {})
    net: dict[str, Any] = {"random_state": 0} | ({"epochs": 3} if quick else {})
    if classes:
        linear, trees = LogisticRegression(max_iter=1000), HistGradientBoostingClassifier()
        wrap = MultiOutputClassifier
        own: dict[str, Any] = {
            THEIRS: MLPClassifier(**mlp),
            OURS: layerkit.sklearn.MLPClassifier(**mlp),
            "layerkit's Classifier": layerkit.sklearn.Classifier(**net),
        }
    else:
        linear, trees = Ridge(), HistGradientBoostingRegressor()
        wrap = MultiOutputRegressor
        own = {
            THEIRS: MLPRegressor(**mlp),
            OURS: layerkit.sklearn.MLPRegressor(**mlp),
            "layerkit's Regressor": layerkit.sklearn.Regressor(**net),
        }
    others = {"linear": linear, "boosted trees": trees}
    all_of_them = own | {name: wrap(model) if several else model for name, model in others.items()}
    scaled = {name: make_pipeline(StandardScaler(), model) for name, model in all_of_them.items()}
    if classes:
        return scaled
    return {
        name: TransformedTargetRegressor(model, transformer=StandardScaler())
        for name, model in scaled.items()
    }


def perceptron(model: Any) -> Any:
    """Return the fitted last step."""
    return getattr(model, "regressor_", model)[-1]


def compare(
    X: Any, y: Any, classes: bool, rounds: int, quick: bool
) -> tuple[dict[str, Results], float]:
    """Return the results of all estimators, and by how much the losses of the MLPs differ."""
    results: dict[str, Results] = {}
    difference = 0.0
    for turn in range(rounds):
        stratify = y if classes and y.ndim == 1 else None
        parts = train_test_split(X, y, random_state=turn, stratify=stratify)
        models = estimators(classes, y.ndim == 2, quick)
        names = list(models)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            models[name].fit(parts[0], parts[2])
            seconds = time.perf_counter() - start
            result = results.setdefault(name, Results())
            result.seconds.append(seconds)
            result.scores.append(models[name].score(parts[1], parts[3]))
        theirs, ours = (np.array(perceptron(models[n]).loss_curve_) for n in (THEIRS, OURS))
        difference = max(difference, float(np.max(abs(ours / theirs - 1))))
    return {name: results[name] for name in models}, difference


def one_row(calls: int) -> dict[str, float]:
    """Return the microseconds of predict_proba for one digit, medians of interleaved calls."""
    X, y = datasets.load_digits(return_X_y=True)
    models = {
        THEIRS: MLPClassifier(max_iter=3, random_state=0).fit(X, y),
        OURS: layerkit.sklearn.MLPClassifier(max_iter=3, random_state=0).fit(X, y),
        "layerkit's Classifier": layerkit.sklearn.Classifier(epochs=3, random_state=0).fit(X, y),
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for call in range(calls):
        row = X[[call % len(X)]]
        for name, model in models.items():
            start = time.perf_counter()
            model.predict_proba(row)
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e6 * median(times) for name, times in seconds.items()}


def table(kind: str, found: dict[str, dict[str, Results]]) -> str:
    """Return the Markdown table of the data sets with classes, or of those with numbers."""
    names = list(next(iter(found.values())))
    score = SCORES[kind]
    lines = [
        f"| {score}; milliseconds | " + " | ".join(names) + " | MLP: times as fast |",
        "|---" * (len(names) + 2) + "|",
    ]
    for data, results in found.items():
        cells = []
        for name in names:
            scores, times = results[name].scores, results[name].seconds
            spread = f" ±\u00a0{stdev(scores):.3f}" if len(scores) > 1 else ""
            cells.append(f"{mean(scores):.3f}{spread}; {1000 * median(times):,.0f}")
        ratios = [
            theirs / ours
            for theirs, ours in zip(results[THEIRS].seconds, results[OURS].seconds, strict=True)
        ]
        lines.append(f"| {data} | {' | '.join(cells)} | {median(ratios):.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all, print the tables, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9, help="default: 9")
    parser.add_argument("--quick", action="store_true", help="try it: 2 rounds of 3 epochs")
    results = Path(__file__).parent / "results" / "estimators.md"
    parser.add_argument("--out", type=Path, help=f"default: {results.name}, but none if quick")
    args = parser.parse_args()
    rounds = 2 if args.quick else args.rounds
    out = args.out or (None if args.quick else results)

    sections, differences = [], []
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        for kind, sets in (("classes", CLASSES), ("numbers", NUMBERS)):
            found = {}
            for data, load in sets.items():
                X, y = load()
                found[data], difference = compare(X, y, kind == "classes", rounds, args.quick)
                differences.append(difference)
                print(f"{data}: the losses of the MLPs differ by {difference:.0e}", flush=True)
            sections.append(table(kind, found))
            print(sections[-1], flush=True)
        row = one_row(200 if args.quick else 2000)
    versions = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy"))
    text = f"""# Estimators

{versions}, Python {platform.python_version()} on {platform.machine()}, one core.
Means and standard deviations of the scores on the examples that were held out, and medians of the
times of `fit`, over {rounds} splits. Both MLPs have scikit-learn's defaults; the losses of their
epochs differ by at most {max(differences):.0e} of their value. "linear" is LogisticRegression or
Ridge, "boosted trees" are HistGradientBoosting, one for each of several targets.

{sections[0]}
{sections[1]}
Microseconds of `predict_proba` for one digit: {", ".join(f"{n} {row[n]:.0f}" for n in row)}.
"""
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
        print(f"written: {out}")


if __name__ == "__main__":
    main()
