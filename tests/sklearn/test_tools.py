"""The estimators in scikit-learn's tools, saved, and in other processes and threads."""

import io
import pickle
import threading
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler, scale
from threadpoolctl import threadpool_info, threadpool_limits

from layerkit import GELU, AdamW, CosineSchedule, EarlyStopping, SoftmaxCrossEntropy
from layerkit.callbacks import Callback
from layerkit.errors import LayerkitError
from layerkit.sklearn import Classifier, MLPClassifier, MLPRegressor, Regressor, make_layers
from layerkit.sklearn.threads import blas_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = scale(load_iris().data), load_iris().target
X_numbers, y_numbers = map(scale, load_diabetes(return_X_y=True))
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.05,
    "max_iter": 50,
    "random_state": 0,
}
NETWORK: dict[str, Any] = {
    "body": make_layers((8,)),
    "optimizer": AdamW(lr=0.05),
    "epochs": 50,
    "random_state": 0,
}
CLASSIFIERS: dict[str, Any] = {
    "MLPClassifier": MLPClassifier(**SMALL),
    "Classifier": Classifier(**NETWORK),
}
REGRESSORS: dict[str, Any] = {
    "MLPRegressor": MLPRegressor(**SMALL),
    "Regressor": Regressor(**NETWORK),
}
ESTIMATORS = CLASSIFIERS | REGRESSORS


def epochs_of(model: Any) -> str:
    """The name of the number of epochs."""
    return "epochs" if "epochs" in model.get_params() else "max_iter"


def rates(model: Any) -> dict[str, list[float]]:
    """Learning rates to search among, the first of them a good one."""
    name = (
        "learning_rate_init" if isinstance(model, MLPClassifier | MLPRegressor) else "optimizer__lr"
    )
    return {name: [0.05, 1e-5, 1e-9]}


OF_CLASSIFIERS: dict[str, Callable[[Any], Any]] = {
    "halving": lambda c: HalvingGridSearchCV(
        c, rates(c), cv=2, random_state=0, error_score="raise"
    ),
    "halving epochs": lambda c: HalvingGridSearchCV(
        c, rates(c), resource=epochs_of(c), max_resources=45, cv=2, random_state=0
    ),
    "calibration": lambda c: CalibratedClassifierCV(c, cv=2),
    "one calibration": lambda c: CalibratedClassifierCV(c, cv=2, ensemble=False),
    "bagging": lambda c: BaggingClassifier(c, 3, random_state=0),
    "stacking": lambda c: StackingClassifier([("one", c), ("two", clone(c))], cv=2),
    "voting": lambda c: VotingClassifier([("one", c), ("two", clone(c))], voting="soft"),
    "one against the rest": OneVsRestClassifier,
    "one against one": OneVsOneClassifier,
    "features": lambda c: make_pipeline(make_union(StandardScaler(), c), clone(c)),
}
OF_REGRESSORS: dict[str, Callable[[Any], Any]] = {
    "halving": lambda r: HalvingGridSearchCV(r, rates(r), cv=2, random_state=0),
    "bagging": lambda r: BaggingRegressor(r, 3, random_state=0),
    "stacking": lambda r: StackingRegressor([("one", r), ("two", clone(r))], cv=2),
    "voting": lambda r: VotingRegressor([("one", r), ("two", clone(r))]),
    "target": lambda r: TransformedTargetRegressor(r, transformer=StandardScaler()),
}


@pytest.mark.parametrize("tool", OF_CLASSIFIERS)
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_work_in_tools(kind: str, tool: str) -> None:
    assert OF_CLASSIFIERS[tool](CLASSIFIERS[kind]).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("tool", OF_REGRESSORS)
@pytest.mark.parametrize("kind", REGRESSORS)
def test_regressors_work_in_tools(kind: str, tool: str) -> None:
    model = OF_REGRESSORS[tool](REGRESSORS[kind])
    assert model.fit(X_numbers, y_numbers).score(X_numbers, y_numbers) > 0.5


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_several_targets_are_split_by_tools(kind: str) -> None:
    model, two = clone(ESTIMATORS[kind]), np.column_stack([y > 0, y > 1]).astype(int)
    tools = [MultiOutputClassifier, ClassifierChain] if kind in CLASSIFIERS else []
    for tool in tools or [MultiOutputRegressor]:
        assert tool(model).fit(X, two).score(X, two) > 0.4


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_fitted_estimators_are_inspected(kind: str) -> None:
    model = clone(ESTIMATORS[kind]).fit(X, y)
    importances = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert importances.argmax() in (2, 3), "the petals"
    sizes = learning_curve(model, X, y, cv=2, exploit_incremental_learning=True, shuffle=True)[0]
    assert len(sizes) == 5
    assert kind in model._repr_html_()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_metadata_are_routed(kind: str) -> None:
    weights = (y != 2).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        model = clone(ESTIMATORS[kind]).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        results = cross_validate(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model),
            *(X, y),
            params={"sample_weight": weights},
            cv=KFold(3, shuffle=True, random_state=0),
            return_estimator=True,
        )
    assert results["test_score"].min() > 0.7
    assert all(
        fitted.predict(X).max() < 2 for fitted in results["estimator"] if kind in CLASSIFIERS
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_tables_go_in_and_out(kind: str, library: str) -> None:
    frames = pytest.importorskip(library)
    table = frames.DataFrame(X, [*"abcd"]) if library == "polars" else None
    table = frames.DataFrame(X, columns=[*"abcd"]) if table is None else table
    model = (
        clone(ESTIMATORS[kind]).set_output(transform=library).fit(table, y, X_val=table, y_val=y)
    )
    assert model.feature_names_in_.tolist() == model.network_.seen.features == [*"abcd"]
    assert list(model.transform(table).columns) == [f"{kind.lower()}{i}" for i in range(8)]
    np.testing.assert_array_equal(model.network_.predict(table).ravel(), model.predict(table))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[[*"bacd"]])


def saved_by_skops(model: Any) -> Any:
    """All types that have to be trusted are layerkit's, or NumPy's dtype."""
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(model)
    untrusted = skops.get_untrusted_types(data=data)
    assert [t for t in untrusted if not t.startswith("layerkit.") and t != "numpy.dtype"] == []
    return skops.loads(data, trusted=untrusted)


def saved_by_joblib(model: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(model, file)
    return joblib.load(file)


@pytest.mark.parametrize(
    "saved", [saved_by_skops, saved_by_joblib, lambda model: pickle.loads(pickle.dumps(model))]
)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_saved_estimators_predict_the_same_and_go_on(kind: str, saved: Any) -> None:
    parts = {
        "activation": [GELU()],
        "solver": AdamW(lr=0.05, schedules={"lr": CosineSchedule()}),
        "dropout": 0.1,
        "metrics": ["accuracy" if kind in CLASSIFIERS else "mae"],
        "callbacks": [EarlyStopping(monitor="validation_loss", patience=2)],
    }
    if kind in CLASSIFIERS:
        parts["loss"] = SoftmaxCrossEntropy(label_smoothing=0.1)
    for given in ({}, parts) if kind.startswith("MLP") else ({},):
        model = clone(ESTIMATORS[kind]).set_params(**given).fit(X, y, X_val=X, y_val=y)
        copied = saved(make_pipeline(StandardScaler(), model))[-1]
        np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        assert repr(copied.history_) == repr(model.history_)
        assert repr(copied) == repr(model)
        before = model.set_params(callbacks=None).partial_fit(X, y).loss_curve_
        assert copied.set_params(callbacks=None).partial_fit(X, y).loss_curve_ == before


def threads_of_blas(*_: Any) -> int:
    """The greatest number of threads of a BLAS; a scorer, too."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(pool["num_threads"] for pool in pools)


class ThreadsNoted(Callback):
    """Notes the threads of BLAS when training begins."""

    def train_begin(self, progress: Any) -> None:
        self.noted = threads_of_blas()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_threads_of_a_training_are_limited(kind: str) -> None:
    noted = ThreadsNoted()
    with threadpool_limits(2, user_api="blas"):
        allowed = threads_of_blas()  # not more than the BLAS has been built for
        model = clone(ESTIMATORS[kind]).set_params(callbacks=[noted])
        for threads, expected in ((1, 1), (None, allowed)):
            model.set_params(threads=threads).fit(X, y)
            assert (noted.noted, threads_of_blas()) == (expected, allowed)
    with pytest.raises(LayerkitError, match="threads = 0: should be greater than 0"):
        model.set_params(threads=0).fit(X, y)


def test_the_last_training_gives_the_threads_back() -> None:
    inside, outside = threading.Event(), threading.Event()

    def first() -> None:
        with blas_threads(1):
            inside.set()
            outside.wait(10)

    with threadpool_limits(2, user_api="blas"):
        allowed = threads_of_blas()
        other = threading.Thread(target=first)
        other.start()
        inside.wait(10)
        with blas_threads(1):
            outside.set()
            other.join()
            assert threads_of_blas() == 1, "another one still runs"
        assert threads_of_blas() == allowed


@pytest.mark.processes
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_processes_share_the_cores(kind: str) -> None:
    model = clone(ESTIMATORS[kind])

    def threads(*_: Any) -> int:  # local, so that the workers are sent it as a whole
        from threadpoolctl import threadpool_info

        return max(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")

    counts = cross_val_score(model, X, y, cv=2, n_jobs=2, scoring=threads, error_score="raise")
    assert counts.max() <= max(1, joblib.cpu_count() // 2)
    serial = cross_val_score(model, X, y, cv=4)
    for backend in ("loky", "threading"):
        with joblib.parallel_config(backend):
            np.testing.assert_array_equal(cross_val_score(model, X, y, cv=4, n_jobs=2), serial)


@pytest.mark.processes
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_dask_trains_on_two_workers(kind: str) -> None:
    distributed = pytest.importorskip("distributed")
    model = clone(ESTIMATORS[kind])
    serial = cross_val_score(model, X, y, cv=4)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        np.testing.assert_array_equal(cross_val_score(model, X, y, cv=4), serial)
