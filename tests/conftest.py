import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from layerkit import Configurable

settings.register_profile("layerkit", deadline=None)  # a busy machine is no fault
settings.load_profile("layerkit")


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes of tests, also when the tests run in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Forget the classes that a test defines, and let it import the experiments' own parts anew."""
    before = dict(Configurable.registry)
    for name, cls in before.items():
        if cls.__module__.startswith("experiments."):
            del Configurable.registry[name]
    yield
    Configurable.registry.clear()
    Configurable.registry.update(before)
