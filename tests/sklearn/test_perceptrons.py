"""MLPClassifier and MLPRegressor against those of the installed scikit-learn."""

import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.neural_network
from scipy.sparse import csc_array, csr_array
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import check_estimator

import layerkit.sklearn
from layerkit import (
    GELU,
    LBFGS,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    Focal,
    GaussianNLL,
    Hinge,
    Huber,
    Loss,
    MultiMargin,
    Network,
    Poisson,
    Quantile,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    Tanh,
)
from layerkit.callbacks import History, TimeLimit
from layerkit.errors import DivergenceError, LayerkitError
from layerkit.sklearn.epochs import Epochs

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger"),
]

KINDS = ("MLPClassifier", "MLPRegressor")
IRIS = datasets.load_iris(return_X_y=True)
DIGITS = [part[:300] for part in datasets.load_digits(return_X_y=True)]
CANCER = datasets.load_breast_cancer(return_X_y=True)
DIABETES = datasets.load_diabetes(return_X_y=True)
SETS: dict[str, tuple[str, Any, Any]] = {
    "iris": ("MLPClassifier", *IRIS),
    "digits": ("MLPClassifier", *DIGITS),
    "breast cancer": ("MLPClassifier", *CANCER),
    "wine": ("MLPClassifier", *datasets.load_wine(return_X_y=True)),
    "multilabel": (
        "MLPClassifier",
        *datasets.make_multilabel_classification(200, 10, random_state=0),
    ),
    "diabetes": ("MLPRegressor", *DIABETES),
    "linnerud": ("MLPRegressor", *datasets.load_linnerud(return_X_y=True)),
    "made": ("MLPRegressor", *datasets.make_regression(200, 10, noise=3, random_state=0)),
}
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "activation": "tanh"},
    "adam stopping early": {"early_stopping": True, "validation_fraction": 0.2},
    "sgd": {"solver": "sgd", "activation": "logistic"},
    "sgd with plain momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "sgd adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.02,
        "tol": 0.02,
        "n_iter_no_change": 2,
    },
    "sgd stopping early": {
        "solver": "sgd",
        "early_stopping": True,
        "momentum": 0.5,
        "validation_fraction": 0.2,
        "learning_rate_init": 0.02,
        "n_iter_no_change": 2,
    },
}


def both(kind: str, **parameters: Any) -> tuple[Any, Any]:
    """scikit-learn's estimator, and layerkit's."""
    parameters = {"hidden_layer_sizes": (12, 6), "random_state": 3, "max_iter": 20} | parameters
    return tuple(getattr(m, kind)(**parameters) for m in (sklearn.neural_network, layerkit.sklearn))


def assert_alike(theirs: Any, ours: Any, X: Any, rtol: float = 1e-12) -> None:
    """The same attributes, curves and predictions."""
    public = {name for name in vars(theirs) if name.endswith("_") and name[0] != "_"}
    assert {name for name in public if not hasattr(ours, name)} == set()
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_"):
        if getattr(theirs, name, None) is not None:
            expected = getattr(theirs, name)
            np.testing.assert_allclose(getattr(ours, name), expected, rtol, err_msg=name)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), 0, 1e4 * rtol)
    else:
        expected = theirs.predict(X)
        np.testing.assert_allclose(ours.predict(X), expected, 0, 1e4 * rtol * abs(expected).max())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", SETS)
def test_losses_are_scikit_learns(data: str, solver: str) -> None:
    kind, X, y = SETS[data]
    X, y = scale(X), y if kind == "MLPClassifier" else scale(y)
    theirs, ours = both(kind, batch_size=min(50, len(y)), **SOLVERS[solver])
    assert_alike(theirs.fit(X, y), ours.fit(X, y), X)


@pytest.mark.parametrize("data", SETS)
def test_lbfgs_is_as_near_as_scikit_learn_to_itself(data: str) -> None:
    """Each iteration multiplies rounding errors: those of the last bit of X show how much."""
    kind, X, y = SETS[data]
    X, y = scale(X), y if kind == "MLPClassifier" else scale(y)
    for iterations in (5, 50):
        theirs, ours = both(kind, solver="lbfgs", max_iter=iterations)
        expected = theirs.fit(X, y).loss_
        moved = clone(theirs).fit(X * (1 + np.finfo(float).eps), y).loss_
        assert abs(ours.fit(X, y).loss_ - expected) <= 1e-12 * expected + 100 * abs(
            moved - expected
        )
        assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("MLPClassifier", {"hidden_layer_sizes": ()}),
        ("MLPClassifier", {"hidden_layer_sizes": 7, "shuffle": False, "alpha": 0.3}),
        ("MLPClassifier", {"activation": "identity", "batch_size": 1000}),
        ("MLPClassifier", {"random_state": np.random.RandomState(5), "tol": 0.1}),
        ("MLPClassifier", {"n_iter_no_change": np.inf, "beta_1": 0.8, "beta_2": 0.9}),
        ("MLPClassifier", {"epsilon": 0.1, "learning_rate_init": 0.1}),
        ("MLPRegressor", {"hidden_layer_sizes": np.array([4])}),
        ("MLPRegressor", {"loss": "poisson", "learning_rate_init": 0.01}),
        ("MLPRegressor", {"loss": "poisson", "solver": "lbfgs", "max_iter": 10}),
        ("MLPRegressor", {"n_iter_no_change": 1, "tol": 0.5}),
    ],
)
def test_parameters_mean_the_same(
    kind: str, parameters: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, X, y = SETS["iris" if kind == "MLPClassifier" else "diabetes"]
    y = y if kind == "MLPClassifier" else y / 100
    printed = []
    theirs, ours = both(kind, **parameters, verbose=parameters.get("solver") != "lbfgs")
    for model in (theirs, clone(ours)):
        model.fit(X, y)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    if not isinstance(parameters.get("random_state"), np.random.RandomState):
        assert_alike(theirs, ours.fit(X, y), X)


def test_signatures_are_scikit_learns() -> None:
    for kind in KINDS:
        for name in ("__init__", "fit", "predict", "partial_fit"):
            theirs, ours = (
                {
                    (p.name, p.default, p.kind)
                    for p in inspect.signature(getattr(getattr(m, kind), name)).parameters.values()
                }
                for m in (sklearn.neural_network, layerkit.sklearn)
            )
            assert theirs <= ours, f"{kind}.{name}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["float32", "csr", "csc", "weights", "integers"])
def test_data_are_taken_as_scikit_learn_takes_them(kind: str, form: str) -> None:
    _, X, y = SETS["digits" if kind == "MLPClassifier" else "diabetes"]
    y = y if kind == "MLPClassifier" else y / 100
    weights = np.linspace(0, 2, len(y)) if form == "weights" else None
    if form == "float32":
        X, y = X.astype("f"), y if kind == "MLPClassifier" else y.astype("f")
    elif form == "integers":
        X = (X * 10).astype(np.uint8)
    elif form in ("csr", "csc"):
        X = {"csr": csr_array, "csc": csc_array}[form](X)
    for solver in ("adam", "lbfgs"):
        theirs, ours = both(kind, solver=solver, max_iter=10, early_stopping=solver == "adam")
        theirs.fit(X, y, sample_weight=weights)
        ours.fit(X, y, sample_weight=weights)
        assert_alike(theirs, ours, X, 1e-5 if form == "float32" else 1e-11)
        if solver == "adam":
            assert {W.dtype for W in ours.coefs_} == {W.dtype for W in theirs.coefs_}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_and_warm_starts_go_on_as_in_scikit_learn(kind: str, solver: str) -> None:
    _, X, y = SETS["iris" if kind == "MLPClassifier" else "diabetes"]
    y = y if kind == "MLPClassifier" else y / 100
    models = both(kind, solver=solver, max_iter=4)
    for model in models:
        classes = {"classes": [0, 1, 2]} if kind == "MLPClassifier" else {}
        model.partial_fit(X[:60], y[:60], **classes)
        model.partial_fit(X[60:], y[60:], sample_weight=np.arange(len(y) - 60))
    assert_alike(*models, X)
    copied = pickle.loads(pickle.dumps(models[1]))
    for model in (*models, copied):
        model.partial_fit(X, y)
    assert_alike(*models, X)
    assert copied.loss_curve_ == models[1].loss_curve_
    for model in models:
        model.set_params(warm_start=True, early_stopping=False).fit(X, y).fit(X, y)
    assert_alike(*models, X)


LABELS = {
    "strings": np.array(["no", "yes"]),
    "objects": np.array(["no", "yes"], dtype=object),
    "bools": np.array([False, True]),
    "negative": np.array([-1, 1]),
    "floats": np.array([0.5, 2.0]),
}


@pytest.mark.parametrize("labels", LABELS)
def test_labels_come_back_as_they_are(labels: str) -> None:
    X, y = CANCER[0][::5], LABELS[labels][CANCER[1][::5]]
    y = y if labels != "floats" else y * 2  # whole numbers: others are no classes
    models = both("MLPClassifier", early_stopping=True)
    for model in models:
        model.fit(scale(X), y)
    assert_alike(*models, scale(X))
    named = models[1].network_.predict(scale(X))
    assert named.tolist() == [
        n if labels == "bools" else str(n) for n in models[1].predict(scale(X))
    ]


def test_the_network_is_an_ordinary_one(tmp_path: Path) -> None:
    X, y = scale(IRIS[0]), IRIS[1]
    model = layerkit.sklearn.MLPClassifier([5], max_iter=5, random_state=0).fit(X, y)
    model.network_.save(tmp_path / "iris.safetensors")
    loaded = Network.load(tmp_path / "iris.safetensors")
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), 1e-14)
    model.coefs_ = [np.zeros((4, 5)), np.zeros((5, 3))]
    model.intercepts_[1][:] = [0, 1, 0]
    assert set(model.predict(X)) == {1}
    with pytest.raises(LayerkitError, match="uint8"):
        model.network_.predict(X.astype(np.uint8))
    with pytest.raises(AttributeError, match="not fitted"):
        _ = layerkit.sklearn.MLPClassifier().coefs_


def test_a_classifier_works_in_scikit_learns_tools() -> None:
    classifier = layerkit.sklearn.MLPClassifier(learning_rate_init=0.02, random_state=0)
    model = make_pipeline(StandardScaler(), classifier)
    search = GridSearchCV(
        model, {"mlpclassifier__hidden_layer_sizes": [(4,), (16, 8)]}, cv=2, error_score="raise"
    )
    assert search.fit(*IRIS).best_score_ > 0.9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1}, r"MLPClassifier\.alpha = -1: should be greater than or equal to 0"),
        ({"activation": "rleu"}, "activation = 'rleu': should be 'identity', 'logistic'"),
        ({"activation": "gelu"}, r"'tanh' or 'relu', of type Layer \(did .*\?\) or a list$"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes.* = 0: should be greater than 0"),
        ({"momentum": 2}, r"momentum = 2: should be"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "leaves 1 to validate on"),
        ({"learning_rate_init": 1e200}, "non-finite parameter weights"),
        ({"activation": ["relu", "relu"]}, "2 for 1 hidden layers; should be one for each"),
        ({"activation": GELU}, r"is a class; should be an object, such as GELU\(\)"),
        ({"solver": "lbfgs", "dropout": 0.1}, "dropout = 0.1: solver='lbfgs' compares losses"),
        ({"dtype": "float16"}, "dtype = 'float16': should be 'float32' or 'float64'$"),
        ({"class_weight": {7: 1.0}}, "not in class_weight"),
        ({"metrics": ["mae"]}, "metrics: 'mae' doesn't suit"),
    ],
)
def test_what_is_wrong_is_said(parameters: dict[str, Any], message: str) -> None:
    X, y = IRIS[0][::2], IRIS[1][::2]
    model = layerkit.sklearn.MLPClassifier(**parameters)
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(X, y)
    assert isinstance(caught.value, DivergenceError) or not hasattr(model, "coefs_")


def test_other_layers_or_classes_than_before_are_refused() -> None:
    model = layerkit.sklearn.MLPClassifier(warm_start=True, max_iter=2).fit(*IRIS)
    with pytest.raises(LayerkitError, match="warm_start needs the same"):
        model.fit(IRIS[0][:100], IRIS[1][:100])
    with pytest.raises(LayerkitError, match=r"layers of \[100, 3\] units"):
        model.set_params(hidden_layer_sizes=(7,)).fit(*IRIS)
    with pytest.raises(LayerkitError, match=r"a target is -1.0; should be >= 0"):
        layerkit.sklearn.MLPRegressor("poisson").fit(IRIS[0], IRIS[1] - 1.0)
    with pytest.raises(LayerkitError, match="give both"):
        model.fit(*IRIS, X_val=IRIS[0])
    with pytest.raises(LayerkitError, match="X_val: solver='lbfgs' has no epochs"):
        clone(model).set_params(solver="lbfgs").fit(*IRIS, X_val=IRIS[0], y_val=IRIS[1])
    with pytest.raises(LayerkitError, match=r"y_val has the classes \[2\], and y has \[0 1\]"):
        clone(model).fit(IRIS[0][:100], IRIS[1][:100], X_val=IRIS[0], y_val=IRIS[1])
    with pytest.raises(LayerkitError, match="y_val has 2 targets; should be 1"):
        layerkit.sklearn.MLPRegressor().fit(*DIABETES, X_val=DIABETES[0], y_val=DIABETES[0][:, :2])
    with pytest.raises(LayerkitError, match="partial_fit does not see all examples"):
        clone(model).set_params(class_weight="balanced").partial_fit(*IRIS, classes=[0, 1, 2])
    with pytest.raises(LayerkitError, match=r"target -1.0 of example \d+; should be a count"):
        layerkit.sklearn.MLPRegressor(Poisson()).fit(IRIS[0], IRIS[1] - 1.0)
    for loss in (Quantile((0.1, 0.5, 0.9)), GaussianNLL()):
        with pytest.raises(LayerkitError, match=r"one output for each target; take .*\.Regressor"):
            layerkit.sklearn.MLPRegressor(loss).fit(*DIABETES)
    assert not hasattr(model.set_params(solver="lbfgs"), "partial_fit")
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 1 iteration"):
        layerkit.sklearn.MLPClassifier(solver="lbfgs", max_iter=1).fit(*IRIS)


def test_an_interrupted_training_leaves_a_usable_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    model = layerkit.sklearn.MLPClassifier(early_stopping=True, random_state=0)
    count = Epochs._count_improvement

    def interrupt(self: Epochs) -> None:
        count(self)
        if self.model.n_iter_ == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Epochs, "_count_improvement", interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(*IRIS)
    assert len(model.loss_curve_) == 3
    assert len(model.predict(IRIS[0])) == 150


# What scikit-learn's own do not have


def test_layers_optimizers_and_losses_of_layerkit_are_taken() -> None:
    X, y = scale(IRIS[0]), IRIS[1]
    model = layerkit.sklearn.MLPClassifier(
        (5, 3),
        activation=[GELU(), "tanh"],
        dropout=0.1,
        solver=Adam(lr=0.02),
        dtype="float32",
        random_state=0,
    )
    again = pickle.loads(pickle.dumps(clone(model))).fit(X, y)
    assert model.fit(X, y).loss_curve_ == again.loss_curve_
    body: Any = model.network_.body
    assert [type(part) for part in body.layers] == [
        *(Dense, GELU, Dropout, Dense, Tanh, Dropout, Dense)
    ]
    assert {W.dtype.name for W in model.coefs_} == {"float32"}
    assert model.score(X, y) > 0.9
    assert model.solver.t == 0, "a copy is trained"

    huber = layerkit.sklearn.MLPRegressor(Huber(), solver=LBFGS(), max_iter=30, random_state=0)
    _, X, y = SETS["made"]
    assert huber.fit(scale(X), scale(y)).score(scale(X), scale(y)) > 0.9


@pytest.mark.parametrize(
    ("data", "loss", "score"),
    [
        ("iris", SoftmaxCrossEntropy(label_smoothing=0.1), 0.9),
        ("iris", MultiMargin(), 0.9),
        ("breast cancer", Focal(), 0.9),
        ("breast cancer", Hinge(), 0.9),
        ("multilabel", Hinge(), 0.3),
    ],
)
def test_classifiers_take_losses_for_classes(data: str, loss: Loss, score: float) -> None:
    _, X, y = SETS[data]
    model = layerkit.sklearn.MLPClassifier(
        (8,), loss=loss, learning_rate_init=0.02, random_state=0, class_weight="balanced"
    )
    X, y = scale(X), y if y.ndim == 2 else np.array(["a", "b", "c"])[y]
    assert model.fit(X, y).score(X, y) > score
    np.testing.assert_array_equal(model.network_.predict(X), model.predict(X))
    assert hasattr(model, "predict_proba") == loss.has_probabilities


def test_the_same_loss_has_the_same_curve() -> None:
    for data, loss in (("iris", SoftmaxCrossEntropy()), ("breast cancer", BinaryCrossEntropy())):
        _, X, y = SETS[data]
        plain, own = (
            layerkit.sklearn.MLPClassifier((8,), loss=given, max_iter=9, random_state=0)
            for given in (None, loss)
        )
        plain.fit(scale(X), y)
        np.testing.assert_allclose(own.fit(scale(X), y).loss_curve_, plain.loss_curve_, 1e-12)


@pytest.mark.parametrize(
    ("data", "loss", "message"),
    [
        ("iris", Hinge(), r"multiclass targets; take one such as SoftmaxCrossEntropy\(\)"),
        ("multilabel", Focal(), r"take one such as BinaryCrossEntropy\(\)"),
        ("breast cancer", Huber(), "binary targets; take one such as"),
    ],
)
def test_losses_that_judge_otherwise_are_refused(data: str, loss: Loss, message: str) -> None:
    with pytest.raises(LayerkitError, match=message):
        layerkit.sklearn.MLPClassifier(loss=loss).fit(*SETS[data][1:])


def test_layers_with_states_are_fitted_and_go_back_to_their_best() -> None:
    X, y = 100 + 50 * scale(IRIS[0]), IRIS[1]
    norm = Sequential([BatchNorm(), Standardize(), ReLU()])
    model = layerkit.sklearn.MLPClassifier(
        (8,),
        activation=norm,
        early_stopping=True,
        learning_rate_init=0.05,
        batch_size=20,
        random_state=0,
    )
    X_val, y_val = X[::3], y[::3]
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.score(X_val, y_val) == model.best_validation_score_ > 0.9
    assert model.network_.adapted


def test_without_hidden_layers_there_may_be_no_activation() -> None:
    linear = layerkit.sklearn.MLPClassifier((), activation=[], max_iter=3, random_state=0)
    plain = clone(linear).set_params(activation="relu").fit(*IRIS)
    assert linear.fit(*IRIS).loss_curve_ == plain.loss_curve_


def test_dropout_leaves_the_first_weights_as_they_are() -> None:
    plain, dropping = (
        layerkit.sklearn.MLPClassifier(
            max_iter=1, learning_rate_init=1e-99, dropout=d, random_state=0
        )
        for d in (0.0, 0.5)
    )
    np.testing.assert_array_equal(plain.fit(*IRIS).coefs_[0], dropping.fit(*IRIS).coefs_[0])
    assert plain.loss_ != dropping.loss_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weights_are_sample_weights(solver: str) -> None:
    X, y = IRIS[0][20:], IRIS[1][20:]
    weights = {0: 130 / 3 / 30, 1: 130 / 3 / 50, 2: 130 / 3 / 50}
    losses = []
    for given in ("balanced", weights, None):
        model = layerkit.sklearn.MLPClassifier(
            (4,), solver=solver, max_iter=5, class_weight=given, random_state=0
        )
        a = np.array([weights[label] for label in y]) if given is None else None
        losses.append(model.fit(X, y, sample_weight=a).loss_)
    np.testing.assert_allclose(losses, losses[0], 1e-12)


def test_balanced_classes_count_the_same_where_training_stops() -> None:
    X, y = scale(IRIS[0]), IRIS[1]
    model = layerkit.sklearn.MLPClassifier(
        (8,), class_weight="balanced", metrics=["accuracy"], max_iter=9, random_state=0
    )
    model.fit(X[40:], y[40:], X_val=X, y_val=y)
    weights = np.array([110 / 30, 110 / 150, 110 / 150])[y]
    expected = model.score(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.validation_scores_[-1], expected, 1e-12)
    assert model.history_[-1].validation_accuracy == model.score(X, y) != expected


@pytest.mark.parametrize("data", ["iris", "multilabel"])
def test_twice_the_weight_is_as_good_as_a_copy_where_classes_are_balanced(data: str) -> None:
    _, X, y = SETS[data]
    X, y, a = scale(X)[40:], y[40:], np.repeat([2.0, 1.0], [20, len(y) - 60])
    model = layerkit.sklearn.MLPClassifier(
        (8,), class_weight="balanced", batch_size=len(y), shuffle=False, max_iter=3, random_state=0
    )
    weighted = clone(model).fit(X, y, sample_weight=a).loss_curve_
    rows = np.r_[np.arange(20), np.arange(len(y))]
    copied = model.set_params(batch_size=len(rows)).fit(X[rows], y[rows]).loss_curve_
    # the penalty is divided by the number of examples, which is the same, but for rounding
    np.testing.assert_allclose(weighted, copied, 1e-12)


def test_given_examples_are_validated_on() -> None:
    X, y, X_val, y_val = scale(IRIS[0])[::2], IRIS[1][::2], scale(IRIS[0])[1::2], IRIS[1][1::2]
    model = layerkit.sklearn.MLPClassifier((8,), max_iter=40, random_state=0)
    plain = clone(model).fit(X, y)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.loss_curve_ == plain.loss_curve_
    assert len(model.validation_scores_) == model.n_iter_
    assert model.validation_scores_[-1] == model.score(X_val, y_val)
    model.set_params(early_stopping=True, learning_rate_init=0.05)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.best_validation_score_ == model.score(X_val, y_val) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_examples_to_validate_on_is_kept(kind: str) -> None:
    X, y = scale(IRIS[0]), IRIS[1]
    X, y, X_val, y_val = X[::2], y[::2], X[1::2], y[1::2]
    for loss in ({}, {"loss": SoftmaxCrossEntropy() if kind == "MLPClassifier" else Huber()}):
        model = getattr(layerkit.sklearn, kind)(
            hidden_layer_sizes=(8,), max_iter=5, random_state=0, **loss
        )
        model.fit(X, y, X_val=X_val, y_val=y_val)
        assert len(model.validation_loss_curve_) == 5
        expected = model.network_.gradient(X_val, y_val)
        factor = 1 if loss or kind == "MLPClassifier" else 0.5
        np.testing.assert_allclose(model.validation_loss_curve_[-1], factor * expected, 1e-12)
        model.set_params(early_stopping=True).fit(X, y)
        assert len(model.validation_loss_curve_) == len(model.validation_scores_)
        assert (
            clone(model).set_params(early_stopping=False).fit(X, y).validation_loss_curve_ is None
        )


def test_metrics_are_measured_after_each_epoch() -> None:
    X, y, X_val, y_val = CANCER[0][::2], CANCER[1][::2], CANCER[0][1::2], CANCER[1][1::2]
    stop = EarlyStopping(monitor="validation_f1", patience=1)
    model = layerkit.sklearn.MLPClassifier(
        (8,), metrics=["f1", "accuracy"], max_iter=4, random_state=0
    )
    record = model.fit(X, y).history_[-1]
    assert [*record.measured()] == ["train_accuracy", "train_loss", "train_f1"]
    assert [r.train_loss for r in model.history_] == model.loss_curve_
    assert record.train_accuracy == model.score(X, y)
    assert record.metrics["train_f1"] == f1_score(y, model.predict(X))
    model.set_params(callbacks=[stop], max_iter=99).fit(X, y, X_val=X_val, y_val=y_val)
    assert "validation_f1" in str(model.stopped_)
    assert len(model.history_) == model.n_iter_
    assert [r.validation_accuracy for r in model.history_] == model.validation_scores_
    best = max(r.metrics["validation_f1"] for r in model.history_)
    assert best == f1_score(y_val, model.predict(X_val))

    numbers = layerkit.sklearn.MLPRegressor(metrics=["mae"], max_iter=3, warm_start=True)
    numbers.fit(*DIABETES).fit(*DIABETES, X_val=DIABETES[0], y_val=DIABETES[1])
    assert [r.epoch for r in numbers.history_] == [1, 2, 3, 4, 5, 6]
    losses = np.array(numbers.validation_loss_curve_)
    assert np.isnan(losses).tolist() == [True] * 3 + [False] * 3
    for record in numbers.history_[3:]:
        assert record.metrics["validation_mae"] == record.metrics["train_mae"]
    for metrics, message in ((["f1"], "'f1' doesn't suit"), ("mae", "metrics = 'mae': should be")):
        with pytest.raises(LayerkitError, match=message):
            numbers.set_params(metrics=metrics).fit(*DIABETES)
    with pytest.raises(LayerkitError, match="metrics: solver='lbfgs' has no epochs to measure"):
        numbers.set_params(metrics=["mae"], solver="lbfgs").fit(*DIABETES)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_trained_on_until_nothing_improves(kind: str) -> None:
    X, y = scale(IRIS[0]), IRIS[1]
    given = {"X_val": X[1::2], "y_val": y[1::2]}
    model = getattr(layerkit.sklearn, kind)(
        hidden_layer_sizes=(8,), early_stopping=True, n_iter_no_change=9, random_state=0
    )
    classes = {"classes": [0, 1, 2]} if kind == "MLPClassifier" else {}
    with pytest.raises(LayerkitError, match="give X_val and y_val"):
        model.partial_fit(X, y, **classes)
    model.set_params(learning_rate_init=0.03)
    free = clone(model).set_params(early_stopping=False)
    while not getattr(model, "stopped_", None):
        for part in (slice(0, 150, 4), slice(2, 150, 4)):
            model.partial_fit(X[part], y[part], **classes, **given)
            free.partial_fit(X[part], y[part], **classes, **given)
        assert model.score(X[1::2], y[1::2]) == max(model.validation_scores_), "the best so far"
    assert model.stopped_ == "Validation score has not improved"
    assert model.best_validation_score_ > 0.8
    assert model.loss_curve_ == free.loss_curve_, "training goes on from the last weights"
    assert len(model.loss_curve_) == len(model.validation_loss_curve_)
    model.fit(X, y)
    before = [W.copy() for W in model.coefs_]
    model.partial_fit(X, y[::-1], **given)
    assert all(map(np.array_equal, before, model.coefs_)), "no improvement on the best of fit"


def test_training_starts_from_given_weights() -> None:
    first = layerkit.sklearn.MLPClassifier((5,), max_iter=3, random_state=0).fit(*IRIS)
    W, b = [[a.copy() for a in arrays] for arrays in (first.coefs_, first.intercepts_)]
    for solver in ("adam", "lbfgs"):
        model = layerkit.sklearn.MLPClassifier((5,), solver=solver, max_iter=1, tol=1e9)
        model.set_params(learning_rate_init=1e-99).fit(*IRIS, coef_init=W, intercept_init=b)
        np.testing.assert_allclose(model.coefs_[1], W[1], 1e-9)
    model = layerkit.sklearn.MLPClassifier((5,))
    for given, message in (
        ({"coef_init": W[:1]}, r"coef_init has arrays of shapes \[\(4, 5\)\]; should be"),
        ({"intercept_init": [b[0] * np.nan, b[1]]}, r"intercept_init\[0\] = \[nan"),
    ):
        with pytest.raises(LayerkitError, match=message):
            model.fit(*IRIS, **given)
        assert not hasattr(model, "network_"), "nothing has begun"
    with pytest.raises(LayerkitError, match="coefs_ has arrays of shapes"):
        first.coefs_ = b


@pytest.mark.parametrize("labels", [[0, 1, 2], ["no", "yes"], None])
def test_a_network_is_made_without_data(labels: Any) -> None:
    X, kind = IRIS[0], "MLPRegressor" if labels is None else "MLPClassifier"
    given = {"n_outputs": 2} if labels is None else {"classes": labels}
    y = np.ones((150, 2)) if labels is None else np.resize(labels, 150)
    theirs, ours = both(kind, solver="sgd", learning_rate_init=1e-99)
    ours.initialize(4, **given)
    for W, expected in zip(ours.coefs_, theirs.fit(X, y).coefs_, strict=True):
        np.testing.assert_array_equal(W, expected)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    ours.coefs_ = [np.zeros_like(W) for W in ours.coefs_]
    assert len(np.unique(ours.predict(X), axis=0)) == 1
    assert ours.partial_fit(X, y).t_ == 150
    with pytest.raises(LayerkitError, match="shape"):
        ours.initialize(0, **given)


def test_the_last_example_alone_goes_with_the_batch_before() -> None:
    norm = Sequential([BatchNorm(), ReLU()])
    history = History()
    model = layerkit.sklearn.MLPClassifier(
        (8,), activation=norm, batch_size=149, max_iter=2, callbacks=[history]
    )
    assert model.fit(*IRIS).n_iter_ == 2
    with pytest.raises(LayerkitError, match="batch of one example"):
        model.set_params(batch_size=1).fit(*IRIS)


def test_callbacks_observe_the_training() -> None:
    X, y = scale(IRIS[0]), IRIS[1]
    history, stop = History(), EarlyStopping(monitor="validation_accuracy", patience=2)
    model = layerkit.sklearn.MLPClassifier((8,), learning_rate_init=0.05, random_state=0)
    plain = clone(model).fit(X, y)
    model.set_params(callbacks=[history, stop]).fit(X, y, X_val=X, y_val=y)
    assert [record.train_loss for record in history.records] == model.loss_curve_
    assert model.loss_curve_ == plain.loss_curve_[: model.n_iter_]
    assert [r.validation_accuracy for r in history.records] == model.validation_scores_
    assert model.n_iter_ < plain.n_iter_
    assert model.score(X, y) == max(model.validation_scores_), "the best weights are restored"
    model.set_params(callbacks=[TimeLimit(1e-9)]).fit(X, y)
    assert (model.n_iter_, model.loss_curve_) == (1, plain.loss_curve_[:1])
    model.set_params(batch_size=10).fit(X, y)
    assert (model.n_iter_, len(model.loss_curve_), model.loss_ > 0) == (0, 0, True)
    with pytest.raises(LayerkitError, match="'lbfgs' has no epochs"):
        model.set_params(solver="lbfgs").fit(X, y)


def test_the_last_hidden_layer_is_a_transformer() -> None:
    X = IRIS[0]
    model = layerkit.sklearn.MLPClassifier((7, 5), max_iter=3, random_state=0).fit(*IRIS)
    expected = model.network_.outputs(X, of="body.layers.3")
    np.testing.assert_allclose(model.transform(csr_array(X)), expected, 1e-12, 1e-12)
    assert model.get_feature_names_out().tolist() == [f"mlpclassifier{i}" for i in range(5)]


def test_warm_starts_may_stop_by_another_rule() -> None:
    model = layerkit.sklearn.MLPClassifier((4,), solver="lbfgs", max_iter=3, warm_start=True)
    model.fit(*IRIS)
    assert len(model.set_params(solver="adam").fit(*IRIS).loss_curve_) == 3
    assert len(model.set_params(early_stopping=True).fit(*IRIS).validation_scores_) == 3


@pytest.mark.processes
def test_folds_are_trained_in_processes() -> None:
    model = layerkit.sklearn.MLPClassifier((8,), max_iter=5, random_state=0)
    serial, parallel = (cross_val_score(model, *IRIS, cv=4, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(serial, parallel)


SKIPPED = {
    "check_array_api_input",  # where SCIPY_ARRAY_API is not set
    "check_sample_weights_pandas_series",  # where pandas is not installed, as the next two
    "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array",
    "check_classifiers_multilabel_output_format_decision_function",  # which it does not have
}
"""Checks that scikit-learn's own estimators skip, too."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learns_checks_are_passed(kind: str) -> None:
    small = {"hidden_layer_sizes": (20,), "max_iter": 50, "learning_rate_init": 0.01}
    model = getattr(layerkit.sklearn, kind)(**small)
    results = check_estimator(model, on_skip=None, on_fail=None)
    assert len(results) > 55
    assert [r for r in results if r["status"] not in ("passed", "skipped")] == []
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= SKIPPED
