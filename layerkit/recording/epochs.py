"""Epochs: the loop around an unrolled step, with the initial weights and the order of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import RecordingError
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Param
from layerkit.recording.arrays import Draws, Tape, value_of
from layerkit.recording.listing import Listing
from layerkit.recording.program import Program
from layerkit.recording.texts import WIDTH, wrapped
from layerkit.streams import stream

STREAM = '''\
def stream(name):
    """Return the generator of the random numbers that belong to a name."""
    seed = np.random.SeedSequence({seed}, spawn_key=tuple(name.encode()))
    return np.random.default_rng(seed)
'''


def epochs_of(
    network: Network,
    optimizer: Optimizer,
    program: Program,
    arguments: Sequence[str],
    short: Mapping[str, str],
    options: Mapping[str, int],
) -> str:
    """Return the source of a training run: its streams, its initial weights, and its loop.

    Parameters
    ----------
    program : Program
        The program of a step.
    arguments : sequence of str
        The arguments of the step's function.
    short : mapping of str to str
        The names of parameters and states by address.
    options : mapping of str to int
        Epochs, batch_size and seed.
    """
    for address, layer in network.layers():
        if layer.fitted is not None:
            raise RecordingError(
                f"{address}: {type(layer).__name__} is fitted to the training data, which the "
                "source doesn't have"
            )
    batch = [name for name in arguments if name in ("x", "t", "a")]
    scheduled = [name for name in arguments if name in optimizer.schedules]
    vectors = [name for name in arguments if name in ("w", "states")]
    slots = [name for name in arguments if name in program.memory and name not in vectors]
    generators = [name for name in arguments if name.startswith("rng")]
    epochs, size = options["epochs"], options["batch_size"]
    returned = ", ".join([*vectors, "losses"])
    body = [f'"""Train for {epochs} epochs in batches of {size}; return {returned}.', ""]
    body.append(f"{', '.join(batch)}: of all examples")
    body += [f"{name}: its value at each step" for name in scheduled]
    body.append('"""')
    for name in vectors:
        memory = program.memory[name]
        body.append(f"{name} = np.zeros({memory.shape[0]}, np.{memory.dtype})")
    body.append(f"initialize({', '.join(vectors)})")
    body += [f"{name} = {_filled(name, program.memory[name].array)}" for name in slots]
    for name, address in zip(generators, program.generators, strict=True):
        body.append(f'{name} = stream("layer {address}")')
    index = dict.fromkeys(batch, "[rows]") | dict.fromkeys(scheduled, "[step]") | {"step": " + 1"}
    call = f"train_step({', '.join(name + index.get(name, '') for name in arguments)})"
    body += [
        'batches = stream("batches")',
        "losses = []",
        f"for epoch in range({epochs}):",
        "    order = batches.permutation(len(x))",
        f"    for start in range(0, len(x), {size}):",
        f"        rows = order[start : start + {size}]",
        *(["        step = len(losses)"] if scheduled or "step" in arguments else []),
        *(f"        {line}" for line in wrapped(f"losses.append({call})", WIDTH - 12)),
        f"return {returned}",
    ]
    lines = [f"def train({', '.join([*batch, *scheduled])}):"]
    lines += [f"    {line}".rstrip() for line in body]
    first = _initialize(network, vectors, short)
    return "\n".join(["", "", STREAM.format(seed=options["seed"]), "", *first, "", "", *lines, ""])


def _filled(name: str, array: Array) -> str:
    """Return the expression of an optimizer's memory before the first step."""
    number = array.flat[0].item()
    if (array != number).any():
        raise RecordingError(f"the optimizer's {name} is not the same number everywhere")
    return f"np.full_like(w, {number!r})" if number else "np.zeros_like(w)"


def _initialize(network: Network, vectors: Sequence[str], short: Mapping[str, str]) -> list[str]:
    """Return the function that draws the initial weights; numbers that stay 0 are left out."""
    views: list[str] = []
    draws: list[str] = []
    start = {"w": 0, "states": 0}
    for address, item in network.declared().items():
        name, vector = short[address], "w" if isinstance(item, Param) else "states"
        begin, start[vector] = start[vector], start[vector] + item.value.size
        tape, rng = Tape(), stream(0, address)
        w = tape.give("memory", name, np.zeros_like(item.value))
        item.init.fill(w, Draws(tape, address, rng))  # type: ignore[arg-type]
        memory = {name: value_of(w)}
        program = Program(tape.ops, {}, memory, {}, {address: rng})
        sections = Listing(program, {}, [], memory, {}, changes=True).sections()
        lines = [line for *_, found in sections for line in found]
        if lines == [f"{name}[...] = 0"]:
            continue
        shape = f".reshape{item.shape}" if len(item.shape) != 1 else ""
        views.append(f"{name} = {vector}[{begin or ''}:{start[vector]}]{shape}")
        draws += ["", f"# {address}: {type(item.init).__name__}"]
        if tape.ops and any(op.kind == "draw" for op in tape.ops):
            draws.append(f'rng = stream("weights {address}")')
        draws += lines
    body = ['"""Draw the initial parameters."""', *views, *draws]
    return [f"def initialize({', '.join(vectors)}):", *(f"    {line}".rstrip() for line in body)]
