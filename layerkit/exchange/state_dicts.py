"""Parameters in PyTorch's names and layout: a `state_dict`, in memory or as a safetensors file.

A module is a layer here, such as Linear, and has tensors, such as ``fc.weight``: all that comes
before the last dot is the module's name. Linear keeps W transposed, (outputs, inputs).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.checks import check_kind
from layerkit.errors import ConfigError, FileError, ShapeError, at, listed, suggestion
from layerkit.files.atomic import file_errors, write_tensors
from layerkit.files.networks import CONFIG_KEY
from layerkit.layers.activations.learned import PReLU
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from layerkit.layers.shapes import Embedding
from layerkit.network import Network
from layerkit.parameters import State

AFFINE = {"gamma": "weight", "beta": "bias"}
TENSORS: dict[type[Layer], dict[str, str]] = {
    Dense: {"W": "weight", "b": "bias"},
    BatchNorm: AFFINE | {"mean": "running_mean", "variance": "running_var"},
    LayerNorm: AFFINE,
    GroupNorm: AFFINE,
    RMSNorm: AFFINE,
    PReLU: {"a": "weight"},
    Embedding: {"W": "weight"},
}
"""The tensors of a PyTorch module, by the parameters and states of our layer."""
COUNT = "num_batches_tracked"
"""A tensor of PyTorch's BatchNorm that no formula with a momentum reads."""
DTYPES = "F16", "F32", "F64", "I64"
"""The dtypes that are read; I64 for `COUNT`."""

Names: TypeAlias = Mapping[str, str]
Shapes: TypeAlias = dict[str, Shape]
"""Of the tensors of one module, by the last part of their names, as PyTorch has them."""


def state_dict(network: Network, names: Names | None = None) -> dict[str, Array]:
    """Return the parameters and running statistics as PyTorch's ``module.state_dict()`` has them.

    Linear's weight is (outputs, inputs). The name of a module is the address of its layer, without
    ``body``, ``layers`` and ``nodes``: the layers of a Sequential are ``0``, ``1`` …, as in
    PyTorch's Sequential of the same layers, and those of a Graph have the names of its nodes.

    Parameters
    ----------
    network : Network
        The network whose parameters and running statistics are copied.
    names : dict of str to str, optional
        The names of the modules by the addresses of layers, such as ``{"body.layers.0": "fc1"}``,
        for these layers alone.

    Raises
    ------
    ConfigError
        For layers with parameters or states that no PyTorch module has, and for a name given twice.

    Examples
    --------
    >>> from layerkit import BatchNorm, Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy
    >>> body = Sequential([Dense(8), BatchNorm(), ReLU(), Dense(3)])
    >>> net = Network(body, SoftmaxCrossEntropy(), shape=(5,))
    >>> {name: tensor.shape for name, tensor in state_dict(net).items()}
    {'0.weight': (8, 5), '0.bias': (8,), '1.weight': (8,), '1.bias': (8,), '1.running_mean': (8,), \
'1.running_var': (8,), '1.num_batches_tracked': (), '3.weight': (3, 8), '3.bias': (3,)}
    """
    found, layers = dict[str, Array](), _layers(network, names)
    modules = {address: _default_name(address) for address in layers} if names is None else names
    if len(set(modules.values())) < len(modules):
        raise ConfigError(f"names: a module's name is given twice: {listed(modules.values())}")
    for address, layer in layers.items():
        module = modules[address]
        for name, item, tensor in _tensors(layer):
            found[_joined(module, tensor)] = _turned(layer, name, item.value).copy()
        if isinstance(layer, BatchNorm):
            found[_joined(module, COUNT)] = np.zeros((), np.int64)
    return found


def save_state_dict(network: Network, path: str | Path, names: Names | None = None) -> None:
    """Write `state_dict` to a ``.safetensors`` file, for PyTorch.

    There, ``module.load_state_dict(safetensors.torch.load_file(path))`` reads it.

    Parameters
    ----------
    network : Network
        The network whose parameters and running statistics are written.
    path : str or Path
        The file to write, such as ``"model.safetensors"``.
    names : dict of str to str, optional
        The names of the modules by the addresses of layers, such as ``{"body.layers.0": "fc1"}``,
        for these layers alone.

    Raises
    ------
    ConfigError
        For layers with parameters or states that no PyTorch module has, and for a name given twice.
    FileError
        When the file can't be written; what was there before is still there.
    """
    write_tensors(path, state_dict(network, names), {"format": "pt"})


def load_state_dict(
    network: Network, source: str | Path | Mapping[str, Any], names: Names | None = None
) -> None:
    """Take over the parameters and running statistics of a PyTorch module, all or none.

    Modules and layers are paired by name if the names are those of `state_dict`; otherwise by the
    shapes of their tensors. Several of the same shapes are taken in the order of the numbers in
    their names, such as ``net.0``, ``net.2``; where the names differ in more than numbers, say
    which is which in `names`.

    Parameters
    ----------
    network : Network
        Changed in place, unless an error is raised.
    source : path or dict
        A ``.safetensors`` file, ``safetensors.torch.save_file(module.state_dict(), path)``; or
        ``module.state_dict()`` itself.
    names : dict of str to str, optional
        The names of modules by the addresses of layers, such as ``{"body.layers.0": "fc1"}``: then
        all other layers and modules are left out.

    Raises
    ------
    ConfigError
        For layers or tensors that have no counterpart, where it is not clear which is which, for
        tensors of a dtype wider than the network's, and for values that are not finite.
    ShapeError
        When the shapes are not the same.
    FileError
        For a file that can't be read.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(2,))
    >>> weight, bias = np.array([[2, 3]], "float32"), np.array([1], "float32")
    >>> load_state_dict(net, {"fc.weight": weight, "fc.bias": bias})
    >>> net["body.W"].value
    array([[2.],
           [3.]], dtype=float32)
    """
    if isinstance(source, Mapping):
        arrays = {name: _array(name, tensor) for name, tensor in source.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        _load(network, shapes, arrays.__getitem__, names)
    elif isinstance(source, str | Path):
        _load_file(network, source, names)
    else:
        raise ConfigError(
            f"source is a {type(source).__name__}; should be a path or a dict: module.state_dict()"
        )


def _array(name: str, tensor: Any) -> Array:
    try:
        return np.asarray(tensor)
    except (TypeError, ValueError, RuntimeError) as error:  # PyTorch's own, for some tensors
        raise ConfigError(
            f"{name}: can't be read as an array, {error}; module.cpu().float().state_dict() can"
        ) from error


def _load_file(network: Network, path: str | Path, names: Names | None) -> None:
    """Load from a file, whose names, shapes and dtypes are looked at before its numbers."""
    from safetensors import SafetensorError, safe_open

    try:
        with at(str(path)), file_errors(f"{path}: can't be read"), safe_open(path, "numpy") as file:
            if CONFIG_KEY in (file.metadata() or {}):
                raise ConfigError("it is a network of layerkit; Network.load reads it")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            for name, part in slices.items():
                if part.get_dtype() not in DTYPES:
                    raise ConfigError(
                        f"{name} is {part.get_dtype()}; should be one of {', '.join(DTYPES)}: in "
                        "PyTorch, module.float() converts"
                    )
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            _load(network, shapes, file.get_tensor, names)
    except SafetensorError as error:
        raise FileError(
            f"{path}: damaged, or not a safetensors file, which PyTorch writes by "
            f"safetensors.torch.save_file(module.state_dict(), path): {error}"
        ) from error


def _load(
    network: Network,
    shapes: Mapping[str, Shape],
    read: Callable[[str], Array],
    names: Names | None,
) -> None:
    """Pair layers and modules, look at all tensors, then assign them."""
    layers = _layers(network, names)
    modules = _modules(shapes, names)
    ours = {address: _shapes(layer) for address, layer in layers.items()}
    pairs = _paired(ours, modules) if names is None else names
    for address, module in pairs.items():
        if ours[address] != modules[module]:
            raise ShapeError(
                f"{address} is {layers[address]}, in PyTorch {_said(ours[address])}; the module "
                f"{module!r} has {_said(modules[module])}"
            )
    values = [
        (layers[address], name, item, _checked(_joined(pairs[address], tensor), read, network))
        for address in pairs
        for name, item, tensor in _tensors(layers[address])
    ]
    for layer, name, item, value in values:
        item.value = _turned(layer, name, value)
        if layer.fitted is not None:
            layer.fitted.value = np.ones(())
    network.arena.renew()


def _checked(name: str, read: Callable[[str], Array], network: Network) -> Array:
    """Read a tensor that fits into the network; ConfigError if its numbers don't."""
    value, dtype = read(name), np.dtype(network.dtype)
    if value.dtype.kind != "f" or value.dtype.itemsize > dtype.itemsize:
        raise ConfigError(
            f"{name} is {value.dtype}, and the network {dtype}: it takes floats that are no wider; "
            "in PyTorch, module.float() converts"
        )
    if not np.isfinite(value).all():
        raise ConfigError(f"{name} has values that are not finite")
    return value


def _layers(network: Network, names: Names | None) -> dict[str, Layer]:
    """The layers with parameters or states by address; ConfigError if PyTorch has none like it."""
    check_kind("network", network, Network, "network, path")
    known = {address: layer for address, layer in network.layers() if layer.declared()}
    for address in names or ():
        if address not in known:
            raise ConfigError(
                f"names: {address!r} is not the address of a layer with parameters"
                f"{suggestion(str(address), list(known))}"
            )
    layers = known if names is None else {address: known[address] for address in names}
    for address, layer in layers.items():
        if type(layer) not in TENSORS:
            raise ConfigError(
                f"{address}: {type(layer).__name__} has no counterpart with such parameters in "
                f"PyTorch, as {listed(kind.__name__ for kind in TENSORS)} have; to leave it out, "
                "say which layers are which modules, in names"
            )
    return layers


def _modules(shapes: Mapping[str, Shape], names: Names | None) -> dict[str, Shapes]:
    """The shapes of the tensors by module; ConfigError for a tensor that no layer has."""
    found: dict[str, Shapes] = {}
    for name, shape in shapes.items():
        module, _, tensor = name.rpartition(".")
        if tensor != COUNT:
            found.setdefault(module, {})[tensor] = shape
    known = {tensor for tensors in TENSORS.values() for tensor in tensors.values()}
    for module, tensors in found.items():
        if names is None and (unknown := sorted(tensors.keys() - known)):
            raise ConfigError(
                f"{_joined(module, unknown[0])}: no layer here has such a tensor, only "
                f"{', '.join(sorted(known))}; to leave it out, say which layers are which modules, "
                "in names"
            )
    for module in (names or {}).values():
        if module not in found:
            raise ConfigError(
                f"names: there is no module {module!r}{suggestion(str(module), list(found))}"
            )
    return found


def _paired(ours: Mapping[str, Shapes], theirs: Mapping[str, Shapes]) -> dict[str, str]:
    """Pair layers and modules by name, or else by their shapes and the numbers in their names."""
    by_name = {address: _default_name(address) for address in ours}
    if sorted(by_name.values()) == sorted(theirs):
        return by_name
    rest, pairs = dict(theirs), dict[str, str]()
    for shapes in ours.values():
        layers = [address for address in ours if ours[address] == shapes]
        modules = sorted((module for module in rest if rest[module] == shapes), key=_numbers)
        if layers[0] in pairs:
            continue
        if len(modules) != len(layers):
            left = [f"{module!r}: {_said(rest[module])}" for module in rest]
            raise ShapeError(
                f"{listed(layers)}: {len(modules)} modules have the shapes {_said(shapes)}; should "
                f"be {len(layers)}. There are {listed(left) or 'none'}"
            )
        if len({re.sub(r"\d+", "", module) for module in modules}) > 1:
            raise ConfigError(
                f"{listed(layers)} have the same shapes, {_said(shapes)}, and so have the modules "
                f"{listed(map(repr, modules))}: say which is which, such as "
                f"names={{{layers[0]!r}: {modules[0]!r}, …}}"
            )
        pairs |= dict(zip(layers, modules, strict=True))
        for module in modules:
            del rest[module]
    if rest:
        left = [f"{module!r}: {_said(shapes)}" for module, shapes in rest.items()]
        raise ShapeError(f"no layer of the network has these shapes: {listed(left)}")
    return pairs


def _numbers(module: str) -> list[tuple[int, str]]:
    """The numbers in a module's name, to sort by: 10 comes after 9."""
    digits = [number.lstrip("0") for number in re.findall(r"\d+", module)]
    return [(len(number), number) for number in digits]


def _tensors(layer: Layer) -> Iterator[tuple[str, State, str]]:
    """The parameters and states of a layer that PyTorch has too, with both names."""
    for name, item in layer.declared().items():
        if (tensor := TENSORS[type(layer)].get(name)) is not None:
            yield name, item, tensor


def _shapes(layer: Layer) -> Shapes:
    """The shapes of a layer's tensors in PyTorch."""
    turned = isinstance(layer, Dense)
    return {
        tensor: item.shape[::-1] if turned else item.shape for _, item, tensor in _tensors(layer)
    }


def _turned(layer: Layer, name: str, value: Array) -> Array:
    """Return W transposed for Dense, from there to here and back; all others as they are."""
    return value.T if isinstance(layer, Dense) and name == "W" else value


def _default_name(address: str) -> str:
    """The name of a module in `state_dict`, from its layer's address."""
    _, *names = address.split(".")
    return ".".join(name for name in names if name not in ("layers", "nodes", "branches"))


def _joined(module: str, tensor: str) -> str:
    return f"{module}.{tensor}" if module else tensor


def _said(shapes: Shapes) -> str:
    return ", ".join(f"{tensor} {shape}" for tensor, shape in sorted(shapes.items()))
