"""First configuration files: their text, with a comment for each line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.cells import RawTable, gaps_in
from layerkit.columns.kinds import Category, Column
from layerkit.data.datasets import Data
from layerkit.data.readers import Target
from layerkit.runs.terminal import escaped

LOSSES = {
    "class": ("SoftmaxCrossEntropy", "high where a row's own class gets a low probability"),
    "number": ("MeanSquaredError", "the mean of the squared errors"),
    "labels": ("BinaryCrossEntropy", "high where a label gets a low probability"),
}
METRICS = {
    "class": (["balanced_accuracy"], "the mean over all classes of the share that is right"),
    "number": (
        ["mae", "r2"],
        "the mean absolute error, and the share of variance explained",
    ),
    "labels": (
        ["roc_auc"],
        "how well each label is told from its absence: 0.5 is chance, 1 the best",
    ),
}
KINDS = {
    "class": 'a class: a word, or one of a few numbers; "number" would be a number',
    "number": 'a number; "class" would be one of a few words or numbers',
    "labels": "several labels, each 0 or 1, in any combination",
}
Lines = list[tuple[str, str]]
"""Lines of TOML, and their comments."""


@dataclass(frozen=True)
class Task:
    """The task: the columns to predict, of which kind they are, and both in words."""

    targets: list[str]
    kind: Target
    outputs: int
    words: str
    whole: bool = False
    """Whether the classes are whole numbers."""


def quoted(word: str) -> str:
    """Return a string as TOML, in one line."""
    import tomli_w

    return tomli_w.dumps({"x": word}).removeprefix("x = ").rstrip("\n")


def in_brackets(words: Iterable[str]) -> str:
    """Return a list of strings as TOML, in one line."""
    return f"[{', '.join(map(quoted, words))}]"


def hidden_units(examples: int) -> int:
    """Return how many units a hidden layer has: the power of two nearest to sqrt(examples).

    Examples
    --------
    >>> [hidden_units(n) for n in (100, 1000, 10_000, 10**6)]
    [16, 32, 128, 256]
    """
    return _power_of_two(float(np.sqrt(examples)))


def batch_size(examples: int) -> int:
    """Return the size of a batch: about fifty steps in an epoch.

    Examples
    --------
    >>> [batch_size(n) for n in (100, 1000, 10_000, 10**6)]
    [16, 16, 256, 256]
    """
    return _power_of_two(examples / 50)


def _power_of_two(x: float) -> int:
    return int(np.clip(2 ** np.round(np.log2(x)), 16, 256))


def first_config(
    task: Task,
    data: Data,
    columns: list[Column],
    left_out: dict[str, str],
    raw: RawTable,
    rows: Array,
    output: str | Path,
) -> str:
    """Return the text of a configuration file.

    Parameters
    ----------
    task : Task
    data : Data
        Where the table is, and how it is split.
    columns : list of Column
        Those to learn from.
    left_out : dict of str to str
        Those left out, and why.
    raw, rows
        The columns of the table, and the rows of the training examples.
    output : str or Path
        Where the text will be.
    """
    names, table = ", ".join(map(quoted, task.targets)), quoted(str(data.path))
    run = shlex.quote(f"runs/{Path(output).stem}")
    head = [
        f"To predict {names} from {len(columns)} columns of {table}. Next:",
        f"  layerkit train {shlex.quote(str(output))}",
        f"  layerkit predict {run} {shlex.quote(str(data.path))}",
        "A good start for most tables: change what you like, and train again.",
    ]
    sections = [
        ("[data]", _data(task, data, columns, left_out, raw, rows)),
        ("[network]", [_loss(task)]),
        ("[network.body]", _body(task, hidden_units(len(rows)))),
        ("[optimizer]", _optimizer()),
        ("[training]", _training(task, batch_size(len(rows)))),
    ]
    text = "\n".join(f"# {escaped(line)}" for line in head)
    return "\n\n".join([text, *(f"{name}\n{_aligned(lines)}" for name, lines in sections)]) + "\n"


def _data(
    task: Task,
    data: Data,
    columns: list[Column],
    left_out: dict[str, str],
    raw: RawTable,
    rows: Array,
) -> Lines:
    label = quoted(task.targets[0]) if len(task.targets) == 1 else in_brackets(task.targets)
    kind, latest = KINDS[task.kind], ": the latest" if data.time else ""
    if task.whole and task.outputs > 2:
        kind += (
            ', with loss = {type = "MeanSquaredError"}, units = 1 in the last layer and '
            f"metrics = {in_brackets(METRICS['number'][0])}"
        )
    lines = [
        (f"path = {quoted(str(data.path))}", "the table, with a header"),
        (f"label = {label}", "what is to be predicted"),
        (f"target = {quoted(task.kind)}", kind),
    ]
    for option in ("encoding", "delimiter", "decimal"):
        if value := getattr(data, option):
            lines.append((f"{option} = {quoted(value)}", "of the table"))
    if data.weight:
        lines.append((f"weight = {quoted(data.weight)}", "how much each row counts"))
    if data.time:
        lines.append((f"time = {quoted(data.time)}", "when each row was: the split is by time"))
        left_out = {data.time: "the time; a feature only if it is listed here"} | left_out
    lines += [
        (f"test_size = {data.test_size}", f"the share of rows to measure on at the end{latest}"),
        (
            f"validation_size = {data.validation_size}",
            f"of the others, the share to measure on after each epoch{latest}",
        ),
        ("features = [", "the columns to learn from, and what becomes of each"),
    ]
    for column in columns:
        gaps = int(gaps_in(raw[column.name][rows]).sum())
        text = f"{type(column).__name__.lower()}: {column.becomes}"
        if isinstance(column, Category):
            text += f", such as {', '.join(map(quoted, (column.categories or [])[:3]))}"
        text += f"; {gaps:,} gap{'s' * (gaps > 1)}, marked" if gaps else ""
        lines.append((f"    {quoted(column.name)},", text))
    lines += [(f"    # {quoted(name)},", f"left out: {why}") for name, why in left_out.items()]
    return [*lines, ("]", "")]


def _loss(task: Task) -> tuple[str, str]:
    name, text = LOSSES[task.kind]
    return f'loss = {{type = "{name}"}}', f"made small by training: {text}"


def _body(task: Task, units: int) -> Lines:
    dropout = "leaves out a fifth of them in each step, against learning by heart"
    hidden = f'    {{type = "Dense", units = {units}}},'
    outputs = {"class": "one output for each class", "number": "the number", "labels": "the labels"}
    last = (
        outputs[task.kind] if task.outputs == 1 or task.kind == "class" else "one for each target"
    )
    return [
        ('type = "Sequential"', "layers, one after another"),
        ("layers = [", ""),
        ('    {type = "Table"},', "makes numbers of the columns: of words, dates and gaps, too"),
        (hidden, "units that each weigh all features; more of them learn more, also by heart"),
        ('    {type = "ReLU"},', "only what is positive goes on, so that curves can be learned"),
        ('    {type = "Dropout", rate = 0.2},', dropout),
        (hidden, "a second layer, which combines what the first has found"),
        ('    {type = "ReLU"},', ""),
        ('    {type = "Dropout", rate = 0.2},', ""),
        (f'    {{type = "Dense", units = {task.outputs}}},', last),
        ("]", ""),
    ]


def _optimizer() -> Lines:
    return [
        ('type = "AdamW"', "finds the size of the steps for each weight, and keeps weights small"),
        ("lr = 0.003", "the learning rate, by which all steps are scaled"),
    ]


def _training(task: Task, size: int) -> Lines:
    metrics, text = METRICS[task.kind]
    lines = [
        ("epochs = 300", "passes over the training rows, at most"),
        (f"batch_size = {size}", "rows for each step"),
        ("seed = 0", "of the split, the first weights, the order of rows, dropout"),
        (f"metrics = {in_brackets(metrics)}", text),
        ("callbacks = [", ""),
        (
            '    {type = "EarlyStopping", patience = 20},',
            "ends 20 epochs after the best one, with its weights",
        ),
        ('    {type = "ProgressBar", every = 10},', "prints a line for every tenth epoch"),
        ("]", ""),
    ]
    if task.kind == "class":
        lines.append(
            ('# class_weight = "balanced"', "if rare classes matter as much as frequent ones")
        )
    return lines


def _aligned(lines: Lines) -> str:
    """Return lines of TOML with their comments below each other, where they are short."""
    width = max(len(code) for code, _ in lines if len(code) <= 48)
    return "\n".join(
        f"{code:<{width}}  # {_in_one_line(text)}" if text else code for code, text in lines
    )


def _in_one_line(text: str) -> str:
    return escaped(" ".join(text.split()))
