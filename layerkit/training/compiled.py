"""The compiled engine: training with the recorded program of a step, whose arrays are made once.

The numbers are those of the layers, to the last bit: it saves the time between NumPy's operations.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.layers.watch import replaced
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.recording.compiled import Compiler
from layerkit.recording.program import Program
from layerkit.recording.recorder import moving_and_fixed, record_batch, record_update
from layerkit.training.batches import Batch, Source
from layerkit.training.recorded import first_batch, refusing
from layerkit.training.trainer import Attendant, Trainer


class Compiled(Attendant):
    """Replaces the gradient and the step of the optimizer by compiled programs, in each epoch.

    A program is recorded for each kind of batch, with or without weights, and compiled for each
    number of examples. It knows the options of the layers and the loss as they are when an epoch
    begins. Where a method of a layer is replaced, to watch it, the layers themselves are run.
    """

    def __init__(self, network: Network, optimizer: Optimizer) -> None:
        self.network, self.optimizer = network, optimizer
        self.running = ExitStack()
        self.options, self.programs, self.gradients = "", dict[Any, Any](), dict[Any, Any]()
        self.rule: tuple[Any, ...] | None = None
        self.scheduled, self.moving, self.fixed = list[str](), list[str](), list[str]()
        self._look()

    def check(self, source: Source) -> None:
        """Record a step before the first one; RecordingError for what can't be."""
        if batch := first_batch(self.network, source):
            self.program(*batch)
        self._rule()

    @refusing()
    def _rule(self) -> Program:
        return record_update(self.network, self.optimizer, self.moving)

    @refusing()
    def program(self, x: Array, t: Array, a: Array | None) -> Any:
        """Return the recorded program for batches of this kind."""
        kind = t.ndim, t.dtype, a is not None and a.ndim
        if kind not in self.programs:
            self.programs[kind] = record_batch(self.network, (x, t, a))
        return self.programs[kind]

    def gradient(
        self, x: Array, t: Array, a: Array | None = None, *, mean: bool = True
    ) -> tuple[float, float]:
        """Leave the gradient of a batch in the arena, in the place of `Network.backpropagate`."""
        if not isinstance(x, np.ndarray):  # sparse rows
            return type(self.network).backpropagate(self.network, x, t, a, mean=mean)
        key = x.shape, x.dtype, t.shape, t.dtype, None if a is None else (a.shape, a.dtype)
        run = self.gradients.get(key)
        if run is None:
            program, arena = self.program(x, t, a), self.network.arena
            memory = {"w": arena.values, "g": arena.grads, "states": arena.states}
            given = {"x": x, "t": t} | ({} if a is None else {"a": a})
            outputs = [program.outputs["total"], program.outputs["weight"]]
            generators = {n: layer.rng for n, layer in self.network.layers() if layer.random}
            run = Compiler(program, memory, given, outputs, generators).function()
            self.gradients[key] = run
        found: tuple[float, float] = run(x, t) if a is None else run(x, t, a)
        return found

    def update(self, w: Array, g: Array, again: Any = None) -> None:
        """Take the step of the optimizer, with the options around its rule."""
        optimizer, options = self.optimizer, vars(self.optimizer)
        if [*optimizer.schedules] != self.scheduled:
            self._look()
        fixed = [options[name] for name in self.fixed]
        if self.rule is None or self.rule[1] != fixed or self.rule[2] is not optimizer.memory:
            program = self._rule()
            arrays = {"w": w, "g": g, "states": self.network.arena.states, **optimizer.memory}
            run = Compiler(program, arrays, {}, []).in_pieces()
            self.rule = run, fixed, optimizer.memory
        self.rule[0](optimizer.t, *(options[name] for name in self.moving))

    def _look(self) -> None:
        """Find out which options have schedules: callbacks may change that."""
        self.rule, self.scheduled = None, [*self.optimizer.schedules]
        self.moving, self.fixed = moving_and_fixed(self.optimizer)

    def epoch_begin(self, trainer: Trainer) -> None:
        """Put the compiled functions in the place of the methods, unless layers are watched."""
        self.restore()
        if any("forward" in vars(layer) for _, layer in self.network.layers()):
            return
        options = repr((self.network.body, self.network.loss))
        if options != self.options:
            self.options, self.programs, self.gradients = options, {}, {}
        self.running.enter_context(replaced(self.network, backpropagate=self.gradient))
        self.running.enter_context(replaced(self.optimizer, _apply=self.update))

    def restore(self) -> None:
        """Put the methods back."""
        self.running.close()

    def epoch_trained(self, trainer: Trainer) -> None:
        """Put them back, to measure."""
        self.restore()

    def train_end(self, trainer: Trainer) -> None:
        """Put them back, however the training ends."""
        self.restore()

    def failed(self, trainer: Trainer, batch: Batch | None) -> None:
        """Put them back, to search for the layer."""
        self.restore()
