"""The page about tables."""

import doctest
import re
import runpy
import tomllib
from pathlib import Path

import pytest

from docs.generate.tables import PAGE, TABLE, blocks, printed

PAGES = [page for way in ("*.md", "recipes/*.md") for page in sorted(PAGE.parent.glob(way))]


def form(text: str) -> str:
    """Without numbers, which depend on the machine, and spaces."""
    return " ".join(re.sub(r"[\d.,]*\d", "0", text).split())


@pytest.mark.slow
def test_the_commands_on_the_page_print_what_is_shown(tmp_path: Path) -> None:
    checker, commands = doctest.OutputChecker(), []
    for (command, shown), found in zip(blocks(), printed(tmp_path), strict=True):
        shown = shown.replace("…", "...")
        commands.append(command.split()[0])
        if commands[-1] != "init":
            shown, found = form(shown), form(found)
        assert checker.check_output(shown, found, doctest.ELLIPSIS), (command, found)
    assert commands == ["init", "train", "predict", "train"]
    (toml,) = re.findall(r"```toml\n(# To predict .*?)```", PAGE.read_text("utf-8"), re.S)
    assert (tmp_path / "flats.toml").read_text("utf-8").startswith(toml)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_configurations_on_all_pages_are_toml(page: Path) -> None:
    for toml in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.S):
        tomllib.loads(toml)


def test_the_table_is_made_by_its_script(tmp_path: Path) -> None:
    runpy.run_path(str(TABLE.with_suffix(".py")))["main"](tmp_path / "flats.csv")
    assert (tmp_path / "flats.csv").read_bytes() == TABLE.read_bytes()
