"""The house: which module may import which, and how docstrings begin."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import layerkit
from docs.generate.afternoon import PAGE, code_lines, counted, heart

PACKAGE = Path(layerkit.__file__).parent

ROOMS = [
    *("foreign", "guidance", "errors", "arrays", "streams", "config", "columns", "parameters"),
    *("initializers", "layers", "graph", "losses", "optimizers", "files", "data", "inputs"),
    *("targets", "fitting", "network", "inspection", "recording", "exchange", "progress"),
    *("callbacks", "metrics", "training", "sklearn", "testing", "runs", "play", "lab"),
    *("layerkit", "cli", "__main__"),
]
"""The folders and files of the package, lowest first; "layerkit" is its face."""

LATE = {
    ("parameters", "initializers.base"),  # the type of an option
    ("network", "inspection.summary"),  # Network.summary
    ("network", "inspection.drawing"),  # what a notebook shows
    ("network", "recording.predictor"),  # Network.predictor
    ("network", "recording.onnx.model"),  # Network.to_onnx
    ("recording.recorder", "training.averaging"),  # record(…, average=…)
    ("network", "recording.module"),  # Network.to_python
}
"""Imports that point upward, and are made in functions or for types alone."""


class Import(NamedTuple):
    """One module imports another; late means in a function, or for types alone."""

    module: str
    of: str
    late: bool


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(package: Path = PACKAGE) -> set[Import]:
    """All imports inside a package, by the modules' names in it; its own name is its face."""
    names = {}
    for path in package.rglob("*.py"):
        inside = path.relative_to(package).with_suffix("")
        parts = [part for part in inside.parts if part != "__init__"]
        names[".".join([package.name, *parts])] = path
    found = set()
    for module, path in names.items():
        for node, late in statements(parsed(path).body):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}: relative import"
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [name if name in names else str(node.module) for name in whole]
            elif isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                continue
            for target in set(targets) & names.keys():
                of, by = (name.removeprefix(f"{package.name}.") for name in (target, module))
                found.add(Import(by, of, late))
    return found


def statements(body: list[ast.stmt], late: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """All statements, and whether importing the module passes them by."""
    for node in body:
        yield node, late
        aside = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield from statements([inner], late or aside)
            elif isinstance(inner, ast.ExceptHandler | ast.match_case):
                yield from statements(inner.body, late or aside)


def room(module: str) -> str:
    return module.partition(".")[0]


def circle(arrows: set[tuple[str, str]]) -> list[str]:
    """One circle of modules or rooms, if there is any."""
    graph: dict[str, set[str]] = {}
    for start, end in arrows:
        graph.setdefault(start, set()).add(end)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def upward(found: set[Import]) -> set[Import]:
    return {i for i in found if ROOMS.index(room(i.module)) < ROOMS.index(room(i.of))}


def early(found: set[Import]) -> set[tuple[str, str]]:
    return {(i.module, i.of) for i in found if not i.late}


def test_every_room_has_its_place() -> None:
    rooms = {room(name) for arrow in imports() for name in arrow[:2]}
    assert rooms == set(ROOMS)


def test_the_design_lists_the_rooms_in_their_order() -> None:
    page = (PACKAGE.parent / "docs/design.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(\w+)(?:/|\.py)", page.partition("```text")[2].partition("```")[0], re.M)
    assert listed == [name for name in ROOMS if name not in ("layerkit", "__main__")]


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circle(early(imports())) == []


def test_no_room_imports_itself_by_a_detour() -> None:
    rooms = {(room(a), room(b)) for a, b in early(imports())}
    assert circle({(a, b) for a, b in rooms if a != b}) == []


def test_no_import_points_upward() -> None:
    assert {i[:2] for i in upward(imports()) if not i.late} == set()


def test_late_imports_that_point_upward_are_known_and_needed() -> None:
    assert {i[:2] for i in upward(imports()) if i.late} == LATE


def test_modules_are_imported_where_their_names_are_defined() -> None:
    """Not through the face of a package; the command prints the version from layerkit's own."""
    names = (path.parent.relative_to(PACKAGE).parts for path in PACKAGE.rglob("__init__.py"))
    faces = {".".join(parts) or "layerkit" for parts in names}
    through = {i[:2] for i in imports() if i.of in faces and i.module != "layerkit"}
    assert through == {("cli.command", "layerkit")}


@pytest.mark.parametrize(
    ("line", "breach"),
    [
        ("from layerkit.network import Network", "upward"),
        ("def f():\n    import layerkit.network", "late"),
        ("if TYPE_CHECKING:\n    from layerkit import network", "late"),
        ("class A:\n    from layerkit.network import Network", "upward"),
        ("try:\n    from layerkit.layers.dense import A\nfinally:\n    1", "circle"),
        ("import layerkit.errors", ""),
    ],
)
def test_a_wrong_import_is_found(line: str, breach: str, tmp_path: Path) -> None:
    lines = {
        "layers/dense.py": "from layerkit.layers.base import Layer",
        "network.py": "from layerkit.layers.dense import Dense",
        "errors.py": "import ast",
        "layers/base.py": line,
    }
    for name, text in lines.items():
        path = tmp_path / "layerkit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = imports(tmp_path / "layerkit")
    assert bool(circle(early(found))) == (breach in ("circle", "upward"))
    assert {i.late for i in upward(found)} == {"upward": {False}, "late": {True}}.get(breach, set())


# The heart


def test_each_file_of_the_heart_imports_only_from_those_before_it() -> None:
    order = [".".join(Path(file).with_suffix("").parts[1:]) for file in heart()]
    before = {name: order[:i] for i, name in enumerate(order)}
    out = {(a, b) for a, b in early(imports()) if a in before and b not in before[a]}
    assert out == set()


def test_the_page_of_the_heart_has_the_present_numbers() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == counted(page), "`make afternoon` counts anew"


def test_lines_without_blank_ones_comments_and_docstrings_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('''"""A
    docstring."""

import os  # one

# no line
A = """Two

lines of four."""
"""Of A."""

def f(a,
      b):
    """None."""
    return (a +
            b)
''')
    assert code_lines(tmp_path / "a.py") == 8


# Docstrings


def classes() -> dict[str, type]:
    """All classes of the package, by module and name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] not in ("__init__", "__main__"):
            module = importlib.import_module(".".join(parts))
            for name, value in vars(module).items():
                if inspect.isclass(value) and value.__module__ == module.__name__:
                    found[f"{module.__name__}.{name}"] = value
    return found


def silent(cls: type) -> list[str]:
    """The public methods of a class that neither have a docstring nor override one that has."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod))
        and not any(vars(base)[name].__doc__ for base in cls.__mro__ if name in vars(base))
    ]


def test_methods_without_a_docstring_override_one_that_has() -> None:
    found = classes()
    assert len(found) > 100
    public = {name: cls for name, cls in found.items() if not cls.__name__.startswith("_")}
    assert {name: silent(cls) for name, cls in public.items() if silent(cls)} == {}

    class Base:
        def said(self) -> None:
            """Something."""

    class Mute(Base):
        def said(self) -> None: ...
        def unsaid(self) -> None: ...

    assert silent(Mute) == ["unsaid"]


def test_paths_are_taken_as_text_too() -> None:
    """A parameter of a public function is a `str | Path`, never a Path alone."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                for of in (*node.args.args, *node.args.kwonlyargs):
                    if of.annotation and ast.unparse(of.annotation) in ("Path", "Path | None"):
                        found.add(f"{path.name}: {node.name}({of.arg})")
    assert found == set()


def test_docstrings_name_the_thing_first() -> None:
    """Not "What listens to a training", but "Callbacks: objects that observe a training"."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Module | ast.ClassDef):
                continue
            inner = f": {node.name}" if isinstance(node, ast.ClassDef) else ""
            if (ast.get_docstring(node) or "").startswith("What ") and ": _" not in inner:
                found.add(name + inner)
    assert found == set()


def test_descriptions_of_parameters_are_no_fragments() -> None:
    """Not "dtype: Of the network", but "dtype: The precision of the network"."""
    fragment = r"\n +([\w*, ]+) : .*\n +((?:Of|What|In|By(?! default| how)) .*)"
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for name, text in re.findall(fragment, path.read_text(encoding="utf-8")):
            found.add(f"{path.relative_to(PACKAGE)}: {name}: {text}")
    assert found == set()
