"""The first signal within a training pauses it; the second, and any other, ends the process."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from layerkit import SGD, Adam, Checkpoints, Dense, Network, SoftmaxCrossEntropy, fit, train
from layerkit.callbacks import Callback
from layerkit.progress import Progress
from layerkit.runs.signals import SIGNALS, Interruption
from layerkit.runs.sweep.search import _interruptible

X = np.random.default_rng(0).normal(size=(12, 3))
T = np.arange(12) % 2
BOTH = pytest.mark.parametrize("number", SIGNALS)


def network() -> Network:
    return Network(Dense(2), SoftmaxCrossEntropy(), (3,))


@pytest.fixture(autouse=True)
def _handlers_are_put_back() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


class Raises(Callback):
    """Sends signals to the process itself, in a step."""

    step: int
    number: int
    times: int = 1

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            for _ in range(self.times):
                signal.raise_signal(self.number)


def ending(number: int) -> type[BaseException]:
    return KeyboardInterrupt if number == signal.SIGINT else SystemExit


@BOTH
@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_first_signal_waits_for_the_end_of_the_batch(number: int, step: int) -> None:
    interruption = Interruption()
    trainer = train(
        network(), SGD(), X, T, epochs=2, batch_size=4, callbacks=[Raises(step, number)]
    )
    with interruption.listening() as same, same.pausing(trainer.progress):
        records = trainer.run()
    assert same is interruption
    progress = trainer.progress
    # a whole epoch is measured, and then left
    assert (progress.step, len(records)) == (step, step // 3)
    assert progress.paused == signal.Signals(number).name
    assert (interruption.status, interruption.progress) == (128 + number, None)


@BOTH
def test_the_second_signal_ends_at_once(number: int) -> None:
    interruption = Interruption()
    trainer = train(network(), SGD(), X, T, batch_size=4, callbacks=[Raises(2, number, times=2)])
    with (
        interruption.listening(),
        pytest.raises(ending(number)) as caught,
        interruption.pausing(trainer.progress),
    ):
        trainer.run()
    assert getattr(caught.value, "code", 130) == 128 + number == interruption.status
    assert trainer.progress.paused == signal.Signals(number).name
    assert trainer.progress.step == 2


def test_the_second_may_be_another_signal() -> None:
    interruption = Interruption()
    progress = Progress(network(), SGD(), epochs=1)
    with interruption.listening(), interruption.pausing(progress):
        signal.raise_signal(signal.SIGINT)
        assert interruption.status == 130
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    assert interruption.status == 143


@BOTH
def test_outside_of_a_training_it_ends_at_once(number: int) -> None:
    interruption, progress = Interruption(), Progress(network(), SGD(), epochs=1)
    with interruption.listening():
        with pytest.raises(ending(number)):
            signal.raise_signal(number)
        assert interruption.status == 128 + number
    interruption.status = 0
    with interruption.listening(), interruption.pausing(progress):
        pass
    with interruption.listening(), pytest.raises(ending(number)):
        signal.raise_signal(number)
    assert progress.paused is None


@BOTH
def test_a_signal_before_the_first_step_leaves_nothing_begun(number: int) -> None:
    net = network()
    before, interruption = net.arena.values.copy(), Interruption()
    trainer = train(net, SGD(), X, T)
    with interruption.listening(), interruption.pausing(trainer.progress):
        signal.raise_signal(number)
        assert trainer.run() == []
    np.testing.assert_array_equal(net.arena.values, before)
    assert trainer.progress.step == 0


@BOTH
def test_what_is_paused_by_a_signal_is_resumed_bit_for_bit(number: int, tmp_path: object) -> None:
    whole, found = network(), []
    fit(whole, Adam(), X, T, epochs=2, batch_size=4)
    for callbacks in ([Raises(4, number)], []):
        net, interruption = network(), Interruption()
        options = {"checkpoints": Checkpoints(str(tmp_path)), "resume": True}
        trainer = train(net, Adam(), X, T, epochs=2, batch_size=4, callbacks=callbacks, **options)  # type: ignore[arg-type]
        with interruption.listening(), interruption.pausing(trainer.progress):
            found.append(len(trainer.run()))
    assert found == [1, 2]
    np.testing.assert_array_equal(net.arena.values, whole.arena.values)


@BOTH
def test_a_signal_that_an_import_swallows_pauses_before_the_first_step(number: int) -> None:
    interruption, trainer = Interruption(), train(network(), SGD(), X, T)
    with interruption.listening():
        with suppress(KeyboardInterrupt, SystemExit):
            signal.raise_signal(number)
        with interruption.pausing(trainer.progress):
            assert trainer.run() == []
    assert trainer.progress.paused == signal.Signals(number).name


@BOTH
def test_a_signal_that_is_ignored_stays_so(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interruption().listening() as interruption:
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
        assert interruption.status == 0
    finally:
        signal.signal(number, before)


@BOTH
def test_a_second_signal_ends_a_sweep_with_its_own_status(number: int) -> None:
    with _interruptible() as asked:
        signal.raise_signal(number)
        assert asked == [number]
        with pytest.raises(ending(number)) as caught:
            signal.raise_signal(number)
    assert getattr(caught.value, "code", 130) == 128 + number


def test_an_error_ends_the_pausing_too() -> None:
    interruption, progress = Interruption(), Progress(network(), SGD(), epochs=1)
    with interruption.listening():
        with pytest.raises(KeyError), interruption.pausing(progress):
            raise KeyError
        assert interruption.progress is None
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
