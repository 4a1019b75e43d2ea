"""The `layerkit` command."""

from __future__ import annotations

import argparse
import csv
import difflib
import errno
import io
import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import layerkit
from layerkit.callbacks.base import check_folder
from layerkit.config.own_modules import import_file, where_it_failed
from layerkit.config.schema import json_schema
from layerkit.config.toml import read_toml
from layerkit.errors import (
    ConfigError,
    FileError,
    LayerkitError,
    LayerkitWarning,
    at,
    suggestion,
)
from layerkit.files.atomic import write_atomically
from layerkit.guidance import to_install
from layerkit.inspection.drawing import svg
from layerkit.lab.command import add_lab
from layerkit.losses.base import ElementwiseLoss
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.folder import (
    find_config,
    read_end,
    read_environment,
    read_run,
)
from layerkit.runs.one_step import OneStep, one_step
from layerkit.runs.paths import DIVERGENCE
from layerkit.runs.predict import predict_file
from layerkit.runs.run import Run
from layerkit.runs.signals import Interruption, handled, leave
from layerkit.runs.terminal import escaped, escaping
from layerkit.training.lr_range import lr_range
from layerkit.training.options import Resume, Training

RANKS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""Environment variables by which mpiexec, of Open MPI or others, says how many it started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default the process's, and return its status."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("layerkit: interrupted", file=sys.stderr)
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command; an error becomes a message."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "command"):
        parser.exit(2, parser.format_help())
    try:
        with escaping(), telling_warnings():
            for path in options.imports:
                import_file(Path(path))
            status: int = options.command(options)
            print(end="", flush=True)
            return status
    except LayerkitError as error:
        known = str(error).startswith(error.place)
        _complain(f"{'' if known else error.place + ': '}{error}")
        return 1
    except MemoryError as error:
        _complain(f"not enough memory: {error}")
        return 1
    except OSError as error:
        place = ""
        if error.errno in (errno.EPIPE, errno.ENOSPC) and not error.filename:
            place = "standard output: "
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # the reader, such as `head`, has enough
            _complain(f"{place}{error}")
        return 1
    except Exception as error:
        if not options.imports:
            raise
        _complain(where_it_failed(error, options.imports))
        return 1


SETTINGS = {
    **{
        f"--{option.name.replace('_', '-')}": f"training.{option.name}"
        for option in fields(Training)
    },
    "--lr": "optimizer.lr",
    "--learning-rate": "optimizer.lr",
}
"""Options that the command does not have, and the values of a file that they may mean."""


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations that suggests what an unknown command or option may mean."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse here what is unknown, since the parser of a command knows its options."""
        known, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            if word.startswith("-"):
                self.error(f"unknown option {word}{self._meant(word.partition('=')[0])}")
        if unknown:
            self.error(f"too many arguments: {shlex.join(unknown)}")
        return known, unknown

    def _meant(self, option: str) -> str:
        own = [name for name in self._option_string_actions if name.startswith("--")]
        settings = SETTINGS if "--set" in own else {}
        close = difflib.get_close_matches(option, [*own, *settings], n=1)
        if close and close[0] not in own:
            return f"; did you mean --set {settings[close[0]]}=…?"
        return suggestion(option, own)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices and value not in action.choices:
            self.error(f"unknown command {value!r}{suggestion(value, [*action.choices])}")


def _complain(error: object) -> None:
    print(f"layerkit: {escaped(str(error))}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="layerkit", description="Neural networks as layers, in NumPy.")
    parser.add_argument("--version", action="version", version=layerkit.__version__)
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(function: Any, *positional: str) -> argparse.ArgumentParser:
        """Add a command, named after its function and described by its docstring."""
        name = function.__name__.removeprefix("run_").replace("_", "-")
        added = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        added.set_defaults(command=function)
        for metavar in positional:
            dest = "file" if metavar == "FILE|RUN" else metavar.lower()
            added.add_argument(dest, metavar=metavar, type=Path)
        added.add_argument(
            "--import",
            dest="imports",
            metavar="FILE.py",
            action="append",
            default=[],
            help="Python file with layers, losses or metrics of your own; may be repeated",
        )
        return added

    train, finding = command(run_train), command(run_lr_range, "FILE")
    showing, verifying = command(run_show, "FILE"), command(run_verify_resume, "FILE")
    tracing, unrolling = command(run_trace, "FILE|RUN"), command(run_unroll, "FILE|RUN")
    profiling, curing = command(run_profile, "FILE|RUN"), command(run_doctor, "FILE|RUN")
    for added in (train, finding, showing, verifying, tracing, unrolling, profiling, curing):
        added.add_argument(
            "--set",
            dest="settings",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="override a value of the file, such as training.epochs=3; may be repeated",
        )
        added.add_argument("--seed", type=int, help="instead of training.seed")
        added.add_argument("--threads", type=int, help="BLAS threads, instead of training.threads")
    beginning = command(run_init, "TABLE")
    beginning.add_argument(
        "--target",
        dest="targets",
        metavar="COLUMN",
        action="append",
        default=[],
        help="the column to predict; may be repeated",
    )
    beginning.add_argument(
        "--output", metavar="FILE.toml", type=Path, help="the file to write (default: NAME.toml)"
    )
    beginning.add_argument(
        "--time", metavar="COLUMN", help="the column with the times of the rows, to split by"
    )
    beginning.add_argument(
        "--weight", metavar="COLUMN", help="the column that says how much each row counts"
    )
    beginning.add_argument("--encoding", help="of the table, such as latin-1 (default: utf-8)")
    beginning.add_argument("--delimiter", help="between its cells (default: found)")
    beginning.add_argument("--decimal", help="mark in its numbers, . or , (default: found)")
    beginning.add_argument("--force", action="store_true", help="overwrite a file that is there")
    sweep = command(run_sweep, "FILE")
    sweep.add_argument(
        "--out", metavar="DIR", type=Path, help="the sweep's folder (default: runs/NAME)"
    )
    sweep.add_argument("--jobs", type=int, help="trials at a time, instead of sweep.jobs")
    sweep.add_argument(
        "--serve",
        metavar="HOST:PORT",
        help='serve the trials to machines whose file says storage = "grpc://HOST:PORT"',
    )
    sweep.add_argument("--retry-failed", action="store_true", help="run failed trials again")
    evaluating = command(run_evaluate, "RUN")
    evaluating.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="a table with the column of the target, or .npz file with x and y (default: the "
        "run's own data)",
    )
    begun = train.add_mutually_exclusive_group(required=True)
    begun.add_argument("file", metavar="FILE", type=Path, nargs="?", help="what to train")
    begun.add_argument(
        "--resume", metavar="RUN", type=Path, help="continue a run from its last checkpoint"
    )
    for added in (train, verifying):
        added.add_argument("--engine", help="numpy, compiled or jax, instead of training.engine")
    train.add_argument(
        "--force",
        action="store_true",
        help="resume even with other settings, such as training.epochs, or other data",
    )
    train.add_argument(
        "--out", metavar="DIR", type=Path, help="the run's folder (default: runs/NAME)"
    )
    train.add_argument(
        "--mpi", action="store_true", help="train together with the processes of an mpiexec"
    )
    verifying.add_argument(
        "--steps",
        type=int,
        help="number of steps to train (default: an epoch and 10, but at most 2000; or "
        "twice --at, if that is more)",
    )
    verifying.add_argument(
        "--at", type=int, help="steps after which it is stopped (default: half of them)"
    )
    finding.add_argument(
        "--out", metavar="FILE", type=Path, help="the picture (default: NAME-lr-range.png)"
    )
    showing.add_argument(
        "--svg", metavar="OUT.svg", type=Path, help="also draw the graph of the network"
    )
    shown = tracing.add_mutually_exclusive_group()
    shown.add_argument(
        "--example", metavar="N", type=int, help="number of a training example, from 0 (default: 0)"
    )
    shown.add_argument(
        "--batch", metavar="N", type=int, help="the first N training examples together"
    )
    tracing.add_argument(
        "--html", metavar="OUT.html", type=Path, help="also write a page to step through"
    )
    part = unrolling.add_mutually_exclusive_group()
    part.add_argument(
        "--predict", action="store_true", help="the prediction alone, without backward and step"
    )
    part.add_argument(
        "--epoch", action="store_true", help="also initial weights, and the loop around the step"
    )
    predicting = command(run_predict, "RUN", "FILE")
    for added in (evaluating, predicting):
        added.add_argument(
            "--encoding", help="of the file, such as latin-1 (default: utf-8, or that of the run's)"
        )
    exporting = command(run_export, "RUN", "MODEL")
    exporting.add_argument(
        "--outputs",
        metavar="OUTPUT",
        nargs="+",
        default=["outputs"],
        help="what the model returns: outputs, of the last layer; probabilities; labels of a "
        "classifier; predictions (default: outputs)",
    )
    command(run_replay, "FILE")
    playing = command(run_play)
    playing.add_argument(
        "file",
        metavar="FILE|RUN",
        type=Path,
        nargs="?",
        help="the network and data to begin with; of a run's folder, with its trained weights",
    )
    playing.add_argument("--port", type=int, default=0, help="of the server (default: a free one)")
    playing.add_argument(
        "--no-browser", dest="browser", action="store_false", help="only print the address"
    )
    playing.add_argument(
        "--build",
        metavar="FOLDER",
        type=Path,
        help="write a page there that needs no server: Python runs in the browser",
    )
    playing.add_argument(
        "--pyodide",
        metavar="FOLDER",
        type=Path,
        help="of --build: a Pyodide distribution to put beside the page (default: from its CDN)",
    )
    for added in (
        train,
        finding,
        verifying,
        sweep,
        tracing,
        profiling,
        curing,
        evaluating,
        playing,
    ):
        added.add_argument(
            "--data-dir",
            metavar="DIR",
            help="folder with the IDX files of MNIST (default: the environment's LAYERKIT_DATA)",
        )
    command(run_schema)
    add_lab(commands)
    return parser


def run_train(options: argparse.Namespace) -> int:
    """Train the network of a configuration file and keep the run in a folder, or resume a run."""
    if options.resume and options.out:
        raise ConfigError(f"--out {options.out}: a run that is resumed stays in its folder")
    if options.force and not options.resume:
        raise ConfigError("--force: only with --resume")
    with ExitStack() as stack:
        interruption = stack.enter_context(Interruption().listening())
        ranks = None
        if options.mpi:
            from layerkit.training.ranks import Ranks

            stack.enter_context((ranks := Ranks()).ending_together())
            if ranks.size == 1:
                print("One process trains alone; mpiexec -n 2 python -m mpi4py … starts two")
        elif (size := max(int(os.environ.get(name, 1)) for name in RANKS)) > 1:
            raise ConfigError(
                f"mpiexec started {size} processes, and each would train a network of its own: "
                "add --mpi, to train one together"
            )
        if options.resume:
            options.file = find_config(options.resume)
        folder: Path = options.resume or options.out or _free_folder(options.file)
        if options.file.is_dir():
            raise FileError(f"{options.file}: is a folder; a run is resumed by --resume")
        experiment = read_experiment(options.file, _settings(options))
        epochs, checkpoints = experiment.training.epochs, experiment.training.checkpoints
        if checkpoints and checkpoints.folder:
            raise ConfigError(
                f"training.checkpoints.folder = {checkpoints.folder!r}: a run keeps them in "
                "its own folder: leave it out, and choose that by --out"
            )
        if options.resume and (end := read_end(folder, epochs, options.force)):
            if experiment != read_experiment(options.file):
                raise ConfigError(
                    f"{folder} is finished: {end}. Other settings are for what is left to train: "
                    "more training.epochs continue it, --force continues after an early end"
                )
            print(f"{folder} is finished: {end}")
            return 0
        dataset = experiment.load_data(options.data_dir)
        resume: Resume = "force" if options.force else bool(options.resume)
        if ranks and experiment.training.folds:
            raise ConfigError("training.folds: not with --mpi; leave one of them out")
        if ranks and ranks.rank:
            with experiment.limited():
                trainer = experiment.prepare(dataset, (), folder, resume, mpi=True)
                with interruption.pausing(trainer.progress):
                    trainer.run()
            return interruption.status
        folds = experiment.load_folds(options.data_dir)
        run = Run(experiment, dataset, folder, resume, folds, mpi=options.mpi)
        run.begin()
        try:
            run.train(interruption)
        finally:
            if where := run.left(interruption):
                print(f"{where}. To go on:\n  {_resumption(options, folder)}")
        return 0 if run.finished else interruption.status


def run_init(options: argparse.Namespace) -> int:
    """Write a configuration file for a table of your own, each line with a comment."""
    from layerkit.runs.init import init

    print(
        init(
            options.table,
            options.targets,
            options.output,
            options.time,
            options.force,
            options.weight,
            encoding=options.encoding,
            delimiter=options.delimiter,
            decimal=options.decimal,
        )
    )
    return 0


def run_verify_resume(options: argparse.Namespace) -> int:
    """Verify for a configuration file that a resumed training ends with the same bits."""
    from layerkit.runs.verify import Trial, verify_resume

    trial = Trial(_file(options), _settings(options), options.imports, options.data_dir)
    return 0 if verify_resume(trial, options.steps, options.at) else 1


def _resumption(options: argparse.Namespace, folder: Path) -> str:
    """Return the command that continues a run."""
    words = ["layerkit", "train", "--resume", str(folder)]
    if options.data_dir:
        words += ["--data-dir", options.data_dir]
    for path in options.imports:
        words += ["--import", path]
    return shlex.join(words)


def run_show(options: argparse.Namespace) -> int:
    """Show the layers of a configuration file or a run: shapes and parameters."""
    if options.svg and options.svg.suffix != ".svg":
        raise FileError(f"--svg {options.svg}: should end in .svg")
    experiment = read_experiment(_file(options), _settings(options))
    training = experiment.training
    print(experiment.network.summary())
    print(
        f"\n{experiment.network.loss}, {experiment.optimizer}, batches of {training.batch_size}, "
        f"BLAS threads: {training.threads}"
    )
    if options.svg:
        write_atomically(options.svg, svg(experiment.network).encode())
        print(f"The graph is drawn in {options.svg}")
    return 0


def run_trace(options: argparse.Namespace) -> int:
    """Show what becomes of a training example in one step: each layer's numbers and gradients."""
    from layerkit.recording.traces import trace

    if options.html and options.html.suffix != ".html":
        raise FileError(f"--html {options.html}: should end in .html")
    if options.html:
        check_folder(options.html)
    if options.example is None and options.batch is None:
        options.example = 0
    step = _one_step(options, example=options.example, batch=options.batch)
    what = f"example {options.example}" if options.batch is None else f"{options.batch} examples"
    title = f"{what} of {step.dataset.name}, in one step of {options.file}"
    with at(str(options.file)), step.experiment.limited():
        found = trace(
            step.network,
            step.x,
            step.t,
            step.optimizer,
            sample_weight=step.sample_weight,
            image=step.dataset.image,
            title=title[0].upper() + title[1:],
        )
    print(found)
    if options.html:
        found.save(options.html)
        print(f"A page to step through is in {options.html}")
    return 0


def run_profile(options: argparse.Namespace) -> int:
    """Measure what a step costs: time, arithmetic and bytes of each layer and operation."""
    from layerkit.recording.costs import profile

    step = _one_step(options)
    with at(str(options.file)), step.experiment.limited():
        found = profile(
            step.network, step.x, step.t, step.optimizer, sample_weight=step.sample_weight
        )
    print(found)
    if step.experiment.training.engine == "compiled":
        print("These are the layers' own times; the compiled engine of this training needs less")
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Look for what may keep the network of a file or a run from learning, and say what to try."""
    from layerkit.runs.doctor import diagnose_run

    found = diagnose_run(options.file, _own_settings(options), options.data_dir)
    print(found)
    if options.file.is_dir() and (options.file / DIVERGENCE).is_file():
        print(f"\nThe training diverged: layerkit replay {options.file / DIVERGENCE}")
    return 0


def _one_step(options: argparse.Namespace, **examples: int | None) -> OneStep:
    """Return a step of the file or the run that is given."""
    return one_step(options.file, _own_settings(options), options.data_dir, **examples)


def run_unroll(options: argparse.Namespace) -> int:
    """Print a training step of a configuration file or a run as NumPy source, layer by layer."""
    from layerkit.recording.recorder import examples_like
    from layerkit.recording.source import unroll

    experiment = read_experiment(_file(options), _own_settings(options))
    network, data = experiment.network, experiment.data
    if options.file.is_dir():
        images = read_environment(options.file)["examples"] == "uint8"
    else:
        images = data.name in ("mnist", "fashion_mnist")
    network.seen.pixels = "bytes" if images else None
    x, optimizer = examples_like(network), None if options.predict else experiment.optimizer
    loop = _loop_of(experiment, options.file) if options.epoch else {}
    training = experiment.training
    each = training.target_weight is not None or isinstance(data.label, list)  # with gaps
    weighted = optimizer and (training.class_weight is not None or data.weight or each)
    with at(str(options.file)):
        each &= isinstance(network.loss, ElementwiseLoss)
        shape = (len(x), *network.body.output_shape) if each else (len(x),)
        weights = np.ones(shape) if weighted else None
        source = unroll(network, optimizer, x, sample_weight=weights, **loop)
    print(source, end="")
    return 0


def _loop_of(experiment: Experiment, file: Path) -> dict[str, int]:
    """Return the options of an unrolled loop; ConfigError for what it does not have."""
    training = experiment.training
    for name in ("augmentation", "average", "callbacks", "warm_start"):
        if getattr(training, name):
            raise ConfigError(f"{file}: training.{name}: the source can't have it")
    if experiment.standardize_targets:
        raise ConfigError(
            f"{file}: training.standardize_targets: the source takes targets as they are; "
            "--set training.standardize_targets=false"
        )
    if training.gradient_accumulation_steps > 1:
        raise ConfigError(
            f"{file}: training.gradient_accumulation_steps = "
            f"{training.gradient_accumulation_steps}: the source takes whole batches"
        )
    return {name: getattr(training, name) for name in ("epochs", "batch_size", "seed")}


def run_evaluate(options: argparse.Namespace) -> int:
    """Measure the network of a run's folder on its data again, or on a file of new examples."""
    from layerkit.runs.evaluate import evaluate_file, evaluate_run

    if options.file and options.data_dir:
        raise ConfigError(f"--data-dir {options.data_dir}: {options.file} has all that is needed")
    if options.encoding and not options.file:
        raise ConfigError(f"--encoding {options.encoding}: is for a file of new examples")
    for line in (
        evaluate_file(options.run, options.file, options.encoding)
        if options.file
        else evaluate_run(options.run, options.data_dir)
    ):
        print(line)
    return 0


def run_lr_range(options: argparse.Namespace) -> int:
    """Find learning rates for a configuration file: train briefly at rates that grow, and draw."""
    from threadpoolctl import threadpool_limits

    path = options.out or Path(f"{options.file.stem}-lr-range.png")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise FileError(f"--out {path}: should end in .png, .svg or .pdf")
    experiment = read_experiment(_file(options), _settings(options))
    dataset, training = experiment.load_data(options.data_dir), experiment.training
    print(dataset)
    limits = threadpool_limits(training.threads, user_api="blas")
    with limits, dataset.train.naming():
        found = lr_range(
            experiment.network.initialize(training.seed),
            experiment.optimizer,
            dataset.train.inputs,
            dataset.train.t,
            batch_size=training.batch_size,
            seed=training.seed,
            standardize_targets=experiment.standardize_targets,
        )
    print("      lr  loss")
    for i in range(0, len(found.rates), 10):
        print(f"{found.rates[i]:8.2g}  {found.smoothed[i]:.4g}")
    print(found)
    try:
        from layerkit.runs.plots.figures import save
        from layerkit.runs.plots.training import rate_range
    except ImportError:
        print(f"No picture without matplotlib: {to_install('plot')}")
    else:
        save(rate_range(found), path)
        print(f"In {path}")
    return 0


def run_predict(options: argparse.Namespace) -> int:
    """Print the predictions for a table or .npz file as CSV, classes with their probability."""
    columns = predict_file(options.run, options.file, options.encoding)
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # any system can read it
    table = csv.writer(sys.stdout)
    table.writerow(columns)
    table.writerows(zip(*columns.values(), strict=True))
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Write the network of a run as an ONNX model, for other languages and runtimes."""
    read_run(options.run).network.to_onnx(options.model, options.outputs)
    print(f"The network is in {options.model}")
    return 0


def run_replay(options: argparse.Namespace) -> int:
    """Repeat the step at which a training diverged, and show where it stopped being finite."""
    from layerkit.training.divergence import FailedStep

    file = options.file / DIVERGENCE if options.file.is_dir() else options.file
    failed = FailedStep.load(file)
    print(f"{failed}\n\n{failed.replay()}")
    return 0


def run_play(options: argparse.Namespace) -> int:
    """Open the playground: a page in which the network of a file or run, or any other, learns."""
    from layerkit.play.build import build
    from layerkit.play.server import Server

    if options.build:
        if options.file:
            raise ConfigError(f"{options.file}: --build writes a page that begins with any network")
        build(options.build, options.pyodide)
        print(f"The playground is in {options.build}, for any web server")
        return 0
    if options.pyodide:
        raise ConfigError(f"--pyodide {options.pyodide}: is for --build")
    start = None
    if options.file is not None:  # what is wrong is told here
        run = options.file if options.file.is_dir() else None
        experiment = read_run(run) if run else read_experiment(options.file)
        experiment.load_data(options.data_dir)
        start = read_toml(find_config(run) if run else options.file)
        if run:
            start["training"]["warm_start"] = str(run.absolute())
    with (
        suppress(KeyboardInterrupt),
        Server(start, options.port, options.data_dir) as server,
        handled(lambda number, _: leave(number)),
    ):
        print(f"The playground is at {server.address}\nCtrl-C ends it", flush=True)
        if options.browser:
            import webbrowser

            webbrowser.open(server.address)
        server.serve_forever()
    return 0


def run_sweep(options: argparse.Namespace) -> int:
    """Search for good settings: train an experiment many times, in parallel processes."""
    from layerkit.runs.sweep.search import sweep

    folder = options.out or Path("runs") / options.file.stem
    if options.serve:
        from layerkit.runs.sweep.server import serve

        serve(folder, options.serve)
        return 0
    return sweep(
        options.file,
        folder,
        options.imports,
        options.data_dir,
        options.jobs,
        options.retry_failed,
    )


def run_schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of configuration files, for editors."""
    schema = json_schema(Experiment)
    schema["$defs"]["Network"]["required"].remove("shape")  # the data may say it
    print(json.dumps(schema, indent=2))
    return 0


def _file(options: argparse.Namespace) -> Path:
    """Return the configuration file that is given, or that of the run that is given."""
    return find_config(options.file) if options.file.is_dir() else options.file


def _settings(options: argparse.Namespace) -> list[str]:
    """Return all changes to the configuration file, as KEY=VALUE."""
    settings = list(options.settings)
    for name in ("seed", "threads", "engine"):
        if (value := getattr(options, name, None)) is not None:
            settings.append(f"training.{name}={value}")
    return settings


def _own_settings(options: argparse.Namespace) -> list[str]:
    """Return the changes to a file; ConfigError for changes to a run."""
    settings = _settings(options)
    if options.file.is_dir() and settings:
        raise ConfigError(f"{options.file}: a run has its own settings; --set is for files")
    return settings


def _free_folder(file: Path) -> Path:
    """Return a new folder for a run of a file: from the second run on, with a number at its end."""
    folder = free = Path("runs") / file.stem
    number = 1
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


@contextmanager
def telling_warnings() -> Iterator[None]:
    """Print layerkit's own warnings in the form of the command's other messages."""
    before = warnings.formatwarning

    def told(message: Warning | str, category: type[Warning], *at: Any, **line: Any) -> str:
        if issubclass(category, LayerkitWarning):
            return f"layerkit: {escaped(str(message))}\n"
        return before(message, category, *at, **line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", LayerkitWarning)
        warnings.formatwarning = told
        try:
            yield
        finally:
            warnings.formatwarning = before
