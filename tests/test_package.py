import subprocess
import sys

import pytest

import layerkit
from layerkit import ConfigError, DataError, DivergenceError, FileError, LayerkitError, ShapeError
from layerkit.errors import at

ERRORS = [ShapeError, DataError, ConfigError, FileError, DivergenceError]


@pytest.mark.parametrize("error", ERRORS)
def test_errors_are_one_family_of_value_errors(error: type[LayerkitError]) -> None:
    assert issubclass(error, LayerkitError)
    assert issubclass(error, ValueError)


def test_the_innermost_place_is_the_place() -> None:
    with pytest.raises(ShapeError) as caught, at("body"), at("body.layers.1"):
        raise ShapeError("too wide")
    assert caught.value.place == "body.layers.1"
    assert caught.value.__notes__ == ["at body.layers.1"]
    assert str(caught.value) == "too wide"


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(KeyError) as caught, at("body"):
        raise KeyError("x")
    assert not hasattr(caught.value, "__notes__")


def test_everything_promised_is_there() -> None:
    assert sorted(layerkit.__all__, key=str) == sorted(set(layerkit.__all__), key=str)
    parts = [getattr(layerkit, name) for name in layerkit.__all__]
    classes = [part for part in parts if isinstance(part, type)]
    assert [part for part in classes if not part.__module__.startswith("layerkit")] == []


def test_importing_layerkit_imports_nothing_heavy() -> None:
    heavy = [
        "sklearn",
        "scipy",
        "matplotlib",
        "tqdm",
        "safetensors",
        "threadpoolctl",
        "onnx",
        "torch",
    ]
    code = f"import layerkit, sys; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
