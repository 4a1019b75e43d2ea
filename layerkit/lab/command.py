"""The command `layerkit lab`, with commands of its own."""

from __future__ import annotations

import argparse
from glob import glob
from pathlib import Path
from typing import Any

from layerkit.errors import ConfigError, FileError
from layerkit.files.atomic import write_atomically
from layerkit.lab.exercises import BUILT_IN, find_lab
from layerkit.lab.folders import LIMIT, SETTINGS, check_folders, name_of, new_folder, next_hint
from layerkit.lab.report import Results, as_csv, class_line, table
from layerkit.lab.slides import page


def add_lab(commands: Any) -> None:
    """Add `layerkit lab` to the commands."""
    about = "Exercises: write the parts of a network, and have them checked."
    lab = commands.add_parser("lab", help=about, description=about)
    lab.set_defaults(imports=[], command=lambda options: lab.exit(2, lab.format_help()))
    inner = lab.add_subparsers(metavar="COMMAND")

    def command(function: Any) -> argparse.ArgumentParser:
        about = function.__doc__
        added: argparse.ArgumentParser = inner.add_parser(
            function.__name__, help=about, description=about
        )
        added.set_defaults(command=function)
        return added

    what = f"{', '.join(BUILT_IN)}, or a Python file with a lab of your own"
    making = command(new)
    making.add_argument("lab", metavar="LAB", help=what)
    making.add_argument(
        "folder", metavar="FOLDER", nargs="?", type=Path, help="to make (default: named as the lab)"
    )
    checking = command(check)
    checking.add_argument(
        "paths",
        metavar="FOLDER|FILE",
        nargs="*",
        type=Path,
        help="a student's folder, one of its files, or the folders of a class (default: here)",
    )
    checking.add_argument("--lab", help="instead of that which the folder names")
    checking.add_argument(
        "--csv", metavar="OUT.csv", type=Path, help="also write a row for each student"
    )
    checking.add_argument(
        "--limit",
        metavar="SECONDS",
        type=float,
        default=LIMIT,
        help=f"time that an exercise may take (default: {LIMIT:g})",
    )
    hinting = command(hint)
    hinting.add_argument("exercise", metavar="EXERCISE", type=Path, help="or FOLDER/EXERCISE")
    showing = command(show)
    showing.add_argument("lab", metavar="LAB", help=what)
    showing.add_argument("--html", metavar="OUT.html", type=Path, help="write slides to project")


def new(options: argparse.Namespace) -> int:
    """Make a folder with a starting file for each exercise."""
    folder: Path = options.folder or Path(Path(options.lab).stem)
    lab = new_folder(options.lab, folder)
    print(
        f"{folder} has {len(lab.exercises)} exercises. Begin with {folder / lab.exercises[0].file}"
        f", then:\n  layerkit lab check {folder}"
    )
    return 0


def check(options: argparse.Namespace) -> int:
    """Check what is written: a folder, a file, or the folders of a whole class."""
    named = map(str, options.paths)  # class/* is still a pattern on Windows
    paths = [Path(path) for name in named for path in sorted(glob(name)) or [name]] or [Path()]
    if not options.limit > 0:
        raise ConfigError(f"--limit {options.limit:g}: should be more than 0 seconds")
    if options.csv and options.csv.suffix != ".csv":
        raise FileError(f"--csv {options.csv}: should end in .csv")
    if len(paths) > 1 or options.csv:
        return _check_class(options, [path for path in paths if path.is_dir()])
    (path,) = paths
    path = path if path.exists() else path.with_suffix(".py")  # as for hints
    if not path.exists():
        raise FileError(f"{paths[0]}: there is no such file or folder")
    folder, only = (path, None) if path.is_dir() else (path.parent, path.stem)
    lab = options.lab or name_of(folder)
    if not only and not any((folder / one.file).is_file() for one in find_lab(lab).exercises):
        raise FileError(
            f"{folder}: has no file of the lab {lab}; the folders of a class in it are checked by "
            f"layerkit lab check {folder}/* --lab {lab}"
        )
    ((_, results),) = check_folders(lab, [folder], only, options.limit)
    done = sum(result.state == "done" for result in results)
    print(f"{find_lab(lab).title}: {done} of {len(results)} done\n\n{table(results)}")
    states = {result.state: result.exercise for result in reversed(results)}  # the first of each
    if (begun := states.get("begun")) and begun.hints:
        print(f"\nA hint: layerkit lab hint {folder / begun.name}")
    elif not begun and (fresh := states.get("not begun")):
        print(f"\nNext: write what is marked TODO in {folder / fresh.file}")
    return 0 if done == len(results) else 1


def _check_class(options: argparse.Namespace, folders: list[Path]) -> int:
    """Check the folders of a class; a file among them is passed over."""
    if not folders:
        raise FileError(
            "no folder is among the paths: check one file at a time, or the folder of a student"
        )
    lab = options.lab
    if not lab:
        named = [folder for folder in folders if (folder / SETTINGS).is_file()]
        names = {name_of(folder) for folder in named}
        if len(names) != 1 or not names <= {*BUILT_IN}:
            raise ConfigError(
                "the folders don't all name the same lab that comes with layerkit: say --lab "
                f"{BUILT_IN[0]}, or --lab FILE.py for a lab of your own"
            )
        (lab,) = names
    wide = max(len(folder.name) for folder in folders) + 2
    print(" " * wide + "  ".join(exercise.name for exercise in find_lab(lab).exercises))
    results: Results = {}
    for folder, of_student in check_folders(lab, folders, limit=options.limit):
        results[folder] = of_student
        print(class_line(folder.name, of_student, wide), flush=True)
    print("\n✓ done, ✗ begun, · not begun; blank: no such file")
    if options.csv:
        write_atomically(options.csv, as_csv(results).encode())
        print(f"\nIn {options.csv}")
    return 0


def hint(options: argparse.Namespace) -> int:
    """Show the next hint for an exercise."""
    found = next_hint(options.exercise)
    print(f"Hint {found.number} of {found.total}\n\n{found.text}")
    if found.number == found.total:
        ours = name_of(options.exercise.parent) in BUILT_IN
        print(
            "\nThis is the last hint."
            + " The page Labs of the documentation has a solution." * ours
        )
    return 0


def show(options: argparse.Namespace) -> int:
    """Show the exercises of a lab: here, or as slides to project."""
    lab = find_lab(options.lab)
    if options.html:
        if options.html.suffix != ".html":
            raise FileError(f"--html {options.html}: should end in .html")
        write_atomically(options.html, page(lab).encode())
        print(f"Slides are in {options.html}: → and ← turn the pages")
        return 0
    print(lab.title)
    for exercise in lab.exercises:
        print(f"\n{exercise.file}: {exercise.title or exercise.name}")
        if exercise.task:
            print(f"\n{exercise.task}")
    return 0
