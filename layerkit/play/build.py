"""The playground as a folder of files, for any web server: Python runs in the browser."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from html import escape
from importlib.metadata import version
from pathlib import Path

from layerkit.errors import FileError
from layerkit.play.server import PAGE

CDN = "https://cdn.jsdelivr.net/pyodide/v314.0.3/full/"
"""Where the page gets Pyodide from, unless the folder has it."""
CODE = "layerkit.zip"
LOCK = "pyodide-lock.json"
NEEDED = ["numpy"]
WANTED = ["narwhals", "safetensors", "threadpoolctl", "tomli-w", "tqdm", "scikit-learn", "pandas"]
"""Packages for what NumPy alone can't do; most are loaded when they are first missed."""


def build(folder: str | Path, pyodide: str | Path | None = None, site: str = "") -> None:
    """Write the page, the package as an archive and, if it is given, Pyodide to a folder.

    Parameters
    ----------
    folder : str or Path
        Made if it does not exist; files of the same names are replaced.
    pyodide : str or Path, optional
        A folder with a Pyodide distribution. By default the page loads Pyodide from its CDN.
    site : str
        The address of the documentation around the page, which links back to it.

    Raises
    ------
    FileError
        For a folder without Pyodide, or one that can't be written.
    """
    folder = Path(folder)
    copied = [] if pyodide is None else _distribution(Path(pyodide))
    python = "pyodide/" if copied else CDN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_package(folder / CODE)
        for path in copied:
            (folder / python).mkdir(exist_ok=True)
            shutil.copyfile(path, folder / python / path.name)
        files = [CODE, *sorted(path.name for path in PAGE.iterdir())]
        for name in files[1:]:
            shutil.copyfile(PAGE / name, folder / name)
        _fill(folder / "index.html", "<html", f'<html data-code="{CODE}" data-python="{python}"')
        if site:
            link = f'<a class="site" href="{escape(site)}" title="Documentation">docs</a>'
            _fill(folder / "index.html", "</h1>", f"</h1>\n  {link}")
        content = b"".join((folder / name).read_bytes() for name in files)
        known = {
            "files": ["./", *files],
            "python": python,
            "cache": f"layerkit {hashlib.sha256(content).hexdigest()[:16]}",
        }
        _fill(folder / "offline.js", "= {};", f"= {json.dumps(known)};")
    except OSError as error:
        raise FileError(f"{error.filename or folder}: {error.strerror}") from error


def _fill(path: Path, empty: str, filled: str) -> None:
    """Replace the first `empty` in a file."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(empty, filled, 1), encoding="utf-8", newline="\n")


def _write_package(path: Path) -> None:
    """Write the package as a zip archive; the same files give the same bytes."""
    package, number = PAGE.parents[1], version("layerkit")
    about = f"Metadata-Version: 2.1\nName: layerkit\nVersion: {number}\n"
    contents = {f"layerkit-{number}.dist-info/METADATA": about.encode()} | {
        file.relative_to(package.parent).as_posix(): file.read_bytes()
        for file in sorted(package.rglob("*"))
        if file.is_file() and file.suffix != ".pyc" and not file.is_relative_to(PAGE)
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _distribution(folder: Path) -> list[Path]:
    """Return the files of a Pyodide distribution that the page can use."""
    try:
        known = json.loads((folder / LOCK).read_bytes())["packages"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{folder}: is not a Pyodide distribution: {LOCK}: {error}") from error
    names = [name for name in WANTED if name in known] + NEEDED
    for name in names:  # the list grows by what these depend on
        names += [other for other in known[name]["depends"] if other not in names]
    code = ["pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip", LOCK]
    files = [folder / name for name in [*code, *(known[name]["file_name"] for name in names)]]
    for path in files:
        if not path.is_file():
            raise FileError(f"{folder}: is not a full Pyodide distribution: {path.name} is missing")
    return [*files, *folder.glob("pyodide.asm.*js")]
