"""The playground as a folder of files, and the blocks of code that a page runs."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from layerkit.cli import main
from layerkit.play.build import CDN, build
from layerkit.play.notebook import Notebook

RUN = """
import sys
sys.modules |= dict.fromkeys(["sklearn", "scipy", "pandas", "matplotlib"])  # not in the page
from layerkit.play.browser import session
for name in ("spiral", "digits"):
    session.handle({"do": "new", "state": session.handle({"do": "catalogue"})["data"][name]})
    print(session.handle({"do": "epoch"})["frame"]["epoch"])
print(sys.modules["layerkit"].__file__)
"""


def test_a_folder_has_the_page_and_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    assert main(["play", "--build", str(a)]) == 0
    assert capsys.readouterr().out == f"The playground is in {a}, for any web server\n"
    assert f'data-python="{CDN}"' in (a / "index.html").read_text(encoding="utf-8")
    main(["play", "--build", str(b)])
    for path in a.iterdir():
        assert path.read_bytes() == (b / path.name).read_bytes()
        assert f'"{path.name}"' in (a / "offline.js").read_text(encoding="utf-8")
    with zipfile.ZipFile(a / "layerkit.zip") as archive:
        archive.extractall(c)
    done = subprocess.run([sys.executable, "-c", RUN], cwd=c, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1", str(c / "layerkit/__init__.py")], done.stderr


def test_a_page_inside_a_site_leads_back_to_it(tmp_path: Path) -> None:
    for name, site in (("alone", ""), ("inside", "../playground.html")):
        build(tmp_path / name, site=site)
        page = (tmp_path / name / "index.html").read_text(encoding="utf-8")
        assert ('<a class="site" href="../playground.html"' in page) == bool(site)


@pytest.fixture
def pyodide(tmp_path: Path) -> Path:
    """A folder that looks like a distribution of Pyodide with two packages."""
    folder = tmp_path / "given"
    folder.mkdir()
    packages = {
        name: {"file_name": f"{name}.whl", "depends": depends}
        for name, depends in (("numpy", []), ("tqdm", ["numpy", "colour"]), ("colour", []))
    }
    (folder / "pyodide-lock.json").write_text(json.dumps({"packages": packages}))
    code = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"]
    for name in [*code, *(f"{name}.whl" for name in packages), "other.whl"]:
        (folder / name).write_text(name)
    return folder


def test_pyodide_is_put_beside_the_page(pyodide: Path, tmp_path: Path) -> None:
    assert main(["play", "--build", str(tmp_path), "--pyodide", str(pyodide)]) == 0
    assert 'data-python="pyodide/"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    copied = {path.name for path in (tmp_path / "pyodide").iterdir()}
    assert copied == {path.name for path in pyodide.iterdir()} - {"other.whl"}


@pytest.mark.parametrize(
    ("arguments", "removed", "said"),
    [
        (
            ["--build", "site", "--pyodide", "given"],
            "colour.whl",
            "given: is not a full Pyodide di",
        ),
        (
            ["--build", "site", "--pyodide", "given"],
            "pyodide-lock.json",
            "given: is not a Pyodide d",
        ),
        (["--build", "given/other.whl"], None, "given/other.whl: File exists"),
        (["--pyodide", "given"], None, "--pyodide given: is for --build"),
        (["a.toml", "--build", "site"], None, "a.toml: --build writes a page that begins with any"),
    ],
)
def test_what_can_not_be_built_is_told(
    arguments: list[str],
    removed: str | None,
    said: str,
    pyodide: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pyodide.parent)
    if removed:
        (pyodide / removed).unlink()
    assert main(["play", *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not Path("site").exists()


def test_blocks_run_one_after_another() -> None:
    notebook = Notebook()
    source = "class Half:\n    factor: float = 0.5\n\nHalf.__annotations__\nimport nothing.here\n2"
    reply = notebook.run(source)
    assert reply["output"] == "{'factor': <class 'float'>}\n"
    assert reply["raised"].endswith("ModuleNotFoundError: No module named 'nothing'\n")
    assert (reply["missing"], reply["rest"]) == ("nothing", "import nothing.here\n2")
    assert notebook.run("Half.factor")["output"] == "0.5\n"
    assert "SyntaxError" in notebook.run("1 +")["raised"]
    assert "SystemExit: 3" in notebook.run("raise SystemExit(3)")["raised"]
