"""NumPy source: a prediction or a step of a network, as a person would write it by hand."""

from __future__ import annotations

import copy
import inspect
import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from layerkit.config.options import Configurable
from layerkit.errors import ConfigError, LayerkitError, RecordingError
from layerkit.network import Network
from layerkit.optimizers.around import numbers
from layerkit.optimizers.base import Optimizer
from layerkit.recording.epochs import epochs_of
from layerkit.recording.listing import Listing
from layerkit.recording.operations import Value
from layerkit.recording.program import Program
from layerkit.recording.recorder import check_parts, examples_like, record
from layerkit.recording.texts import WIDTH, wrapped

SAYS = {
    "train_step": "Change the parameters by one step of training, and return the loss.",
    "predict": "Return {}.",
}
OUTPUTS = {"z": "the outputs z", "y": "the predictions y", "p": "the probabilities p"}
WORDS = {
    "x": "examples {}, {}",
    "t": "targets {}, {}",
    "a": "sample weights {}, {}",
    "w": "parameters {}, {}",
    "g": "their gradients",
    "states": "states of the layers {}, {}",
}
"""The words for the arguments of a step."""


def unroll(
    network: Network,
    optimizer: Optimizer | None = None,
    x: Any = None,
    t: Any = None,
    *,
    sample_weight: Any = None,
    epochs: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
) -> str:
    """Return NumPy source that predicts as the network does; with an optimizer, a training step.

    It reads as if written by hand: a section for each layer, with the layer's formula and the names
    of its source, without layerkit. It gives the same numbers, to the last bit.

    Parameters
    ----------
    network : Network
        The network to write as source; it stays as it is.
    optimizer : Optimizer, optional
        Then the source has a function ``train_step``, else a function ``predict``.
    x, t : arrays, optional
        Examples and targets like those that the source is to work with; by default random numbers
        of the network's dtype, and targets that the loss accepts.
    sample_weight : array, optional
        Then ``train_step`` takes sample weights, its argument ``a``.
    epochs : int, optional
        Then the source has the loop around the step, too, a function ``train``: with the initial
        weights and the order of batches that `layerkit.fit` has for this number of epochs.
    batch_size, seed : int
        The batch size and the seed of that loop.

    Raises
    ------
    RecordingError
        When the network can't be recorded.
    ConfigError
        For targets, weights or epochs without an optimizer; for parts of other types.
    ShapeError, DataError
        For examples or targets that don't fit.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network, SGD
    >>> net = Network(Dense(2), MeanSquaredError(), shape=(3,))
    >>> print(unroll(net, SGD(lr=0.5)), end="")
    import numpy as np
    <BLANKLINE>
    lr = 0.5
    <BLANKLINE>
    <BLANKLINE>
    def train_step(x, t, w, g):
        \"\"\"Change the parameters by one step of training, and return the loss.
    <BLANKLINE>
        x: examples (N, 3), float32
        t: targets (N, 2), float32
        w: parameters (8,), float32
        g: their gradients
        \"\"\"
        N = len(x)
    <BLANKLINE>
        # Parameters and their gradients are parts of two vectors.
        W0 = w[:6].reshape(3, 2)
        b0 = w[6:8]
        dW0 = g[:6].reshape(3, 2)
        db0 = g[6:8]
    <BLANKLINE>
        # body, Dense(units=2): y = x W + b
        z = x @ W0 + b0
    <BLANKLINE>
        # loss, MeanSquaredError():
        # f = e^2, in squared units of the target; df/dz = 2 e. PyTorch's MSELoss
        error = z - t
        loss = (np.square(error).sum(axis=-1) / 2).sum(dtype=float) / N
    <BLANKLINE>
        # Backward: loss, MeanSquaredError
        dz = 2 * error / 2 / N
    <BLANKLINE>
        # Backward: body, Dense
        dW0[...] = x.T @ dz
        db0[...] = np.ones(N, np.float32) @ dz
    <BLANKLINE>
        # SGD(lr=0.5): w <- w - lr g
        w -= g * lr
        return loss
    """
    check_parts(network, optimizer, "network, optimizer, x, t")
    step = optimizer is not None
    for name, value in (("t", t), ("sample_weight", sample_weight), ("epochs", epochs)):
        if value is not None and not step:
            raise ConfigError(f"unroll: {name} is for a step, which needs an optimizer")
    for name, number, least in (
        ("epochs", epochs, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if number is not None and not (isinstance(number, int | np.integer) and number >= least):
            raise ConfigError(f"{name} = {number!r}: should be a whole number, at least {least}")
    x = examples_like(network) if x is None else x
    t = targets_like(network, x, t) if step else None
    if not network.adapted:  # what is printed does not depend on it
        network = copy.deepcopy(network).adapt(x)
    program = record(network, x, t, optimizer, sample_weight=sample_weight)
    parts: dict[str, Configurable] = {**dict(network.layers()), "loss": network.loss}
    if optimizer is not None:
        parts["optimizer"] = optimizer
    short = short_names(network, numbers(optimizer) if optimizer else ())
    source = listed(program, parts, short)
    check(source, program, short)
    if optimizer is not None and epochs is not None:
        options = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
        signature = source.partition("def train_step(")[2].partition("):")[0]
        arguments = signature.replace(",", " ").split()
        source += epochs_of(network, optimizer, program, arguments, short, options)
    return source


def listed(program: Program, parts: Mapping[str, Configurable], short: Mapping[str, str]) -> str:
    """Return the source of a program: imports, options, and one function."""
    step = "loss" in program.outputs
    wanted = ["loss"] if step else distinct(program)
    touched = {value for op in program.ops for value in (*op.inputs, op.writes)}
    arguments = {
        short.get(name, name): value
        for name, value in (program.inputs | program.memory).items()
        if value in touched or name in ("x", "t")
    }
    views = {**short, **{f"d{name}": f"d{given}" for name, given in short.items()}}
    listing = Listing(program, parts, wanted, arguments, views, changes=step)
    generators = program.generators if step else {}
    returned = " and ".join(", ".join(OUTPUTS.get(name, "") for name in wanted).rsplit(", ", 1))
    says = [SAYS["train_step" if step else "predict"].format(returned), ""]
    for name, text in descriptions(arguments, parts).items():
        says += textwrap.wrap(f"{name}: {text}", WIDTH - 4, subsequent_indent="    ")
    for address in generators:
        says.append(f"{listing.generator(address)}: random numbers of {address}")
    names = ", ".join([*arguments, *map(listing.generator, generators)])
    lines = function(f"{'train_step' if step else 'predict'}({names})", says, listing, wanted)
    head = imports(listing.imports)
    if constants := {**listing.options, **listing.constants}:
        head.append("")
        for name, item in constants.items():
            head += wrapped(f"{name} = {item}", WIDTH)
    return "\n".join([*head, "", "", *lines, ""])


def imports(special: Collection[str]) -> list[str]:
    """Return the imports of a source that needs some functions of scipy.special."""
    more = [f"from scipy.special import {', '.join(sorted(special))}"] if special else []
    return ["import numpy as np", *more]


def function(
    signature: str, says: list[str], listing: Listing, wanted: Sequence[str], *, first: str = ""
) -> list[str]:
    """Return the lines of a function: its docstring, and a section for each layer."""
    body = [*([first] if first else []), *(["N = len(x)"] if listing.counts else [])]
    for name, text in listing.made.items():
        body += wrapped(f"{name} = {text}", WIDTH - 4)
    for phase, address, lines in listing.sections():
        gap = [""] if body else []
        body += [*gap, *heading(phase, listing.parts.get(address), address), *lines]
    body.append(f"return {', '.join(listing.result(name) for name in wanted)}")
    doc = [f'"""{says[0]}', *says[1:], '"""'] if len(says) > 1 else [f'"""{says[0]}"""']
    indent = " " * len(f"def {signature.partition('(')[0]}(")
    lines = textwrap.wrap(f"def {signature}:", WIDTH, subsequent_indent=indent)
    return [*lines, *(f"    {line}" if line else "" for line in [*doc, *body])]


def distinct(program: Program) -> list[str]:
    """Return the outputs that are not the same array as one before."""
    names = {value: name for name, value in reversed(program.outputs.items())}
    return [*reversed(names.values())]


def descriptions(
    arguments: Mapping[str, Value], parts: Mapping[str, Configurable]
) -> dict[str, str]:
    """Return what the arguments of a function are, in words."""
    found, others = {}, []
    for name, value in arguments.items():
        shape = f"({', '.join(map(str, value.shape))}{',' * (len(value.shape) == 1)})"
        if value.scalar:
            found[name] = "number of the step, from 1" if name == "step" else "of this step"
        elif name in WORDS:
            found[name] = WORDS[name].format(shape, value.dtype)
        elif "optimizer" in parts:
            first = np.unique(value.array)
            begin = f", {first[0]:g} before the first step" if len(first) == 1 else ""
            found[name] = f"memory of the optimizer {shape}, {value.dtype}{begin}"
        else:
            others.append(name)
    return found | ({", ".join(others): "parameters and states"} if others else {})


def heading(phase: str, part: Configurable | None, address: str) -> list[str]:
    """Return the comment that a section begins with."""
    if phase == "memory":
        return ["# Parameters and their gradients are parts of two vectors."]
    if part is None:
        return ["# The examples, in the dtype of the parameters."]
    if phase == "backward":
        return [f"# Backward: {address}, {type(part).__name__}"]
    name = repr(part) if len(repr(part)) < WIDTH // 2 else type(part).__name__
    title = name if address == "optimizer" else f"{address}, {name}"
    if phase == "outputs":
        return [f"# {title}"]
    formula = (inspect.getdoc(type(part)) or "").partition("\n\n")[0]
    formula = " ".join(formula.partition(": ")[0].rstrip(".").split())
    if len(title) + len(formula) + 8 <= WIDTH:
        return [f"# {title}: {formula}"]
    lines = textwrap.wrap(formula, WIDTH - 6)
    return [f"# {title}:", *(f"# {line}" for line in lines)]


def check(source: str, program: Program, short: Mapping[str, str]) -> None:
    """Run the source, and compare it with the program, for some numbers of examples."""
    space: dict[str, Any] = {}
    exec(compile(source, "<unrolled>", "exec"), space)
    function = space["train_step" if "loss" in program.outputs else "predict"]
    for N in (11, 2, 5):
        inputs = {
            name: value.array if value.scalar else value.array[np.arange(N) % 11]
            for name, value in program.inputs.items()
        }
        memories = [
            {name: value.array.copy() for name, value in program.memory.items()} for _ in range(2)
        ]
        wanted = program.run(memory=memories[0], **inputs) | memories[0]
        given = {short.get(name, name): item for name, item in (inputs | memories[1]).items()}
        rngs = copy.deepcopy(list(program.generators.values()))
        given |= {"rng": rngs[0]} if len(rngs) == 1 else {f"rng{i}": r for i, r in enumerate(rngs)}
        takes = function.__code__.co_varnames[: function.__code__.co_argcount]
        with np.errstate(all="ignore"):
            found = function(**{name: given[name] for name in takes})
        names = distinct(program)
        if "loss" in program.outputs:
            found = {"loss": found} | memories[1]
        else:
            found = dict(zip(names, found if len(names) > 1 else [found], strict=True))
        for name, item in found.items():
            if np.asarray(item).tobytes() != np.asarray(wanted[name]).tobytes():
                raise RecordingError(f"the source gives another {name} than the program")


def short_names(network: Network, taken: Collection[str] = ()) -> dict[str, str]:
    """Return W0, b0, W1 … for parameters and states, by address; none of them is in `taken`.

    Examples
    --------
    >>> from layerkit import Dense, ReLU, Sequential, SoftmaxCrossEntropy
    >>> net = Network(Sequential([Dense(8), ReLU(), Dense(2)]), SoftmaxCrossEntropy(), shape=(3,))
    >>> list(short_names(net, taken=["b1"]).values())
    ['W0', 'b0', 'W1', 'b_1']
    """
    found: dict[str, str] = {}
    number = 0
    for address, layer in network.layers():
        declared = layer.declared()
        for name in declared:
            short = f"{name}{number}"
            found[f"{address}.{name}"] = f"{name}_{number}" if short in taken else short
        number += bool(declared)
    return found


def targets_like(network: Network, x: Any, t: Any) -> Any:
    """Return targets that the loss accepts."""
    if t is not None:
        return t
    N, shape = len(x), network.body.output_shape
    classes = np.arange(N * math.prod(shape[:-1])).reshape(N, *shape[:-1]) % max(shape[-1], 2)
    guesses = [classes]
    for D in (shape[-1], shape[-1] // 2, 1):
        guesses += [np.full((N, *shape[:-1], D), number) for number in (0.5, 1.0, 1 / max(D, 1))]
    for found in guesses:
        try:
            network.targets.check(found, N)
        except LayerkitError:
            continue
        return found
    raise RecordingError(f"{network.loss}: give targets t, such as those of a batch")
