"""A network: a body, a loss, and the memory of its parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from layerkit.config import Configurable, Sizes, from_config, to_config
from layerkit.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    FileError,
    ShapeError,
)
from layerkit.files import read_json, read_tensors, write_tensors
from layerkit.layers.base import Layer
from layerkit.losses import Loss
from layerkit.parameters import Arena, Array, Param

CHUNK = 1024
"""Examples that a prediction takes at once: bounds its memory, whatever the data."""


class Network(Configurable):
    """A body of layers, the loss that judges it, and the arena that holds its parameters.

    Inputs are arrays (N, *shape) of finite numbers. Arrays of uint8 are images, 0 to 255: they
    are divided by 255. All others are taken as they are, in the network's dtype.

    Parameters
    ----------
    body : Layer
        What turns examples into outputs, as a rule a Sequential.
    loss : Loss
        What judges the outputs and is to become small.
    shape : tuple of int
        Of one example, without the batch axis.
    dtype : {"float32", "float64"}
        Of the parameters and of all arithmetic.

    Raises
    ------
    ShapeError
        When the layers don't fit, with the address of the first that does not.
    ConfigError
        When a layer object appears twice, or belongs to another network.

    Examples
    --------
    >>> from layerkit import Dense, ReLU, Sequential, SoftmaxCrossEntropy
    >>> net = Network(Sequential([Dense(8), ReLU(), Dense(2)]), SoftmaxCrossEntropy(), shape=(3,))
    >>> net.predict(np.ones((5, 3))).shape
    (5,)
    >>> net.predict_proba(np.ones((5, 3))).shape
    (5, 2)
    """

    body: Layer
    loss: Loss
    shape: Sizes
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._claim_layers()
        try:
            self._build()
            self.initialize()
        except BaseException:
            for _, layer in self.layers():
                layer.__dict__ = layer.__getstate__()
            raise

    def _claim_layers(self) -> None:
        """Refuse layers that have a place already, here or in another network."""
        addresses: dict[int, str] = {}
        for address, layer in self.layers():
            known = layer.address or addresses.get(id(layer))
            if known:
                raise ConfigError(
                    f"{address}: this {type(layer).__name__} is in use as {known} already; a layer "
                    "has one place and its own parameters: make another, or copy.deepcopy it"
                )
            addresses[id(layer)] = address

    def _build(self) -> None:
        self.body.wants_dx = False
        self.loss.build(self.body.place(self.shape, "body"))
        for address, layer in self.layers():
            if not layer.address:
                raise ConfigError(f"{address}: not built; its container should call place for it")
        self.arena = Arena(self.params(), self.dtype)

    def initialize(self, seed: int | np.random.Generator = 0) -> Self:
        """Draw all parameters anew, each from its own stream of `seed`, and return the network."""
        params = self.params().values()
        streams = np.random.default_rng(seed).spawn(len(params))
        for param, stream in zip(params, streams, strict=True):
            param.init.fill(param.value, stream)
        return self

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """All layers with their addresses, a container before its parts."""
        waiting = [("body", self.body)]
        while waiting:
            address, layer = waiting.pop()
            yield address, layer
            parts = [(f"{address}.{name}", part) for name, part in layer.parts()]
            waiting += reversed(parts)

    def params(self) -> dict[str, Param]:
        """All parameters by their addresses, as in ``body.layers.0.W``."""
        return {
            f"{address}.{name}": param
            for address, layer in self.layers()
            for name, param in layer.params().items()
        }

    def gradient(self, x: Any, t: Any) -> float:
        """Return the loss of a batch, and leave its gradient in ``arena.grads``.

        Raises
        ------
        ShapeError, DataError
            For examples or targets that don't fit or are not finite.
        DivergenceError
            When the loss is not finite.
        """
        examples, targets = self.check(x, t)
        with np.errstate(over="ignore", invalid="ignore"):
            loss = self.backpropagate(self.convert(examples), targets)
        if not np.isfinite(loss):
            raise DivergenceError(f"the loss is {loss}; the parameters or the examples are too big")
        return loss

    def backpropagate(self, x: Array, t: Array) -> float:
        """Do what `gradient` does, for a batch that has been checked and converted."""
        loss = self.loss.forward(self.body.forward(x), t)
        self.body.backward(self.loss.backward())
        return loss

    def outputs(self, x: Any) -> Array:
        """What the body returns, for a classifier the logits (N, K).

        Several threads may ask at once, but not while the network is being trained.

        Raises
        ------
        ShapeError, DataError
            For examples that don't fit or are not finite.
        DivergenceError
            When the result is not finite.
        """
        rows = self.check_inputs(x)
        with np.errstate(over="ignore", invalid="ignore"):
            if len(rows) <= CHUNK:
                z = self.body.forward(self.convert(rows), train=False)
            else:
                chunks = np.split(rows, range(CHUNK, len(rows), CHUNK))
                z = np.concatenate(
                    [self.body.forward(self.convert(chunk), train=False) for chunk in chunks]
                )
        if not np.isfinite(z).all():
            row = int(np.argwhere(~np.isfinite(z))[0, 0])
            raise DivergenceError(
                f"the output for example {row} is not finite: it or the parameters are too big"
            )
        return z

    def predict(self, x: Any) -> Array:
        """What the loss calls a prediction, for a classifier the class numbers (N,).

        Raises and may be called as `outputs`.
        """
        return self.loss.predict(self.outputs(x))

    def predict_proba(self, x: Any) -> Array:
        """The probabilities of the classes (N, K). Raises and may be called as `outputs`."""
        return self.loss.predict_proba(self.outputs(x))

    def check(self, x: Any, t: Any) -> tuple[Array, Array]:
        """Return examples and targets as arrays, after looking at all of them."""
        rows, targets = self.check_inputs(x), _array(t, "targets")
        if targets.shape[:1] != rows.shape[:1]:
            raise DataError(f"{len(rows)} examples with targets of shape {targets.shape}")
        targets = self.loss.targets(targets, self.body.output_shape)
        if targets.dtype.kind == "f":
            with np.errstate(over="ignore"):
                targets = targets.astype(self.dtype)
            if not np.isfinite(targets).all():
                row = int(np.argwhere(~np.isfinite(targets))[0, 0])
                raise DataError(f"the target of example {row} is too big for {self.dtype}")
        return rows, targets

    def check_inputs(self, x: Any) -> Array:
        """Return examples as an array (N, *shape), after looking at all of them."""
        rows = _array(x, "examples")
        if rows.shape == self.shape:
            raise ShapeError(f"one example of shape {rows.shape} without a batch axis; try x[None]")
        if rows.shape[1:] != self.shape:
            raise ShapeError(f"examples have shape {rows.shape}; should be {('N', *self.shape)}")
        if not len(rows):
            raise DataError(f"no examples: an array of shape {rows.shape}")
        if rows.dtype.kind not in "biuf":
            raise DataError(f"examples of type {rows.dtype}; should be numbers")
        if rows.dtype.kind == "f":
            for start in range(0, len(rows), CHUNK):
                chunk = self.convert(rows[start : start + CHUNK])
                if not np.isfinite(chunk).all():
                    row, *rest = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
                    place = (start + row, *rest)
                    raise DataError(
                        f"x{list(place)} is {rows[place]}; should be a finite {self.dtype}"
                    )
        return rows

    def convert(self, x: Array, out: Array | None = None) -> Array:
        """Turn a batch into the network's dtype: images of bytes to 0 … 1, the rest as it is.

        Parameters
        ----------
        out : array, optional
            Memory for bytes to go to.
        """
        if x.dtype == self.arena.values.dtype:
            return x
        if x.dtype == np.uint8:
            images: Array = np.divide(x, 255, out=out, dtype=self.dtype)
            return images
        with np.errstate(over="ignore"):  # the checks find what becomes infinite
            return x.astype(self.dtype)

    def summary(self, costs: Mapping[str, float] | None = None) -> str:
        """A table of the layers: address, what it is, output shape, how many parameters.

        Parameters
        ----------
        costs : mapping of str to float, optional
            Seconds by address, from `layerkit.inspection.measure_costs`: two columns more.

        Examples
        --------
        >>> from layerkit import Dense, Sequential, Sigmoid, SoftmaxCrossEntropy
        >>> body = Sequential([Dense(64), Sigmoid(), Dense(10)])
        >>> print(Network(body, SoftmaxCrossEntropy(), shape=(784,)).summary())
        address        layer    output  parameters
        body.layers.0  Dense    (64,)       50,240
        body.layers.1  Sigmoid  (64,)            0
        body.layers.2  Dense    (10,)          650
        total                               50,890
        """
        rows = [["address", "layer", "output", "parameters"]]
        for address, layer in self.layers():
            if not any(layer.parts()):
                size = sum(param.value.size for param in layer.params().values())
                rows.append([address, type(layer).__name__, str(layer.output_shape), f"{size:,}"])
        rows.append(["total", "", "", f"{self.arena.values.size:,}"])
        if costs:
            total = sum(costs.values())
            rows[0] += ["µs a step", "share"]
            for row in rows[1:]:
                cost = total if row is rows[-1] else costs.get(row[0], 0.0)
                row += [f"{cost * 1e6:,.0f}", f"{cost / total:.0%}"]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                f"{cell:<{width}}" if i < 3 else f"{cell:>{width}}"
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def save(self, path: str | Path) -> None:
        """Write configuration and parameters to one ``.safetensors`` file, whole or not at all.

        Raises
        ------
        FileError
            When the file can't be written; what was there before is still there.
        """
        tensors = {address: param.value for address, param in self.params().items()}
        write_tensors(Path(path), tensors, {"layerkit.Network": json.dumps(to_config(self))})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. Runs nothing that the file names: own layers are imported first.

        Raises
        ------
        FileError
            For a file that is damaged, foreign or does not fit its own configuration.

        Examples
        --------
        >>> import tempfile
        >>> from layerkit import Dense, SoftmaxCrossEntropy
        >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(f"{folder}/model.safetensors")
        ...     same = Network.load(f"{folder}/model.safetensors")
        >>> bool((same.arena.values == net.arena.values).all())
        True
        """
        path = Path(path)
        tensors, metadata = read_tensors(path)
        if "layerkit.Network" not in metadata:
            raise FileError(f"{path}: no network was saved in this file by layerkit")
        try:
            network = from_config(read_json(metadata["layerkit.Network"]), cls)
        except (ValueError, RecursionError, MemoryError) as error:
            raise FileError(
                f"{path}: the network that it describes can't be built: {error} "
                "(a class of your own has to be imported before)"
            ) from error
        params = network.params()
        for what, names in {
            "misses": params.keys() - tensors.keys(),
            "has a surplus": tensors.keys() - params.keys(),
        }.items():
            if names:
                raise FileError(f"{path}: {what} {', '.join(sorted(names))}")
        for address, param in params.items():
            tensor = tensors[address]
            if tensor.shape != param.shape or tensor.dtype != network.dtype:
                raise FileError(
                    f"{path}: {address} is {tensor.dtype} {tensor.shape}; "
                    f"its network wants {network.dtype} {param.shape}"
                )
            if not np.isfinite(tensor).all():
                raise FileError(f"{path}: {address} has values that are not finite")
            param.value = tensor
        return network

    def __getstate__(self) -> dict[str, Any]:
        """Options and parameters: views of the arena would come back as copies of their own."""
        return {"options": super().__getstate__(), "values": self.arena.values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state["options"])
        self._claim_layers()
        self._build()
        self.arena.values = state["values"]


def _array(values: Any, what: str) -> Array:
    if np.ma.isMaskedArray(values):
        raise DataError(f"{what} are a masked array; fill what is masked, or leave it out")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} are no array: {error}") from error
