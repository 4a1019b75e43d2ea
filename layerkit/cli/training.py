"""Commands that train: train, sweep, lr-range, verify-resume, replay."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import ExitStack
from pathlib import Path

from layerkit.cli.parser import Commands, add_data_dir, add_settings, file_of, settings_of
from layerkit.errors import ConfigError, FileError
from layerkit.guidance import to_install
from layerkit.runs.experiment import read_experiment
from layerkit.runs.folder import find_config, read_end
from layerkit.runs.paths import DIVERGENCE
from layerkit.runs.run import Run
from layerkit.runs.signals import Interruption
from layerkit.training.lr_range import lr_range
from layerkit.training.options import Resume

RANKS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""Environment variables by which mpiexec, of Open MPI or others, says how many it started."""


def add_training(commands: Commands) -> None:
    """Add the commands that train."""
    train, finding = commands.add(run_train), commands.add(run_lr_range, "FILE")
    verifying = commands.add(run_verify_resume, "FILE")
    add_settings(train, finding, verifying)
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
    finding.add_argument(
        "--out", metavar="FILE", type=Path, help="the picture (default: NAME-lr-range.png)"
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
    sweep = commands.add(run_sweep, "FILE")
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
    commands.add(run_replay, "FILE")
    add_data_dir(train, finding, verifying, sweep)


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
        experiment = read_experiment(options.file, settings_of(options))
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


def _free_folder(file: Path) -> Path:
    """Return a new folder for a run of a file: from the second run on, with a number at its end."""
    folder = free = Path("runs") / file.stem
    number = 1
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _resumption(options: argparse.Namespace, folder: Path) -> str:
    """Return the command that continues a run."""
    words = ["layerkit", "train", "--resume", str(folder)]
    if options.data_dir:
        words += ["--data-dir", options.data_dir]
    for path in options.imports:
        words += ["--import", path]
    if options.mpi:
        size = str(max(int(os.environ.get(name, 1)) for name in RANKS))
        words = ["mpiexec", "-n", size, "python", "-m", "mpi4py", "-m", *words, "--mpi"]
    return shlex.join(words)


def run_lr_range(options: argparse.Namespace) -> int:
    """Find learning rates for a configuration file: train briefly at rates that grow, and draw."""
    from threadpoolctl import threadpool_limits

    path = options.out or Path(f"{options.file.stem}-lr-range.png")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise FileError(f"--out {path}: should end in .png, .svg or .pdf")
    experiment = read_experiment(file_of(options), settings_of(options))
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


def run_verify_resume(options: argparse.Namespace) -> int:
    """Verify for a configuration file that a resumed run ends with the same bits."""
    from layerkit.runs.verify import Trial, verify_resume

    trial = Trial(file_of(options), settings_of(options), options.imports, options.data_dir)
    return 0 if verify_resume(trial, options.steps, options.at) else 1


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


def run_replay(options: argparse.Namespace) -> int:
    """Repeat the step at which a training run diverged, and show where it stopped being finite."""
    from layerkit.training.divergence import FailedStep

    file = options.file / DIVERGENCE if options.file.is_dir() else options.file
    failed = FailedStep.load(file)
    print(f"{failed}\n\n{failed.replay()}")
    return 0
