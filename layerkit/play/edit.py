"""Editing: the source of a class, compiled for one session in the place of the library's."""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import re
import sys
import time
import traceback
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from itertools import count
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

from layerkit.config.options import Configurable, is_required
from layerkit.config.tables import from_config, to_config
from layerkit.errors import ConfigError, LayerkitError, RecordingError, suggestion
from layerkit.layers.base import Layer
from layerkit.layers.watch import inputs_of
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.play.frames import frame_of
from layerkit.testing.common import Laws, findings
from layerkit.testing.layers import layer_laws
from layerkit.testing.losses import loss_laws
from layerkit.testing.optimizers import optimizer_laws
from layerkit.training.batches import Batch
from layerkit.training.trainer import Trainer

if TYPE_CHECKING:
    from layerkit.play.session import Session

LIMIT = 10.0
"""Seconds from the beginning of a message, after which a loop in edited code is stopped."""
LOCK = RLock()
"""Held while the registry has the classes of a session."""
NUMBERS = count(1)
FILE = re.compile(r"<(.+), edit \d+>")
"""The names of the files that edited sources seem to come from."""


class Code:
    """The edited classes of a session, and those that it adds, compiled.

    The registry has them only inside ``with code.known():``, so that other sessions, and whoever
    else uses layerkit in this process, don't notice. A class of layerkit has the names of its
    module; the user's own class imports what it uses.

    Parameters
    ----------
    sources : mapping of str to str, optional
        The edited source of classes, by their names.

    Raises
    ------
    ConfigError
        For whatever is wrong, with the line.

    Examples
    --------
    >>> import inspect
    >>> from layerkit import Layer, ReLU, from_config
    >>> from layerkit.testing.layers import layer_laws
    >>> code = Code({"ReLU": inspect.getsource(ReLU).replace("dy * np", "0.5 * dy * np")})
    >>> with code.known():
    ...     relu = from_config({"type": "ReLU"}, Layer)
    ...     broken = [row for row in rows(layer_laws(relu, [(3,)])) if not row["ok"]]
    >>> type(relu) is ReLU, type(from_config({"type": "ReLU"}, Layer)) is ReLU
    (False, True)
    >>> broken[0]["says"]  # doctest: +ELLIPSIS
    'ReLU.backward: dx[...] is ...; it is 0.5 times the right value everywhere: a factor or a sign \
is wrong'
    """

    def __init__(self, sources: Mapping[str, str] | None = None) -> None:
        self.sources = dict(sources or {})
        for name, text in self.sources.items():
            if not isinstance(text, str):
                raise ConfigError(f"code.{name} = {text!r}: should be the source of a class")
        self.clock, self.modules = _Clock(), list[ModuleType]()
        weakref.finalize(self, _forget, self.modules)
        self.classes = {name: self._compiled(name, text) for name, text in self.sources.items()}

    @contextmanager
    def known(self) -> Iterator[None]:
        """Have these classes in the registry, for the time of one message."""
        with _registered(self.classes):
            self.clock.begin()
            yield

    def _compiled(self, name: str, source: str) -> type[Configurable]:
        """Return the class that a source defines, without making it known."""
        library = Configurable.registry.get(name)
        file = f"<{name}, edit {next(NUMBERS)}>"
        with explaining():
            tree = ast.parse(source, file)
            code = compile(
                ast.fix_missing_locations(_Ticking().visit(tree)),
                file,
                "exec",
                flags=__future__.annotations.compiler_flag,
            )
        if defined(tree) != [name]:
            found = " and ".join(defined(tree)) or "no class"
            hint = " (another name is a class of your own: choose that in its place)"
            raise ConfigError(
                f"this defines {found}; should define {name}, and nothing else"
                + hint * (len(defined(tree)) == 1)
            )
        module = ModuleType(re.sub(r"\W+", "_", file).strip("_"))
        around = vars(sys.modules[library.__module__]) if library else {}
        vars(module).update({k: item for k, item in around.items() if not k.startswith("__")})
        vars(module).update(__file__=file, _tick_=self.clock.tick)
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
        sys.modules[module.__name__] = module
        self.modules.append(module)
        self.clock.begin()
        with _registered({name: None}), explaining():
            exec(code, vars(module))
        cls: Any = vars(module)[name]
        if not (isinstance(cls, type) and issubclass(cls, Configurable)):
            raise ConfigError(f"{name} is not a Layer: write class {name}(Layer):")
        return cls


class _Clock:
    """Stops a loop of edited code that runs for too long after the beginning of a message."""

    def begin(self) -> None:
        self.until = time.monotonic() + LIMIT

    def tick(self) -> None:
        """Stop a loop that runs for too long; called in each turn of a loop of edited code."""
        if time.monotonic() > self.until:
            raise ConfigError(
                f"this loop was still running {LIMIT:g} s after you asked, and was stopped: does "
                "it ever end? (if it is only slow, train fewer steps at once)"
            )


def _forget(modules: list[ModuleType]) -> None:
    """Take the modules of classes that nobody has any more out of Python's tables."""
    for module in modules:
        sys.modules.pop(module.__name__, None)
        linecache.cache.pop(str(module.__file__), None)


def defined(tree: ast.Module) -> list[str]:
    """Return the names of the classes that a source defines."""
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


class _Ticking(ast.NodeTransformer):
    """Begins each turn of a loop with a look at the time."""

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._ticking(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._ticking(node)

    def _ticking(self, node: ast.For | ast.While) -> ast.AST:
        self.generic_visit(node)
        tick = ast.Expr(ast.Call(ast.Name("_tick_", ast.Load()), [], []))
        node.body.insert(0, ast.copy_location(tick, node))
        return node


@contextmanager
def _registered(classes: Mapping[str, type[Configurable] | None]) -> Iterator[None]:
    """Have classes in the registry for a while; None: nothing of that name."""

    def put(found: Mapping[str, type[Configurable] | None]) -> None:
        for name, cls in found.items():
            Configurable.registry.pop(name, None)
            if cls is not None:
                Configurable.registry[name] = cls

    with LOCK:
        before = {name: Configurable.registry.get(name) for name in classes}
        put(classes)
        try:
            yield
        finally:
            put(before)


@contextmanager
def explaining() -> Iterator[None]:
    """Say of every exception from edited code which line it comes from, as a ConfigError."""
    try:
        yield
    except Exception as error:
        place = _place(error)
        if not place or getattr(error, "place", "") == place:
            raise
        kind = "" if isinstance(error, LayerkitError) else f"{type(error).__name__}: "
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        told = ConfigError(f"{place}: {kind}{text}")
        told.place = place
        raise told from error


def _place(error: BaseException | None) -> str:
    """Return the line of edited code that an exception, or its cause, comes from."""
    while error is not None:
        if isinstance(error, SyntaxError):
            lines = [(error.filename or "", error.lineno)]
        else:
            lines = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        for file, line in reversed(lines):
            if found := FILE.fullmatch(file):
                return f"{found[1]}, line {line}"
        error = error.__cause__
    return ""


def carried(old: Trainer, new: Trainer) -> str:
    """Let training continue where another one is; return what begins anew, as a sentence."""
    before, begun = old.state_dict(), new.state_dict()
    here, there = old.network.declared(), new.network.declared()
    kept = [name for name in there if name in here and there[name].shape == here[name].shape]
    for name in kept:
        there[name].value = here[name].value
    before["optimizer"]["numbers"] = begun["optimizer"]["numbers"]  # its options, such as the rate
    arena, lost = new.network.arena, [name for name in there if name not in kept]
    before["network"] |= {"values": arena.values.copy(), "states": arena.states.copy()}
    before["generators"] = begun["generators"] | before["generators"]
    same = len(kept) == len(here) and old.optimizer.slots == new.optimizer.slots
    if lost or not same:
        before["optimizer"] = begun["optimizer"]
    new.load_state_dict(before)
    new.progress.records = old.progress.records
    if lost:
        return f"new parameters: {', '.join(lost)}; the optimizer begins anew"
    return "" if same else "the optimizer begins anew"


def laws_for(cls: type[Configurable], network: Network, optimizer: Optimizer, batch: Batch) -> Laws:
    """Return the laws of `check_layer`, or its sisters, for the first part that is of a class.

    A layer that is not in use is checked with its defaults.
    """
    layer = next((layer for _, layer in network.layers() if type(layer) is cls), None)
    if layer is not None:
        xs = inputs_of(layer, network.body, network.inputs.convert(batch.x))
        like = from_config(to_config(layer), type(layer))
        return layer_laws(like, [x.shape[1:] for x in xs], report=True)
    if type(network.loss) is cls:
        loss = from_config(to_config(network.loss), type(network.loss))
        return loss_laws(loss, network.body.output_shape, batch.t, report=True)
    if type(optimizer) is cls:
        return optimizer_laws(optimizer, report=True)
    if issubclass(cls, Layer) and not any(map(is_required, fields(cls))):
        return layer_laws(cls(), [(4,)], report=True)
    return ()


def rows(laws: Laws) -> list[dict[str, Any]]:
    """Return the table of a check as rows: a law's name, whether it holds, and what is said.

    None for what is only not possible, such as a recording; what raises is told with its line. A
    sentence stands there once.

    Examples
    --------
    >>> rows([("copies", lambda: None), ("derivatives", lambda: 1 / 0)])[1]
    {'ok': False, 'law': 'derivatives', 'says': 'division by zero'}
    """
    found, said = [], {""}
    for law, error in findings(laws):
        says = str(error or "")
        ok = None if isinstance(error, RecordingError) else error is None
        place = _place(error)
        found.append(
            {
                "ok": ok,
                "law": law,
                "says": "" if says in said else f"{place}: {says}" if place else says,
            }
        )
        said.add(says)
    return found


def edit(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Put a class into a session, whose training goes on with it: the message "edit"."""
    name, source = message.get("class"), message.get("source")
    if not isinstance(source, str) or not isinstance(name, str | None):
        raise ConfigError('edit: "source" should be the text of a class, "class" its name')
    if name is None:
        with explaining():
            name = next(iter(defined(ast.parse(source, "<your class, edit 0>"))), "a class")
    reply = _rebuilt(session, session.code.sources | {name: source})
    cls, parts = session.code.classes[name], session.parts()
    used = [address for address, part in parts.items() if type(part) is cls]
    with session.code.known(), explaining():
        batch = next_batch(session.trainer)
        checked = rows(laws_for(cls, session.network, session.trainer.optimizer, batch))
    return {"class": name, "used": used, "check": checked, **reply}


def revert(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Take a class out of a session again: the message "revert"."""
    name, sources = message.get("class"), dict(session.code.sources)
    if name not in sources:
        raise ConfigError(f"class = {name!r}: is not edited{suggestion(str(name), list(sources))}")
    used = [address for address, part in session.parts().items() if type(part).__name__ == name]
    if used and name not in Configurable.registry:
        raise ConfigError(
            f"{name} is in use as {', '.join(used)}: take it out of the network first"
        )
    del sources[name]
    return {"class": name, **_rebuilt(session, sources)}


def read_source(session: Session, message: dict[str, Any]) -> dict[str, Any]:
    """Return the source of a class, and that of layerkit's own: the message "source"."""
    name = str(message.get("class"))
    library, edited = Configurable.registry.get(name), session.code.sources.get(name)
    if library is None and edited is None:
        known = [*Configurable.registry, *session.code.sources]
        raise ConfigError(f"class = {name!r}: there is no such class{suggestion(name, known)}")
    original = None if library is None else inspect.getsource(library)
    return {"class": name, "source": edited or original, "original": original}


def _rebuilt(session: Session, sources: dict[str, str]) -> dict[str, Any]:
    """Build a session's network anew with other classes, and go on where it was."""
    code, state = Code(sources), {k: v for k, v in session.state.items() if k != "code"}
    experiment, _, trainer, pause = session.built(state, code, session.dataset)
    says = carried(session.trainer, trainer)
    session.code, session.diverged = code, None
    session.experiment, session.trainer, session.pause = experiment, trainer, pause
    session.state = state | ({"code": code.sources} if code.sources else {})
    return {
        "says": says,
        "state": session.state,
        "layers": session.layers(),
        "frame": frame_of(session),
    }


def next_batch(trainer: Trainer) -> Batch:
    """Return the batch of the next step, without taking it."""
    state = trainer.rng.bit_generator.state
    batch = next(trainer.batches())
    trainer.rng.bit_generator.state = state
    return batch
