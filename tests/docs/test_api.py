"""The reference of classes and functions: what is in it, and what its pages describe."""

import ast
import builtins
import doctest
import inspect
import re

import pytest

from docs.generate.api import address, documented, file_names
from docs.generate.signatures import describe_parameters
from layerkit import SGD, Constant, ModelCheckpoint, PolynomialSchedule, ReGLU, train
from layerkit.sklearn import Regressor

NAMING = ast.alias | ast.ClassDef | ast.ExceptHandler | ast.FunctionDef


class FirstAndLast:
    """A class whose last parameter needs no words.

    Parameters
    ----------
    first : int
        Has a meaning.
    last : int
    """


@pytest.mark.parametrize(
    ("part", "names", "meaning"),
    [
        (SGD, ["lr", "weight_decay", "clip_norm", "schedules"], "Penalties l1 |w| and l2 w^2 / 2."),
        (ReGLU, ["axis"], "The axis of an example that is halved"),
        (ModelCheckpoint, ["path", "monitor", "mode", "min_delta"], "losses and errors"),
        (PolynomialSchedule, ["steps", "warmup", "end", "power"], "The last factor, from 0 to 1."),
        (Regressor, ["loss", "body", "epochs", "engine"], "Number of epochs at most."),
        (train, ["epochs", "batch_size", "seed", "engine"], "10 by default"),
        (Constant, ["value"], ""),
        (FirstAndLast, ["first", "last"], "Has a meaning."),
    ],
)
def test_a_page_describes_every_parameter(part: object, names: list[str], meaning: str) -> None:
    lines = (inspect.getdoc(part) or "").split("\n")
    describe_parameters(part, lines)
    text = "\n".join(lines)
    assert text.count("\nParameters\n----------\n") == 1
    assert meaning in text
    for name in names:
        assert re.search(rf"^(\w+, )*{name}\b", text, re.MULTILINE)


def test_no_parameter_of_a_page_is_described_elsewhere_only() -> None:
    for part in documented().values():
        lines = (inspect.getdoc(part) or "").split("\n")
        describe_parameters(part, lines)
        assert not [line for line in lines if re.match(r" +(As in|As for|As those of|See) `", line)]


def test_no_two_pages_differ_in_capitals_alone() -> None:
    names = file_names()
    assert names["layerkit.profile"] == "layerkit.profile-function"
    paths = [f"layerkit.{address(part)}" for part in documented().values()]
    pages = [names.get(path, path).lower() for path in paths]
    assert len(set(pages)) == len(pages)


def test_examples_import_what_they_use() -> None:
    """All but NumPy, which is np, and the class or function itself."""
    for name, part in documented().items():
        examples = doctest.DocTestParser().get_examples(inspect.getdoc(part) or "")
        nodes = list(ast.walk(ast.parse("".join(example.source for example in examples))))
        known = {"np", name, *dir(builtins)}
        known |= {node.name for node in nodes if isinstance(node, NAMING) and node.name}
        known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        names = [node for node in nodes if isinstance(node, ast.Name)]
        known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert not {node.id for node in names} - known, name
