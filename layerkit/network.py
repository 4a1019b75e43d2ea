"""A neural network: a body of layers, a loss, and the memory of the parameters.

x, t, a    examples of a batch, their targets, their sample weights
z          outputs of the body, the logits of a classifier
L          the loss of the batch: the sum of the losses of its examples, divided by their weight
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable, Sizes
from layerkit.data.seen import SeenData
from layerkit.errors import (
    ConfigError,
    DivergenceError,
    FileError,
    at,
    at_examples,
    row_error,
    suggestion,
)
from layerkit.files.mapped import CHUNK, Subset
from layerkit.graph.container import Container
from layerkit.guidance import Refused, not_called
from layerkit.inputs import Inputs
from layerkit.layers.base import Layer
from layerkit.layers.watch import inputs_of
from layerkit.losses.base import Loss, mean_loss
from layerkit.parameters import Arena, Param, State
from layerkit.streams import as_seed, stream
from layerkit.targets import Targets

if TYPE_CHECKING:
    from layerkit.recording.predictor import Predictor


class Network(Configurable):
    """A neural network: a body of layers, the loss that judges it, and the parameters.

    Inputs are arrays (N, *shape) of finite numbers. Arrays of uint8 are images, 0 to 255: they
    are divided by 255, unless they are flags, 0 and 1 alone. All others are taken as they are, in
    the network's dtype.

    Parameters
    ----------
    body : Layer
        Turns examples into outputs; usually a Sequential.
    loss : Loss
        Judges the outputs, and is minimized.
    shape : tuple of int
        The shape of one example, without the batch axis. A configuration file may leave it out: it
        follows from the data.
    dtype : {"float32", "float64"}
        The precision of the parameters and of all arithmetic.

    Attributes
    ----------
    arena : Arena
        All parameters and their gradients, as two vectors.
    seen : SeenData
        The facts about its training data that predictions need, such as the names of the classes.

    Raises
    ------
    ShapeError
        When the layers don't fit, with the address of the first that does not.
    ConfigError
        When a layer object appears twice, or belongs to another network; when the body ends with
        an activation that the loss applies itself, such as Softmax.

    Examples
    --------
    >>> from layerkit import Dense, ReLU, Sequential, SoftmaxCrossEntropy
    >>> body = Sequential([Dense(8), ReLU(), Dense(2)])
    >>> net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
    >>> net.predict(np.ones((5, 3))).shape
    (5,)
    >>> net.predict_proba(np.ones((5, 3))).shape
    (5, 2)
    """

    body: Layer
    loss: Loss
    shape: Sizes
    dtype: Literal["float32", "float64"] = "float32"

    if not TYPE_CHECKING:
        __call__ = not_called
        trainable = Refused()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._claim_layers()
        try:
            self._build()
            self.initialize()
            self._take_carried()
        except BaseException:
            for _, layer in self.layers():
                carried = {"carried": layer.carried} if layer.carried else {}
                state = Configurable.__getstate__(layer) | carried
                vars(layer).clear()
                layer.__setstate__(state)
            raise

    def _claim_layers(self) -> None:
        """Refuse layers that are in use already, here or in another network."""
        addresses: dict[int, str] = {}
        for address, layer in self.layers():
            known = layer.address or addresses.get(id(layer))
            if known:
                raise ConfigError(
                    f"{address}: this {type(layer).__name__} is in use as {known} already; a layer "
                    "has one place and its own parameters: make another, or copy.deepcopy it; a "
                    "slice of a Sequential, such as net.body[:2], has copies. To use its "
                    "parameters twice (siamese, tied), give it both inputs as one array with one "
                    "more axis, (2, features): it works on the last axis"
                )
            addresses[id(layer)] = address

    def _build(self) -> None:
        self.body.wants_dx = False
        self.loss.build(self.body.place(self.shape, address="body"))
        self._check_last_layer()
        for address, layer in self.layers():
            if not layer.address:
                raise ConfigError(f"{address}: not built; its container should call place for it")
        self.arena, self.seen = Arena(self.declared(), self.dtype), SeenData()
        self.inputs = Inputs(self.shape, self.dtype, self.seen, self.body)
        self.targets = Targets(self.loss, self.body.output_shape, self.dtype, self.seen)
        self.fitted = [layer.fitted for _, layer in self.layers() if layer.fitted is not None]

    def _check_last_layer(self) -> None:
        """Refuse an activation at the end of the body that the loss applies itself."""
        address, last = "body", self.body
        while isinstance(last, Container) and (part := last.wiring()["output"][0]) != "input":
            address, last = f"{address}.{part}", dict(last.parts())[part]
        name, loss = type(last).__name__, type(self.loss).__name__
        if name in self.loss.includes:
            raise ConfigError(
                f"{address}: {loss} applies {name} itself, so it would be applied twice: leave "
                "this layer out; predict_proba returns what it would"
            )

    def _take_carried(self) -> None:
        """Give copies of layers the numbers that they had where they were copied."""
        for address, layer in self.layers():
            declared = layer.declared()
            for name, value in layer.carried.items():
                with at(f"{address}.{name}"):
                    narrower = value.dtype.itemsize > np.dtype(self.dtype).itemsize
                    if narrower and layer.adapts and layer.carried["fitted"]:
                        raise ConfigError(
                            f"this {type(layer).__name__} was fitted in {value.dtype}, and the "
                            f"network is {self.dtype}: take a new one"
                        )
                    declared[name].value = value
        for _, layer in self.layers():
            vars(layer).pop("carried", None)

    def initialize(self, seed: int | np.random.Generator = 0) -> Self:
        """Draw all parameters anew, each from its own stream of `seed`, and return the network.

        A stream belongs to an address, so that other layers don't matter to it. Layers with random
        numbers, such as Dropout, have streams too. A Generator draws a seed, another each time.
        What was learned from training data is forgotten, but for the names of the classes. An
        optimizer that has trained the network remembers its steps: take a new one too.
        """
        self.arena.renew()
        vars(self.seen).update(vars(SeenData(classes=self.seen.classes)))
        seed = as_seed(seed)
        for address, item in self.declared().items():
            with at(address):
                item.init.fill_all(item.value, stream(seed, f"weights {address}"))
        for address, layer in self.layers():
            if layer.random:
                layer.rng = stream(seed, f"layer {address}")
        return self

    def adapt(self, x: Any) -> Self:
        """Show training data to the layers that are fitted to them, such as Standardize, and LSUV.

        Training does this by itself. Layers that have seen data already, here or before they were
        copied, are left as they are; `initialize` resets them.

        Raises
        ------
        ShapeError, DataError
            For examples that don't fit or are not finite.
        """
        from layerkit.fitting import adapt

        adapt(self.body, self.inputs, self.arena, self.inputs.check(x))
        return self

    @property
    def adapted(self) -> bool:
        """Whether all layers that are fitted to the data have seen them."""
        return all(state.value for state in self.fitted)

    def check_adapted(self) -> None:
        """Raise a ConfigError if layers that are fitted to the data have not seen any."""
        if self.fitted and not self.adapted:
            raise ConfigError(
                "this network has layers that are fitted to the training data, and has not seen "
                "them yet: train it, or call network.adapt(x)"
            )

    def set_params(self, **params: Any) -> Self:
        """Raise a ConfigError: what is built from its options doesn't change with them."""
        raise ConfigError("a Network is built already: make a new one with other options")

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """All layers, as pairs of address and layer; a container comes before its parts."""
        return self.body.walk("body")

    def declared(self) -> dict[str, State]:
        """All parameters and states by their addresses, such as ``body.layers.0.W``."""
        return {
            f"{address}.{name}": item
            for address, layer in self.layers()
            for name, item in layer.declared().items()
        }

    def params(self) -> dict[str, Param]:
        """All parameters by their addresses, such as ``body.layers.0.W``.

        Predictions need more than these: `declared` also has the means of Standardize and
        BatchNorm, for example.
        """
        return {name: item for name, item in self.declared().items() if isinstance(item, Param)}

    def __getitem__(self, address: str) -> Layer | State:
        """The layer or parameter at an address, such as ``net["body.layers.2"]``.

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
        """Return the loss L of a batch, and leave its gradient in ``arena.grads``.

        Parameters
        ----------
        x, t : arrays
            Examples (N, *shape) and targets, as the loss takes them.
        sample_weight : array, optional
            How much each example counts (N,), or each position or target; the loss is the weighted
            mean.

        Raises
        ------
        ShapeError, DataError
            For examples or targets that don't fit or are not finite.
        DivergenceError
            When the loss is not finite.
        """
        self.check_adapted()
        examples, targets, weights = self.check(x, t, sample_weight)
        with np.errstate(over="ignore", invalid="ignore"):
            x, t = self.inputs.convert(examples[:]), self.targets.convert(targets)
            loss = mean_loss(*self.backpropagate(x, t, weights))
        if not np.isfinite(loss):
            raise DivergenceError(f"the loss is {loss}; the parameters or the examples are too big")
        return loss

    def backpropagate(
        self, x: Array, t: Array, sample_weight: Array | None = None, *, mean: bool = True
    ) -> tuple[float, float]:
        """Leave the gradient of L in the arena, for a batch that was checked and converted.

        Return the sum of the losses and the weight: L is their quotient. With ``mean=False`` it is
        the gradient of the sum.
        """
        sums = self.loss.forward(self.body.forward(x), t, sample_weight)
        self.body.backward(self.loss.backward(mean=mean))
        return sums

    def input_gradient(self, x: Any, t: Any = None, *, output: Any = None) -> Array:
        """Return the derivative of each example's loss, or of one output, with respect to x.

        The saliency of each number of an example: dx (N, *shape), for the network as it predicts.
        For bytes it is the derivative with respect to x / 255. Parameters and their gradients are
        left as they are. Not while the network is in use by another thread. The loss of an example
        with several positions is their sum.

        Parameters
        ----------
        x : array
            Examples (N, *shape).
        t : array, optional
            Their targets: then it is the derivative of each example's own loss.
        output : int or tuple of int, optional
            Which output of the body: then it is the derivative of that.

        Raises
        ------
        ConfigError
            Unless one of `t` and `output` is given, and there is such an output.
        ShapeError, DataError
            For examples or targets that don't fit or are not finite.
        DivergenceError
            When the result is not finite.

        Examples
        --------
        >>> from layerkit import Dense, SoftmaxCrossEntropy
        >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
        >>> net["body.W"].value = [[1, 0], [2, 0], [0, 3]]
        >>> net.input_gradient(np.ones((1, 3)), output=0)
        array([[1., 2., 0.]], dtype=float32)
        >>> net.input_gradient(np.ones((1, 3)), [1]).round(2)
        array([[ 0.5,  1. , -1.5]], dtype=float32)
        """
        self.check_adapted()
        if (t is None) == (output is None):
            raise ConfigError("input_gradient: give targets t, or output, the number of one")
        targets = weights = None
        if t is None:
            rows, index = self.inputs.check(x), self._output_index(output)
        else:
            rows, targets, weights = self.check(x, t)
        kept, found = self.arena.grads.copy(), list[Array]()
        self.body.want_dx(True)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                for i, chunk in enumerate(self.inputs.chunks(rows)):
                    z = self.body.forward(chunk, train=False)
                    if targets is None:
                        dz = np.zeros_like(z)
                        dz[index] = self.targets.factor[index[-1]]
                    else:
                        part = slice(i * CHUNK, i * CHUNK + len(z))
                        self.loss.losses(z, self.targets.convert(targets[part]))
                        dz = self.loss.gradients()
                        if weights is not None:  # of targets that are missing
                            dz = dz * weights[part].astype(dz.dtype)
                    found.append(self.body.backward(dz).copy())
        finally:
            self.body.want_dx(False)
            self.arena.grads = kept
        return _finite(np.concatenate(found), "derivative")

    def _output_index(self, output: Any) -> Any:
        """The index of one output in a batch of them."""
        shape = self.body.output_shape
        index: tuple[Any, ...] = output if isinstance(output, tuple) else (output,)
        whole = all(type(i) is int or isinstance(i, np.integer) for i in index)
        if (
            not whole
            or len(index) != len(shape)
            or not all(-n <= i < n for i, n in zip(index, shape, strict=True))
        ):
            raise ConfigError(f"output = {output!r}: the body's outputs have the shape {shape}")
        return (slice(None), *index)

    def outputs(self, x: Any, of: str = "body") -> Array:
        """Return the outputs of the body, for a classifier the logits (N, K); or of an inner layer.

        Where targets are standardized, those of the body are in the units of the targets. Several
        threads may ask for them at once, but not while the network is being trained. Those of an
        inner layer are for one thread at a time.

        Parameters
        ----------
        x : array
            Examples (N, *shape).
        of : str
            The address of a layer, such as ``"body.layers.3"``: the encoder of an autoencoder, or
            the activations of a hidden layer.

        Raises
        ------
        ConfigError
            When no layer is at the address.
        ShapeError, DataError
            For examples that don't fit or are not finite.
        DivergenceError
            When the result is not finite.

        Examples
        --------
        >>> from layerkit import Dense, ReLU, Sequential, SoftmaxCrossEntropy
        >>> body = Sequential([Dense(8), ReLU(), Dense(2)])
        >>> net = Network(body, SoftmaxCrossEntropy(), shape=(3,))
        >>> net.outputs(np.ones((5, 3)), of="body.layers.1").shape
        (5, 8)
        """
        self.check_adapted()
        rows, forward = self.inputs.check(x), self.body.forward
        if of != "body":
            forward = self._forward_of(of)
        with np.errstate(over="ignore", invalid="ignore"):
            found = list[Array]()
            for i, chunk in enumerate(self.inputs.chunks(rows)):
                with at_examples(i * CHUNK, len(chunk)):
                    found.append(forward(chunk, train=False))
            z = np.concatenate(found)
            return _finite(self.targets.restore(z) if of == "body" else z, "output")

    def _forward_of(self, address: str) -> Any:
        """Return a function that computes an inner layer's outputs from examples."""
        layer = self[address]
        if not isinstance(layer, Layer):
            raise ConfigError(f"{address!r} is a parameter; should be the address of a layer")

        def forward(x: Array, train: bool) -> Array:
            return layer.forward(*inputs_of(layer, self.body, x), train=train)

        return forward

    def predict(self, x: Any) -> Array:
        """Return predictions, as the loss defines them.

        For a classifier the classes (N,): by their names, if it was trained with names, else by
        number. For a regression numbers in the units of the targets: (N,) for one output, (N, D)
        for several. Errors and threads are as with `outputs`.
        """
        return self.targets.predicted(self.outputs(x))

    def predict_proba(self, x: Any) -> Array:
        """Return the probabilities of the classes (N, K), K = 2 for one output: no and yes.

        For labels that don't exclude each other, the probability of each (N, D). Errors and threads
        are as with `outputs`.
        """
        p = self.loss.predict_proba(self.outputs(x))
        return np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p

    def to_python(self, path: str | Path, weights: Literal["inside", "beside"] = "inside") -> None:
        """Write a Python module with `predict` and `predict_proba`, which needs NumPy alone.

        They take what those of the network take and return the same, to the last bit; with
        classes by their names. GELU and layers of your own may need functions of scipy.special
        besides.

        Parameters
        ----------
        path : str or Path
            The file of the module, such as ``"model.py"``.
        weights : {"inside", "beside"}
            Whether the parameters are in the module, or in an ``.npz`` file of its name beside it.

        Raises
        ------
        RecordingError
            For a network that can't be recorded, before anything is written.
        FileError
            For a path that isn't a module's, or can't be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from layerkit import Dense, SoftmaxCrossEntropy
        >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.to_python(f"{folder}/model.py")
        ...     lines = Path(f"{folder}/model.py").read_text().splitlines()
        >>> [line for line in lines if line.startswith("def predict")]
        ['def predict(x):', 'def predict_proba(x):']
        """
        from layerkit.recording.module import write_module

        write_module(self, path, weights)

    def predictor(self) -> Predictor:
        """Return a function that predicts the same for single examples in less time."""
        from layerkit.recording.predictor import Predictor

        return Predictor(self)

    @property
    def classes(self) -> list[str] | list[bool] | None:
        """The names of the classes by class number, None for the numbers themselves.

        Learned by `fit` from labels that are strings or truth values.
        """
        return self.seen.classes

    @classes.setter
    def classes(self, names: Sequence[str] | Sequence[bool] | None) -> None:
        self.targets.name(names)

    def check(
        self,
        x: Any,
        t: Any,
        sample_weight: Any = None,
        *,
        learn: bool = False,
        standardize: bool = False,
    ) -> tuple[Array | Subset, Array, Array | None]:
        """Return examples, targets and weights as arrays, after looking at all of them.

        With `learn`, they are training data, and `seen` keeps what predictions need of them.
        """
        if standardize and self.seen.pixels is not None and self.seen.scale is None:
            raise ConfigError(
                "standardize_targets: this network has learned its targets as they are; "
                "network.initialize(seed) forgets them, with its weights"
            )
        rows = self.inputs.check(x, learn=learn)
        return rows, *self.targets.check(
            t, len(rows), sample_weight, learn=learn, standardize=standardize
        )

    def summary(self) -> str:
        """A table of the layers: address, layer, output shape, parameters, initializer of W.

        Parts of containers are indented.

        Examples
        --------
        >>> from layerkit import Dense, Sequential, Sigmoid, SoftmaxCrossEntropy
        >>> body = Sequential([Dense(64), Sigmoid(), Dense(10)])
        >>> print(Network(body, SoftmaxCrossEntropy(), shape=(784,)).summary())
        address        layer            output  parameters  initial W
        body.layers.0  Dense(units=64)  (64,)       50,240  LeCunNormal
        body.layers.1  Sigmoid          (64,)            0
        body.layers.2  Dense(units=10)  (10,)          650  LeCunNormal
        total                                       50,890
        """
        from layerkit.inspection.summary import table

        return table(self.body)

    def _repr_html_(self) -> str:
        from layerkit.inspection.drawing import html

        return html(self)

    def save(self, path: str | Path, **more: str) -> None:
        """Write configuration and parameters to one ``.safetensors`` file, whole or not at all.

        `more` are further entries of the file's metadata.

        Raises
        ------
        FileError
            When the file can't be written; what was there before is still there.
        """
        from layerkit.config.tables import to_config
        from layerkit.files.networks import write_network

        tensors = {address: item.value for address, item in self.declared().items()}
        write_network(path, to_config(self), asdict(self.seen), tensors, **more)

    def to_onnx(self, path: str | Path, outputs: Sequence[str] = ("outputs",)) -> None:
        """Write the network as an ONNX model, for other languages and runtimes: to predict only.

        Layers become ONNX's own operators, or functions of operators that do the same; your own
        layers, too. It takes what the network takes: bytes if it was trained with bytes, raw
        numbers before Standardize. Values have addresses as names. Needs the extra ``onnx``.

        Parameters
        ----------
        path : str or Path
            Ends in ``.onnx``.
        outputs : list of str
            One or more of ``"outputs"``, what `outputs` returns; ``"probabilities"``, what
            `predict_proba` returns; and what `predict` returns: ``"labels"`` of a classifier, the
            classes by their names, if it has names, or else ``"predictions"``.

        Raises
        ------
        ConfigError
            For outputs that the network doesn't have.
        RecordingError
            For a layer that decides by values, or an operation of NumPy that ONNX doesn't have,
            with the line.
        FileError
            When the file can't be written; what was there before is still there.
        """
        from layerkit.recording.onnx.model import write_onnx

        write_onnx(self, path, outputs)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote. It runs no code: your own layers are imported before.

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
        >>> float(abs(same.arena.values - net.arena.values).max())
        0.0
        """
        from layerkit.files.networks import SEEN_KEY, read_network

        network, seen, tensors = read_network(path, cls)
        for address, item in network.declared().items():
            item.value = tensors[address]
        try:
            network.targets.see(seen)
        except (ConfigError, TypeError) as error:
            raise FileError(f"{path}: {SEEN_KEY} is damaged: {error}") from error
        return network

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"seen": asdict(self.seen)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build anew from the options, whose layers carry their numbers: views would be copies."""
        vars(self).update(state)
        self._claim_layers()
        self._build()
        self._take_carried()
        self.targets.see(state["seen"])


def _finite(values: Array, what: str) -> Array:
    """Return what was computed for each example; DivergenceError if it is not finite."""
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        reason = " is not finite: it or the parameters are too big"
        raise row_error(f"the {what} for ", (row,), reason, "x", DivergenceError)
    return values
