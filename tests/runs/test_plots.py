import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from layerkit import Dense, Network, Record, SoftmaxCrossEntropy
from layerkit.arrays import Array
from layerkit.data import Data, Dataset, Examples
from layerkit.runs.plots import confusion, curves, draw_run, mistakes, save, show_images, weights
from layerkit.runs.plots.figures import drawn


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return Data(name="digits").load(seed=0)


def test_curves_show_what_was_recorded() -> None:
    records = [Record(1, 0.1, 0.5, 2.0, 0.4, 2.5), Record(2, 0.2, 0.75, 1.0, 0.6, 1.5)]
    loss, accuracy = curves(records).axes
    assert [np.asarray(line.get_ydata()).tolist() for line in loss.lines] == [
        [2.0, 1.0],
        [2.5, 1.5],
    ]
    assert [np.asarray(line.get_ydata()).tolist() for line in accuracy.lines] == [
        [0.5, 0.75],
        [0.4, 0.6],
    ]
    ticks = curves(records[:1]).axes[0].get_xticks()
    assert all(tick == round(tick) for tick in ticks)


def test_only_what_was_measured_is_drawn() -> None:
    records = [Record(1, 0.1, train_loss=2.0, validation_loss=3.0, metrics={"validation_r2": 0.5})]
    loss, r2 = curves(records).axes
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    assert (r2.get_ylabel(), [line.get_label() for line in r2.lines]) == ("r2", ["validation"])
    records = [Record(1, 0.1, train_loss=2.0, test_loss=3.0, test_accuracy=0.5)]
    assert [[line.get_label() for line in axes.lines] for axes in curves(records).axes] == [
        ["train", "test"],
        ["test"],
    ]


def test_the_metrics_of_all_classes_share_a_panel() -> None:
    metrics = {"test_recall_class_0": 0.5, "test_recall_class_1": 0.25, "test_f1": math.nan}
    _, recall = curves([Record(1, 0.1, train_loss=2.0, metrics=metrics)]).axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in recall.lines}
    assert (recall.get_ylabel(), drawn) == ("recall", {"class 0": [0.5], "class 1": [0.25]})
    metrics = {"test_recall_class_cat": 0.5, "test_recall_class_dog": 0.25}
    _, recall = curves([Record(1, 0.1, train_loss=2.0, metrics=metrics)], ["cat", "dog"]).axes
    assert [line.get_label() for line in recall.lines] == ["cat", "dog"]


def test_a_mapped_file_is_drawn_as_the_array_is(tmp_path: Path, digits: Dataset) -> None:
    x, t = digits.test.x, digits.test.t
    np.save(tmp_path / "x.npy", x)
    part = Examples(
        np.load(tmp_path / "x.npy", mmap_mode="r"), t[::-1], None, np.arange(len(t))[::-1]
    )
    mapped = Dataset("mapped", part, part, digits.classes, image=(8, 8))
    wrong = (part.t + (part.t == 3)) % 10
    for figure in (show_images(mapped, part), mistakes(mapped, wrong)):
        for axes in figure.axes:
            if axes.images:
                drawn = np.asarray(axes.images[0].get_array())
                rows = np.flatnonzero((x.reshape(-1, 8, 8) == drawn).all(axis=(1, 2)))
                assert str(t[rows[0]]) == axes.get_title().split()[0]
    network = Network(Dense(10), SoftmaxCrossEntropy(), shape=(64,))
    (tmp_path / "run").mkdir()
    draw_run(tmp_path / "run", network, mapped, [Record(1, 0.1, train_loss=1.0)])
    assert len([*(tmp_path / "run").iterdir()]) == 5


def test_images_are_really_drawn(digits: Dataset) -> None:
    axes = show_images(digits, digits.train).axes
    assert len(axes) == 10
    for i, picture in enumerate(axes):
        drawn = np.asarray(picture.images[0].get_array())
        np.testing.assert_array_equal(drawn, digits.train.x[i].reshape(8, 8))
        assert picture.get_title() == str(digits.train.t[i])


@pytest.mark.parametrize(
    ("t", "title"),
    [(np.full(12, 2 / 3), "0.6667"), (np.tile([1.0, math.nan, 3.0, 4.0], (12, 1)), "1, nan, 3")],
)
def test_images_may_have_numbers_to_predict(t: Array, title: str) -> None:
    part = Examples(np.zeros((12, 16)), t)
    axes = show_images(Dataset("d", part, part, [], image=(4, 4), target="number"), part).axes
    assert [picture.get_title() for picture in axes] == [title] * 10


def test_mistakes_are_those_that_were_made(digits: Dataset) -> None:
    predicted = digits.test.t.copy()
    predicted[[3, 5]] = (predicted[[3, 5]] + 1) % 10
    pictures = [axes for axes in mistakes(digits, predicted).axes if axes.images]
    assert len(pictures) == 2
    title = f"{digits.test.t[5]}\npredicted {predicted[5]}"
    assert pictures[1].get_title() == title
    probabilities = np.full(len(predicted), 0.625)
    sure = mistakes(digits, predicted, probabilities=probabilities)
    assert sure.axes[1].get_title() == f"{title}\n62%"


def test_confusion_counts_every_pair() -> None:
    t = np.array([0, 0, 1, 1, 1])
    dataset = Dataset("d", Examples(t, t), Examples(t, t), ["a", "b"])
    texts = {
        text.get_position(): text.get_text()
        for text in confusion(dataset, np.array([0, 1, 1, 1, 1])).axes[0].texts
    }
    assert texts == {(0, 0): "1", (1, 0): "1", (1, 1): "3"}


def test_names_are_drawn_as_they_are() -> None:
    t, names = np.array([0, 1]), ["$_$", "_b"]
    figure = confusion(Dataset("d", Examples(t, t), Examples(t, t), names), t)
    metrics = {f"test_f1_class_{name}": 0.5 for name in names}
    lines = curves([Record(1, 0.1, train_loss=2.0, metrics=metrics)], names)
    for drawing in (figure, lines):
        assert drawn(drawing, "png").startswith(b"\x89PNG")
    legend = lines.axes[1].get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == [r"\$_\$", " _b"]


def test_weights_show_each_unit_once() -> None:
    W = np.arange(12.0).reshape(4, 3)
    array = weights(W, (2, 2)).axes[0].images[0].get_array()
    assert array is not None
    drawn = np.ma.filled(array, np.nan)
    assert drawn.shape == (6, 6)
    np.testing.assert_array_equal(drawn[:2, 3:5], W[:, 1].reshape(2, 2))
    assert np.isnan(drawn[3:, 3:]).all()
    titles = [weights(W, (2, 2), most).axes[0].get_title() for most in (2, 3)]
    assert [title.partition(":")[0] for title in titles] == [
        "weights of the first 2 of 3 units",
        "weights of 3 units",
    ]


def test_what_does_not_fit_the_data_is_left_out(tmp_path: Path) -> None:
    part = Examples(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]))
    dataset = Dataset("table", part, part, ["a", "b"])
    network = Network(Dense(2), SoftmaxCrossEntropy(), shape=(4,))
    draw_run(tmp_path, network, dataset, [])
    assert names_in(tmp_path) == ["calibration.png", "confusion.png", "roc.png"]


def test_a_confusion_matrix_that_nobody_could_read_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = Examples(np.eye(4, dtype=np.float32), np.arange(4))
    dataset = Dataset("table", part, part, [str(k) for k in range(3000)])
    network = Network(Dense(3000), SoftmaxCrossEntropy(), shape=(4,))
    draw_run(tmp_path, network, dataset, [])
    assert names_in(tmp_path) == ["calibration.png"]
    said = "No confusion.png, no roc.png of 3,000 classes: more than 100\n"
    assert capsys.readouterr().out == said


def test_a_picture_that_can_not_be_drawn_leaves_the_old_one(tmp_path: Path) -> None:
    class Broken(Figure):
        def savefig(self, fname: Any, **options: Any) -> None:
            fname.write(b"half a pic")
            raise OSError("no space")

    (tmp_path / "curves.png").write_bytes(b"the old one")
    with pytest.raises(OSError, match="no space"):
        save(Broken(), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes() == b"the old one"
    save(Figure(), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
