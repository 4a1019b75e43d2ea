"""Taking it home: the experiment of a page as files that run without it."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import sys
import textwrap
import tokenize
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.config.options import Configurable, default, is_required, ordered_fields
from layerkit.data.datasets import Data
from layerkit.data.examples import Dataset
from layerkit.data.tables import table_of
from layerkit.errors import RecordingError
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.play.edit import Code
from layerkit.recording.recorder import inputs_of
from layerkit.recording.source import unroll
from layerkit.recording.texts import WIDTH, wrapped
from layerkit.runs.experiment import Experiment
from layerkit.runs.paths import MODEL
from layerkit.training.loop import fit

if TYPE_CHECKING:
    from layerkit.play.session import Session

OWN = "own_parts"
"""The name of the module of edited classes."""
FACES = "layerkit", "layerkit.data"
"""The modules that have public names of other modules."""


def home(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Return a session's experiment as files, which run without it: the message "home".

    The registry has no edited classes then: at home, those of layerkit are called My….
    """
    state, dataset = session.state, session.dataset
    pieces = {name: Piece(name, source) for name, source in state.get("code", {}).items()}
    tables = {key: table for key, table in state.items() if key != "code"}
    tables = renamed(tables, {name: piece.name for name, piece in pieces.items()})
    own = {piece.name: piece.text for piece in pieces.values()}
    code = Code(own)
    experiment, _, trainer, _ = session.built(json.loads(json.dumps(tables)), code, dataset)
    with code.known():
        files = [{"name": "playground.toml", "text": in_toml(tables)}]
        files.append({"name": "train.py", "text": in_python(experiment, tables, dataset, own)})
        text, arrays, note = in_numpy(experiment, trainer.optimizer)
    files.append({"name": "in_numpy.py", "text": text})
    runs = {"playground.toml": "layerkit train playground.toml", "train.py": "python train.py"}
    if arrays:
        data = io.BytesIO()
        np.savez(data, **arrays)
        files.append({"name": "data.npz", "base64": base64.b64encode(data.getvalue()).decode()})
        runs["in_numpy.py"] = "python in_numpy.py"
    if pieces:
        files.append({"name": f"{OWN}.py", "text": joined(list(pieces.values()))})
        runs["playground.toml"] += f" --import {OWN}.py"
    return {"files": files, "runs": runs, "note": note}


class Piece:
    """The source of a class as a part of a file: its imports, and the rest of its lines.

    Parameters
    ----------
    name : str
        A class of layerkit gets another name, and the imports that it needs.
    source : str
    """

    def __init__(self, name: str, source: str) -> None:
        library = Configurable.registry.get(name)
        self.name, self.imports = name, list[str]()
        if library is not None:
            self.name = f"My{name}"
            source = with_name(source, name, self.name)
            self.imports = imports_for(source, vars(sys.modules[library.__module__]))
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.append(ast.unparse(node))
                end = node.end_lineno or node.lineno
                lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
        self.lines = "\n".join(lines).strip("\n")

    @property
    def text(self) -> str:
        """A file with this class alone."""
        return joined([self])


def joined(pieces: list[Piece]) -> str:
    """Return the text of a file: all imports first, then the classes."""
    homes: dict[str, set[str]] = {}
    for line in (line for piece in pieces for line in piece.imports):
        home, _, listed = line.partition(" import ")
        homes.setdefault(home, set()).update(listed.split(", ") if listed else [])
    head = ["from __future__ import annotations", ""]
    for home in sorted(homes, key=_order):
        names = sorted(homes[home])
        head += wrapped_import(home.removeprefix("from "), names) if names else [home]
    return "\n\n\n".join(["\n".join(head), *(piece.lines for piece in pieces)]) + "\n"


def _order(line: str) -> tuple[int, str]:
    """Standard library, NumPy, layerkit."""
    name = line.split()[1].partition(".")[0]
    return (0 if name in sys.stdlib_module_names else 1 + (name == "layerkit"), line)


def with_name(source: str, old: str, new: str) -> str:
    r"""Return a source in which a name is replaced, except in strings and comments.

    Examples
    --------
    >>> with_name("class A:  # an A\n    B = A.b", "A", "MyA")
    'class MyA:  # an A\n    B = MyA.b'
    """
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(iter(lines).__next__))
    for token in reversed(tokens):
        if token.type == tokenize.NAME and token.string == old:
            (row, start), (_, end) = token.start, token.end
            lines[row - 1] = lines[row - 1][:start] + new + lines[row - 1][end:]
    return "".join(lines)


def imports_for(source: str, around: Mapping[str, Any]) -> list[str]:
    r"""Return the imports of what a source uses of a module's names.

    Examples
    --------
    >>> from layerkit.layers import dense
    >>> imports_for("class MyDense(Layer):\n    n = np.pi", vars(dense))
    ['from layerkit import Layer', 'import numpy as np']
    """
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    found = []
    for name in sorted(names & around.keys()):
        value, module = around[name], str(around["__name__"])
        if isinstance(value, ModuleType):
            same = value.__name__ == name
            found.append(f"import {value.__name__}" + ("" if same else f" as {name}"))
            continue
        home = sys.modules.get(str(getattr(value, "__module__", "")))
        if getattr(sys.modules["layerkit"], name, None) is value:
            module = "layerkit"
        elif getattr(home, name, None) is value:
            module = value.__module__
        found.append(f"from {module} import {name}")
    return found


def renamed(table: Any, names: Mapping[str, str]) -> Any:
    """Return tables in which classes have other names."""
    if isinstance(table, list):
        return [renamed(item, names) for item in table]
    if not isinstance(table, dict):
        return table
    return {
        key: names.get(item, item)
        if key == "type" and isinstance(item, str)
        else renamed(item, names)
        for key, item in table.items()
    }


def in_toml(tables: Mapping[str, Any]) -> str:
    """Return tables as TOML, lists of one number in one line."""
    import tomli_w  # a browser loads it when it is first asked for

    return re.sub(r"\[\n\s+([\w.]+),\n\s*\]", r"[\1]", tomli_w.dumps(tables))


def in_python(
    experiment: Experiment, tables: Mapping[str, Any], dataset: Dataset, own: Collection[str]
) -> str:
    """Return a script that builds and trains the same network, with the same numbers."""
    network, training, train = experiment.network, experiment.training, dataset.train
    data = tables.get("data", {"name": "digits"})
    table = ", table=table_of(net.body)" if table_of(network.body) else ""
    measured = "validation" if dataset.validation else "test"
    shape: dict[str, Any] = {"shape": network.shape}
    if network.dtype != "float32":
        shape["dtype"] = network.dtype
    options = {name: getattr(training, name) for name in ("epochs", "batch_size", "seed")}
    elsewhere = ("threads", "warm_start")
    options |= {key: getattr(training, key) for key in tables["training"] if key not in elsewhere}
    if experiment.standardize_targets:
        options["standardize_targets"] = True
    given = ["train.inputs", "train.t", *(["sample_weight=train.w"] if train.w is not None else [])]
    given += [f"{measured}=({measured}.inputs, {measured}.t)", *arguments(options)]
    parts = [written(network.body), written(network.loss), *arguments(shape)]
    lines = [
        f"net = Network({', '.join(parts)})",
        f"source = Data({', '.join(arguments(data))})",
        f"data = source.load(seed={training.seed}{table})",
        f"train, {measured} = data.train, data.{measured}",
        f"records = fit(net, {', '.join([written(experiment.optimizer), *given])})",
        'print(*records, sep="\\n")',
    ]
    if training.seed:
        lines.insert(1, f"net.initialize(seed={training.seed})")
    if training.warm_start:
        path = Path(training.warm_start)
        path = path / MODEL if path.is_dir() else path
        if Network.load(path) == network:
            lines[: 2 if training.seed else 1] = [f"net = Network.load({written(str(path))})"]
        else:  # another loss
            lines.insert(0, f"# with weights of seed {training.seed}, not those of {path}")
    code = [piece for line in lines for piece in wrapped(line, WIDTH)]
    used = {node.id for node in ast.walk(ast.parse("\n".join(code))) if isinstance(node, ast.Name)}
    homes: dict[str, list[str]] = {}
    known = {"Data": Data, "fit": fit, "table_of": table_of, **Configurable.registry}
    for name in sorted(used & known.keys()):
        faces = [face for face in FACES if hasattr(sys.modules[face], name)]
        home = OWN if name in own else [*faces, known[name].__module__][0]
        homes.setdefault(home, []).append(name)
    head = [piece for home, names in sorted(homes.items()) for piece in wrapped_import(home, names)]
    return "\n".join([*head, "", *code, ""])


def wrapped_import(home: str, names: list[str]) -> list[str]:
    """Return an import in lines that are not too long."""
    line = f"from {home} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"from {home} import (", *(f"    {name}," for name in names), ")"]


def written(value: Any) -> str:
    """Return the Python of a value; of an object without the options that have their defaults.

    Examples
    --------
    >>> from layerkit import Dense, ReLU, Sequential
    >>> written(Sequential([Dense(8, bias=False), ReLU()]))
    'Sequential([Dense(8, bias=False), ReLU()])'
    """
    if isinstance(value, Configurable):
        options = ordered_fields(type(value))
        given = {o.name: item for o in options if (item := getattr(value, o.name)) != default(o)}
        first = [written(given.pop(o.name)) for o in options[:1] if is_required(o)]
        return f"{type(value).__name__}({', '.join([*first, *arguments(given)])})"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{written(k)}: {written(item)}' for k, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Return options as a call has them."""
    return [f"{name}={written(value)}" for name, value in options.items()]


def in_numpy(experiment: Experiment, optimizer: Optimizer) -> tuple[str, dict[str, Any], str]:
    """Return the unrolled training, the arrays that it reads, and a note on what is not possible.

    `optimizer` is bound to the training, so that schedules know its length.
    """
    network, training, source = experiment.network, experiment.training, experiment.sources["train"]
    t = network.targets.named(source.t)
    text, note = "", ""
    for epochs in (training.epochs, None):  # None: a step without the loop around it
        try:
            text = unroll(
                network,
                optimizer,
                source.x,
                t,
                sample_weight=source.a,
                epochs=epochs,
                batch_size=training.batch_size,
                seed=training.seed,
            )
            break
        except RecordingError as error:
            note = note or str(error)
    if note:
        note = f"{'only one step' if text else 'no step'} in NumPy: {note}"
        return f"{comment(f'To be read; it prints nothing: {note}.')}\n{text}", {}, note
    arrays = inputs_of(network, source.x, t, source.a)
    for name, schedule in optimizer.schedules.items():
        factors = [schedule(step, optimizer.steps) for step in range(optimizer.steps or 0)]
        arrays[name] = getattr(optimizer, name) * np.array(factors)
    signature = text.rpartition("def train(")[2].partition(")")[0].split(", ")
    scheduled = dict.fromkeys(optimizer.schedules, ".tolist()")  # NumPy's floats would widen
    call = ", ".join(f'data["{name}"]{scheduled.get(name, "")}' for name in signature)
    returned = text.rpartition("return ")[2].strip()
    main = [
        'if __name__ == "__main__":',
        '    with np.load("data.npz") as data:  # what the page trains on',
        f"        {returned} = train({call})",
        f"    for epoch, part in enumerate(np.array_split(losses, {training.epochs}), start=1):",
        '        print(f"Epoch {epoch}: loss={part.mean():.4f}")',
    ]
    if training.warm_start:
        note = f"it begins with weights of seed {training.seed}, not those of {training.warm_start}"
    head = comment(f"It reads data.npz, which has to lie beside it{note and f'; {note}'}.")
    text = "\n".join([head, text, "", *main, ""])
    return text, {name: arrays[name] for name in signature}, note


def comment(text: str) -> str:
    """Return a text as the comment at the top of a file."""
    wrapper = textwrap.TextWrapper(WIDTH, subsequent_indent="# ", break_on_hyphens=False)
    wrapper.break_long_words = False
    return "".join(f"{line}\n" for line in wrapper.wrap(f"# {text}"))
