from collections.abc import Iterator

import pytest

from layerkit import Configurable


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
