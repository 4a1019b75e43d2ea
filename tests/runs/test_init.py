"""First configuration files: what is found in a table, and that the file can be trained."""

import sys
import tomllib
import warnings
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit.cli import main
from layerkit.columns.kinds import Category, Column, Number
from layerkit.runs.experiment import read_experiment
from layerkit.runs.first_config import quoted

RNG = np.random.default_rng(0)
N = 60


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots", None)


def write(columns: dict[str, list[Any]], name: str = "t.csv", **options: Any) -> None:
    """Write a table, whose cells are written as they are."""
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    Path(name).write_text("\n".join(lines), **options)


def table(**columns: Any) -> dict[str, list[Any]]:
    """Columns of all kinds, and these."""
    return {
        "id": list(range(1, N + 1)),
        "size": RNG.normal(50, 10, N).round(2).tolist(),
        "city": RNG.choice(["Ulm", "Bonn", "Köln"], N).tolist(),
        "built": [f"20{i % 20 + 10}-0{i % 9 + 1}-1{i % 9}" for i in range(N)],
        "gaps": [i if i % 3 else "NA" for i in range(N)],
        "country": ["DE"] * N,
        **{name: list(values) for name, values in columns.items()},
    }


def init(*arguments: str) -> dict[str, Any]:
    assert main(["init", "t.csv", *arguments]) == 0
    return tomllib.loads(Path("t.toml").read_text(encoding="utf-8"))


def columns_of(file: str) -> list[Column]:
    body: Any = read_experiment(file).network.body
    return body.layers[0].columns


WORDS = RNG.choice(["stay", "churn"], N)
SOME = [*range(3, 9)] * 10
PRICES = RNG.normal(300_000, 50_000, N).round(1)


@pytest.mark.parametrize(
    ("targets", "kind", "loss", "units"),
    [
        ({"y": WORDS}, "class", "SoftmaxCrossEntropy", 2),
        ({"y": WORDS == "stay"}, "class", "SoftmaxCrossEntropy", 2),
        ({"y": (WORDS == "stay").astype(int)}, "class", "SoftmaxCrossEntropy", 2),
        ({"y": np.where(WORDS == "stay", 1.0, -1.0)}, "class", "SoftmaxCrossEntropy", 2),
        ({"y": SOME}, "class", "SoftmaxCrossEntropy", 6),
        ({"y": np.arange(N) % 11}, "number", "MeanSquaredError", 1),
        ({"y": [*range(5, 9)] * 14 + [1, 2, 3, 4]}, "number", "MeanSquaredError", 1),
        ({"y": np.array(SOME) / 2}, "number", "MeanSquaredError", 1),
        ({"y": PRICES}, "number", "MeanSquaredError", 1),
        ({"y": ["", "", *PRICES[2:]]}, "number", "MeanSquaredError", 1),
        ({"y": ["", *WORDS[1:]]}, "class", "SoftmaxCrossEntropy", 2),
        ({"y": ["None", "None", "None", *WORDS[3:]]}, "class", "SoftmaxCrossEntropy", 3),
        ({"y": PRICES, "z": [*SOME[1:], ""]}, "number", "MeanSquaredError", 2),
        ({"y": WORDS == "stay", "z": np.arange(N) % 2}, "labels", "BinaryCrossEntropy", 2),
    ],
)
def test_from_a_table_to_a_model_in_two_commands(
    targets: dict[str, Any], kind: str, loss: str, units: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write(table(**targets), encoding="utf-8")
    config = init(*(word for name in targets for word in ("--target", name)))
    told = capsys.readouterr()
    assert "4 columns, 2 numbers, 1 category, 1 date" in told.out
    assert 'Left out: "id" (the number of the row), "country" (DE in all rows)' in told.out
    assert "Written to t.toml. Next:\n  layerkit train t.toml" in told.out
    assert not told.err
    assert config["data"]["features"] == ["size", "city", "built", "gaps"]
    assert config["data"]["target"] == kind
    assert config["network"]["loss"]["type"] == loss
    assert config["network"]["body"]["layers"][-1]["units"] == units
    columns = columns_of("t.toml")
    assert [column.name for column in columns] == config["data"]["features"]
    assert isinstance(columns[0], Number)
    assert isinstance(columns[1], Category)
    with warnings.catch_warnings(record=True) as given:
        assert main(["train", "t.toml", "--set", "training.epochs=2"]) == 0
    missing = len(targets) == 1 and "" in targets["y"]
    assert [str(warning.message)[-39:] for warning in given] == missing * [
        "in line 2, column 'y', and are left out"
    ]
    assert main(["predict", "runs/t", "t.csv"]) == 0
    assert capsys.readouterr().out.count("\n") > N


def test_each_line_has_a_comment_and_the_file_is_the_same_again() -> None:
    write(table(y=WORDS), encoding="utf-8")
    init("--target", "y")
    first = Path("t.toml").read_bytes()
    init("--target", "y", "--force")
    assert Path("t.toml").read_bytes() == first
    without = [
        line.strip()
        for line in first.decode().splitlines()
        if line and "#" not in line and not line.startswith("[")
    ]
    # brackets, and the second of two like lines
    assert {*without} == {
        *("]", "layers = [", "callbacks = ["),
        *('{type = "ReLU"},', '{type = "Dropout", rate = 0.2},'),
    }


def test_a_file_that_is_there_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    write(table(y=WORDS), encoding="utf-8")
    Path("t.toml").write_text("mine")
    assert main(["init", "t.csv", "--target", "y"]) == 1
    assert "t.toml: is there already; --force writes it anew" in capsys.readouterr().err
    assert Path("t.toml").read_text() == "mine"
    assert main(["init", "t.csv", "--target", "y", "--output", "u.toml"]) == 0
    assert Path("u.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--target: missing; which column should be predicted? The columns are 'id', 'size'"),
        (["--target", "Y"], "--target Y: there is no such column; did you mean 'y'?"),
        (["--target", "other"], "--target other: there is no such column; the columns are 'id'"),
        (["--target", "y", "--target", "y"], "--target y: is given twice"),
        (["--target", "y", "--time", "buit"], "--time buit: there is no such column; did you mean"),
        (["--target", "y", "--time", "y"], "--time y: that is a target"),
        (["--target", "y", "--weight", "y"], "--weight y: that is a target"),
        (["--target", "y", "--time", "built", "--weight", "built"], "built: that is the time"),
        (["--target", "y", "--weight", "siz"], "--weight siz: there is no such column; did you"),
        (["--target", "y", "--weight", "city"], "column 'city': 'Köln'; should be a finite number"),
        (["--target", "y", "--time", "city"], "column 'city': 'Köln'; should be a date"),
        (["--target", "id"], "--target id: it can't be predicted: it is the number of the row"),
        (["--target", "country"], "--target country: it can't be predicted: it is DE in all rows"),
        (["--target", "built"], "--target built: it can't be predicted: it is a date"),
        (["--target", "name"], "--target name: it can't be predicted: it is another word in most"),
        (["--target", "rare"], "column 'rare': 2 rows of the class 'b'; should be at least 3"),
        (["--target", "y", "--target", "size"], "--target y: it has words, such as 'stay'"),
        (["--target", "y", "--output", "t.yaml"], "--output t.yaml: should end in .toml"),
    ],
)
def test_columns_that_can_not_be_predicted_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = table(
        y=["stay", *WORDS[1:]], name=[f"n{i}" for i in range(N)], rare=["b", "b", *"a" * (N - 2)]
    )
    columns["city"][0] = "Köln"
    write(columns, encoding="utf-8")
    assert main(["init", "t.csv", *arguments]) == 1
    assert sentence in capsys.readouterr().err
    assert not [*Path().glob("*.toml")]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.csv", "", "t.csv: empty"),
        ("t.csv", "x,y\n", "t.csv: no examples: there are no rows under the header"),
        ("t.csv", "y\n" + "a\nb\n" * 30, "t.csv: "),
        ("t.csv", "y,x\n" + "a,1\nb,1\n" * 30, 'no column to learn from: "x" (1 in all rows)'),
        ("t.csv", "y,y\n1,2\n", "2 columns called 'y'; should be one"),
        ("t.csv", "x,y\n" + "1,a\n2,b\n" * 30 + "Total,\n", "column 'x' of example 60 is 'Total'"),
        ("t.npz", "", "t.npz: should be a table with a header"),
    ],
)
def test_tables_without_anything_to_learn_are_refused(
    name: str, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_text(text)
    assert main(["init", name, "--target", "y"]) == 1
    assert sentence in capsys.readouterr().err
    assert not Path("t.toml").exists()


def test_a_column_of_times_splits(capsys: pytest.CaptureFixture[str]) -> None:
    write(table(y=PRICES), encoding="utf-8")
    init("--target", "y")
    assert "predicted from earlier ones, add --time built" in capsys.readouterr().out
    config = init("--target", "y", "--time", "built", "--force")
    assert config["data"]["time"] == "built"
    assert config["data"]["features"] == ["size", "city", "gaps"]
    assert "--time" not in capsys.readouterr().out
    dataset = read_experiment("t.toml").load_data()
    times = [part.time for part in dataset.parts().values()]
    for earlier, later in pairwise(times):
        assert earlier is not None
        assert later is not None
        assert earlier.max() < later.min()


def test_times_are_split_by_in_the_form_that_their_column_has() -> None:
    built = [f"{i % 28 + 1}.{i % 12 + 1}.20{i % 20 + 10}" for i in range(N)]
    write(table(y=PRICES, built=built), encoding="utf-8")
    init("--target", "y", "--time", "built")
    last = read_experiment("t.toml").load_data().test.time
    assert last is not None
    assert last.max() == np.datetime64(max(datetime.strptime(day, "%d.%m.%Y") for day in built))


def test_a_column_of_weights_is_no_feature_and_weights_the_rows() -> None:
    write(table(y=WORDS, counts=[i % 3 + 1 for i in range(N)]), encoding="utf-8")
    config = init("--target", "y", "--weight", "counts")
    assert config["data"]["weight"] == "counts"
    assert config["data"]["features"] == ["size", "city", "built", "gaps"]
    weights = read_experiment("t.toml").load_data().train.w
    assert weights is not None
    assert {*weights} == {1, 2, 3}


def test_tables_of_other_countries() -> None:
    rows = [f'{i % 7},5;"Köln; am Rhein";{i % 5},25' for i in range(N)]
    text = "\n".join(
        ["größe;ort;preis", *(row.replace(" am", " an", i % 2) for i, row in enumerate(rows))]
    )
    Path("t.csv").write_text(text, encoding="latin-1")
    assert main(["init", "t.csv", "--target", "preis"]) == 1
    config = init("--target", "preis", "--encoding", "latin-1")
    assert config["data"]["features"] == ["größe", "ort"]
    assert (config["data"]["encoding"], config["data"]["target"]) == ("latin-1", "number")
    read_experiment("t.toml").load_data()


def test_how_a_table_is_written_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{i % 7 + 1},{100 + i}:{i * i % 11}" for i in range(N)]
    Path("t.csv").write_text("\n".join(["a:y", *rows]))
    for words, reason in (
        (["--delimiter", ":"], "column 'a': '1,100' may be 1.1 or 1100; set decimal = \",\""),
        (["--delimiter", "::"], "delimiter = '::': should be one character"),
        (["--encoding", "latin-99"], "encoding = 'latin-99': Python knows none of it"),
    ):
        assert main(["init", "t.csv", "--target", "y", *words]) == 1
        assert reason in capsys.readouterr().err
    config = init("--target", "y", "--delimiter", ":", "--decimal", ",")
    assert (config["data"]["delimiter"], config["data"]["decimal"]) == (":", ",")
    assert read_experiment("t.toml").load_data().train.x.max() < 8


@pytest.mark.parametrize(
    ("first", "found"),
    [("5.1,3.5,setosa", "5.1"), ("5,-1,2", "-1"), ("0,5;3;7", "0,5"), ("2023,2024,2025", "")],
)
def test_a_table_without_a_header_is_refused(
    first: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = ";" if ";" in first else ","
    rows = [f"{i % 7}{mark}{i * i % 11}{mark}{i % 2}" for i in range(N)]
    Path("t.csv").write_text("\n".join([first, *rows]))
    assert main(["init", "t.csv", "--target", first.split(mark)[-1]]) == bool(found)
    said = capsys.readouterr().err
    assert not found or f"t.csv: line 1: {found} is a number, not the name of a column" in said


ODD = [
    'a"b',
    "a#b",
    "a\\b",
    "x = 1",
    "[x]",
    "'",
    "\x7f",
    "\x1b[31m",
    "é\u2028",
    "a\tb",
    "a\nb",
    "]",
]


@pytest.mark.parametrize("odd", ODD)
def test_names_and_words_of_any_kind_are_written_as_they_are(odd: str) -> None:
    cell = '"' + odd.replace('"', '""') + '"'
    rows = [f"{i % 7},{cell if i % 2 else 'b'},{cell},{'uv'[i % 3 == 0]}" for i in range(N)]
    Path("t.csv").write_text("\n".join([f"{cell},words,same,y", *rows]), encoding="utf-8")
    config = init("--target", "y")
    assert config["data"]["features"] == [odd.strip(), "words"]
    assert tomllib.loads(f"x = {quoted(odd)}") == {"x": odd}
    column = columns_of("t.toml")[1]
    assert isinstance(column, Category)
    assert odd.strip() in (column.categories or [])


def test_numbers_that_were_taken_for_classes_can_be_predicted_as_the_comment_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(table(y=SOME), encoding="utf-8")
    init("--target", "y")
    assert "These numbers are taken for classes" in capsys.readouterr().out
    text = Path("t.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("target"))
    assert line.endswith(
        'with loss = {type = "MeanSquaredError"}, units = 1 in the last layer and '
        'metrics = ["mae", "r2"]'
    )
    for old, new in (
        (line, 'target = "number"'),
        ("SoftmaxCrossEntropy", "MeanSquaredError"),
        ("units = 6", "units = 1"),
        ('["balanced_accuracy"]', '["mae", "r2"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    Path("t.toml").write_text(text, encoding="utf-8")
    assert main(["train", "t.toml", "--set", "training.epochs=1"]) == 0


def test_a_larger_table_has_a_larger_network() -> None:
    for n, units, size in ((N, 16, 16), (4000, 64, 64)):
        x = RNG.normal(size=n)
        write({"x": x.tolist(), "y": (x > 0).tolist()})
        layers = (config := init("--target", "y", "--force"))["network"]["body"]["layers"]
        assert (layers[1]["units"], config["training"]["batch_size"]) == (units, size)
