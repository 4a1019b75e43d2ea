"""What notebooks show: graphs, tables, curves and pictures."""

import base64
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from layerkit import (
    SGD,
    Checkpoints,
    Dense,
    Network,
    Record,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
    record,
    train,
)
from layerkit.inspection.drawing import svg
from layerkit.metrics import report
from layerkit.progress import Records
from layerkit.runs.plots import curves
from layerkit.testing import check_layer

X, T = np.random.default_rng(0).random((6, 3)), np.array([0, 1, 1, 0, 1, 0])


def small() -> Network:
    body = Sequential([Dense(4), ReLU(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), shape=(3,))


class Cells(HTMLParser):
    """The texts of the rows of a table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def test_a_network_is_its_graph_whose_styles_stay_in_the_picture() -> None:
    net = small()
    shown = net._repr_html_()
    (data,) = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)"', shown)
    assert base64.b64decode(data).decode() == svg(net)
    assert "Dense(units=4)" in shown.split("alt=")[1]
    assert "<style" not in shown


def test_records_are_a_list_and_shown_as_a_table() -> None:
    records = fit(small(), SGD(lr=0.1), X, T, epochs=3, validation=(X, T))
    assert isinstance(records, list)
    rows = Cells(records._repr_html_()).rows  # type: ignore[attr-defined]
    assert rows[0][:3] == ["epoch", "seconds", "train accuracy"]
    assert [row[0] for row in rows[2:]] == ["1", "2", "3"]
    assert rows[2][3] == f"{records[0].train_loss:.4g}"
    assert records._repr_html_().count("<svg") == 4  # type: ignore[attr-defined]


def test_of_many_records_the_first_and_the_last_are_shown() -> None:
    many = Records(Record(i + 1, 0.1 * i, train_loss=1 / (i + 1)) for i in range(1000))
    firsts = [row[0] for row in Cells(many._repr_html_()).rows[2:]]
    assert firsts == [*map(str, range(1, 11)), "…", *(f"{n:,}" for n in range(991, 1001))]
    assert many._repr_html_().count(",") > 1000  # the curve has all


def test_what_is_not_finite_or_not_there_is_shown_too() -> None:
    assert Cells(Records()._repr_html_()).rows == [[]]
    odd = Records([Record(1, 0.1, train_loss=math.inf), Record(2, 0.2, train_loss=0.5)])
    assert [row[2] for row in Cells(odd._repr_html_()).rows[2:]] == ["inf", "0.5"]


def test_records_of_a_resumed_training_are_shown_as_well(tmp_path: Path) -> None:
    options = {"epochs": 2, "checkpoints": Checkpoints(tmp_path)}
    for _ in train(small(), SGD(lr=0.1), X, T, **options):  # type: ignore[arg-type]
        break
    records = fit(small(), SGD(lr=0.1), X, T, resume=True, **options)  # type: ignore[arg-type]
    assert len(Cells(records._repr_html_()).rows) == 4  # type: ignore[attr-defined]


def test_a_program_is_a_table_of_its_operations() -> None:
    program = record(small(), X, T, SGD(lr=0.1))
    rows = Cells(program._repr_html_()).rows
    assert rows == program.table()
    assert rows[2] == [
        *("body.layers.0", "forward", "v2 = dot(v1, W)", "(N, 4)"),
        "y = product(x, self.W.value)",
    ]
    assert repr(program).startswith(f"Program of {len(program.ops)} operations, given x (N, 3)")
    assert len(str(program).split("\n")) == len(rows)


def test_figures_are_pictures_without_pyplot() -> None:
    figure = curves([Record(1, 0.1, train_loss=1.0), Record(2, 0.2, train_loss=0.5)])
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_texts_of_several_lines_are_shown_as_they_are_printed() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    x, t = np.eye(3), [0, 1, 1]
    texts = [net.summary(), check_layer(Dense(2), (3,), report=True), report(net, x, t)]
    for text in texts:
        assert repr(text) == str(text)
        assert "\n" in repr(text)
