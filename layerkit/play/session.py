"""Sessions of the playground: a network that a page trains and looks at, by messages.

A message is an object of JSON, ``{"do": NAME, …}``; so is the reply. A reply to what is refused is
``{"error": SENTENCE, "where": PLACE}``, and nothing has changed then. Any reply may have
``"notes": [SENTENCE, …]``, warnings. Where a library is not installed, the error has ``"missing":
MODULE``; a page without a server loads it, and asks again. An array is ``{"shape": [50, 50],
"dtype": "float32", "data": BASE64}``, little endian, of float32, uint8 or int32; a number that is
not finite is null.

STATE is a configuration file as JSON: the tables "data", "network", "optimizer" and "training",
with the names and rules of TOML files. ``network.shape`` may be left out. Callbacks, checkpoints
and folds are of no use here, and are left out, with a note; so is a warm start whose weights are
not there, or don't fit. The training may go on after its last epoch.

``{"do": "catalogue"}``
    ``{"layers": {NAME: PART}, "losses": …, "optimizers": …, "schedules": …, "initializers": …,
    "data": {NAME: STATE}, "start": STATE}``. PART is ``{"group", "says", "options": [OPTION]}``;
    OPTION is ``{"name", "required", "says"}`` and what the JSON Schema says of it: "type", "enum",
    "minimum", "exclusiveMaximum", …, "default"; ``"optional": true`` where null is allowed;
    ``"of": CLASS`` where it is an object, such as an Initializer; "anyOf" where it may be one of
    several kinds. "start" is the state to begin with.
``{"do": "new", "state": STATE}``
    Builds all anew. ``{"state": STATE, "data": DATA, "layers": [LAYER], "frame": FRAME}``.
    DATA is ``{"name", "says", "kind": "plane"|"curve"|"images"|"table", "target", "classes",
    "targets", "features", "numbers": [columns that a map can be over], "columns": those of the map,
    "bounds": [[low, high], …] of these, "range": [low, high] of targets that are numbers, "image":
    [height, width], "bytes": whether x are, "train": POINTS, "test": POINTS, "validation": POINTS
    if there are any}``. POINTS is ``{"x": array (N, columns), "t": array (N,), "size"}``: at most
    2,000 of them; of images, and where no columns are chosen, 100 whole examples. Of several
    targets, t, maps and predictions are of the first.
    LAYER is ``{"address", "type", "says", "output": shape, "parameters", "reads": [addresses of
    layers, or "input"]}``; a Table has the names of its "features" too.
    With ``"keep": true`` the training goes on where it is if only the optimizer and the loss are
    others, and nothing has diverged; the reply is then without "data".
``{"do": "train", "steps": 10, "frame": true}``
    Trains for so many steps, batches, across the ends of epochs. ``{"frame": FRAME}``; with
    ``"frame": false`` only ``{"step", "epoch", "diverged"}``.
``{"do": "epoch"}``
    Trains to the end of the epoch. ``{"frame": FRAME}``.
``{"do": "reset"}``
    Back to the initial weights, those of the same seed. ``{"frame": FRAME}``.
``{"do": "frame"}``
    ``{"frame": FRAME}``. With ``"example": i`` it is that training example whose activations are
    shown from now on. With ``"columns": [i, j]`` the map is over these columns of a table from now
    on, the others at their medians, and the reply has "data" too; with [] there is none, and
    activations are shown. At first it is over the first two columns with numbers.

FRAME is ``{"step", "epoch": epochs that are complete, "batch", "batches", "epochs": as planned,
"lr": of the next step, "train_loss",
"test_loss", "train_accuracy", "test_accuracy", …, "map": MAP, "neurons": {ADDRESS: NEURONS},
"weights": {ADDRESS: array}, "example", "diverged": null or {"says", "address": of the layer or
parameter with the first value that is not finite, or "loss", "kind"}}``.
Losses and metrics are over at most 2,000 examples of each set.
MAP is null for images, and where no columns are chosen. Of classes in the plane it is ``{"winner":
uint8 (50, 50), "probability": float32 (50, 50)}``, of numbers ``{"values": float32 (50, 50)}``, row
0 at the top; of one column they are (100,).
NEURONS is ``{"values": uint8 (units, 50, 50) or (units, 100), "low": [numbers], "high": [numbers],
"units"}``: 0 is the low of its unit, 255 the high; at most 64 units are sent, "units" says how
many there are. Where there is no map it is ``{"activations": float32 of the layer's shape}``.
ADDRESS of weights is that of the parameter, such as "body.layers.0.W"; large ones are left out.

``{"do": "csv", "name": "flats.csv", "text": TEXT, "encoding": "cp1252", "target": COLUMN}``
    Begins with a table of one's own: a network that suits it, to predict the target, by default
    the column "target", "label", "class" or "y", or else the last one. What "new" replies, and
    ``{"columns": [names], "target": COLUMN, "told": what is learned from, in lines}``.
    ``data.path`` is then that name, here alone. The text comes from a file in the encoding, by
    default UTF-8.
``{"do": "predict", "x": [numbers]}``
    ``{"prediction": class name or number, "probabilities": [numbers] of classes, "outputs",
    "activations": {ADDRESS: array}}``. The pixels of images are from 0 to 1.
``{"do": "inspect", "address": "body.layers.0"}``
    What this layer, "loss" or "optimizer" does in the next step, or after a divergence in the step
    that failed; with ``"example": i`` for that training example alone. ``{"address", "outline":
    [{"phase", "address", "layer", "finite"}] of all steps in order, "steps": [STEP] of this part,
    "arrays": [array with "sent", the shape of what of it is sent, "statistics" of its finite
    numbers, "lost", how many others there are, and "whole"],
    "sources": [{"title", "lines"}], "class": {"name", "source"}}``.
    STEP is ``{"phase", "address", "layer", "formula", "given": {NAME: number of the array}, "made",
    "code": number of the source, "moments": [{"reads", "writes", "source", "lines": [start,
    stop]}]}``: its statements. A layer has the update of its parameters as its last step.
``{"do": "source", "class": "ReLU"}``
    ``{"class", "source", "original": that of layerkit's own class, or null}``.
``{"do": "edit", "class": "ReLU", "source": "class ReLU(Rectifier): …"}``
    The class has this source in this session from now on, and the training goes on with it from
    its present parameters. Without "class", it is one of one's own. ``{"class", "used":
    [ADDRESS], "check": [{"law", "ok": true, false or null, "says"}], the table of `check_layer` or
    its sisters, "says": what begins anew, "state", "layers", "frame"}``. STATE then has
    ``"code": {CLASS: SOURCE}``.
``{"do": "revert", "class": "ReLU"}``
    The class is layerkit's own again. ``{"class", "says", "state", "layers", "frame"}``.
``{"do": "home"}``
    ``{"files": [{"name", "text" or "base64"}], "runs": {NAME: COMMAND}, "note": what is not
    possible}``: the experiment as a configuration file, Python and unrolled NumPy.
"""

from __future__ import annotations

import copy
import math
import re
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.config.options import Configurable
from layerkit.data.datasets import kind_of
from layerkit.data.examples import Dataset
from layerkit.data.tables import table_of
from layerkit.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    FileError,
    LayerkitError,
    LayerkitWarning,
    listed,
    suggestion,
)
from layerkit.layers.table import Table
from layerkit.network import Network
from layerkit.play.catalogue import State, catalogue, state_for
from layerkit.play.edit import Code, carried, edit, explaining, read_source, revert
from layerkit.play.inspect import look_inside
from layerkit.play.maps import (
    MOST_POINTS,
    View,
    activations_of,
    first_examples,
    look,
    map_of,
    probabilities,
    reads,
)
from layerkit.play.own_tables import columns_of, state_for_table
from layerkit.play.takehome import home
from layerkit.play.wire import number, packed
from layerkit.progress import Progress
from layerkit.runs.experiment import Experiment, make_experiment
from layerkit.training.evaluation import measure_sets, metric_names
from layerkit.training.trainer import Trainer

Message = dict[str, Any]
Reply = dict[str, Any]

MOST_STEPS = 100_000
"""At most so many steps are trained by one message."""
MOST_WEIGHTS = 20_000
"""Parameters with more numbers are not sent with a frame."""
LAYER = re.compile(r"\bbody(\.[a-z_]+\.\d+)*")
"""The address of a layer in a sentence."""
COMPILING = ("new", "csv", "source", "edit", "revert", "home")
"""Messages that compile edited classes, while the registry has layerkit's own."""
TOO_DEEP = (
    "a message has tables or lists inside each other, deeper than Python's recursion limit of "
    f"{sys.getrecursionlimit():,} has room for"
)
LEFT_OUT = ("callbacks", "checkpoints", "folds")
"""Options of a training that are of no use here."""


class _Pause(Callback):
    """Leaves the training, to be continued, once `goal` steps are done."""

    goal = 0

    def batch_end(self, progress: Progress) -> None:
        if progress.step >= self.goal:
            progress.pause("a frame is shown")


class Session:
    """A session: the experiment of a page, and how far its training is.

    Parameters
    ----------
    start : dict, optional
        The state that the page begins with.
    data_dir : str or Path, optional
        The folder with the files of MNIST.

    Attributes
    ----------
    state : dict
        The configuration, completed.
    experiment : Experiment
    trainer : Trainer
    view : View
        What the maps are of.
    diverged : dict or None
        The sentence about the first value that is not finite, and where it is.

    Examples
    --------
    >>> session = Session()
    >>> state = session.handle({"do": "catalogue"})["data"]["moons"]
    >>> reply = session.handle({"do": "new", "state": state})
    >>> [layer["type"] for layer in reply["layers"]]
    ['Dense', 'Tanh', 'Dense', 'Tanh', 'Dense']
    >>> frame = session.handle({"do": "train", "steps": 100})["frame"]
    >>> frame["step"], frame["test_accuracy"] > 0.8
    (100, True)
    >>> session.handle({"do": "train", "steps": 0})["error"]
    'steps = 0: should be a whole number from 1 to 100,000'
    """

    dataset: Dataset
    trainer: Trainer
    view: View

    def __init__(self, start: State | None = None, data_dir: str | Path | None = None) -> None:
        self.data_dir = data_dir
        self.start = start or state_for("circles")
        self.experiment: Experiment | None = None
        self.diverged: dict[str, Any] | None = None
        self.example, self.code = 0, Code()
        self.pools: Any = None
        self.folder: Path | None = None
        self.does: dict[str, Callable[[Message], Reply]] = {
            "catalogue": self._catalogue,
            "new": self._new,
            "train": self._train,
            "epoch": self._epoch,
            "reset": self._reset,
            "frame": self._frame,
            "csv": self._csv,
            "predict": self._predict,
            "inspect": partial(look_inside, self),
            "source": partial(read_source, self),
            "edit": partial(edit, self),
            "revert": partial(revert, self),
            "home": partial(home, self),
        }

    def handle(self, message: Message) -> Reply:
        """Return the reply to a message; never raises."""
        notes: list[str] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                reply = self._do(message)
            notes = [str(w.message) for w in caught if issubclass(w.category, LayerkitWarning)]
        except LayerkitError as error:
            known = str(error).startswith(error.place)
            sentence = str(error) if known else f"{error.place}: {error}"
            layer = LAYER.search(sentence)
            reply = {"error": sentence, "where": layer[0] if layer else error.place}
        except ModuleNotFoundError as error:
            reply = {"error": str(error), "where": "", "missing": error.name}
        except RecursionError:  # that of edited code is told with its line
            reply = {"error": TOO_DEEP, "where": ""}
        except MemoryError as error:
            reply = {"error": f"not enough memory: {error}", "where": ""}
        except Exception as error:  # of a part of one's own, or a fault of ours
            traceback.print_exc(file=sys.stderr)
            reply = {"error": f"{type(error).__name__}: {error}", "where": ""}
        if notes:
            reply["notes"] = reply.get("notes", []) + notes
        if self.folder:
            reply = _without(f"{self.folder.as_posix()}/", reply)
        return reply

    def _do(self, message: Message) -> Reply:
        if not isinstance(message, dict) or not isinstance(message.get("do"), str):
            raise ConfigError('a message should be an object such as {"do": "frame"}')
        name = message["do"]
        if name not in self.does:
            raise ConfigError(f"do = {name!r}: unknown{suggestion(name, list(self.does))}")
        if self.experiment is None and name not in ("catalogue", "new", "csv"):
            raise ConfigError(f'{name}: there is no network yet; begin with {{"do": "new"}}')
        from threadpoolctl import ThreadpoolController

        if self.pools is None:  # finding them takes a while
            self.pools = ThreadpoolController()
        threads = self.experiment.training.threads if self.experiment else 1
        known = nullcontext() if name in COMPILING else self.code.known()
        with self.pools.limit(limits=threads, user_api="blas"), known, explaining():
            return self.does[name](message)

    @property
    def network(self) -> Network:
        """The network that is trained."""
        assert self.experiment
        return self.experiment.network

    def _catalogue(self, message: Message) -> Reply:
        return {**catalogue(), "start": self.start}

    def _csv(self, message: Message) -> Reply:
        name, text, target = (message.get(key) for key in ("name", "text", "target"))
        encoding = message.get("encoding") or "utf-8"
        if not (isinstance(name, str) and isinstance(text, str)):
            raise ConfigError('csv: "name" and "text" should be strings')
        if not isinstance(target, str | None):
            raise ConfigError(f"target = {target!r}: should be the name of a column")
        if kind_of(name) != ".csv":
            raise FileError(f"{name}: should be a table as text: .csv or .tsv")
        path = self.place(name)
        before = path.read_bytes() if path.exists() else None
        try:
            path.write_bytes(text.encode(encoding))
        except (LookupError, TypeError, UnicodeError) as error:
            raise FileError(f"{name}: is not text in {encoding}") from error
        try:
            columns = columns_of(path, encoding)
            state, told = state_for_table(path, columns, target, encoding)
            reply = self._new({"state": state})
            return {**reply, "columns": columns, "target": state["data"]["label"], "told": told}
        except LayerkitError:
            path.unlink()
            if before is not None:
                path.write_bytes(before)
            raise

    def place(self, name: str) -> Path:
        """Return where the file of a table is that was dropped on the page."""
        if self.folder is None:
            self.folder = Path(mkdtemp(prefix="layerkit-play-"))
            weakref.finalize(self, rmtree, self.folder, ignore_errors=True)
        return self.folder / Path(name.replace("\\", "/")).name

    def _new(self, message: Message) -> Reply:
        given = message.get("state")
        if not isinstance(given, dict):
            raise ConfigError('new: "state" is missing; should be an object with "network" …')
        state, notes = copy.deepcopy(given), list[str]()
        training = state.get("training")
        for option in LEFT_OUT:
            if isinstance(training, dict) and training.pop(option, None):
                notes.append(f"training.{option} is left out in the playground")
        code = Code(state.pop("code", {}))
        experiment, dataset, trainer, pause = self.built(state, code)
        kept = message.get("keep") is True and self._may_keep(state, code)
        if kept:
            carried(self.trainer, trainer)
            dataset, view = self.dataset, self.view
        else:
            view = View(dataset, table_of(experiment.network.body))
            self.example = 0
        self.state = state | ({"code": code.sources} if code.sources else {})
        self.experiment, self.dataset, self.code = experiment, dataset, code
        self.view, self.trainer, self.pause = view, trainer, pause
        self.diverged = None
        if not kept and (start := experiment.training.warm_start):
            notes.append(f"The network begins with the trained weights of {start}")
        reply = {"state": self.state, "layers": self.layers()}
        reply |= {} if kept else {"data": view.describe()}
        return {**reply, "frame": self.frame(), **({"notes": notes} if notes else {})}

    def _may_keep(self, state: State, code: Code) -> bool:
        """Whether only the optimizer and the loss are others in a state."""
        if self.experiment is None or self.diverged or code.sources != self.code.sources:
            return False
        here, there = copy.deepcopy(self.state), copy.deepcopy(state)
        for each in (here, there):
            del each["optimizer"], each["network"]["loss"]
            each.pop("code", None)
        return here == there

    def made(self, state: State) -> Experiment:
        """Return the experiment of a state, and complete that, with the name of a dropped table."""
        data = state.get("data")
        name = data.get("path") if isinstance(data, dict) else None
        if not isinstance(name, str) or not self.folder or not self.place(name).is_file():
            if isinstance(name, str) and kind_of(name) == ".csv" and not Path(name).exists():
                raise FileError(f"{name}: this table is not here; drop it on the page to go on")
            return make_experiment(state)
        state["data"]["path"] = str(self.place(name))
        experiment = make_experiment(state)
        state["data"]["path"] = name
        return experiment

    def built(
        self, state: State, code: Code, dataset: Dataset | None = None
    ) -> tuple[Experiment, Dataset, Trainer, _Pause]:
        """Return the experiment of a state with edited classes, and a trainer for its data.

        A warm start that is not possible, such as that of a layer which now has more units, is
        taken out of the state.
        """
        with code.known():
            experiment = self.made(state)
            dataset = dataset or experiment.load_data(self.data_dir)
            try:
                return experiment, dataset, *self._prepared(experiment, dataset)
            except LayerkitError as error:
                if experiment.training.warm_start is None:
                    raise
                start, why = state["training"].pop("warm_start"), str(error)
            found = self.built(state, code, dataset)
        why = why.removeprefix(f"training.warm_start = {start!r}: ")
        text = f"The weights of {start} are left out, and the network begins anew: {why}"
        warnings.warn(text, LayerkitWarning, stacklevel=2)
        return found

    def _prepared(self, experiment: Experiment, dataset: Any) -> tuple[Trainer, _Pause]:
        """Return a trainer before its first step, and what pauses it."""
        pause = _Pause()
        trainer = experiment.prepare(dataset, [pause])
        trainer.measure = dict  # a frame is measured instead of an epoch
        trainer.progress.epochs = sys.maxsize  # one may train on
        return trainer, pause

    def parts(self) -> dict[str, Configurable]:
        """Return all parts by address: the layers, the loss and the optimizer."""
        others = {"loss": self.network.loss, "optimizer": self.trainer.optimizer}
        return dict(self.network.layers()) | others

    def layers(self) -> list[dict[str, Any]]:
        """The layers that are no containers: what they read, and the shapes of their outputs."""
        read = reads(self.network.body)
        return [
            {
                "address": address,
                "type": type(layer).__name__,
                "says": (type(layer).__doc__ or "").partition("\n")[0],
                "output": list(layer.output_shape),
                "parameters": sum(p.value.size for p in layer.params().values()),
                "reads": read[address],
                **({"features": layer.features} if isinstance(layer, Table) else {}),
            }
            for address, layer in self.network.layers()
            if not any(layer.parts())
        ]

    def _train(self, message: Message) -> Reply:
        steps = message.get("steps", 1)
        if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
            raise ConfigError(f"steps = {steps!r}: should be a whole number from 1 to 100,000")
        self.advance(steps)
        if message.get("frame", True):
            return {"frame": self.frame()}
        progress = self.trainer.progress
        return {"step": progress.step, "epoch": len(progress.records), "diverged": self.diverged}

    def _epoch(self, message: Message) -> Reply:
        progress = self.trainer.progress
        assert progress.batches
        self.advance(progress.batches - progress.batch)
        return {"frame": self.frame()}

    def _reset(self, message: Message) -> Reply:
        assert self.experiment
        self.trainer, self.pause = self._prepared(self.experiment, self.dataset)
        self.diverged = None
        return {"frame": self.frame()}

    def _frame(self, message: Message) -> Reply:
        reply, examples = {}, len(self.dataset.train)
        example = message.get("example", self.example)
        if type(example) is not int or not 0 <= example < examples:
            raise ConfigError(f"example = {example!r}: should be from 0 to {examples - 1}")
        if "columns" in message:
            columns = self._columns(message["columns"])
            self.view = View(self.dataset, table_of(self.network.body), columns)
            reply["data"] = self.view.describe()
        self.example = example
        return {**reply, "frame": self.frame()}

    def _columns(self, columns: Any) -> list[int]:
        """Return the columns of a map from a message."""
        if self.view.kind != "table":
            raise ConfigError(f"columns = {columns!r}: only for tables of three columns or more")
        numbers = self.view.numbers
        known = isinstance(columns, list) and all(type(i) is int for i in columns)
        if not known or len({*columns} & {*numbers}) != len(columns) or len(columns) > 2:
            raise ConfigError(
                f"columns = {columns!r}: should be one or two columns with numbers, of "
                f"{listed(map(str, numbers))}; or []"
            )
        return list(columns)

    def advance(self, steps: int) -> None:
        """Train for so many steps, unless a value was not finite, then or before."""
        if self.diverged:
            return
        assert self.experiment
        progress = self.trainer.progress
        self.pause.goal = progress.step + steps
        try:
            for _ in self.trainer:
                pass
        except DivergenceError as error:
            self.diverged = {"says": f"{error.place}: {error}", "address": None, "kind": None}
            if progress.failed and (first := progress.failed.replay().watch.first):
                self.diverged |= {"address": first.address or "loss", "kind": first.kind}
        finally:
            progress.paused = None

    def frame(self) -> dict[str, Any]:
        """Return all that the page draws after a step."""
        progress, network, experiment = self.trainer.progress, self.network, self.experiment
        assert experiment
        drawn = None
        if self.view.columns:
            drawn, neurons = map_of(network, self.view)
        else:
            neurons = activations_of(network, first_examples(self.dataset.train)[[self.example]])
        return {
            "step": progress.step,
            "epoch": len(progress.records),
            "batch": progress.batch,
            "batches": progress.batches,
            "epochs": experiment.training.epochs,
            "lr": self._rate(),
            **self._measured(),
            "map": drawn,
            "neurons": neurons,
            "weights": {
                address: packed(param.value)
                for address, param in network.params().items()
                if param.value.size <= MOST_WEIGHTS
            },
            "example": self.example,
            "diverged": self.diverged,
        }

    def _rate(self) -> float | None:
        """The learning rate of the next step."""
        optimizer: Any = self.trainer.optimizer
        schedule, rate = optimizer.schedules.get("lr"), getattr(optimizer, "lr", None)
        return rate * schedule(self.trainer.progress.step, optimizer.steps) if schedule else rate

    def _measured(self) -> dict[str, float | None]:
        assert self.experiment
        sources = {}
        for name, source in self.experiment.sources.items():
            sources[name] = copy.copy(source)
            sources[name].x, sources[name].t = source.x[:MOST_POINTS], source.t[:MOST_POINTS]
            sources[name].a = None if source.a is None else source.a[:MOST_POINTS]
        metrics = self.experiment.training.metrics
        try:
            found = measure_sets(self.network, sources, metrics, self.network.targets.names)
        except DivergenceError:  # a step will say where
            names = metric_names(self.network, sources, metrics)
            found = dict.fromkeys(names, math.nan)
        return {name: number(value) for name, value in found.items()}

    def _predict(self, message: Message) -> Reply:
        x = self._example(message.get("x"))
        z, found = look(self.network, x)
        reply: Reply = {"outputs": [number(value) for value in z.ravel()]}
        if self.network.loss.judges_classes:
            p = probabilities(self.network, z)[0]
            reply["probabilities"] = [number(value) for value in p.ravel()]
        prediction = self.network.targets.predicted(z).ravel()[0]
        reply["prediction"] = prediction.item() if hasattr(prediction, "item") else prediction
        return {**reply, "activations": {address: packed(y[0]) for address, y in found.items()}}

    def _example(self, given: Any) -> Array:
        """Return one example from a message as the network takes it (1, features)."""
        (features,) = self.network.shape
        try:
            x = np.array(given, float)
        except (TypeError, ValueError) as error:
            raise DataError(f"x = {given!r}: should be a list of {features} numbers") from error
        if x.shape != (features,) or not np.isfinite(x).all():
            raise DataError(f"x = {given!r}: should be a list of {features} finite numbers")
        if self.view.dataset.train.x.dtype == np.uint8:
            return np.round(255 * np.clip(x, 0, 1)).astype(np.uint8)[None]
        return x[None]


def _without(folder: str, value: Any) -> Any:
    """Return a reply in which the files of a folder have their names alone."""
    if isinstance(value, dict):
        return {name: _without(folder, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(folder, inner) for inner in value]
    return value.replace(folder, "") if isinstance(value, str) else value
