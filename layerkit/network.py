"""A network: a body, a loss, and the memory of its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable, Sizes
from layerkit.data.mapped import CHUNK, Subset, pieces
from layerkit.errors import ConfigError, DataError, DivergenceError, ShapeError, at, suggestion
from layerkit.files.networks import read_network, write_network
from layerkit.graph.adaptation import adapt, check_layers
from layerkit.inspection.summary import table
from layerkit.layers.base import Layer
from layerkit.losses.base import Loss, mean_loss
from layerkit.parameters import Arena, Param, State


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
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.layers.activations.rectifiers import ReLU
    >>> from layerkit.graph.sequential import Sequential
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
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
            self._take_carried()
        except BaseException:
            for _, layer in self.layers():
                carried = {"carried", "carried_adapted"} & vars(layer).keys()
                layer.__dict__ = Configurable.__getstate__(layer) | {
                    name: vars(layer)[name] for name in carried
                }
            raise

    def _claim_layers(self) -> None:
        """Refuse layers that have a place already, here or in another network."""
        addresses: dict[int, str] = {}
        for address, layer in self.layers():
            known = layer.address or addresses.get(id(layer))
            if known:
                raise ConfigError(
                    f"{address}: this {type(layer).__name__} is in use as {known} already; a layer "
                    "has one place and its own parameters: make another, or copy.deepcopy it. To "
                    "use its parameters twice (siamese, tied), give it both inputs as one array "
                    "with one more axis, (2, features): it works on the last axis"
                )
            addresses[id(layer)] = address

    def _build(self) -> None:
        self.body.wants_dx = False
        self.loss.build(self.body.place(self.shape, address="body"))
        for address, layer in self.layers():
            if not layer.address:
                raise ConfigError(f"{address}: not built; its container should call place for it")
        self.arena = Arena(self.declared(), self.dtype)

    def _take_carried(self) -> None:
        """Give copies of layers the numbers that they had where they were copied."""
        for address, layer in self.layers():
            declared = layer.declared()
            for name, value in layer.carried.items():
                with at(f"{address}.{name}"):
                    fitted = layer.adapts and vars(layer)["carried_adapted"]
                    if fitted and value.dtype.itemsize > np.dtype(self.dtype).itemsize:
                        raise ConfigError(
                            f"this {type(layer).__name__} was fitted in {value.dtype}, and the "
                            f"network is {self.dtype}: take a new one"
                        )
                    declared[name].value = value
        for _, layer in self.layers():
            kept = vars(layer)
            if layer.carried:
                kept["adapted"] = kept["carried_adapted"]
            kept.pop("carried", None)
            kept.pop("carried_adapted", None)
        self.adapted = all(layer.adapted for _, layer in self.layers())

    def initialize(self, seed: int | np.random.Generator = 0) -> Self:
        """Draw all parameters anew, each from its own stream of `seed`, and return the network.

        Layers with random numbers, as Dropout, get streams of their own too.
        """
        params, root = self.params(), np.random.default_rng(seed)
        for (address, param), stream in zip(params.items(), root.spawn(len(params)), strict=True):
            with at(address):
                param.init.fill(param.value, stream)
        layers = [layer for _, layer in self.layers()]
        for layer, stream in zip(layers, root.spawn(len(layers)), strict=True):
            for state in layer.declared().values():
                if not isinstance(state, Param):
                    state.init.fill(state.value, stream)
            if layer.random:
                layer.rng = stream
            layer.adapted = not layer.wants_data
        self.adapted = all(layer.adapted for layer in layers)
        return self

    def adapt(self, x: Any) -> Self:
        """Show training data to the parts that are fitted to them, as Standardize and LSUV.

        Training does this by itself. Parts that have seen data already, here or before they were
        copied, are left as they are; `initialize` begins anew.

        Raises
        ------
        ShapeError, DataError
            For examples that don't fit or are not finite.
        """
        adapt(self, self.check_inputs(x))
        return self

    def check_layers(self, rows: Array | Subset) -> None:
        """Let layers that don't take any numbers look at all that they will be given.

        Raises
        ------
        DataError
            With the address of the layer and the number of the example.
        """
        check_layers(self, rows)

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """All layers with their addresses, a container before its parts."""
        waiting = [("body", self.body)]
        while waiting:
            address, layer = waiting.pop()
            yield address, layer
            parts = [(f"{address}.{name}", part) for name, part in layer.parts()]
            waiting += reversed(parts)

    def declared(self) -> dict[str, State]:
        """All parameters and states by their addresses, as in ``body.layers.0.W``."""
        return {
            f"{address}.{name}": item
            for address, layer in self.layers()
            for name, item in layer.declared().items()
        }

    def params(self) -> dict[str, Param]:
        """All parameters by their addresses, as in ``body.layers.0.W``."""
        return {name: item for name, item in self.declared().items() if isinstance(item, Param)}

    def __getitem__(self, address: str) -> Layer | State:
        """The layer or parameter at an address, as in ``net["body.layers.2"]``.

        Raises
        ------
        ConfigError
            When nothing is there.
        """
        known: dict[str, Layer | State] = {**dict(self.layers()), **self.declared()}
        if address not in known:
            names = suggestion(str(address), list(known))
            raise ConfigError(f"{address!r}: nothing is there{names}")
        return known[address]

    def gradient(self, x: Any, t: Any, sample_weight: Any = None) -> float:
        """Return the loss of a batch, and leave its gradient in ``arena.grads``.

        Parameters
        ----------
        x, t : arrays
            Examples (N, *shape) and what the loss takes as targets.
        sample_weight : array, optional
            How much each example counts (N,); the loss is the weighted mean.

        Raises
        ------
        ShapeError, DataError
            For examples or targets that don't fit or are not finite.
        DivergenceError
            When the loss is not finite.
        """
        self.check_adapted()
        examples, targets = self.check(x, t)
        if sample_weight is not None:
            shape = self.body.output_shape
            sample_weight = self.loss.check_weights(sample_weight, len(examples), shape)
        with np.errstate(over="ignore", invalid="ignore"):
            loss = mean_loss(*self.backpropagate(self.convert(examples[:]), targets, sample_weight))
        if not np.isfinite(loss):
            raise DivergenceError(f"the loss is {loss}; the parameters or the examples are too big")
        return loss

    def backpropagate(
        self, x: Array, t: Array, sample_weight: Array | None = None
    ) -> tuple[float, float]:
        """Do what `gradient` does, for a batch that has been checked and converted.

        The loss comes as its sum and its weight, of which it is the quotient.
        """
        found = self.loss.forward(self.body.forward(x), t, sample_weight)
        self.body.backward(self.loss.backward())
        return found

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
        self.check_adapted()
        rows = self.check_inputs(x)
        with np.errstate(over="ignore", invalid="ignore"):
            if len(rows) <= CHUNK:
                x = self.convert(rows[:])
                z = self.body.forward(x, train=False)
                if np.may_share_memory(z, x):  # where nothing was done to them
                    z = z.copy()
            else:
                z = np.concatenate(
                    [self.body.forward(chunk, train=False) for chunk in self.chunks(rows)]
                )
        if not np.isfinite(z).all():
            row = int(np.argwhere(~np.isfinite(z))[0, 0])
            raise DivergenceError(
                f"the output for example {row} is not finite: it or the parameters are too big"
            )
        return z

    def check_adapted(self) -> None:
        """Raise a ConfigError if parts that are fitted to the data have not seen any."""
        if not self.adapted:
            raise ConfigError(
                "this network has parts that are fitted to the training data, and has not seen "
                "them yet: train it, or call network.adapt(x)"
            )

    def predict(self, x: Any) -> Array:
        """What the loss calls a prediction, for a classifier the class numbers (N,).

        Raises and may be called as `outputs`.
        """
        return self.loss.predict(self.outputs(x))

    def predict_proba(self, x: Any) -> Array:
        """The probabilities of the classes (N, K). Raises and may be called as `outputs`."""
        return self.loss.predict_proba(self.outputs(x))

    def check(self, x: Any, t: Any) -> tuple[Array | Subset, Array]:
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

    def check_inputs(self, x: Any) -> Array | Subset:
        """Return examples as an array (N, *shape), after looking at all of them."""
        rows = x if isinstance(x, Subset) else _array(x, "examples")
        if rows.shape == self.shape:
            raise ShapeError(f"one example of shape {rows.shape} without a batch axis; try x[None]")
        if rows.shape[1:] != self.shape:
            raise ShapeError(f"examples have shape {rows.shape}; should be {('N', *self.shape)}")
        if not len(rows):
            raise DataError(f"no examples: an array of shape {rows.shape}")
        if rows.dtype.kind not in "biuf":
            raise DataError(f"examples of type {rows.dtype}; should be numbers")
        if rows.dtype.kind == "f":
            for i, chunk in enumerate(self.chunks(rows)):
                if not np.isfinite(chunk).all():
                    row, *rest = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
                    place = (i * CHUNK + row, *rest)
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

    def chunks(self, rows: Array | Subset) -> Iterator[Array]:
        """Examples that have been checked, converted, CHUNK at a time."""
        return map(self.convert, pieces(rows))

    def summary(self, costs: Mapping[str, float] | None = None) -> str:
        """A table of the layers: address, what it is, output shape, parameters, initializer of W.

        Parts of containers are indented.

        Parameters
        ----------
        costs : mapping of str to float, optional
            Seconds by address, from `layerkit.inspection.watch.measure_costs`: two columns more.

        Examples
        --------
        >>> from layerkit.layers.dense import Dense
        >>> from layerkit.graph.sequential import Sequential
        >>> from layerkit.layers.activations.sigmoids import Sigmoid
        >>> from layerkit.losses.classes import SoftmaxCrossEntropy
        >>> body = Sequential([Dense(64), Sigmoid(), Dense(10)])
        >>> print(Network(body, SoftmaxCrossEntropy(), shape=(784,)).summary())
        address        layer            output  parameters  initial W
        body.layers.0  Dense(units=64)  (64,)       50,240  LeCunNormal
        body.layers.1  Sigmoid          (64,)            0
        body.layers.2  Dense(units=10)  (10,)          650  LeCunNormal
        total                                       50,890
        """
        return table(self, costs)

    def save(self, path: str | Path) -> None:
        """Write configuration and parameters to one ``.safetensors`` file, whole or not at all.

        Raises
        ------
        FileError
            When the file can't be written; what was there before is still there.
        """
        write_network(self, Path(path))

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
        >>> from layerkit.layers.dense import Dense
        >>> from layerkit.losses.classes import SoftmaxCrossEntropy
        >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(f"{folder}/model.safetensors")
        ...     same = Network.load(f"{folder}/model.safetensors")
        >>> bool((same.arena.values == net.arena.values).all())
        True
        """
        return read_network(Path(path), cls)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build anew from the options, whose layers carry their numbers: views would be copies."""
        vars(self).update(state)
        self._claim_layers()
        self._build()
        self._take_carried()


def _array(values: Any, what: str) -> Array:
    if np.ma.isMaskedArray(values):
        raise DataError(f"{what} are a masked array; fill what is masked, or leave it out")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} are no array: {error}") from error
