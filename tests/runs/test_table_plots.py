"""Plots of predictions and columns: what they show is what scikit-learn computes."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from layerkit import (
    BinaryCrossEntropy,
    DataError,
    Dense,
    Hinge,
    Loss,
    MeanSquaredError,
    Network,
    Poisson,
    Quantile,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    Table,
    permutation_importance,
)
from layerkit.data import Dataset, Examples
from layerkit.metrics import evaluate_metrics
from layerkit.runs.paths import PICTURES
from layerkit.runs.plots import (
    boundary,
    calibration,
    draw_run,
    importance,
    predicted,
    roc,
    run,
)
from layerkit.runs.plots.figures import drawn

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 3))
W = RNG.integers(0, 4, N).astype(float)
TWO = (X[:, 0] + RNG.normal(size=N) > 0).astype(int)
THREE = RNG.integers(0, 3, N)
LABELS = np.stack([TWO, np.where(THREE, np.nan, TWO)], axis=1)


def network(outputs: int, loss: Loss, features: int = 3) -> Network:
    return Network(Dense(outputs), loss, shape=(features,)).initialize(1)


def lines(axes: Axes) -> list[Any]:
    return [np.array(line.get_xydata()).T for line in axes.lines]


@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy(), Hinge()])
def test_the_roc_curve_of_two_classes_is_that_of_class_1(loss: Loss, weights: Any) -> None:
    net = network(2 if isinstance(loss, SoftmaxCrossEntropy) else 1, loss)
    net.classes = ["no", "yes"]
    z = net.outputs(X)
    score = z[:, 1] - z[:, 0] if z.shape[1] == 2 else z[:, 0]
    names = np.array(net.classes)[TWO]
    left, right = (figure := roc(net, X, names, weights)).axes
    a = np.ones(N) if weights is None else weights
    np.testing.assert_allclose(
        lines(left)[1], roc_curve(TWO[a > 0], score[a > 0], sample_weight=a[a > 0])[:2], atol=1e-12
    )
    precision, recall, _ = precision_recall_curve(TWO, score, sample_weight=a)
    np.testing.assert_allclose(lines(right)[0], [recall, precision], atol=1e-12)
    share = np.average(TWO, weights=a)
    np.testing.assert_allclose(lines(right)[1][1], [share, share])
    auc = evaluate_metrics(net, X, names, ["roc_auc"], weights)["roc_auc"]
    (text,) = figure.legends[0].get_texts()
    assert text.get_text().startswith(f"yes: AUC {auc:.3f}, AP ")


def test_each_class_has_a_curve_against_the_rest_but_those_that_do_not_occur() -> None:
    net, t = network(4, SoftmaxCrossEntropy()), THREE + (THREE == 2)
    left, _ = (figure := roc(net, X, t)).axes
    expected = [roc_curve(t == k, net.predict_proba(X)[:, k])[:2] for k in (0, 1, 3)]
    for line, curve in zip(lines(left)[1:], expected, strict=True):
        np.testing.assert_allclose(line, curve, atol=1e-6)
    texts = [text.get_text()[:7] for text in figure.legends[0].get_texts()]
    assert texts == ["class 0", "class 1", "class 3"]


def test_of_many_classes_those_with_the_smallest_auc_are_drawn() -> None:
    net, t = network(20, SoftmaxCrossEntropy()), np.arange(N) % 20
    found = evaluate_metrics(net, X, t, ["roc_auc_per_class"])
    least = sorted(sorted(range(20), key=lambda k: found[f"roc_auc_class_{k}"])[:8])
    (legend,) = roc(net, X, t).legends
    assert [int(text.get_text().split(":")[0][6:]) for text in legend.get_texts()] == least
    assert legend.get_title().get_text() == "the 8 of 20 classes with the smallest AUC"


def test_labels_have_a_curve_each_without_their_gaps() -> None:
    net, t = network(2, BinaryCrossEntropy()), np.stack([TWO, THREE > 0], axis=1).astype(float)
    t[::3, 1] = np.nan
    left, _ = roc(net, X, t).axes
    kept = ~np.isnan(t[:, 1])
    expected = roc_curve(t[kept, 1], net.outputs(X)[kept, 1])[:2]
    np.testing.assert_allclose(lines(left)[2], expected, atol=1e-12)
    assert len(lines(left)) == 3
    calibration(net, X, t)


def test_calibration_is_that_of_scikit_learn_and_weights_count() -> None:
    net = network(2, SoftmaxCrossEntropy())
    share, mean = calibration_curve(TWO, net.predict_proba(X)[:, 1], n_bins=10)
    above, below = calibration(net, X, TWO).axes
    np.testing.assert_allclose(lines(above)[1], [mean, share], atol=1e-6)
    twice = np.repeat(np.arange(N), W.astype(int))
    weighted, repeated = (
        lines(calibration(net, *given).axes[0])[1]
        for given in ((X, TWO, W), (X[twice], TWO[twice]))
    )
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)
    assert sum(bar.get_height() for bar in below.patches) == N  # type: ignore[attr-defined]
    net, p = network(3, SoftmaxCrossEntropy()), network(3, SoftmaxCrossEntropy()).predict_proba(X)
    share, mean = calibration_curve(p.argmax(axis=1) == THREE, p.max(axis=1), n_bins=10)
    top = calibration(net, X, THREE).axes[0]
    np.testing.assert_allclose(lines(top)[1], [mean, share], atol=1e-6)
    assert top.get_ylabel() == "accuracy"


def test_predicted_numbers_have_their_residuals_beside_them_and_gaps_are_left_out() -> None:
    net, t = network(2, MeanSquaredError()), np.stack([100 * X[:, 0], X[:, 1]], axis=1)
    t[::2, 1] = np.nan
    axes = predicted(net, X, t).axes
    y, kept = net.predict(X), ~np.isnan(t[:, 1])
    for d, rows in ((0, np.ones(N, bool)), (1, kept)):
        left, right = axes[2 * d : 2 * d + 2]
        points = np.array(left.collections[0].get_offsets())
        np.testing.assert_allclose(points, np.stack([t[rows, d], y[rows, d]], 1), atol=1e-5)
        residuals = np.array(right.collections[0].get_offsets())[:, 1]
        np.testing.assert_allclose(residuals, t[rows, d] - y[rows, d], atol=1e-5)
        assert left.get_xlim() == left.get_ylim()
    mae = np.abs(t[kept, 1] - y[kept, 1]).mean()
    assert axes[2].get_title().startswith(f"MAE {mae:.4g}, R² ")


def test_of_quantiles_the_median_is_drawn() -> None:
    net = network(3, Quantile((0.1, 0.5, 0.9)))
    points = np.array(predicted(net, X, X[:, 0]).axes[0].collections[0].get_offsets())
    np.testing.assert_allclose(points[:, 1], net.outputs(X)[:, 1], atol=1e-6)


def test_the_surface_between_two_classes_is_their_probability() -> None:
    net = network(2, SoftmaxCrossEntropy(), features=2)
    net.seen.features = ["$a", "b"]
    axes = boundary(net, X[:, :2], TWO).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"\$a", "b")
    surface: Any = axes.collections[0]
    corners = np.asarray(surface.get_coordinates())
    p = net.predict_proba((corners[[50], 80] + corners[[51], 81]) / 2)[0, 1]
    assert surface.get_array()[50, 80] == pytest.approx(p, abs=1e-6)
    points = [np.array(drawn.get_offsets()) for drawn in axes.collections[-2:]]
    for k in (0, 1):
        np.testing.assert_allclose(points[k], X[k == TWO, :2])


def test_importance_is_drawn_with_the_most_important_above() -> None:
    net = network(1, MeanSquaredError())
    net.arena.values[:] = [1, 0, 3, 0]
    found = permutation_importance(net, X, 3 * X[:, 2] + X[:, 0])
    axes = importance(found).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert names == ["column 1", "column 0", "column 2"]
    np.testing.assert_allclose(widths, found.mean[[1, 0, 2]])


def test_the_columns_of_a_table_are_drawn_as_they_are() -> None:
    frame = {"city": np.array(["Ulm", "Bonn", "Rom", ""])[np.arange(N) % 4], "age": X[:, 0]}
    table = Table.of(frame)
    net = Network(Sequential([table, Dense(1)]), MeanSquaredError(), shape=(2,)).adapt(frame)
    net.arena.values[:] = [0, 0, 0, 0, 5, 0]  # the age, a gap, Bonn, Rom, Ulm; b
    y = 5.0 * (frame["city"] == "Ulm")
    found = permutation_importance(net, frame, y)
    assert (found.columns, found.mean[1]) == (["city", "age"], 0)
    assert found.mean[0] > 1
    axes = boundary(net, frame, y).axes[0]
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["other", "Bonn", "Rom", "Ulm"]


@pytest.mark.parametrize(
    ("draw", "net", "t", "error", "reason"),
    [
        (roc, network(1, MeanSquaredError()), X[:, 0], DataError, "judges numbers; a ROC curve"),
        (roc, network(2, SoftmaxCrossEntropy()), 0 * TWO, DataError, "and of others"),
        (calibration, network(1, Hinge()), TWO, DataError, "Hinge has no probabilities"),
        (predicted, network(2, SoftmaxCrossEntropy()), TWO, DataError, "predicts no numbers"),
        (predicted, network(2, Quantile((0.1, 0.9))), X[:, 0], DataError, "predicts no numbers"),
        (boundary, network(1, MeanSquaredError()), X[:, 0], ShapeError, r"\(3,\); should be \(2,"),
    ],
)
def test_what_can_not_be_drawn_is_refused(
    draw: Any, net: Network, t: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        draw(net, X, t)


@pytest.mark.parametrize("outputs", [2, 11])
def test_extreme_predictions_are_drawn(outputs: int) -> None:
    net, t = network(outputs, SoftmaxCrossEntropy()), np.arange(N) % outputs
    for scale in (0, 100):
        net.arena.values[:] *= scale
        for draw in (roc, calibration):
            assert drawn(draw(net, X, t), "png").startswith(b"\x89PNG")
    constant = network(1, MeanSquaredError())
    constant.arena.values[:] = 0
    drawn(predicted(constant, X, np.zeros(N)), "png")
    drawn(predicted(constant, X[:1], [1e12]), "png")
    drawn(importance(permutation_importance(constant, X, np.zeros(N))), "png")
    drawn(boundary(network(1, MeanSquaredError(), 2), np.ones((3, 2)), np.ones(3)), "png")


def is_clipped(figure: Figure) -> bool:
    """Whether the borders of a figure cut something that is drawn in it."""
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return not np.allclose(
        Bbox.union([figure.get_tightbbox(), figure.bbox_inches]).bounds,
        figure.bbox_inches.bounds,
        atol=0.02,
    )


LONG = "the name of a column that somebody has written down as a whole sentence"


def test_long_names_and_large_numbers_are_not_cut() -> None:
    net = network(8, SoftmaxCrossEntropy())
    net.classes = [f"{k}: {LONG}" for k in range(8)]
    t = np.array(net.classes)[np.arange(N) % 8]
    net.seen.features = [f"{c}: {LONG}" for c in range(3)]
    two, numbers = network(2, SoftmaxCrossEntropy(), 2), network(1, MeanSquaredError())
    two.classes, two.seen.features = net.classes[:2], net.seen.features[:2]
    numbers.seen.targets = [LONG]
    found = permutation_importance(net, X, t, metric="balanced_accuracy")
    figures = {
        "roc": roc(net, X, t),
        "calibration": calibration(two, X[:, :2], np.array(two.classes)[TWO]),
        "boundary": boundary(two, 1e8 * X[:, :2], np.array(two.classes)[TWO]),
        "predicted": predicted(numbers, X, 1e8 * X[:, 0]),
        "importance": importance(found),
    }
    for name, figure in figures.items():
        figure.suptitle(f"{run.TITLES[name]}, test examples", size=11)
    assert [name for name, figure in figures.items() if is_clipped(figure)] == []


ALWAYS, CLASSES = ["importance.png"], ["calibration.png", "confusion.png", "roc.png"]


@pytest.mark.parametrize(
    ("net", "t", "features", "expected"),
    [
        (network(1, MeanSquaredError()), X[:, 0], "abc", [*ALWAYS, "predicted.png"]),
        (network(1, MeanSquaredError()), X[:, 0], "", ["predicted.png"]),
        (network(2, Quantile((0.1, 0.9))), X[:, 0], "", []),
        (network(3, Quantile((0.1, 0.5, 0.9))), X[:, 0], "", ["predicted.png"]),
        (network(2, BinaryCrossEntropy()), LABELS, "abc", [*ALWAYS, "calibration.png", "roc.png"]),
        (network(2, SoftmaxCrossEntropy()), TWO, "abc", [*ALWAYS, *CLASSES]),
        (network(3, SoftmaxCrossEntropy()), THREE, "", CLASSES),
        (network(1, Hinge()), TWO, "", ["confusion.png", "roc.png"]),
        (network(2, SoftmaxCrossEntropy()), 0 * TWO, "", ["calibration.png", "confusion.png"]),
        (network(2, SoftmaxCrossEntropy(), 2), TWO, "", ["boundary.png", *CLASSES]),
        (network(1, MeanSquaredError(), 2), X[:, 0], "", ["boundary.png", "predicted.png"]),
    ],
)
def test_a_run_draws_what_suits_its_data(
    net: Network,
    t: Any,
    features: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved: dict[str, Figure] = {}
    monkeypatch.setattr(run, "save", lambda figure, path: saved.update({path.name: figure}))
    part = Examples(X[:, : net.shape[0]], t, W)
    classes = ["a", "b", "c"][: max(2, t.max() + 1)] if t.dtype.kind == "i" else []
    dataset = Dataset("table", part, part, classes, [*features] or None)
    if classes:
        net.classes = classes
    draw_run("folder", net, dataset, [])
    assert sorted(saved) == sorted(expected)
    assert PICTURES.issuperset(saved)
    titles = [figure.get_suptitle() or figure.axes[0].get_title() for figure in saved.values()]
    assert len(set(titles)) == len(titles)
    assert all(title.endswith(", test examples") for title in titles)


def test_a_picture_that_can_not_be_drawn_keeps_no_run_from_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[str] = []
    monkeypatch.setattr(run, "save", lambda figure, path: saved.append(path.name))
    net = network(1, Poisson(), 2)
    net.arena.values[:] = [1000, -1000, 0]  # exp(0) where both columns are the same
    part = Examples(X[:, [0, 0]], np.ones(N))
    draw_run("folder", net, Dataset("counts", part, part, [], ["a", "b"]), [])
    assert saved == ["predicted.png"]
    assert re.findall("No (.*?).png: .*not finite", capsys.readouterr().out) == [
        "importance",
        "boundary",
    ]


def test_the_importance_of_very_many_columns_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = Examples(np.ones((5, 101)), np.arange(5.0))
    dataset = Dataset("wide", part, part, [], [f"c{i}" for i in range(101)])
    draw_run(tmp_path, network(1, MeanSquaredError(), 101), dataset, [])
    assert [path.name for path in tmp_path.iterdir()] == ["predicted.png"]
    assert capsys.readouterr().out == "No importance.png of 101 columns: more than 100\n"
