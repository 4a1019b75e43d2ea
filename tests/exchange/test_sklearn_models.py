"""Multi-layer perceptrons of scikit-learn: the same predictions, and the same classes."""

import copy
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import layerkit.sklearn
from layerkit import GELU, Adam, BatchNorm, ConfigError, DataError, Huber, fit, from_sklearn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) * [1, 10, 100, 0.1] + [5, -5, 0, 1e3]
NUMBERS, PAIRS = RNG.integers(0, 3, 60), RNG.integers(0, 2, (60, 3))


def classifier(**options: Any) -> Any:
    options = {"hidden_layer_sizes": [5, 4], "tol": 1e9, "random_state": 0} | options
    return make_pipeline(StandardScaler(), MLPClassifier(**options))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    ("t", "classes"),
    [
        (NUMBERS, None),
        (NUMBERS + 1, ["1", "2", "3"]),
        (np.array(["cat", "dog", "owl"])[NUMBERS], ["cat", "dog", "owl"]),
        (np.array(["cat", "dog", "owl"], object)[NUMBERS], ["cat", "dog", "owl"]),
        (PAIRS[:, 0], None),
        (PAIRS[:, 0] * 2 - 1, ["-1", "1"]),
        (PAIRS[:, 0] > 0, [False, True]),
        (np.array(["no", "yes"])[PAIRS[:, 0]], ["no", "yes"]),
        (PAIRS, None),
    ],
)
def test_classifiers_give_the_same_probabilities_and_classes(
    activation: str, t: Any, classes: Any
) -> None:
    model = classifier(activation=activation).fit(X, t)
    net = from_sklearn(model)
    assert net.dtype == "float64"
    assert net.classes == classes
    assert np.allclose(net.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-12)
    mine = net.predict(X)
    assert np.array_equal(mine, model.predict(X).astype(mine.dtype))


@pytest.mark.parametrize(
    ("t", "loss"), [(X[:, 0], "squared_error"), (X[:, :2], "squared_error"), (NUMBERS, "poisson")]
)
@pytest.mark.parametrize("layers", [[], [5]])
def test_regressors_predict_the_same_numbers(t: Any, loss: str, layers: list[int]) -> None:
    options = {} if loss == "squared_error" else {"loss": loss}  # since scikit-learn 1.7
    model = MLPRegressor(hidden_layer_sizes=layers, tol=1e9, random_state=0, **options)
    x = X / [1, 10, 100, 1e3]
    net = from_sklearn(model.fit(x, t))
    assert np.allclose(net.predict(x), model.predict(x), rtol=1e-12)


@pytest.mark.parametrize(
    "scaler", [StandardScaler(with_mean=False), StandardScaler(with_std=False)]
)
def test_a_model_of_float32_becomes_a_network_of_float32(scaler: Any) -> None:
    x = X.astype("float32")
    model = make_pipeline(scaler, "passthrough", classifier()[-1]).fit(x, NUMBERS)
    net = from_sklearn(model)
    assert net.dtype == "float32"
    assert np.allclose(net.predict_proba(x), model.predict_proba(x), rtol=0, atol=1e-5)


def test_a_network_from_scikit_learn_can_be_trained_on_and_copied() -> None:
    net = from_sklearn(classifier().fit(X, np.array(["cat", "dog", "owl"])[NUMBERS]))
    names = np.array(["cat", "dog", "owl"])[NUMBERS]
    before = net.gradient(X, names)
    records = fit(net, Adam(lr=0.01), X, names, epochs=20)
    assert records[-1].train_loss < before
    assert np.array_equal(copy.deepcopy(net).predict(X), net.predict(X))


def test_columns_are_known_by_their_names() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd"))
    net = from_sklearn(classifier().fit(table, NUMBERS))
    net.predict(table)
    with pytest.raises(DataError, match="another order"):
        net.predict(table[list("dcba")])


OWN: dict[str, tuple[Any, Any]] = {
    "classes": (layerkit.sklearn.MLPClassifier(), np.array(["cat", "dog", "owl"])[NUMBERS]),
    "labels": (layerkit.sklearn.MLPClassifier(activation=[BatchNorm()], dropout=0.2), PAIRS),
    "counts": (layerkit.sklearn.MLPRegressor("poisson"), NUMBERS),
    "targets": (layerkit.sklearn.MLPRegressor(Huber(), activation=[GELU()]), X[:, :2]),
    "any network": (layerkit.sklearn.Classifier(GELU()), np.array(["cat", "dog", "owl"])[NUMBERS]),
    "units of targets": (layerkit.sklearn.Regressor(), X[:, :2]),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", OWN)
def test_layerkits_own_estimators_bring_their_network(kind: str) -> None:
    model, t = OWN[kind]
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd"))
    epochs = "epochs" if "epochs" in model.get_params() else "max_iter"
    steps = make_pipeline(StandardScaler(), model.set_params(random_state=0, **{epochs: 5}))
    for pipeline in (steps, make_pipeline(StandardScaler(with_mean=False), model)):
        net = from_sklearn(pipeline.fit(table, t))
        expected = pipeline.predict(table)
        if expected.dtype.kind == "f":
            assert np.allclose(net.predict(table), expected, rtol=1e-12)
        else:
            assert np.array_equal(net.predict(table), expected)
        with pytest.raises(DataError, match="another order"):
            net.predict(table[list("dcba")])
        with pytest.raises(DataError, match="uint8"):
            net.predict(X.astype(np.uint8))
        net.initialize(1)
        assert np.array_equal(pipeline.predict(table), expected), "a copy is given"
    alone = from_sklearn(model.fit(X, t))
    assert np.array_equal(alone.outputs(X), model.network_.outputs(X))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (layerkit.sklearn.MLPClassifier(), "should be a fitted MLPClassifier"),
        (MLPClassifier(), "MLPClassifier is not fitted"),
        (make_pipeline(StandardScaler(), MLPRegressor()), "'mlpregressor', MLPRegressor is not fi"),
        (RandomForestClassifier(), "RandomForestClassifier: should be a fitted MLPClassifier"),
        (MLPClassifier, "MLPClassifier: should be a fitted"),
        (make_pipeline(StandardScaler(), "passthrough"), "'passthrough', str: should be a fitted"),
        (make_pipeline(MinMaxScaler(), classifier()[-1]).fit(X, NUMBERS), "'minmaxscaler', MinMax"),
        (make_pipeline(StandardScaler(), classifier().fit(X, NUMBERS)[-1]), "'standardscaler', St"),
    ],
)
def test_other_models_are_refused_by_name(model: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_sklearn(model)
