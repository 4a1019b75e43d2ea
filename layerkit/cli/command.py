"""The `layerkit` command, as a function."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import layerkit
from layerkit.cli.beginning import add_beginning
from layerkit.cli.inspection import add_inspection
from layerkit.cli.parser import Commands, Parser
from layerkit.cli.prediction import add_prediction
from layerkit.cli.training import add_training
from layerkit.config.own_modules import import_file, where_it_failed
from layerkit.errors import LayerkitError, LayerkitWarning
from layerkit.lab.command import add_lab
from layerkit.runs.terminal import escaped, escaping


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


def _parser() -> Parser:
    parser = Parser(prog="layerkit", description="Neural networks as layers, in NumPy.")
    parser.add_argument("--version", action="version", version=layerkit.__version__)
    commands = Commands(parser)
    add_beginning(commands)
    add_training(commands)
    add_inspection(commands)
    add_prediction(commands)
    add_lab(commands.parsers)
    return parser


def _complain(error: object) -> None:
    print(f"layerkit: {escaped(str(error))}", file=sys.stderr)


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
