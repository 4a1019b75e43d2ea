from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest

from layerkit import (
    ConfigError,
    Configurable,
    Layer,
    ReLU,
    Sigmoid,
    Size,
    from_config,
    to_config,
)
from layerkit.config.checks import Wrong, check_for
from layerkit.config.options import Limits


@pytest.mark.parametrize(
    ("annotation", "value", "kept"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (bool, False, False),
        (NoneType, None, None),
        (Path, Path("a"), Path("a")),
        (Any, {1: [None]}, {1: [None]}),
        (Literal[1, "a"], "a", "a"),
        (int | str, "a", "a"),
        (Optional[int], None, None),  # noqa: UP045
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list, [1, "a"], [1, "a"]),
        (list[float], (1, 2.5), [1.0, 2.5]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], (1, "a"), (1, "a")),
        (tuple[()], [], ()),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (dict, {"a": 1}, {"a": 1}),
        (list[int] | list[str], ["a"], ["a"]),
        (Annotated[Size, Limits(le=3)], 3, 3),
        (Annotated[list[int], Limits(min_length=2)], [1, 2], [1, 2]),
        (Layer, ReLU(), ReLU()),
        (Callable[[int], int], abs, abs),
    ],
)
def test_values_come_as_their_annotation_wants_them(annotation: Any, value: Any, kept: Any) -> None:
    made = check_for(annotation)(value)
    assert made == kept
    assert type(made) is type(kept)


@pytest.mark.parametrize(
    ("annotation", "value", "line"),
    [
        (int, True, "x = True: should be a whole number"),
        (float, "1", "x = '1': should be a number"),
        (float, float("-inf"), "x = -inf: should be a finite number"),
        (float, True, "x = True: should be a number"),
        (bool, 1, "x = 1: should be true or false"),
        (str, None, "x = None: should be a string"),
        (NoneType, 0, "x = 0: should be None"),
        (Path, "a", "x = 'a': should be a path"),
        (Literal[1, 2, "a"], True, "x = True: should be 1, 2 or 'a'"),
        (int | str | None, 1.5, "x = 1.5: should be a whole number or a string"),
        (list[int], {1}, "x = {1}: should be a list"),
        (list[int | str], [1, 2.5], "x.1 = 2.5: should be a whole number or a string"),
        (tuple[int, int], [1], "x = [1]: should have 2 items"),
        (tuple[int, int], "ab", "x = 'ab': should be a list or tuple"),
        (dict[str, int], [1], "x = [1]: should be a table"),
        (dict[str, int], {1: 2}, "x.1.[key] = 1: should be a string"),
        (dict[str, dict[str, int]], {"a": {"b": ""}}, "x.a.b = '': should be a whole number"),
        (int | list[int], [1, ""], "x.1 = '': should be a whole number"),
        (Size, 0, "x = 0: should be greater than 0"),
        (Annotated[Size, Limits(le=3)], 4, "x = 4: should be less than or equal to 3"),
        (Annotated[float, Limits(ge=1)], 0, "x = 0: should be greater than or equal to 1"),
        (Annotated[float, Limits(lt=1)], 1, "x = 1: should be less than 1"),
        (Annotated[list[int], Limits(min_length=2)], [1], "x = [1]: should have at least 2 items"),
        (Annotated[list[int], Limits(min_length=2)], [], "x = []: should not be empty"),
        (ReLU, Sigmoid(), 'x = Sigmoid(): should be of type ReLU; in a file: {type = "…"}'),
        (Callable, 3, "x = 3: should be a Python function; no file can hold one: write a class"),
    ],
)
def test_values_that_are_not_allowed_are_named(annotation: Any, value: Any, line: str) -> None:
    with pytest.raises(Wrong) as caught:
        check_for(dict[str, annotation])({"x": value})
    assert "\n".join(caught.value.lines()).startswith(line)


def test_all_wrong_items_are_named() -> None:
    with pytest.raises(Wrong) as caught:
        check_for(list[dict[str, Size]])([{"a": 0, "b": 1}, 3, {"c": -1}])
    assert caught.value.lines() == [
        "0.a = 0: should be greater than 0",
        "1 = 3: should be a table",
        "2.c = -1: should be greater than 0",
    ]


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (set[int], r"set\[int\]"),
        (list[np.ndarray], "numpy.ndarray"),
        (complex | None, "complex"),
        (Annotated[int, "at least 1"], "at least 1"),
    ],
)
def test_an_unknown_annotation_is_refused_by_the_first_object(annotation: Any, named: str) -> None:
    cls = type("Strange", (Configurable,), {"__annotations__": {"one": annotation}, "one": None})
    with pytest.raises(ConfigError, match=rf"^Strange\.one: .*{named}.* can't be the type of an"):
        cls()


class Anything(Configurable):
    """What is not looked into is still free of NumPy's scalars."""

    value: Any


class Lists(Configurable):
    """Options that are lists."""

    numbers: list[float]
    shape: tuple[Size, ...] = ()
    rows: list[list[int]] | None = None


@pytest.mark.parametrize(
    "numbers", [[1.0, 2.0], (1, 2), range(1, 3), np.array([1.0, 2.0], "float32"), np.arange(1, 3)]
)
def test_arrays_ranges_and_tuples_are_taken_for_lists(numbers: Any) -> None:
    shape, rows = np.array([3, 4]), np.eye(2, dtype=int)
    made = Lists(numbers, shape, rows)  # type: ignore[arg-type]
    assert repr(made) == "Lists(numbers=[1.0, 2.0], shape=(3, 4), rows=[[1, 0], [0, 1]])"
    assert from_config(to_config(made), Lists) == made
    with pytest.raises(ConfigError, match=r"^Lists.shape.1 = 0: should be greater than 0$"):
        Lists(numbers, shape * [1, 0])  # type: ignore[arg-type]


def test_numpy_scalars_become_pythons_inside_of_anything() -> None:
    made = Anything({"a": [np.float32(0.5), (np.int64(2),)], "b": np.bool_(True)})
    assert repr(made.value) == "{'a': [0.5, (2,)], 'b': True}"
