"""An experiment in Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    ConfigError,
    DataError,
    Dense,
    EarlyStopping,
    Embedding,
    Flatten,
    Huber,
    ImageAugmentation,
    Layer,
    LayerkitError,
    Network,
    ReduceLROnPlateau,
    Sequential,
    SoftmaxCrossEntropy,
    Take,
    Training,
    from_config,
    to_config,
)
from layerkit.callbacks import CSVLog
from layerkit.data import Data
from layerkit.runs.experiment import Experiment
from layerkit.runs.folder import read_run
from layerkit.runs.predict import predict_file
from layerkit.runs.run import Run
from layerkit.runs.signals import Interruption
from layerkit.training.class_weights import by_number
from layerkit.training.trainer import Trainer


def prepare(experiment: Experiment) -> Trainer:
    return experiment.prepare(experiment.load_data())


def test_a_run_leaves_the_experiment_as_it_is() -> None:
    """A callback that lowers the rate lowers it for one run, not in the configuration."""
    lowering = ReduceLROnPlateau(monitor="train_loss", patience=1, min_delta=1e3)
    experiment = Experiment(
        Network(Dense(10), SoftmaxCrossEntropy(), (64,)),
        SGD(lr=0.5),
        training=Training(epochs=4, callbacks=[lowering]),
    )
    dataset = experiment.load_data()
    first = [record.row() | {"seconds": 0} for record in experiment.run(dataset)]
    weights = experiment.network.arena.values.copy()
    assert experiment.optimizer == SGD(lr=0.5)
    second = [record.row() | {"seconds": 0} for record in experiment.run(dataset)]
    assert first == second
    np.testing.assert_array_equal(experiment.network.arena.values, weights)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three features of "fraud" and "ok"; as always, the classes are sorted."""
    rng = np.random.default_rng(0)
    rows = [
        ",".join(map(str, [*rng.normal(size=3), label])) for label in ["ok", "ok", "fraud"] * 20
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b,c,label", *rows]))
    return path


def experiment(path: Path, **options: Any) -> Experiment:
    return Experiment(
        Network(Dense(2), SoftmaxCrossEntropy(), (3,)),
        SGD(lr=0.5),
        Data(path=str(path), label="label"),
        Training(**{"epochs": 2, "batch_size": 16} | options),
    )


@pytest.mark.parametrize(
    "weights", [{"fraud": 20.0, "ok": 1.0}, {"fraud": 20.0}, {"0": 20.0, "ok": 1.0}]
)
def test_classes_have_weights_by_name_or_number(table: Path, weights: dict[str, float]) -> None:
    by_list, by_name = experiment(table, class_weight=[20.0, 1.0]), experiment(table)
    by_name.training.class_weight = weights
    by_name = from_config(to_config(by_name), Experiment)
    for trained in (by_list, by_name):
        trained.run(trained.load_data())
    np.testing.assert_array_equal(
        by_list.network.arena.values, by_name.network.arena.values, strict=True
    )


def test_a_number_is_a_name_first() -> None:
    assert by_number({"1": 2.0, "3": 5.0}, ["3", "1"]) == {1: 2.0, 0: 5.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"class_weight": {"frad": 2.0}},
            r"^training.class_weight.frad: .*\(did you mean 'fraud'\?\); the classes are fraud, ok",
        ),
        ({"class_weight": {"2": 2.0}}, "class_weight.2: there is no such class; the classes are"),
        ({"class_weight": {"0": 2.0, "fraud": 1.0}}, "weight.fraud: 'fraud' has a weight already"),
        (
            {"class_weight": [1.0]},
            "should be 'balanced', a list of 2 numbers or a table by class: fraud, ok",
        ),
        ({"callbacks": [EarlyStopping(monitor="val_loss")]}, "give a validation set, or choose"),
        ({"callbacks": [EarlyStopping(monitor="loss")]}, r"here it is called 'train_loss'\); choo"),
        (
            {"callbacks": [EarlyStopping(monitor="test_los")]},
            r"mean 'test_loss'\?\); choose one of",
        ),
        ({"augmentation": ImageAugmentation()}, "no images, but 3 features; .*image = "),
        ({"augmentation": ImageAugmentation(image=(2, 2))}, r"of shape \(3,\); should be \(2, 2\)"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_with_them(
    table: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(LayerkitError, match=message) as caught:
        prepare(experiment(table, **options))
    assert caught.value.place in ("", "augmentation", "training.augmentation")


@pytest.mark.parametrize("image", [None, (2, 8), (4, 4)])
def test_the_size_of_images_is_that_of_the_data_set_unless_it_is_given(
    tmp_path: Path, image: tuple[int, int] | None
) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((20, 2, 8), np.uint8), y=np.arange(20) % 2)
    of_images = Experiment(
        Network(Dense(2), SoftmaxCrossEntropy(), (16,)),
        SGD(),
        Data(path=str(tmp_path / "x.npz")),
        Training(augmentation=ImageAugmentation(image=image)),
    )
    used = prepare(of_images).progress.options.augmentation
    assert used == ImageAugmentation(image=image or (2, 8))


def test_relative_paths_of_callbacks_lie_in_the_folder_of_a_run(
    table: Path, tmp_path: Path
) -> None:
    logs = [
        CSVLog("..log/a.csv"),
        CSVLog(tmp_path / "all.csv"),
        EarlyStopping(monitor="train_loss"),
    ]
    logged = experiment(table, callbacks=logs)
    run = Run(logged, logged.load_data(), tmp_path / "run")
    run.begin()
    run.trainer.run()
    lines = (tmp_path / "run" / "..log" / "a.csv").read_text().splitlines()
    assert len(lines) == 3
    assert (tmp_path / "all.csv").read_text().splitlines() == lines
    assert to_config(logged)["training"]["callbacks"][0]["path"] == "..log/a.csv"


def test_two_callbacks_do_not_write_one_file(table: Path, tmp_path: Path) -> None:
    twice = experiment(table, callbacks=[CSVLog("a.csv")])
    with pytest.raises(ConfigError, match=r"callbacks\.0\.path = 'a\.csv': is written already"):
        twice.prepare(twice.load_data(), [CSVLog(tmp_path / "a.csv")], tmp_path)


HEADER = ["a", "b", "c", "sure", "price", "kind"]


def write_rows(path: Path, changed: dict[str, str]) -> str:
    """A .csv file with an empty line and a row of two lines; `changed` is in the fifth, line 8."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    rows = [[*map(str, row), "3", "1", "2.5", "no" if row[0] > 0 else "yes"] for row in x]
    rows[1][1] = '"\n0.5"'
    rows[4] = [changed.get(name, cell) for name, cell in zip(HEADER, rows[4], strict=True)]
    path.write_text(",".join(HEADER) + "\n\n" + "\n".join(map(",".join, rows)) + "\n")
    return str(path)


def classifier(data: Data, *layers: Layer) -> Experiment:
    network = Network(Sequential([*layers, Dense(2)]), SoftmaxCrossEntropy(), (3,))
    return Experiment(network, SGD(lr=0.5), data, Training(epochs=1))


@pytest.mark.parametrize("part", ["path", "test", "validation"])
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"b": "1e39"}, "line 8, column 'b' is 1e+39; should be a finite float32"),
        ({"b": "nan"}, "line 8, column 'b': 'nan'; should be a finite number"),
        ({"kind": "n"}, "label 'n' of line 8, column 'kind'; should be one of 'no', 'yes'"),
        ({"sure": "-2"}, "sample weight -2.0 of line 8, column 'sure'; should be finite and"),
        ({"c": "5"}, "from 0 to 4, not 5.0, its input [0] for line 8; keep a number"),
        ({"price": "1e39"}, "the target of line 8, column 'price' is too big for float32"),
    ],
)
def test_an_error_about_a_value_names_its_line_in_the_file(
    tmp_path: Path, part: str, changed: dict[str, str], sentence: str
) -> None:
    """Whether the examples are split, and in which part they are."""
    wrong = write_rows(tmp_path / "wrong.csv", changed)
    options: Any = {"path": write_rows(tmp_path / "right.csv", {}), part: wrong}
    options |= {"label": "kind", "weight": "sure", "features": ["a", "b", "c"]}
    if part != "validation":
        options["validation_size"] = 0.5
    one = classifier(Data(**options, classes=["no", "yes"]), Take([2]), Embedding(5, 2), Flatten())
    if "price" in changed:
        options |= {"label": "price", "target": "number"}
        network = Network(Dense(1), Huber(), (3,))
        one = Experiment(network, SGD(), Data(**options), Training(standardize_targets=False))
    with pytest.raises(DataError) as caught:
        prepare(one)
    assert sentence in str(caught.value)
    layer = ", body.layers.1" if "keep a number" in sentence else ""
    assert caught.value.place == wrong + layer


@pytest.mark.parametrize(
    ("name", "index", "value", "sentence"),
    [
        ("x", (9, 2, 1), 1e39, "x[9, 2, 1] is 1e+39; should be a finite float32"),
        ("x", (9, 2, 1), np.nan, "x[9, 2, 1] is nan; should be finite"),
        ("y", (9,), 3, "label '3' of y[9]; should be one of '0', '1'"),
        ("w", (9,), -1, "sample weight -1.0 of w[9]; should be finite and >= 0"),
    ],
)
@pytest.mark.parametrize("kind", [".npz", ""])
def test_an_error_about_a_value_names_its_row_in_the_arrays(
    tmp_path: Path, kind: str, name: str, index: tuple[int, ...], value: float, sentence: str
) -> None:
    rng, path = np.random.default_rng(0), tmp_path / f"t{kind}"
    arrays = {"x": rng.normal(size=(40, 4, 3)), "y": np.arange(40) % 2, "w": np.ones(40)}
    arrays[name][index] = value
    if kind:
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        path.mkdir()
        for name in arrays:
            np.save(path / f"{name}.npy", arrays[name])
    data = Data(path=path, classes=["0", "1"], validation_size=0.5)
    one = Experiment(Network(Dense(2), SoftmaxCrossEntropy(), (12,)), SGD(), data)
    with pytest.raises(DataError) as caught:
        prepare(one)
    assert str(caught.value) == sentence


def test_the_rarest_class_is_shown_where_a_split_lacks_it(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "t.csv", {"kind": "perhaps"})
    with pytest.raises(DataError, match="rarest class has 1, first in line 8, column 'kind': ch"):
        Data(path=path, label="kind").load()


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """Two features; a price and a rent, which some rows don't have, and two flags."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    price, rent = 1000 * x[:, 0] + 5000, x.sum(axis=1)
    rows = [
        f"{a},{b},{price[i] if i % 5 else ''},{rent[i] if i % 5 != 1 else 'NA'},{a > 0},{b > 0:d}"
        for i, (a, b) in enumerate(x)
    ]
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(["a,b,price,rent,left,right", *rows]))
    return path


@pytest.mark.parametrize(
    ("options", "loss", "columns", "metrics"),
    [
        (
            {"label": ["price", "rent"], "target": "number"},
            "MeanSquaredError",
            ["prediction_price", "prediction_rent"],
            ["mae_price", "mae_rent", "rmse_price", "rmse_rent", "r2", "r2_price", "r2_rent"],
        ),
        (
            {"label": ["price", "rent"], "target": "number"},
            "GaussianNLL",
            ["prediction_price", "prediction_rent"],
            ["mae_price", "mae_rent", "rmse_price", "rmse_rent", "r2", "r2_price", "r2_rent"],
        ),
        (
            {"label": ["left", "right"], "target": "labels"},
            "BinaryCrossEntropy",
            ["prediction_left", "prediction_right", "probability_left", "probability_right"],
            ["f1_class_left", "f1_class_right"],
        ),
    ],
)
def test_several_targets_keep_their_names(
    houses: Path, options: dict[str, Any], loss: str, columns: list[str], metrics: list[str]
) -> None:
    outputs, further = 2, ["f1_per_class"] if "labels" in options.values() else []
    if loss == "GaussianNLL":  # knows no gaps
        outputs = 4
        lines = houses.read_text().splitlines()
        houses.write_text(
            "\n".join(line for line in lines if ",," not in line and "NA" not in line)
        )
    own = Experiment(
        from_config(
            {"body": {"type": "Dense", "units": outputs}, "loss": {"type": loss}, "shape": [2]},
            Network,
        ),
        SGD(lr=0.1),
        Data(path=str(houses), features=["a", "b"], **options),
        Training(epochs=2, metrics=further),
    )
    run = Run(own, own.load_data(), houses.parent / "run")
    run.begin()
    run.train(Interruption())
    measured = own.measure("test")
    assert [name for name in measured if name not in ("loss", "accuracy")] == metrics
    header = (houses.parent / "run" / "history.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if "class" in name] == [
        f"test_{m}" for m in metrics if "class" in m
    ]
    assert list(predict_file(houses.parent / "run", houses)) == columns
    again = read_run(houses.parent / "run")
    again.open(again.load_data())
    assert again.measure("test") == measured
    assert again.network.seen.targets == options["label"]


@pytest.mark.parametrize(
    ("loss", "units", "reason"),
    [
        ("MeanSquaredError", 3, "has 3 outputs, but .*houses.csv has 2 targets: price, rent"),
        ("BinaryCrossEntropy", 2, "has numbers to predict, but BinaryCrossEntropy judges classes"),
    ],
)
def test_a_network_that_does_not_fit_several_targets_is_refused(
    houses: Path, loss: str, units: int, reason: str
) -> None:
    data = Data(path=str(houses), label=["price", "rent"], features=["a"], target="number")
    table = {"body": {"type": "Dense", "units": units}, "loss": {"type": loss}, "shape": [1]}
    with pytest.raises(LayerkitError, match=reason):
        Experiment(from_config(table, Network), SGD(), data).load_data()
    labels = Data(path=str(houses), label=["left", "right"], features=["a"], target="labels")
    table["loss"] = {"type": "SoftmaxCrossEntropy"}
    with pytest.raises(DataError, match="labels that don't exclude each other, but SoftmaxCross"):
        Experiment(from_config(table, Network), SGD(), labels).load_data()
