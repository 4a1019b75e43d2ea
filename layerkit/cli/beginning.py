"""Commands to begin with: init, play, schema."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path

from layerkit.cli.parser import Commands, add_data_dir
from layerkit.config.schema import json_schema
from layerkit.config.toml import read_toml
from layerkit.errors import ConfigError
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.folder import find_config, read_run
from layerkit.runs.signals import handled, leave


def add_beginning(commands: Commands) -> None:
    """Add the commands to begin with."""
    beginning = commands.add(run_init, "TABLE")
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
    playing = commands.add(run_play)
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
    add_data_dir(playing)
    commands.add(run_schema)


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


def run_schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of configuration files, for editors."""
    schema = json_schema(Experiment)
    schema["$defs"]["Network"]["required"].remove("shape")  # the data may say it
    print(json.dumps(schema, indent=2))
    return 0
