"""Tables as they are, from a file to a run and back to predictions."""

import csv
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import Category, ConfigError, DataError, Network, Number, ShapeError
from layerkit.cli import main
from layerkit.data import Data
from layerkit.data.tables import table_of
from layerkit.errors import FileError, LayerkitError, LayerkitWarning
from layerkit.metrics import evaluate_metrics
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.folder import read_run
from layerkit.runs.predict import predict_file
from layerkit.runs.sweep.plan import read_plan
from tests.tables import NETWORK, houses, passengers, people, write_table

pytestmark = pytest.mark.filterwarnings("ignore:columns that tell nothing")
TITANIC = {"units": 2, "loss": "SoftmaxCrossEntropy", "data": 'label = "survived"'}
ADULT = TITANIC | {"data": 'label = "income"'}
HOUSES = {
    "units": 1,
    "loss": "MeanSquaredError",
    "data": 'label = "Preis"\ntarget = "number"\nencoding = "latin-1"',
}


def experiment_file(folder: Path, task: dict[str, Any], table: str = "", epochs: int = 20) -> Path:
    path = folder / "t.csv"
    if task is HOUSES:
        write_table(path, houses(), ";", ",", "latin-1")
    else:
        write_table(path, passengers() if task is TITANIC else people())
    first = f'{{type = "Table"{table}}}'
    file = folder / "t.toml"
    file.write_text(NETWORK.format(path=path.as_posix(), table=first, epochs=epochs, **task))
    return file


def columns_of(experiment: Experiment) -> dict[str, Any]:
    table = table_of(experiment.network.body)
    assert table
    assert table.columns
    return {column.name: column for column in table.columns}


@pytest.mark.parametrize(
    ("task", "kinds", "left_out"),
    [
        (
            TITANIC,
            "class number, sex category, age number, fare number, alone category, port category",
            r"'PassengerId' \(the number of the row\), 'name' \(another word in most rows, such",
        ),
        (
            ADULT,
            "age number, workclass category, education category, occupation category, "
            "hours-per-week number",
            r"'country' \(United-States in all rows\)",
        ),
        (
            HOUSES,
            "Fläche number, Zimmer number, Stadt category, verkauft date, Garage category",
            r"'Id' \(another number in each row\)",
        ),
    ],
)
def test_a_table_without_columns_is_completed_and_trained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    task: dict[str, Any],
    kinds: str,
    left_out: str,
) -> None:
    file = experiment_file(tmp_path, task)
    with pytest.warns(LayerkitWarning, match=left_out):
        experiment = read_experiment(file)
    found = columns_of(experiment)
    assert ", ".join(f"{name} {type(c).__name__.lower()}" for name, c in found.items()) == kinds
    assert experiment.network.shape == (len(found),)
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots.run", None)
    with pytest.warns(LayerkitWarning, match=left_out):
        assert main(["train", str(file), "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    gaps = {"age": "standardized; 77 gaps, marked", "Garage": "2 categories, one-hot; 105 gaps"}
    for name in found:
        line = next(line for line in lines if line.startswith(f"{name} "))
        assert task is ADULT or gaps.get(name, "") in line
    (tmp_path / "t.csv").unlink()  # config.toml says all
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = read_run(tmp_path / "run")
    assert columns_of(run) == found
    assert run.data.features == list(found)
    result = (tmp_path / "run" / "result.json").read_text()
    measured = {"accuracy": 0.75} if task is not HOUSES else {"r2": 0.9}
    for name, least in measured.items():
        assert float(result.partition(f'"test_{name}": ')[2].split(",")[0].split("\n")[0]) > least


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("houses")
    file = experiment_file(folder, HOUSES, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "layerkit.runs.plots.run", None)
        with pytest.warns(LayerkitWarning):
            assert main(["train", str(file), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_predictions_of_raw_rows_are_the_same_from_every_file_and_frame(
    run: Path, tmp_path: Path
) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    rows = {name: column[:20] for name, column in houses().items() if name != "Preis"}
    rows["Stadt"][3] = "Rom"
    mixed = {name: rows[name] for name in reversed(rows)} | {"Preis": ["?"] * 20}
    expected = [float(y) for y in predict(run, write_table(tmp_path / "a.csv", rows, ";", ","))]
    write_table(tmp_path / "b.tsv", mixed, "\t", ".", "utf-8")
    write_table(tmp_path / "c.csv", mixed, "|", ",", "latin-1")
    polars.DataFrame(mixed).write_parquet(tmp_path / "d.parquet")
    for name in ("b.tsv", "c.csv", "d.parquet"):
        assert [float(y) for y in predict(run, tmp_path / name)] == expected
    network = Network.load(run / "model.safetensors")
    for x in (rows, mixed, pandas.DataFrame(mixed), polars.DataFrame(mixed)):
        np.testing.assert_allclose(network.predict(x).ravel(), expected, rtol=1e-7)


def predict(run: Path, file: Path) -> Any:
    return predict_file(run, file)["prediction"]


def test_new_rows_may_be_in_another_encoding(run: Path, tmp_path: Path) -> None:
    row = {name: column[:1] for name, column in houses().items()}
    file = write_table(tmp_path / "new.csv", row, ";", ".", "cp1252")
    assert predict(run, file) == predict_file(run, file, "cp1252")["prediction"]
    with pytest.raises(FileError, match=r"is not utf-8; .*, or --encoding latin-1"):
        predict_file(run, file, "utf-8")
    with pytest.raises(ConfigError, match="encoding = 'martian': Python knows none"):
        predict_file(run, file, "martian")


def test_a_run_is_evaluated_on_a_new_table(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {name: column[:50] for name, column in houses().items()}
    network = Network.load(run / "model.safetensors")
    r2 = evaluate_metrics(network, rows, rows["Preis"], ["r2"])["r2"]
    file = write_table(tmp_path / "new.csv", rows, "|")
    assert main(["evaluate", str(run), str(file)]) == 0
    assert f"r2 {r2:.4f}" in capsys.readouterr().out
    write_table(file, {"preis": rows.pop("Preis"), **rows})
    assert main(["evaluate", str(run), str(file)]) == 1
    reason = f"{file}: there is no column 'Preis' (did you mean 'preis'?)"
    assert reason in capsys.readouterr().err


def test_classes_of_a_new_table_are_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = experiment_file(tmp_path, TITANIC, epochs=1), str(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots.run", None)
    with pytest.warns(LayerkitWarning):
        assert main(["train", str(file), "--out", folder]) == 0
    rows = {name: column[:9] for name, column in passengers().items()}
    rows["survived"][3] = "maybe"
    new = write_table(tmp_path / "new.csv", rows)
    assert main(["evaluate", folder, str(new)]) == 1
    reason = "label 'maybe' of line 5, column 'survived'; should be one of 'no', 'yes'"
    assert f"layerkit: {new}: {reason}" in capsys.readouterr().err
    rows["survived"][3] = ""
    write_table(new, rows)
    with pytest.warns(LayerkitWarning, match="1 of 9 examples have no label, first in line 5"):
        assert main(["evaluate", folder, str(new)]) == 0
    assert "8 examples" in capsys.readouterr().out


def test_the_decimal_mark_of_training_is_taken_where_a_new_file_does_not_tell(
    run: Path, tmp_path: Path
) -> None:
    row = {name: column[:1] for name, column in houses().items()}
    files = [
        write_table(tmp_path / f"{i}.csv", row | {"Fläche": [x]}, ";")
        for i, x in enumerate(["1,234", "1,2340", "1.2340"])
    ]
    assert len({str(predict(run, file)) for file in files}) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.pop("Stadt"), "there is no column 'Stadt'. The first"),
        (
            lambda rows: rows.update(stadt=rows.pop("Stadt")),
            r"there is no column 'Stadt' \(did you mean 'stadt'\?\)",
        ),
        (
            lambda rows: rows["Zimmer"].__setitem__(3, "drei"),
            "column 'Zimmer' of line 5 is 'drei'; should be a number",
        ),
        (
            lambda rows: rows["verkauft"].__setitem__(2, "gestern"),
            "column 'verkauft' of line 4 is 'gestern'; should be a date such as",
        ),
    ],
)
def test_new_rows_that_do_not_fit_are_refused_with_the_line(
    run: Path, tmp_path: Path, change: Callable[[dict[str, list[Any]]], Any], reason: str
) -> None:
    rows = {name: column[:6] for name, column in houses().items()}
    change(rows)
    with pytest.raises(DataError, match=reason):
        predict(run, write_table(tmp_path / "new.csv", rows, ";", ","))


def test_columns_that_are_given_stay_and_the_others_are_chosen(tmp_path: Path) -> None:
    given = ', columns = [{type = "Category", name = "class"}, {type = "Number", name = "age"}]'
    found = columns_of(read_experiment(experiment_file(tmp_path, TITANIC, given)))
    assert isinstance(found["class"], Category)
    assert sorted(found["class"].categories or []) == ["1", "2", "3"]
    assert found["age"] == Number("age", gaps=True)
    assert list(found) == ["class", "age", "sex", "fare", "alone", "port"]
    some = read_experiment(tmp_path / "t.toml", ['data.features=["class", "age"]'])
    assert list(columns_of(some)) == ["class", "age"]
    plain = ', columns = [{type = "Number", name = "age"}]'
    file = experiment_file(tmp_path, TITANIC, plain)
    assert columns_of(read_experiment(file, ['data.features=["age"]'])) == {"age": found["age"]}
    unmarked = "network.body.layers.0.columns.0.gaps=false"
    assert not columns_of(read_experiment(file, [unmarked]))["age"].gaps


def test_a_file_to_test_on_may_be_without_columns_that_are_left_out(tmp_path: Path) -> None:
    file, rows = experiment_file(tmp_path, TITANIC), passengers()
    del rows["name"], rows["PassengerId"]
    path = write_table(tmp_path / "new.csv", rows)
    experiment = read_experiment(file, [f"data.test={Path(path).as_posix()}"])
    assert len(columns_of(experiment)) == experiment.load_data().test.x.shape[1] == 6


def test_words_for_gaps_are_said_to_the_table(tmp_path: Path) -> None:
    file = experiment_file(tmp_path, TITANIC, ', missing = ["C", "3"]')
    found = columns_of(read_experiment(file))
    assert found["port"].gaps
    assert "C" not in found["port"].categories
    assert found["class"].gaps
    frame = {name: [column[0]] for name, column in passengers().items()} | {"class": [3]}
    table = table_of(read_experiment(file).network.body)
    assert table
    assert np.isnan(table.encode(frame)[0, list(found).index("class")])


def test_the_columns_are_chosen_from_the_training_examples_alone(tmp_path: Path) -> None:
    rows = passengers()
    path = write_table(tmp_path / "t.csv", rows)
    options: dict[str, Any] = {"path": path, "label": "survived", "validation_size": 0.2}
    parts = Data(**options, features=["fare"]).load(seed=0).parts()
    for name, part in parts.items():
        assert part.source
        for line in part.source.numbers:
            rows["port"][line - 2] = name
            rows["age"][line - 2] = 1.5 if name == "train" else None
    file = experiment_file(tmp_path, TITANIC)
    write_table(path, rows)
    found = columns_of(read_experiment(file, ["data.validation_size=0.2"]))
    assert "age" not in found  # it is the same in all training examples
    assert "port" not in found
    rows["port"][::4] = ["S"] * len(rows["port"][::4])
    write_table(path, rows)
    found = columns_of(read_experiment(file, ["data.validation_size=0.2"]))
    assert sorted(found["port"].categories) == ["S", "train"]


@pytest.mark.parametrize(
    ("settings", "kind", "reason"),
    [
        (
            ['network.body.layers.0.columns=[{type = "Category", name = "Sex"}]'],
            ConfigError,
            "network.body.layers.0: there is no column 'Sex'; did you mean 'sex'",
        ),
        (
            [
                'network.body.layers.0.columns=[{type = "Number", name = "class"}]',
                "data.time=class",
            ],
            ConfigError,
            "network.body.layers.0: column 'class' is the time in .* one if features lists it",
        ),
        (
            ["network.body.layers.1.units=-1", "optimizer.lr=x", "data.label=1"],
            ConfigError,
            r"(?s)layers.1.units = -1: .*\noptimizer.lr = 'x': .*\ndata.label = 1: ",
        ),
        (["network.shape=[5]"], ConfigError, r"Table has 6 columns, .* should be \(6,\)"),
        (['data.features=["survived"]'], ConfigError, "data: features: the label 'survived'"),
        (["data.path=none.csv"], LayerkitError, "none.csv: can't be read"),
        (["network.body.layers.3.units=3"], ShapeError, "has 3 outputs, but .* 2 classes: no, yes"),
        (
            ['network.body.layers.0.type="ReLU"', "network.shape=[8]"],
            DataError,
            r"'name': .* a finite number; \{type = \"Table\"\} first in the body takes words and",
        ),
    ],
)
def test_what_does_not_fit_is_said(
    tmp_path: Path, settings: list[str], kind: type[Exception], reason: str
) -> None:
    file = experiment_file(tmp_path, TITANIC)
    with pytest.raises(kind, match=reason) as caught:
        read_experiment(file, settings).load_data()
    assert "network.shape: missing" not in str(caught.value)
    assert "no columns yet" not in str(caught.value)


def test_a_network_without_a_shape_takes_that_of_the_data(tmp_path: Path) -> None:
    file = experiment_file(tmp_path, TITANIC)
    file.write_text(file.read_text().replace('"Table"', '"Standardize"'))
    experiment = read_experiment(file, ['data.features=["class", "fare"]'])
    assert experiment.network.shape == (2,)
    assert read_experiment(file, ['data={name = "digits"}']).network.shape == (64,)
    (tmp_path / "n.csv").write_text(
        "id,a,b\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(40))
    )
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        experiment = read_experiment(file, [f'data={{path = "{tmp_path}/n.csv", label = "b"}}'])
        experiment.load_data()
    assert experiment.network.shape == (2,)
    assert len(given) == 1  # about the id, though the file was read twice


def test_a_sweep_completes_the_table_and_warns_once(tmp_path: Path) -> None:
    port = ', columns = [{type = "Category", name = "port", embedding = 2}]'
    experiment_file(tmp_path, TITANIC, port)
    address = "network.body.layers.0.columns.0.embedding"
    (tmp_path / "s.toml").write_text(
        'base = "t.toml"\nsweep = {method = "grid", monitor = "test_loss"}\n'
        f'search = {{"{address}" = [2, 3], "data.features" = [["port"], ["age", "port"]]}}\n'
    )
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        plan = read_plan(tmp_path / "s.toml")
    assert len(given) == 1
    shapes = [plan.make(params).network.shape for params in plan.grid()]
    assert shapes == [(1,), (2,), (1,), (2,)]
    assert "features" not in plan.experiment["data"]


def test_the_table_of_predictions_can_be_read_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write_table(tmp_path / "new.csv", {n: c[:3] for n, c in houses().items()}, ";", ",")
    assert main(["predict", str(run), str(new)]) == 0
    assert len(list(csv.DictReader(capsys.readouterr().out.splitlines()))) == 3


def test_a_wide_table_is_described_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = experiment_file(tmp_path, TITANIC, epochs=1)
    rows = passengers()
    write_table(tmp_path / "t.csv", rows | {f"age {i}": rows["age"] for i in range(50)})
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots.run", None)
    with pytest.warns(LayerkitWarning):
        assert main(["train", str(file), "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("standardized" in line for line in lines) < 50
    assert "… 16 more columns" in lines
