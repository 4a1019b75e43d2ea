"""Modules: a trained network as a file of Python that predicts with NumPy alone."""

from __future__ import annotations

import base64
import io
import json
import math
from keyword import iskeyword
from pathlib import Path
from typing import Any, Literal

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import ConfigError, FileError, LayerkitError, RecordingError
from layerkit.files.atomic import write_atomically
from layerkit.files.mapped import CHUNK
from layerkit.losses.base import batch_of
from layerkit.network import Network
from layerkit.recording.listing import Listing
from layerkit.recording.recorder import examples_like, record
from layerkit.recording.source import function, imports, short_names
from layerkit.recording.texts import WIDTH, wrapped

Weights = Literal["inside", "beside"]
FEW = 200
"""Numbers up to which parameters are written as numbers."""
EXAMPLES = '''\
def examples(x):
    """Return examples as {dtype}{bytes}."""
    x = np.asarray(x)
    if x.ndim != {ndim} or x.shape[1:] != {shape}:
        raise ValueError(f"examples have shape {{x.shape}}; should be {batch}")
    if not len(x):
        raise ValueError("no examples")
    if {wrong}.any():
        raise ValueError("x is not finite")
{pixels}    return x.astype(np.{dtype})
'''
DIVIDED = ", the bytes of images divided by 255"
BYTES = {
    "bytes": """\
    if x.dtype == np.uint8:
        return np.divide(x, 255, dtype=np.{dtype})
    if x.min() < -1e-5 or x.max() > 1 + 1e-5:
        raise ValueError("x should be bytes of images, or numbers from 0 to 1")
""",
    "unit": """\
    if x.dtype == np.uint8 and x.max() != 1:
        return np.divide(x, 255, dtype=np.{dtype})
""",
    "other": """\
    if x.dtype == np.uint8 and x.max() > 1:
        raise ValueError("trained on other numbers than bytes: give x.astype(float)")
""",
}
"""Lines that treat bytes, by the pixels that the network has learned from."""
IN_CHUNKS = f'''\
def outputs(x):
    """Return the outputs of the network for examples, {CHUNK} at a time."""
    x = examples(x)
    return np.concatenate([forward(x[i : i + {CHUNK}]) for i in range(0, len(x), {CHUNK})])
'''


def write_module(network: Network, path: str | Path, weights: Weights = "inside") -> None:
    """Write a module of the functions that `Network.to_python` promises."""
    path = Path(path)
    if path.suffix != ".py" or not path.stem.isidentifier() or iskeyword(path.stem):
        raise FileError(f"{path}: should be a module's name, such as model.py")
    if weights not in ("inside", "beside"):
        raise ConfigError(f"weights = {weights!r}; should be 'inside' or 'beside'")
    functions, names = module(network)
    declared = network.declared()
    arrays = {short: declared[name].value for name, short in names.items()}
    check(network, functions, arrays)
    need, lines = beside(path.stem, arrays) if weights == "beside" else inside(arrays)
    alone = "NumPy and SciPy" if "scipy" in functions else "NumPy alone"
    title = f'"""Predictions of a network, with {alone}."""'
    text = "\n".join([title, "", *need, functions, *lines])
    if weights == "beside":
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        write_atomically(path.with_suffix(".npz"), file.getvalue())
    write_atomically(path, f"{text}\n".encode())


def beside(stem: str, arrays: dict[str, Array]) -> tuple[list[str], list[str]]:
    """Return the import and the statements that load arrays from a file."""
    file = f'np.load(Path(__file__).with_name("{stem}.npz"))'
    lines = [f'{name} = weights["{name}"]' for name in arrays]
    return ["from pathlib import Path", ""], ["", f"weights = {file}", *lines]


def inside(arrays: dict[str, Array]) -> tuple[list[str], list[str]]:
    """Return the import and the statements that have the numbers of arrays in them."""
    if sum(array.size for array in arrays.values()) <= FEW:
        lines = [""]
        for name, array in arrays.items():
            lines += wrapped(f"{name} = np.array({numbers(array)}, np.{array.dtype})", WIDTH)
        return [], lines
    (dtype,) = {array.dtype for array in arrays.values()}
    whole = np.concatenate([array.ravel() for array in arrays.values()])
    code = base64.b64encode(whole.astype(dtype.newbyteorder("<")).tobytes()).decode()
    lines, start = ["", *(code[i : i + 76] for i in range(0, len(code), 76)), '"""'], 0
    lines[0] = 'WEIGHTS = """'
    lines.append(f'w = np.frombuffer(base64.b64decode(WEIGHTS), "{dtype.newbyteorder("<").str}")')
    for name, array in arrays.items():
        end = start + array.size
        shape = f".reshape{array.shape}" if array.ndim != 1 else ""
        lines.append(f"{name} = w[{start or ''}:{end}]{shape}")
        start = end
    return ["import base64", ""], ["", *lines]


def numbers(array: Array) -> str:
    """Return the numbers of an array, in as few digits as say which they are.

    Examples
    --------
    >>> numbers(np.array([[0.1, -2.0]], np.float32)), numbers(np.array(3.0))
    ('[[0.1, -2.0]]', '3.0')
    """
    if array.ndim:
        return f"[{', '.join(numbers(part) for part in array)}]"
    short, number = str(array), array.item()
    if math.isfinite(number) and array.dtype.type(float(short)) == number:
        return short
    return repr(number) if math.isfinite(number) else f"float('{number}')"


def module(network: Network) -> tuple[str, dict[str, str]]:
    """Return the functions of a module, and the names of the parameters that they need."""
    shape, dtype = network.shape, network.dtype
    program = record(network, np.zeros((3, *shape), dtype))
    short = short_names(network)
    parts = {**dict(network.layers()), "loss": network.loss}
    given = {short.get(name, name): item for name, item in program.memory.items()}
    forward = Listing(program, parts, ["z"], program.inputs | given, short)
    lines = function("forward(x)", ["Return the outputs of a batch."], forward, ["z"])
    text = [[EXAMPLES.format(**described(network)).rstrip()], lines, [IN_CHUNKS.rstrip()]]
    special = set(forward.imports)
    constants = dict(forward.constants)
    for name, says in (("y", "predict"), ("p", "predict_proba")):
        if name not in program.outputs:
            continue
        after = Listing(program, parts, [name], {"z": program.outputs["z"]}, short)
        after.made.update(after.constants)
        special |= after.imports
        doc = "Return the probabilities of the classes." if name == "p" else said(network)
        found = function(f"{says}(x)", [doc], after, [name], first="z = outputs(x)")
        if name == "y" and network.classes:
            found[-1] = found[-1].replace("return ", "return CLASSES[") + "]"
        text.append(found)
    head = imports(special)
    if network.classes:
        names = [
            json.dumps(name, ensure_ascii=False) if isinstance(name, str) else str(name)
            for name in network.classes
        ]
        constants["CLASSES"] = f"np.array([{', '.join(names)}])"
    if constants:
        head.append("")
        for name, item in constants.items():
            head += wrapped(f"{name} = {item}", WIDTH)
    used = {value for op in program.ops for value in op.inputs}
    needed = {name: short[name] for name, value in program.memory.items() if value in used}
    return "\n".join([*head, *(line for part in text for line in ("", "", *part)), ""]), needed


def said(network: Network) -> str:
    """Return what predictions are."""
    if network.loss.judges_classes:
        return "Return the classes of examples."
    return "Return the predictions for examples."


def described(network: Network) -> dict[str, Any]:
    """Return what the function that looks at examples says about them."""
    pixels, dtype = network.seen.pixels, network.dtype
    kind = pixels if pixels == "bytes" else "unit" if pixels in ("unit", None) else "other"
    return {
        "shape": network.shape,
        "ndim": 1 + len(network.shape),
        "batch": batch_of(network.shape),
        "dtype": dtype,
        "wrong": "~np.isfinite(x)" if network.inputs.table is None else "np.isinf(x)",
        "bytes": "" if kind == "other" else DIVIDED,
        "pixels": BYTES[kind].format(dtype=dtype),
    }


def check(network: Network, functions: str, arrays: dict[str, Array]) -> None:
    """Run the functions, and compare them with the network."""
    space: dict[str, Any] = {}
    exec(compile(functions, "<module>", "exec"), space)
    space |= arrays
    some = examples_like(network)
    compared = 0
    for x in (some, some[:1], np.zeros_like(some), (some > some.mean()).astype(some.dtype)):
        for name in {"predict", "predict_proba"} & space.keys():
            with np.errstate(all="ignore"):
                try:
                    expected = getattr(network, name)(x)
                except LayerkitError:  # not an example for this network
                    continue
                found = space[name](x)
            compared += 1
            if found.dtype != expected.dtype or found.tobytes() != expected.tobytes():
                raise RecordingError(f"{name} of the module gives other numbers than the network's")
    if not compared:
        raise RecordingError("the network predicts nothing for random numbers, nor for zeros")
