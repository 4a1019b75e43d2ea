"""Sessions of the playground: a network that a page trains and looks at, by messages.

The package `layerkit.play` says what they are.
"""

from __future__ import annotations

import copy
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from layerkit.callbacks.base import Callback
from layerkit.config.options import Configurable
from layerkit.config.tables import from_config
from layerkit.data.datasets import kind_of
from layerkit.data.examples import Dataset
from layerkit.data.tables import table_of
from layerkit.errors import (
    ConfigError,
    DivergenceError,
    FileError,
    LayerkitError,
    LayerkitWarning,
    suggestion,
)
from layerkit.layers.table import Table
from layerkit.network import Network
from layerkit.play.catalogue import State, catalogue, state_for
from layerkit.play.edit import Code, carried, edit, explaining, read_source, revert
from layerkit.play.frames import frame_of, predict, show
from layerkit.play.inspect import look_inside
from layerkit.play.maps import (
    View,
    reads,
)
from layerkit.play.own_tables import Tables, columns_of, state_for_table
from layerkit.play.sizes import check_batch, check_network
from layerkit.play.takehome import home
from layerkit.progress import Progress
from layerkit.runs.completion import complete
from layerkit.runs.experiment import Experiment
from layerkit.training.trainer import Trainer

Message = dict[str, Any]
Reply = dict[str, Any]

MOST_STEPS = 100_000
"""At most so many steps are trained by one message."""
LAYER = re.compile(r"\bbody(\.[a-z_]+\.\d+)*")
"""The address of a layer in a sentence."""
COMPILING = ("new", "csv", "source", "edit", "revert", "home")
"""Messages that compile edited classes, while the registry has layerkit's own."""
TOO_DEEP = (
    "a message has tables or lists inside each other, deeper than Python's recursion limit of "
    f"{sys.getrecursionlimit():,} has room for"
)
LEFT_OUT = ("callbacks", "checkpoints", "folds")
"""Options of a training run that are of no use here."""


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
        The data that the maps are of.
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
        self.tables = Tables()
        self.does: dict[str, Callable[[Message], Reply]] = {
            "catalogue": self._catalogue,
            "new": self._new,
            "train": self._train,
            "epoch": self._epoch,
            "reset": self._reset,
            "frame": partial(show, self),
            "csv": self._csv,
            "predict": partial(predict, self),
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
        return self.tables.shortened(reply)

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
        with self.tables.written(name, text, encoding) as path:
            columns = columns_of(path, encoding)
            state, told = state_for_table(path, columns, target, encoding)
            reply = self._new({"state": state})
            return {**reply, "columns": columns, "target": state["data"]["label"], "told": told}

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
        return {**reply, "frame": frame_of(self), **({"notes": notes} if notes else {})}

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
        if not isinstance(name, str) or name not in self.tables:
            if isinstance(name, str) and kind_of(name) == ".csv" and not Path(name).exists():
                raise FileError(f"{name}: this table is not here; drop it on the page to go on")
            return _made(state)
        state["data"]["path"] = str(self.tables.place(name))
        experiment = _made(state)
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
            batch = min(experiment.training.batch_size, len(dataset.train))
            check_batch(experiment.network.body, batch)
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
            return {"frame": frame_of(self)}
        progress = self.trainer.progress
        return {"step": progress.step, "epoch": len(progress.records), "diverged": self.diverged}

    def _epoch(self, message: Message) -> Reply:
        progress = self.trainer.progress
        assert progress.batches
        self.advance(progress.batches - progress.batch)
        return {"frame": frame_of(self)}

    def _reset(self, message: Message) -> Reply:
        assert self.experiment
        self.trainer, self.pause = self._prepared(self.experiment, self.dataset)
        self.diverged = None
        return {"frame": frame_of(self)}

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


def _made(state: State) -> Experiment:
    """Complete a state, and return its experiment, unless the network is too large for a page."""
    complete(state)
    check_network(state.get("network"))
    return from_config(state, Experiment)
