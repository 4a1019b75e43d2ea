"""scikit-learn's callbacks with the estimators."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from layerkit.callbacks import History
from layerkit.sklearn import MLPClassifier, MLPRegressor

sklearn_callbacks: Any = pytest.importorskip("sklearn.callback", reason="from scikit-learn 1.9 on")
ScoringMonitor = sklearn_callbacks.ScoringMonitor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)


class Noting:
    """A callback that scikit-learn hands on; it notes the tasks, and may want to stop."""

    max_propagation_depth = None

    def __init__(self, last: int | None = None) -> None:
        self.last, self.noted = last, list[str]()

    def setup(self, estimator: Any, context: Any) -> None:
        self.noted.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.noted.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.noted.append(f"{context.task_name} of {context.max_subtasks}")

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        self.noted.append(f"{context.task_name} {context.task_id}")
        return context.task_name == "epoch" and context.task_id == self.last


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_epochs_are_scored_by_the_network_as_it_is_then(kind: Any) -> None:
    scoring = "accuracy" if kind is MLPClassifier else "r2"
    monitor = ScoringMonitor(scoring=scoring)
    model = kind(hidden_layer_sizes=(8,), max_iter=4, random_state=0)
    plain = clone(model).fit(X, y, X_val=X, y_val=y)
    model.set_callbacks(monitor).fit(X, y, sample_weight=np.ones(150))
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row[scoring] for row in rows] == plain.validation_scores_
    assert model.loss_curve_ == plain.loss_curve_


def test_a_callback_that_wants_it_stops_the_training() -> None:
    noting, history = Noting(last=1), History()
    model = MLPClassifier((8,), max_iter=9, callbacks=[history]).set_callbacks(noting).fit(X, y)
    assert model.n_iter_ == len(history.records) == 2
    epochs = ["epoch of 0", "epoch 0", "epoch of 0", "epoch 1"]
    assert noting.noted == ["setup", "fit of 9", *epochs, "fit 0", "teardown"]


def test_lbfgs_is_one_task_and_so_is_a_part() -> None:
    for model, expected in (
        (MLPClassifier((4,), solver="lbfgs", max_iter=3), ["fit of 0", "fit 0"]),
        (MLPClassifier((4,)), ["fit of 1", "epoch of 0", "epoch 0", "fit 0"]),
    ):
        noting = Noting()
        model.set_callbacks(noting)
        if model.solver == "lbfgs":
            model.fit(X, y)
        else:
            model.partial_fit(X, y, classes=[0, 1, 2])
        assert noting.noted == ["setup", *expected, "teardown"]


def test_callbacks_end_with_a_fit_that_fails() -> None:
    noting = Noting()
    model = MLPClassifier((4,), learning_rate_init=1e200, random_state=0).set_callbacks(noting)
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(X, y)
    assert noting.noted[-1] == "teardown"
    with pytest.raises(TypeError, match="callbacks must be instances"):
        model.set_callbacks(History())


def test_pipelines_and_searches_hand_them_on() -> None:
    noting, monitor = Noting(), ScoringMonitor(scoring="accuracy")
    model = MLPClassifier((4,), max_iter=3, random_state=0).set_callbacks(monitor)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {"mlpclassifier": [model, Ridge()], "mlpclassifier__alpha": [1.0]},
        cv=2,
        scoring="r2",
    )
    with pytest.warns(UserWarning, match="Ridge does not support callbacks"):
        search.set_callbacks(noting).fit(X, y)
    assert noting.noted.count("setup") == 1
    fits = 2 + isinstance(search.best_estimator_[-1], MLPClassifier)
    assert noting.noted.count("epoch 2") == fits
    scored = [row["task_name"] for row in monitor.get_logs().data]
    assert (scored.count("epoch"), scored.count("fit")) == (3 * fits, fits)


def test_the_progress_bar_goes_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    model = MLPClassifier((4,), max_iter=3).set_callbacks(sklearn_callbacks.ProgressBar())
    model.fit(X, y)
    printed = capsys.readouterr().out
    assert "MLPClassifier - fit" in printed
    assert "100%" in printed
