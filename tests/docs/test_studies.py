import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import batch_sizes
import initial_weights
import learning_rates
import momentum
import numpy as np
import page
import pytest
import trainings
from batch_sizes import ratio, wobble
from report import SEEDS, Interval, Study, best, conduct, deviation, final, mean
from scipy import stats
from trainings import GUESSING, Results, Run, Setting, read, train, train_all, write

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "experiments/results/studies"
DIGITS = Setting(data="digits", epochs=2)


def run(setting: Setting, seed: int, validation: float = 0.5, *test: float) -> Run:
    return Run(setting, seed, False, validation, test)


def forbidden(*args: object) -> None:
    raise AssertionError("nothing should be trained")


# trainings


def test_a_training_depends_on_its_setting_and_seed_alone() -> None:
    first = train(DIGITS, 0)
    assert train(DIGITS, 0) == first
    assert train(DIGITS, 1).test != first.test
    assert len(first.test) == 2
    assert not first.diverged


def test_divergence_counts_as_guessing() -> None:
    found = train(Setting(activation="ReLU", rate=1e30, data="digits", epochs=2), 0)
    assert found == Run(found.setting, 0, True, GUESSING, (GUESSING, GUESSING))


def test_a_file_keeps_runs_exactly(tmp_path: Path) -> None:
    runs = [train(DIGITS, 0), Run(Setting(rate=1 / 3), 1, True, 0.1, (0.1,) * 10)]
    write(tmp_path / "runs.csv", runs)
    assert read(tmp_path / "runs.csv") == runs


def test_what_has_been_trained_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = DIGITS, Setting(data="digits", epochs=2, rate=2.0)
    write(tmp_path / "own.csv", [run(one, 0), run(Setting(rate=77.0), 0)])
    write(tmp_path / "another.csv", [run(other, 0)])
    monkeypatch.setattr(trainings, "ProcessPoolExecutor", forbidden)
    results = train_all([one, other], [0], tmp_path / "own.csv", processes=1)
    assert results == {one: [run(one, 0)], other: [run(other, 0)]}
    assert read(tmp_path / "own.csv") == [run(one, 0), run(other, 0)]


@pytest.mark.processes
def test_an_interrupted_study_goes_on_where_it_was(tmp_path: Path) -> None:
    done = run(DIGITS, 1)
    write(tmp_path / "own.csv", [done])
    results = train_all([DIGITS], [0, 1], tmp_path / "own.csv", processes=1)
    assert results == {DIGITS: [train(DIGITS, 0), done]}
    assert read(tmp_path / "own.csv") == results[DIGITS]


STOPPED = """
import sys
from pathlib import Path

from trainings import Setting, train_all

if __name__ == "__main__":
    train_all([Setting(data="digits", epochs=10**6)], range(2), Path(sys.argv[1]), processes=2)
"""


@pytest.mark.processes
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_study_that_is_stopped_leaves_no_process(tmp_path: Path, name: str) -> None:
    script = tmp_path / "study.py"
    script.write_text(STOPPED)
    command = [sys.executable, str(script), str(tmp_path / "own.csv")]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "experiments/studies")])}
    parent = subprocess.Popen(
        command, env=os.environ | paths, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        time.sleep(3)  # the workers train
        assert parent.poll() is None
        os.kill(parent.pid, getattr(signal, name))
        parent.wait(timeout=10)
        deadline = time.monotonic() + 10
        while True:  # until nobody is left in the group of the parent
            os.killpg(parent.pid, 0)
            assert time.monotonic() < deadline
            time.sleep(0.1)
    except ProcessLookupError:
        return
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


# figures


def test_intervals_agree_with_scipy() -> None:
    values = np.random.default_rng(0).normal(97, 0.1, size=10)
    low, high = stats.ttest_1samp(values, 97).confidence_interval()
    found = mean(values)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.value == pytest.approx(values.mean())


def test_intervals_of_deviations_hold_as_often_as_they_say() -> None:
    samples = np.random.default_rng(0).normal(0, [[2.0], [1.0]], size=(2000, 2, 10))
    deviations = [deviation(a) for a, _ in samples]
    assert np.mean([d.low < 2 < d.high for d in deviations]) == pytest.approx(0.95, abs=0.015)
    ratios = [ratio(a, b) for a, b in samples]
    assert np.mean([r.low < 2 < r.high for r in ratios]) == pytest.approx(0.95, abs=0.015)


def test_the_best_rate_is_chosen_on_the_validation_images() -> None:
    results: Results = {
        Setting(rate=rate): [run(Setting(rate=rate), seed, accuracy, 1 - accuracy)]
        for seed, (rate, accuracy) in enumerate([(1.0, 0.2), (2.0, 0.3), (4.0, 0.1)])
    }
    assert best(results, activation="Sigmoid").rate == 2


def test_steady_progress_is_no_wobble() -> None:
    steady, shaken = Setting(rate=1.0), Setting(rate=2.0)
    line = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    shakes = np.array([0.01, -0.02, 0.02, -0.02, 0.01])  # no line fits these better than 0
    results = {
        steady: [run(steady, 0, 0.5, 0.1, *line)],
        shaken: [run(shaken, 0, 0.5, 0.1, *line + shakes)],
    }
    assert wobble(results, steady) == pytest.approx([0], abs=1e-6)
    assert wobble(results, shaken) == pytest.approx([100 * (shakes @ shakes / 3) ** 0.5])


# the studies


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trial")


@pytest.mark.processes
@pytest.mark.parametrize("study", page.STUDIES, ids=lambda study: study.name)
def test_a_trial_on_the_digits_writes_figures_and_a_picture(study: Study, trial: Path) -> None:
    section = conduct(study, quick=True, processes=1, out=trial)
    assert section.startswith(f"## {study.title}\n\n**{study.verdict}**")
    assert len(read(trial / f"{study.name}.csv")) == 2 * len(study.settings)
    assert "<svg" in (trial / f"images/study_{study.name}.svg").read_text()
    assert f"images/study_{study.name}.svg" in section
    assert "nan" not in section


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--quick"], "--quick needs --out"), (["--processes", "0"], "should be at least 1")],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["page.py", *options])
    with pytest.raises(SystemExit):
        page.main()
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def published() -> Results:
    runs = {(r.setting, r.seed): r for file in PUBLISHED.glob("*.csv") for r in read(file)}
    settings = [setting for study in page.STUDIES for setting in study.settings]
    return {setting: [runs[setting, seed] for seed in SEEDS] for setting in settings}


def only(study: Study, results: Results) -> Results:
    return {setting: results[setting] for setting in study.settings}


def test_momentum_gains_nothing_at_good_rates_and_much_at_large_ones(published: Results) -> None:
    results = only(momentum.STUDY, published)
    for activation in momentum.RATES:
        of = momentum.pairs(results, activation)
        at_best = momentum.gain(results, of["each at its best"])
        assert at_best.low < 0 < at_best.high < 0.3
        assert momentum.gain(results, of["the same rate"]).low > 0.5
        assert final(results, of["each at its best"][0]).min() > 96


def test_relu_wants_a_smaller_rate_but_not_much(published: Results) -> None:
    results = only(learning_rates.STUDY, published)
    for network in ("ReLU", "ReLU, suited weights"):
        found = learning_rates.ratio(results, network)
        assert 2 < found.low < found.high < 8
    assert learning_rates.ratio(results, "ReLU, as printed").low > 10


def test_larger_batches_steady_the_epochs_but_not_the_seeds(published: Results) -> None:
    results = only(batch_sizes.STUDY, published)
    of = batch_sizes.ways(results)
    small, *_, large = of["same rate"]
    change = mean(batch_sizes.wobble(results, small) - batch_sizes.wobble(results, large))
    assert change.low > 0

    def spreads(way: str) -> Interval:
        small, *_, large = of[way]
        return ratio(final(results, small), final(results, large))

    assert spreads("same rate").low < 1 < spreads("same rate").high
    assert spreads("best rate of each").value < 1
    assert spreads("same rate and steps").low > 1
    [uneven] = of["same rate, last batch 16"]
    for setting in (s for way in list(of)[:3] for s in of[way]):
        assert final(results, uneven).std() > 2 * final(results, setting).std()


def test_smaller_initial_weights_help(published: Results) -> None:
    results = only(initial_weights.STUDY, published)
    for activation in initial_weights.RATES:
        assert initial_weights.gain(results, activation, "1/n").low > 1
        assert initial_weights.head_start(results, activation) <= 2


def test_no_best_rate_is_at_the_edge_of_its_grid(published: Results) -> None:
    grids: dict[Setting, list[float]] = {}
    for setting in published:
        if setting.epochs == 10:
            grids.setdefault(replace(setting, rate=1.0), []).append(setting.rate)
    del grids[Setting(batch_size=64)]
    for setting, rates in grids.items():
        chosen = best(
            {replace(setting, rate=r): published[replace(setting, rate=r)] for r in rates}
        )
        assert min(rates) < chosen.rate < max(rates)


def test_the_published_page_is_that_of_the_published_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in PUBLISHED.glob("*.csv"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(trainings, "ProcessPoolExecutor", forbidden)
    monkeypatch.setattr(sys, "argv", ["page.py", "--out", str(tmp_path)])
    page.main()
    published = (ROOT / "docs/studies.md").read_text("utf-8")
    assert (tmp_path / "studies.md").read_text("utf-8") == published
    for study in page.STUDIES:
        name = f"{study.name}.csv"
        assert (tmp_path / name).read_bytes() == (PUBLISHED / name).read_bytes()
        assert (ROOT / f"docs/images/study_{study.name}.svg").exists()
