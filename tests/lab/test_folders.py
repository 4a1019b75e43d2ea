"""Folders of students, those of a class, and a lab of a teacher's own."""

import csv
from pathlib import Path

import pytest

from layerkit import ConfigError, ReLU
from layerkit.cli import main
from layerkit.lab import Exercise
from layerkit.lab.exercises import find_lab

LAB = find_lab("backprop")
TEACHERS = Path(__file__).parents[2] / "experiments/own_lab.py"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> int:
    return main(["lab", *map(str, arguments)])


def test_a_new_folder_has_a_file_for_each_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "backprop") == 0
    assert "layerkit lab check backprop" in capsys.readouterr().out
    folder = Path("backprop")
    assert {path.name for path in folder.iterdir()} == {
        *(exercise.file for exercise in LAB.exercises),
        *("README.md", "lab.toml"),
    }
    assert (folder / "README.md").read_text(encoding="utf-8").count("<summary>Hint 3<") == 10
    assert run("check", "backprop") == 1
    said = capsys.readouterr().out
    assert "0 of 10 done" in said
    assert said.count("not begun") == 10
    assert f"Next: write what is marked TODO in {folder / 'dense.py'}" in said


def test_hints_come_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    run("new", "backprop")
    for exercise in ("backprop/sgd", "backprop/sgd.py", "backprop/sgd", "backprop/sgd"):
        assert run("hint", exercise) == 0
    said = capsys.readouterr().out
    assert [f"Hint {i} of 3" in said for i in (1, 2, 3)] == [True] * 3
    assert said.count(LAB["sgd"].hints[0]) == 1
    assert said.count(LAB["sgd"].hints[2]) == 2
    assert (
        said.count("This is the last hint. The page Labs of the documentation has a solution") == 2
    )


@pytest.mark.parametrize("hints", ['"none"', "{sgd = 'two'}", "{sgd = -7}"])
def test_hints_begin_anew_where_their_number_was_changed(
    hints: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("new", "backprop")
    Path("backprop/lab.toml").write_text(f'lab = "backprop"\nhints = {hints}\n')
    assert run("hint", "backprop/sgd") == 0
    assert "Hint 1 of 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["new", "backpro"], "no such lab; did you mean 'backprop'? (one of your own"),
        (["new", "mine.py"], "mine.py: there is no such file"),
        (["new", "backprop", "taken"], "taken: there is something already; choose another folder"),
        (["check", "taken"], "taken: has no lab.toml, so it is not the folder of a lab; go to one"),
        (["check", "taken", "--lab", "backprop"], "layerkit lab check taken/* --lab backprop"),
        (["check", "nowhere"], "nowhere: there is no such file or folder"),
        (["check", "backprop/rely.py"], "there is no such file"),
        (
            ["hint", "backprop"],
            "backprop: is a folder; name an exercise in it, such as",
        ),
        (["hint", "backprop/rely"], "no such exercise; did you mean 'relu'?"),
        (["check", "backprop", "--limit", "0"], "--limit 0: should be more than 0 seconds"),
        (
            ["check", "backprop/sgd.py", "backprop/own.py"],
            "check one file at a time, or the folder",
        ),
        (["check", "backprop", "--csv", "a.xls"], "--csv a.xls: should end in .csv"),
        (["check", "taken", "taken"], "don't all name the same lab that comes with layerkit"),
        (["show", "backprop", "--html", "a.pdf"], "--html a.pdf: should end in .html"),
        (["new", "without.py"], "without.py: should have a lab, lab = Lab(title, [Exercise("),
        (["new", "wrong.py"], "wrong.py, line 2: ZeroDivisionError"),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("new", "backprop")
    Path("taken").mkdir()
    Path("taken/something").write_text("")
    Path("without.py").write_text("x = 1\n")
    Path("wrong.py").write_text("\n1 / 0\n")
    assert run(*arguments) == 1
    assert sentence in capsys.readouterr().err


def test_a_class_is_no_reference() -> None:
    with pytest.raises(ConfigError, match=r"like = ReLU is a class: give an object, ReLU\(\)"):
        Exercise("relu", "MyReLU", like=ReLU)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("'mean', start='def mean(x): ...'", "nothing checks mean, so that all code would be"),
        ("'Mean', start='class Mean: ...'", "nothing checks Mean, so that all code would be"),
        ("'f', start='def f(x): ...', like=ReLU()", "f is a function, which like can't check"),
        ("'MyRelu', start='class MyReLU(Layer): ...'", "MyRelu, which the student should write; "
         "did you mean 'MyReLU'?"),
        ("'mean', start='def f(x): ...', checks={'mean': max}", "should write; known are f"),
        ("'mean', checks={'mean': max}", "has no class or function mean, which the student should"),
    ],
)  # fmt: skip
def test_exercises_that_nobody_can_do_or_fail_are_refused(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(
        "from layerkit import ReLU\nfrom layerkit.lab import Exercise, Lab\n"
        f"lab = Lab('Mine', [Exercise('first', {arguments})])\n"
    )
    assert run("new", "mine.py") == 1
    said = capsys.readouterr().err
    assert "mine.py, line 3: ConfigError: first: " in said
    assert sentence in said
    assert not Path("mine").exists()


RIGHT = """import numpy as np
from layerkit import Layer, Rate
class MyLeakyReLU(Layer):
    slope: Rate = 0.1
    def forward(self, x, train=True):
        self.x = x
        return np.where(x > 0, x, SLOPE * x)
    def backward(self, dy):
        return np.where(self.x > 0, dy, SLOPE * dy)
"""


@pytest.mark.processes
def test_a_lab_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", TEACHERS) == 0
    folder = Path("own_lab")
    assert run("check", folder) == 1
    assert capsys.readouterr().out.count("not begun") == 2
    (folder / "leaky.py").write_text(RIGHT.replace("SLOPE", "0.1"))
    (folder / "accuracy.py").write_text("def accuracy(p, t): return (p.argmax(1) == t).sum()\n")
    assert run("check", folder) == 1
    said = capsys.readouterr().out
    assert "✗ same: MyLeakyReLU.forward (train=False): y" in said
    assert "✗ counts: one of two rows is right, and accuracy returns 1" in said
    (folder / "leaky.py").write_text(RIGHT.replace("SLOPE", "self.slope"))
    (folder / "accuracy.py").write_text("def accuracy(p, t): return (p.argmax(1) == t).mean()\n")
    assert run("check", folder) == 0
    assert run("check", folder, "--csv", "a.csv") == 1  # a student could change that file
    assert run("check", folder, "--csv", "a.csv", "--lab", TEACHERS) == 0
    assert "own_lab,2,done,1,1,1,1,1,1,1,done,1" in Path("a.csv").read_text()


@pytest.mark.processes
def test_a_student_is_told_what_is_right_and_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("new", "backprop")
    folder, relu = Path("backprop"), LAB["relu"]
    (folder / "dense.py").write_text(LAB["dense"].solution, encoding="utf-8")
    (folder / "relu.py").write_text("print('here')\n" + relu.mistakes[1].code, encoding="utf-8")
    assert run("check", folder) == 1
    said = capsys.readouterr().out
    assert "1 of 10 done" in said
    assert "✗ arrays: MyReLU.forward (train=False, 5 rows) writes to x" in said
    assert "(relu.py, line 12)" in said
    assert relu.mistakes[1].text in said
    assert "It printed:\n    here" in said
    assert "A hint: layerkit lab hint backprop/relu" in said
    assert run("check", folder / "dense.py") == run("check", folder / "dense") == 0


@pytest.mark.processes
def test_a_class_is_checked_whatever_one_student_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    codes = {
        "anna": {exercise.file: exercise.solution for exercise in LAB.exercises},
        "ben": {
            "dense.py": "while True: pass\n",
            "relu.py": "import sys\nsys.exit(0)\n",
            "sgd.py": "import os\nos._exit(3)\n",
            "adam.py": "class MyAdam(\n",
            "own.py": "class Other: pass\n",
        },
    }
    for student, files in codes.items():
        run("new", "backprop", f"class/{student}")
        for file, code in files.items():
            Path("class", student, file).write_text(code, encoding="utf-8")
    Path("class/ben/rmsprop.py").unlink()
    Path("class/notes.txt").write_text("")
    assert run("check", "class/*", "--csv", "results.csv", "--limit", "20") == 0
    said = capsys.readouterr().out
    assert "10 of 10" in said
    anna, ben = csv.DictReader(Path("results.csv").read_text(encoding="utf-8").splitlines())
    assert (anna["student"], anna["done"], ben["done"]) == ("anna", "10", "0")
    assert (anna["adam: same"], anna["relu: gradient"], ben["relu: gradient"]) == ("1", "1", "")
    assert (ben["dense"], ben["softmax"], ben["rmsprop"]) == ("begun", "not begun", "missing")
    assert run("check", "class/ben", "--limit", "20") == 1
    said = capsys.readouterr().out
    for sentence in (
        "dense.py: took longer than 20 s: is there a loop that never ends?",
        "relu.py ends Python: leave out exit and quit",
        "sgd.py: its process ended with status 3 before the check was through",
        "adam.py, line 1: SyntaxError: '(' was never closed\n",
        "own.py has no MyActivation: keep the names of the starting file",
    ):
        assert sentence in said
