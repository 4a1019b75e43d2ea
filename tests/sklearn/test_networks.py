"""Classifier and Regressor: any network as an estimator of scikit-learn."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import datasets
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import check_estimator

from layerkit import (
    EMA,
    Adam,
    AdamW,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Focal,
    GaussianNLL,
    Graph,
    Hinge,
    Huber,
    LayerNorm,
    MultiMargin,
    Network,
    Poisson,
    Quantile,
    ReLU,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
    Standardize,
    Table,
    Tanh,
)
from layerkit.callbacks import Callback, EarlyStopping, History
from layerkit.errors import FileError, LayerkitError
from layerkit.optimizers.schedules import CosineSchedule
from layerkit.progress import Progress
from layerkit.sklearn import Classifier, MLPClassifier, MLPRegressor, Regressor, make_layers

IRIS = datasets.load_iris(return_X_y=True)
WINE = datasets.load_wine(return_X_y=True)
DIABETES = datasets.load_diabetes(return_X_y=True, scaled=False)
LABELS = datasets.make_multilabel_classification(200, 10, random_state=0)


def small(**parameters: Any) -> Classifier:
    body = parameters.pop("body", make_layers((8,), "relu"))
    defaults: dict[str, Any] = {"optimizer": AdamW(lr=0.02), "random_state": 0}
    return Classifier(body, **defaults | parameters)


MIXED = {
    "size": [1.0, 2.0, np.nan, 4.0] * 25,
    "kind": ["a", "b", "a", None] * 25,
    "day": ["2024-01-05", "2024-02-07", "2024-03-01", "2024-05-02"] * 25,
}
KINDS = np.array(["no", "yes", "yes", "no"] * 25)


def test_raw_numbers_are_enough() -> None:
    assert cross_val_score(Classifier(random_state=0), *WINE, cv=3).mean() > 0.95
    assert cross_val_score(Regressor(random_state=0), *DIABETES, cv=3).mean() > 0.35


def test_the_head_follows_from_the_data() -> None:
    X, y = IRIS
    heads = {
        "3 classes": (small(), y, 3, SoftmaxCrossEntropy()),
        "2 classes": (small(), y > 0, 2, SoftmaxCrossEntropy()),
        "one output": (small(loss=Hinge()), y > 0, 1, Hinge()),
        "margins": (small(loss=MultiMargin()), y, 3, MultiMargin()),
        "labels": (small(), np.eye(3, dtype=int)[y], 3, BinaryCrossEntropy()),
        "targets": (Regressor(loss=Huber()), X[:, :2], 2, Huber()),
        "means, variances": (Regressor(loss=GaussianNLL()), X[:, 0], 2, GaussianNLL()),
        "quantiles": (Regressor(loss=Quantile((0.1, 0.9))), X[:, 0], 2, Quantile((0.1, 0.9))),
    }
    for name, (model, t, outputs, loss) in heads.items():
        model.set_params(epochs=2).fit(X, t)
        assert (model.network_.body.output_shape, model.network_.loss) == ((outputs,), loss), name
        shape = (150, 2) if name == "quantiles" else t.shape
        assert model.predict(X).shape == shape, name


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (small(loss=Hinge()), IRIS[1], r"3 classes; take one such as SoftmaxCrossEntropy\(\)"),
        (small(loss=Focal()), np.eye(3)[IRIS[1]], r"labels; take one such as BinaryCrossEntropy"),
        (small(loss=Huber()), IRIS[1], "3 classes; take one such as"),
        (Regressor(loss=Focal()), IRIS[1], "is for classes; take one such as MeanSquaredError"),
        (Regressor(loss=Poisson()), -IRIS[1], "target -1.0 of example 50; should be a count"),
        (small(), np.zeros(150), "one class alone, 0.0; a Classifier needs at least two classes"),
        (small(), np.stack([IRIS[1], IRIS[1]], 1), "several columns of classes"),
        (small(epochs=0), IRIS[1], r"Classifier\.epochs = 0: should be greater than 0"),
        (small(body=Sequential([Dense(3), Softmax()])), IRIS[1], "ends with Softmax.*leave it out"),
        (small(body=Sequential([Dense(8), Tanh(), Dense(3)])), IRIS[1], "Dense.units=3.*by itself"),
        (small(body=ReLU), IRIS[1], r"Classifier\.body .* such as ReLU\(\)"),
        (small(transform_layer="body.layers.7"), IRIS[1], "'body.layers.7': nothing is there"),
    ],
)
def test_what_does_not_fit_is_refused(model: Any, y: Any, message: str) -> None:
    with pytest.raises(LayerkitError, match=message):
        model.fit(IRIS[0], y).transform(IRIS[0])


@pytest.mark.parametrize("model", [small(epochs=1), MLPClassifier([8], tol=9, max_iter=20)])
def test_a_refused_training_leaves_what_was_fitted_before(model: Any) -> None:
    X, y = IRIS
    before = model.fit(X, np.array(["a", "b", "c"])[y]).predict(X)
    for parameters, t in ({"loss": Huber()}, y), ({"metrics": ["mae"]}, y), ({}, y[:-1]):
        with pytest.raises(ValueError, match=r"."):
            model.set_params(**{"loss": None, "metrics": ()} | parameters).fit(X[:, :3], t)
        np.testing.assert_array_equal(model.predict(X), before)


def test_parameters_are_addresses() -> None:
    model = small(epochs=15)
    search = GridSearchCV(
        model,
        {"body__layers__0__units": [2, 16], "optimizer__lr": [0.001, 0.02]},
        cv=2,
        error_score="raise",
    ).fit(*IRIS)
    assert search.best_params_ == {"body__layers__0__units": 16, "optimizer__lr": 0.02}
    assert model.body == make_layers((8,), "relu"), "copies are searched"
    halving = HalvingGridSearchCV(
        model, {"body__layers__1": [ReLU(), Tanh()]}, resource="epochs", max_resources=4, cv=2
    )
    assert halving.fit(*IRIS).best_params_["body__layers__1"] in (ReLU(), Tanh())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("epoch", "Classifier has no parameter 'epoch'; did you mean 'epochs'"),
        ("optimiser__lr", "Classifier has no parameter 'optimiser'; did you mean 'optimizer'"),
        ("body__layers__0__unit", "no option 'layers__0__unit'; did you mean 'layers__0__units'"),
        ("loss__delta", "loss is None, and has no 'delta'"),
    ],
)
def test_wrong_addresses_are_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small().set_params(**{address: 1})


def test_layers_are_made_with_what_belongs_to_them() -> None:
    body = make_layers([5, 4], "tanh", norm="batch", dropout=0.5)
    kinds = [Dense, BatchNorm, Tanh]
    assert [type(layer) for layer in body][:3] + [type(layer) for layer in body][4:7] == kinds * 2
    assert type(make_layers(3, norm="layer")[1]) is LayerNorm
    custom = Sequential([ReLU()])
    assert make_layers((3, 3), custom)[1] == custom
    assert make_layers((3, 3), custom)[1] is not custom
    mistakes: list[dict[str, Any]] = [{"activation": "rleu"}, {"norm": "group"}, {"units": []}]
    for wrong in mistakes:
        with pytest.raises(
            LayerkitError, match=r"did you mean 'relu'|'batch', 'layer' or None|empty"
        ):
            make_layers(**wrong)


LABEL_KINDS = {
    "strings": ["no", "perhaps", "yes"],
    "objects": np.array(["no", "perhaps", "yes"], dtype=object),
    "negative": [-1, 0, 7],
    "bools": [False, True, True],
}


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_labels_come_back_as_they_are(kind: str) -> None:
    X, y = IRIS[0], np.array(LABEL_KINDS[kind])[IRIS[1]]
    model = small(epochs=30).fit(X, y)
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.9
    same = model.network_.predict(X)
    assert (
        same.tolist()
        == (model.predict(X) if kind == "bools" else model.predict(X).astype(str)).tolist()
    )
    model.set_params(warm_start=True).fit(X, y)
    assert model.n_iter_ == 60


def test_a_standardize_is_first_where_it_helps() -> None:
    X, y = IRIS
    for model, data, expected in (
        (small(), X, [Standardize, Dense, ReLU, Dense]),
        (small(standardize=False), X, [Dense, ReLU, Dense]),
        (small(body=Sequential([Standardize(), Dense(4)])), X, [Standardize, Dense, Dense]),
        (small(), csr_array(X), [Dense, ReLU, Dense]),
    ):
        body: Any = clone(model).set_params(epochs=1).fit(data, y).network_.body
        assert [type(layer) for layer in body] == expected


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_words_dates_and_gaps_of_a_table_are_taken(library: str, tmp_path: Path) -> None:
    frame = pytest.importorskip(library).DataFrame(MIXED)
    model = small(epochs=30).fit(frame, KINDS)
    assert type(model.network_["body.layers.0"]) is Table
    assert model.score(frame, KINDS) == 1
    assert model.feature_names_in_.tolist() == list(MIXED)
    turned = frame[list(MIXED)[::-1]]
    np.testing.assert_array_equal(model.predict_proba(turned), model.predict_proba(frame))
    np.testing.assert_array_equal(model.network_.predict(frame), model.predict(frame))
    assert model.transform(frame).shape == (100, 8)
    model.save(tmp_path / "a.safetensors")
    loaded = Classifier.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    assert cross_val_score(model, frame, KINDS, cv=2).mean() == 1
    with pytest.raises(LayerkitError, match="no names of columns: give a DataFrame with 'size'"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(LayerkitError, match="partial_fit does not see all of it"):
        small().partial_fit(frame, KINDS, classes=["no", "yes"])
    body = Sequential([Table.of(frame), Dense(8), ReLU()])
    given = small(body=body, optimizer=AdamW(lr=0.02))
    for _ in range(30):
        given.partial_fit(frame, KINDS, classes=["no", "yes"])
    assert given.score(frame, KINDS) == 1
    empty = small(epochs=1, body=Sequential([Table(missing=["a"]), Dense(8), ReLU()]))
    empty.fit(frame, KINDS).save(tmp_path / "b.safetensors")
    table: Any = Classifier.load(tmp_path / "b.safetensors").network_["body.layers.0"]
    assert [column.name for column in table.columns] == list(MIXED)
    assert table.columns[1].categories == ["b"]
    assert clone(empty).fit(frame, KINDS).loss_curve_ == empty.loss_curve_
    with pytest.raises(LayerkitError, match="no names of columns: give a DataFrame, or leave"):
        clone(empty).fit(*IRIS)
    with pytest.raises(LayerkitError, match="partial_fit does not see all of it"):
        clone(empty).partial_fit(frame, KINDS, classes=["no", "yes"])
    numbers = small(epochs=1).fit(frame[["size"]][:2], KINDS[:2])
    assert type(numbers.network_["body.layers.0"]) is Standardize


def test_weights_count_in_the_scales_too() -> None:
    X, y = IRIS
    weights = np.arange(150) % 3
    repeated = np.repeat(np.arange(150), weights)
    model = small(dtype="float64", epochs=3, early_stopping=False, batch_size=500)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    same = clone(model).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.predict_proba(X), same.predict_proba(X), 1e-9)
    with pytest.raises(ValueError, match=r"no example counts|non-zero number"):
        model.fit(X, y, sample_weight=np.zeros(150))
    counts = np.bincount(y[20:])
    curves = [
        clone(model).set_params(class_weight=given).fit(X[20:], y[20:]).loss_curve_
        for given in (None, "balanced", dict(enumerate(130 / 3 / counts)))
    ]
    assert curves[1] == curves[2] != curves[0]


def test_weights_of_classes_are_those_of_the_training_examples() -> None:
    X, y = IRIS
    weights = np.where(y == 2, 3, 1)
    given = {0: 250 / 150, 1: 250 / 150, 2: 250 / 450}
    curves = [
        small(dtype="float64", epochs=2, class_weight=class_weight)
        .fit(X, y, sample_weight=weights, X_val=X[40:], y_val=y[40:])
        .validation_loss_curve_
        for class_weight in ("balanced", given)
    ]
    np.testing.assert_allclose(curves[0], curves[1], 1e-12)


def test_weights_count_in_the_scales_of_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = DIABETES
    frame = pandas.DataFrame({"age": np.where(X[:, 0] > 60, np.nan, X[:, 0]), "sex": "a"})
    frame.loc[::4, "sex"] = "b"
    weights = np.arange(len(y)) % 3
    repeated = np.repeat(np.arange(len(y)), weights)
    model = Regressor(dtype="float64", epochs=2, batch_size=500, random_state=0)
    weighted = clone(model).fit(frame, y, sample_weight=weights).predict(frame)
    same = clone(model).fit(frame.iloc[repeated], y[repeated]).predict(frame)
    np.testing.assert_allclose(weighted, same, 1e-9)


def test_the_best_weights_are_kept() -> None:
    X, y, X_val, y_val = IRIS[0][::2], IRIS[1][::2], IRIS[0][1::2], IRIS[1][1::2]
    model = small(patience=3, epochs=500, optimizer=AdamW(lr=0.1), metrics=["roc_auc"])
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.stopped_ is not None
    assert len(model.loss_curve_) == model.n_iter_ < 500
    best = min(model.history_, key=lambda record: record.validation_loss)
    assert model.score(X_val, y_val) == best.validation_accuracy
    assert best.metrics["validation_roc_auc"] > 0.9
    again = clone(model).fit(X, y, X_val=X_val, y_val=y_val)
    assert again.loss_curve_ == model.loss_curve_
    held_out = clone(model).set_params(metrics=(), early_stopping=True).fit(X, y)
    assert np.isfinite(held_out.validation_loss_curve_).all()
    rest = clone(model).set_params(metrics=(), early_stopping=False, epochs=2).fit(X, y)
    assert np.isnan(rest.validation_loss_curve_).all()


def test_a_class_with_one_example_may_be_held_out() -> None:
    X, y = IRIS[0][:101], IRIS[1][:101]
    model = small(early_stopping=True, epochs=2)
    assert model.fit(X, y).predict_proba(X).shape == (101, 3)


def test_batches_come_one_after_the_other() -> None:
    X, y, X_val, y_val = IRIS[0][::2], IRIS[1][::2], IRIS[0][1::2], IRIS[1][1::2]
    model = small(patience=3, optimizer=AdamW(lr=0.1))
    with pytest.raises(LayerkitError, match="classes must be passed"):
        model.partial_fit(X, y)
    model.partial_fit(X[:40], y[:40], classes=[0, 1, 2])
    while not model.stopped_:
        model.partial_fit(X, y, X_val=X_val, y_val=y_val)
    assert "for 3 calls" in model.stopped_
    assert model.n_iter_ == len(model.loss_curve_) < 200
    best = np.nanmin(model.validation_loss_curve_)
    loss = -np.log(model.predict_proba(X_val)[np.arange(75), y_val]).mean()
    assert loss == pytest.approx(best)
    copied = pickle.loads(pickle.dumps(model))
    assert copied.partial_fit(X, y).n_iter_ == model.n_iter_ + 1
    for parameters, arguments, message in (
        ({}, {"classes": [0, 1]}, "is not the same as on the last call"),
        ({"class_weight": "balanced"}, {}, "partial_fit does not see all examples"),
        ({"average": EMA()}, {}, "doesn't know how long the training will be"),
        ({"optimizer": Adam(schedules={"lr": CosineSchedule()})}, {}, "doesn't know how long"),
    ):
        model = clone(copied).set_params(**parameters) if parameters else copied
        with pytest.raises(LayerkitError, match=message):
            model.partial_fit(X, y, **{"classes": [0, 1, 2]} | arguments)
    with pytest.raises(LayerkitError, match="go on with the same"):
        copied.partial_fit(X, y + 1)
    regressor = Regressor(random_state=0, epochs=2).fit(*DIABETES)
    for _ in range(3):  # without the schedule of `fit`
        before = regressor.network_.arena.values.copy()
        regressor.partial_fit(*DIABETES)
        assert abs(regressor.network_.arena.values - before).max() > 0.003
    assert regressor.n_iter_ == 5
    assert regressor._optimizer.t == 3 * 7


def test_the_outputs_of_a_layer_are_features() -> None:
    X, y = IRIS
    coder = Regressor(make_layers((8, 2, 8), "tanh"), transform_layer="body.layers.3")
    codes = coder.set_params(epochs=5, random_state=0).fit(X, X).transform(X)
    assert codes.shape == (150, 2)
    np.testing.assert_array_equal(codes, coder.network_.outputs(X, of="body.layers.4"))
    assert coder.get_feature_names_out().tolist() == ["regressor0", "regressor1"]
    graph = Graph({"a": Dense(3), "b": ReLU()}, ["input -> a -> b -> output"])
    for address, of in ((None, "body.layers.1"), ("body.nodes.a", "body.layers.1.nodes.a")):
        model = small(body=graph, transform_layer=address, epochs=2).fit(X, y)
        np.testing.assert_array_equal(model.transform(X), model.network_.outputs(X, of=of))
    frame = small(epochs=2).set_output(transform="pandas").fit(*IRIS).transform(X)
    assert list(frame.columns)[:2] == ["classifier0", "classifier1"]


def test_trained_layers_keep_their_weights() -> None:
    X, y = IRIS
    first = small(epochs=5).fit(X, y)
    body: Any = first.network_.body
    second = small(body=body[:3], optimizer=AdamW(lr=1e-9), epochs=1).fit(X, y)
    W = second.network_["body.layers.1.W"]
    np.testing.assert_allclose(W.value, body[1].W.value, 1e-5)  # type: ignore[union-attr]


class CtrlC(Callback):
    def epoch_end(self, progress: Progress) -> None:
        if progress.epoch == 3:
            raise KeyboardInterrupt


def test_an_interrupted_training_leaves_a_usable_estimator() -> None:
    model = small(callbacks=[CtrlC()])
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(*IRIS)
    assert model.n_iter_ == 3
    assert len(model.predict(IRIS[0])) == 150


SAVED: dict[str, tuple[Any, Any, Any]] = {
    "all kinds of parameters": (
        small(class_weight={0: 2.0, 1: 1.0}, metrics=("roc_auc",), callbacks=[EarlyStopping()]),
        *IRIS,
    ),
    "strings": (small(), IRIS[0], np.array(["a", "b", "c"], object)[IRIS[1]]),
    "labels": (small(), *LABELS),
    "targets": (Regressor(random_state=0), *datasets.load_linnerud(return_X_y=True)),
    "perceptron": (MLPClassifier((4,), early_stopping=True, random_state=0), *IRIS),
    "perceptron of labels": (MLPClassifier((4,), solver=Adam(), random_state=0), *LABELS),
    "perceptron of numbers": (
        MLPRegressor(hidden_layer_sizes=(4,), random_state=0),
        IRIS[0],
        IRIS[1],
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", SAVED)
def test_estimators_are_saved_without_pickle(name: str, tmp_path: Path) -> None:
    model, X, y = SAVED[name]
    epochs = "epochs" if hasattr(model, "epochs") else "max_iter"
    model = clone(model).set_params(**{epochs: 3}).fit(X, y, X_val=X, y_val=y)
    model.save(tmp_path / "a.safetensors")
    loaded = type(model).load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype
    assert loaded.get_params() == model.get_params()
    assert repr(loaded.history_) == repr(model.history_)
    assert len(Network.load(tmp_path / "a.safetensors").predict(X)) == len(X)
    loaded.set_params(warm_start=True).fit(X, y, X_val=X, y_val=y)
    assert len(loaded.loss_curve_) == 6


def test_files_and_parameters_of_another_kind_are_refused(tmp_path: Path) -> None:
    model = small(epochs=1, random_state=np.random.RandomState(0)).fit(*IRIS)
    with pytest.raises(LayerkitError, match=r"random_state = .*no file can hold it"):
        model.save(tmp_path / "a.safetensors")
    model.set_params(random_state=0).save(tmp_path / "a.safetensors")
    with pytest.raises(FileError, match="is not a Regressor, but a Classifier"):
        Regressor.load(tmp_path / "a.safetensors")
    model.network_.save(
        tmp_path / "b.safetensors", **{"layerkit.sklearn": '{"type": "Classifier"}'}
    )
    with pytest.raises(FileError, match=r"layerkit\.sklearn is damaged"):
        Classifier.load(tmp_path / "b.safetensors")
    model.network_.save(tmp_path / "b.safetensors")
    with pytest.raises(FileError, match="is a network without an estimator"):
        Classifier.load(tmp_path / "b.safetensors")


def test_callbacks_observe_the_training() -> None:
    history = History()
    model = small(callbacks=[history], epochs=3).fit(*IRIS)
    assert repr(history.records) == repr(list(model.history_))


def test_callbacks_of_scikit_learn_are_told() -> None:
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = small(epochs=3).set_callbacks(monitor).fit(*IRIS)
    scores = [entry["accuracy"] for entry in monitor.get_logs().data]
    assert (len(scores), scores[-1]) == (4, model.score(*IRIS))


def test_sparse_rows_and_pipelines_are_taken() -> None:
    X, y = datasets.load_digits(return_X_y=True)
    model = make_pipeline(MaxAbsScaler(), small(epochs=10)).fit(csr_array(X), y)
    assert model.score(csr_array(X), y) > 0.9
    assert "Classifier" in model._repr_html_()


@pytest.mark.processes
def test_folds_of_a_network_are_trained_in_processes() -> None:
    serial, parallel = (cross_val_score(small(epochs=3), *IRIS, cv=4, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(serial, parallel)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_scikit_learns_checks_of_networks_are_passed(kind: Any) -> None:
    results = check_estimator(kind(), on_skip=None, on_fail=None)
    skipped = {
        "check_array_api_input",  # where SCIPY_ARRAY_API is not set
        "check_sample_weights_pandas_series",  # where pandas is not installed, as the next two
        "check_classifier_data_not_an_array",
        "check_regressor_data_not_an_array",
        "check_classifiers_multilabel_output_format_decision_function",  # as MLPClassifier
    }
    assert len(results) > 55
    assert [r for r in results if r["status"] not in ("passed", "skipped")] == []
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= skipped
