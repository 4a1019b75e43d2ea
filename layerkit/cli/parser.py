"""The parser of the command, and of the options that several commands have."""

from __future__ import annotations

import argparse
import difflib
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from layerkit.errors import ConfigError, suggestion
from layerkit.runs.folder import find_config
from layerkit.training.options import Training

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


class Commands:
    """The commands of a parser: each is a function of its options, which returns a status."""

    def __init__(self, parser: Parser) -> None:
        self.parsers = parser.add_subparsers(metavar="COMMAND")

    def add(self, function: Any, *positional: str) -> argparse.ArgumentParser:
        """Add a command, named after its function and described by its docstring."""
        name = function.__name__.removeprefix("run_").replace("_", "-")
        added = self.parsers.add_parser(name, help=function.__doc__, description=function.__doc__)
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


def add_settings(*parsers: argparse.ArgumentParser) -> None:
    """Let commands take changes to their configuration file."""
    for added in parsers:
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


def add_data_dir(*parsers: argparse.ArgumentParser) -> None:
    """Let commands take a folder of MNIST."""
    for added in parsers:
        added.add_argument(
            "--data-dir",
            metavar="DIR",
            help="folder with the IDX files of MNIST (default: the environment's LAYERKIT_DATA)",
        )


def file_of(options: argparse.Namespace) -> Path:
    """Return the configuration file that is given, or that of the run that is given."""
    return find_config(options.file) if options.file.is_dir() else options.file


def settings_of(options: argparse.Namespace) -> list[str]:
    """Return all changes to the configuration file, as KEY=VALUE."""
    settings = list(options.settings)
    for name in ("seed", "threads", "engine"):
        if (value := getattr(options, name, None)) is not None:
            settings.append(f"training.{name}={value}")
    return settings


def own_settings_of(options: argparse.Namespace) -> list[str]:
    """Return the changes to a file; ConfigError for changes to a run."""
    settings = settings_of(options)
    if options.file.is_dir() and settings:
        raise ConfigError(f"{options.file}: a run has its own settings; --set is for files")
    return settings
