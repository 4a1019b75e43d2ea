"""The lab backprop: its solutions are right, its starting files not begun, its mistakes named."""

import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate.labs import PAGE, written
from layerkit.lab.checking import CHECKS, Verdict, check_exercise
from layerkit.lab.exercises import Exercise, Mistake, find_lab
from layerkit.lab.folders import Result
from layerkit.lab.report import table
from layerkit.lab.slides import page

LAB = find_lab("backprop")
EXERCISES = [pytest.param(exercise, id=exercise.name) for exercise in LAB.exercises]
MISTAKES = [
    pytest.param(exercise, mistake, id=f"{exercise.name}-{i}-{mistake.check}")
    for exercise in LAB.exercises
    for i, mistake in enumerate(exercise.mistakes, start=1)
]


@pytest.fixture(autouse=True)
def _as_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in [name for name in sys.modules if name.startswith("lab_")]:
        del sys.modules[name]


def verdicts(exercise: Exercise, source: str, folder: Path) -> dict[str, Verdict]:
    path = folder / exercise.file
    path.write_text(source, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # as a student has it
        return {verdict.check: verdict for verdict in check_exercise(exercise, path)}


@pytest.mark.parametrize("exercise", EXERCISES)
def test_solutions_are_right_in_all_checks(exercise: Exercise, tmp_path: Path) -> None:
    found = verdicts(exercise, exercise.solution, tmp_path)
    assert [verdict for verdict in found.values() if not verdict.right] == []
    assert len(found) >= 6
    assert "gradient" in found or "descent" in found


@pytest.mark.parametrize("exercise", EXERCISES)
def test_starting_files_are_not_begun_and_say_what_is_missing(
    exercise: Exercise, tmp_path: Path
) -> None:
    assert not exercise.is_begun(exercise.start + "\n# a comment\n")
    assert exercise.is_begun(exercise.solution)
    assert exercise.is_begun("class (")
    found = verdicts(exercise, exercise.start + "\nBEGUN = True\n", tmp_path)
    assert "is still to be written" in found["runs"].sentence
    assert [verdict.check for verdict in found.values() if verdict.right is False] == ["runs"]
    assert len(exercise.hints) == 3
    assert len(exercise.mistakes) >= 3


def masked(sentence: str) -> str:
    """A sentence without its numbers, whose last digits may differ on other machines."""
    return re.sub(r"-?\d[\d.e+-]*", "#", sentence)


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_mistakes_have_their_sentence(exercise: Exercise, mistake: Mistake, tmp_path: Path) -> None:
    found = verdicts(exercise, mistake.code, tmp_path)
    assert found[mistake.check].right is False
    assert masked(found[mistake.check].sentence) == masked(mistake.sentence)
    assert mistake.text


KEEPS_Y = LAB["relu"].solution.replace(
    "        self.x = x\n        return np.maximum(x, 0)",
    "        self.y = np.maximum(x, 0)\n        return self.y",
)
DY_ABOVE_0, TUTORIALS = LAB["relu"].mistakes[2:]


@pytest.mark.parametrize(
    ("backward", "likely"),
    [
        ("return np.maximum( dy, 0 )  # mine", [DY_ABOVE_0]),
        ("""s = np.where(self.y < 0, 0, self.y)
        s = np.where(s >= 0, 1, s)
        return dy * s""", [TUTORIALS]),
        ("""x = np.where(self.y < 0, 0, self.y)
        x = np.where(x >= 0, 1, x)
        return dy * x""", [TUTORIALS]),
        ("return dy * (self.y >= 0)", [DY_ABOVE_0, TUTORIALS]),
    ],
)  # fmt: skip
def test_of_mistakes_with_one_sentence_that_of_the_file_is_explained(
    backward: str, likely: list[Mistake], tmp_path: Path
) -> None:
    relu = LAB["relu"]
    source = KEEPS_Y.replace("return dy * (self.x > 0)", backward)
    found = [*verdicts(relu, source, tmp_path).values()]
    said = table([Result(relu, "begun", found, source=source)])
    assert [mistake.text in said for mistake in (DY_ABOVE_0, TUTORIALS)] == [
        mistake in likely for mistake in (DY_ABOVE_0, TUTORIALS)
    ]
    assert ("It may be one of these:" in said) == (len(likely) > 1)


@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_what_learns_and_is_another_rule_fails(name: str, tmp_path: Path) -> None:
    """An Adam without bias correction, and a momentum whose memory is on self."""
    (check,) = {"adam": ["same"], "momentum": ["saving"]}[name]
    mistake = next(m for m in LAB[name].mistakes if m.check == check)
    found = verdicts(LAB[name], mistake.code, tmp_path)
    assert [verdict.check for verdict in found.values() if not verdict.right] == [check]


@pytest.mark.parametrize("code", ["MyReLU = 3", "def MyReLU(): pass", "class MyReLU: pass"])
def test_a_part_that_no_law_fits_is_wrong(code: str, tmp_path: Path) -> None:
    (verdict,) = verdicts(LAB["relu"], code, tmp_path).values()
    said = "relu.py: MyReLU should begin as in the starting file, class MyReLU(Layer):"
    assert verdict == ("runs", False, said)


def test_each_method_of_a_solution_has_a_slide_and_none_names_a_line() -> None:
    slides = page(LAB)
    assert slides.count("<h2>Batch normalization: a solution</h2>") == 2
    assert not re.search(r"\.py, line \d", slides)
    assert "(1 − β₁) g".replace(" ", "\N{NO-BREAK SPACE}") in slides  # noqa: RUF001


def test_slides_have_all_of_it_and_need_nothing_else() -> None:
    slides = page(LAB)
    assert slides.count("<section") > 4 * len(LAB.exercises)
    assert not re.search(r"https?://|<link|src=", slides)
    for exercise in LAB.exercises:
        assert f"layerkit lab check {exercise.file}" in slides
    wrong = re.findall(r"<span class=wrong>(.*?)</span>", slides)
    assert len(wrong) >= 25


def test_the_page_has_the_present_texts() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == written(text), "`python -m docs.generate.labs` writes it anew"


def test_the_page_typesets_all_formulas() -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"[ᵀᵗ²√Σ←₁₂·]|x̂|\*\*", text) == []


def test_the_page_explains_each_check() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| {check} |" in text for check in CHECKS)
