"""Commands for a network that is trained: evaluate, predict, export."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

from layerkit.cli.parser import Commands, add_data_dir
from layerkit.errors import ConfigError
from layerkit.runs.folder import read_run
from layerkit.runs.predict import predict_file


def add_prediction(commands: Commands) -> None:
    """Add the commands for a network that is trained."""
    evaluating = commands.add(run_evaluate, "RUN")
    evaluating.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="a table with the column of the target, or .npz file with x and y (default: the "
        "run's own data)",
    )
    predicting = commands.add(run_predict, "RUN", "FILE")
    for added in (evaluating, predicting):
        added.add_argument(
            "--encoding", help="of the file, such as latin-1 (default: utf-8, or that of the run's)"
        )
    exporting = commands.add(run_export, "RUN", "MODEL")
    exporting.add_argument(
        "--outputs",
        metavar="OUTPUT",
        nargs="+",
        default=["outputs"],
        help="what the model returns: outputs, of the last layer; probabilities; labels of a "
        "classifier; predictions (default: outputs)",
    )
    add_data_dir(evaluating)


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
