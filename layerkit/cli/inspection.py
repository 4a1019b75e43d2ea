"""Commands that look into a network: show, trace, unroll, profile, doctor."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from layerkit.callbacks.base import check_folder
from layerkit.cli.parser import (
    Commands,
    add_data_dir,
    add_settings,
    file_of,
    own_settings_of,
    settings_of,
)
from layerkit.errors import ConfigError, FileError, at
from layerkit.files.atomic import write_atomically
from layerkit.inspection.drawing import svg
from layerkit.losses.base import ElementwiseLoss
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.folder import read_environment
from layerkit.runs.one_step import OneStep, one_step
from layerkit.runs.paths import DIVERGENCE


def add_inspection(commands: Commands) -> None:
    """Add the commands that look into a network."""
    showing, tracing = commands.add(run_show, "FILE"), commands.add(run_trace, "FILE|RUN")
    unrolling = commands.add(run_unroll, "FILE|RUN")
    profiling, curing = commands.add(run_profile, "FILE|RUN"), commands.add(run_doctor, "FILE|RUN")
    add_settings(showing, tracing, unrolling, profiling, curing)
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
    add_data_dir(tracing, profiling, curing)


def run_show(options: argparse.Namespace) -> int:
    """Show the layers of a configuration file or a run: shapes and parameters."""
    if options.svg and options.svg.suffix != ".svg":
        raise FileError(f"--svg {options.svg}: should end in .svg")
    experiment = read_experiment(file_of(options), settings_of(options))
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


def _one_step(options: argparse.Namespace, **examples: int | None) -> OneStep:
    """Return a step of the file or the run that is given."""
    return one_step(options.file, own_settings_of(options), options.data_dir, **examples)


def run_unroll(options: argparse.Namespace) -> int:
    """Print a training step of a configuration file or a run as NumPy source, layer by layer."""
    from layerkit.recording.recorder import examples_like
    from layerkit.recording.source import unroll

    experiment = read_experiment(file_of(options), own_settings_of(options))
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

    found = diagnose_run(options.file, own_settings_of(options), options.data_dir)
    print(found)
    if options.file.is_dir() and (options.file / DIVERGENCE).is_file():
        print(f"\nThe training diverged: layerkit replay {options.file / DIVERGENCE}")
    return 0
