"""The generated pages of the documentation: nothing is left out, and the curves are right."""

import importlib
import math
import pkgutil
import re
import sys
import tomllib
from inspect import getdoc, isclass, isfunction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit
from docs.generate import api, atlas, configuration, formulas, letters, pictures
from docs.generate.catalogue import (
    FAMILIES,
    LINES,
    WINDOWS,
    drawn,
    for_class,
    option_names,
    registered,
)
from docs.generate.docstrings import (
    markdown,
    meanings,
    own_options,
    paragraphs,
    readable,
    restructured,
    split_formula,
)
from docs.generate.pictures import BOWL, VALLEY, WINDOW, broken, evaluate
from docs.generate.sentences import pieces
from layerkit import (
    GELU,
    SGD,
    AdamW,
    ChainedSchedule,
    Configurable,
    CosineSchedule,
    HardShrink,
    Initializer,
    Layer,
    Loss,
    Optimizer,
    ReLU,
    Schedule,
    Softmax,
    fit,
    from_config,
)
from layerkit.config.schema import json_schema
from layerkit.config.tables import choices_for
from layerkit.config.toml import read_toml
from layerkit.runs.experiment import Experiment
from layerkit.training.options import Options

OTHER_LAYERS = {
    *(
        "combining",
        "dense",
        "embedding",
        "normalization",
        "regularization",
        "shapes",
        "standardize",
        "table",
    ),
    *("branches", "graph", "sequential"),
}
"""The modules with layers that are no activations."""

DOCS = Path(__file__).parents[2] / "docs"
ACTIVATIONS, OPTIMIZERS = registered(Layer), registered(Optimizer)


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_every_class_has_a_place(kind: Any) -> None:
    for module in pkgutil.walk_packages(layerkit.__path__, "layerkit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    own = {
        cls
        for cls in choices_for(kind)
        if cls.__module__.startswith("layerkit.")
        and hasattr(sys.modules[cls.__module__], cls.__name__)
        and not (kind is Layer and cls.__module__.rpartition(".")[2] in OTHER_LAYERS)
    }
    placed = registered(kind)
    assert len(placed) == len(set(placed))
    assert {cls.__name__ for cls in placed} == {cls.__name__ for cls in own}


def test_every_picture_is_drawn_and_shown() -> None:
    classes = [*ACTIVATIONS, *OPTIMIZERS, *registered(Schedule)]
    figures = atlas.figures()
    assert {cls.__name__ for cls in classes} <= {name.partition("_")[0] for name in figures}
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "atlas").glob("*.md")]
    pages += ["\n".join(page()) for page in atlas.PAGES.values()]
    pages += ["\n".join(atlas.overview(chosen())) for chosen in atlas.OVERVIEWS.values()]
    shown = re.findall(r"_generated/atlas/(\w+)\.svg", "".join(pages))
    assert sorted(shown) == sorted(figures)


def test_text_of_pictures_can_be_read_on_a_phone() -> None:
    """Where a picture is as wide as a phone's column of 342 pixels, text has 9 at least."""
    with pictures.style():
        texts = [atlas.svg(draw()) for draw in atlas.figures().values()]
    texts += [path.read_text(encoding="utf-8") for path in (DOCS / "images").glob("study_*.svg")]
    for text in texts:
        width = float(re.findall(r'viewBox="\S+ \S+ (\S+) ', text)[0])
        for scale in re.findall(r"scale\((0\.\d+) -0", text):
            assert 100 * float(scale) * 342 / width >= 9


@pytest.mark.parametrize("name", atlas.PAGES)
def test_every_page_is_included(name: str) -> None:
    page = DOCS / "atlas" / f"{name}.md"
    assert f"_generated/atlas/{name}.md" in page.read_text(encoding="utf-8")


def named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else ""


@pytest.mark.parametrize("cls", ACTIVATIONS, ids=named)
def test_docstrings_of_activations_say_it_all(cls: type[Layer]) -> None:
    known = atlas.facts(cls)
    assert {"formula", "range", "source"} <= known.keys()
    assert re.match(r"y(_i)? = .+; d(y/d)?[axy]", known["formula"])
    assert known["source"].endswith(".")
    jumps = False
    for layer in drawn(cls):
        y, slopes = curves(layer)
        assert_within(y, known["range"])
        for curve in (*y.T, *slopes.T):
            near = np.where(abs(curve) < 4, curve, np.nan)  # a pole is no jump
            jumps |= len(broken(X, near)[0]) > len(X)
    assert jumps == ("kinks" in known)


X = np.linspace(-8, 8, 3201)


def curves(layer: Layer) -> tuple[Any, Any]:
    return evaluate(layer, X, for_class(LINES, type(layer), None))


def assert_within(y: Any, text: str) -> None:
    """Compare with a range if its ends are numbers."""
    match = re.match(r"([\[(])([-\d.]+|-inf), ([-\d.]+|inf)[\])]", text)
    if match:
        rounding = 0.01
        assert float(match[2]) - rounding <= np.nanmin(y)
        assert np.nanmax(y) <= float(match[3]) + rounding


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=named)
def test_docstrings_of_optimizers_say_it_all(cls: type[Optimizer]) -> None:
    first, *others = paragraphs(cls)
    assert "<-" in first
    assert any(text.startswith("Source: ") for text in others)
    assert {option.name for option in own_options(cls, Optimizer)} <= meanings(cls).keys()


@pytest.mark.parametrize("cls", registered(Schedule), ids=named)
def test_docstrings_of_schedules_have_a_formula(cls: Any) -> None:
    formula = re.match(r"(factor|curve\(p\)) = ", paragraphs(cls)[0])
    from_text = "then down to `end`" in paragraphs(cls)[0] or "From `start`" in paragraphs(cls)[0]
    assert formula or from_text or cls is ChainedSchedule


@pytest.mark.parametrize("cls", registered(Loss), ids=named)
def test_docstrings_of_losses_have_a_formula(cls: type[Loss]) -> None:
    assert re.match("[fl] = ", paragraphs(cls)[0])


@pytest.mark.parametrize("cls", registered(Initializer), ids=named)
def test_docstrings_of_initializers_have_a_rule(cls: type[Initializer]) -> None:
    assert re.search("[=~]|Orthogonal", paragraphs(cls)[0])


def test_facts_are_taken_apart() -> None:
    assert atlas.facts(ReLU) == {
        "formula": "y = max(x, 0); dy/dx = 1 where x > 0, else 0",
        "range": "[0, inf).",
        "kinks": "Not differentiable at 0, where the derivative is taken as 0.",
        "source": "Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann "
        "machines.",
        "notes": "The rectified linear unit.",
    }


def test_a_formula_stands_before_the_remarks() -> None:
    assert split_formula("w <- w - lr g: stochastic gradient descent.") == (
        "w <- w - lr g",
        ["Stochastic gradient descent."],
    )
    assert split_formula("f = e^2; df/dz = 2 e. PyTorch's.") == (
        "f = e^2; df/dz = 2 e",
        ["PyTorch's."],
    )
    assert split_formula("One after the other.") == ("", ["One after the other."])


def test_a_schedule_has_the_formula_that_its_curve_is_part_of() -> None:
    text = "\n".join(atlas.schedule(CosineSchedule))
    start = text.index(r"\operatorname{curve}(p) &= \frac{1 + \cos(\pi p)}{2}")
    assert text.index(r"\text{factor} &= \begin{cases} \dfrac{i + 1}{W + 1} & i < W") > start


def test_texts_become_markdown() -> None:
    assert readable("w <- sqrt(x^2) <= inf, `a <- b`") == "w ← √(x²) ≤ ∞, `a <- b`"
    assert markdown("a_i * |x| < 1, ``a_i``") == r"a\_i \* \|x\| \< 1, `a_i`"
    assert (
        markdown("see arXiv:1412.6980.")
        == "see [arXiv:1412.6980](https://arxiv.org/abs/1412.6980)."
    )
    assert markdown("a `layerkit.files.checkpoints.Checkpoints`") == "a `Checkpoints`"
    assert (
        markdown("https://x.org/a/; or https://x.org.") == "<https://x.org/a/>; or <https://x.org>."
    )


def test_options_of_the_family_are_described_once() -> None:
    assert [option.name for option in own_options(SGD, Optimizer)] == ["lr"]
    assert "weight_decay" in [option.name for option in own_options(AdamW, Optimizer)]
    lines = [line for page in configuration.reference().values() for line in page]
    clips = "`clip_value`, `clip_norm`, `clip_global_norm`: number > 0, optional"
    assert lines.count(clips) == 1
    for line in (
        "`rates`: table of numbers ≥ 0, optional",
        "`schedules`: table of [schedules](#config-schedule), optional",
        "`nodes`: table of [layers](#config-layer), required",
        "`shape`: list of integers > 0, at least one, optional",
        '`mode`: `"auto"`, `"min"` or `"max"`, default `"auto"`',
        "`low`, `high`: number, default `-0.05`, `0.05`",
        "Adam with Nesterov's look ahead. [More in the atlas](#atlas-nadam).",
        "The hinge loss: the label 1 is $s = 1,$ the label 0 is $s = -1.$ "
        "[More in the atlas](#atlas-hinge).",
        "The rectified linear unit. [More in the atlas](#atlas-relu).",
    ):
        assert line in lines


@pytest.fixture
def own() -> set[str]:
    """The names of layerkit's classes; those of tests are unknown meanwhile."""
    registry = Configurable.registry
    for name, cls in list(registry.items()):
        if not cls.__module__.startswith("layerkit."):
            del registry[name]  # until the end of the test
    return set(registry)


def test_every_option_of_a_file_is_on_a_page_with_its_meaning(own: set[str]) -> None:
    schemas = json_schema(Experiment)["$defs"]
    pages = configuration.reference()
    lines = [line for page in pages.values() for line in page]
    shown = [line for line in lines if line.startswith("(config-")]
    for name in own & {name for name, schema in schemas.items() if "anyOf" not in schema}:
        assert shown.count(f"(config-{name.lower()})=") == 1
    assert not [above for above, line in pairwise(lines) if line.strip() == ":"]
    for name in pages:
        page = (DOCS / f"configuration/{name.lower()}.md").read_text(encoding="utf-8")
        assert f"_generated/configuration/{name.lower()}.md" in page
        assert page.startswith(f"(config-{name.lower()})=\n") or name == "Tables"


@pytest.mark.parametrize("name", [name for name in configuration.reference() if name != "Column"])
def test_examples_of_the_configuration_are_right(name: str) -> None:
    """Each replaces a part of the file for the digits; columns would need data of their own."""

    def replaced(old: Any, new: Any) -> Any:
        if not isinstance(new, dict) or "type" in new:
            return new
        return old | {key: replaced(old.get(key, {}), value) for key, value in new.items()}

    table = read_toml(DOCS.parent / "experiments/digits.toml")
    page = (DOCS / f"configuration/{name.lower()}.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    for text in examples:
        from_config(replaced(table, tomllib.loads(text)), Experiment)


def test_inherited_options_have_a_meaning() -> None:
    assert meanings(CosineSchedule)["end"] == "The last factor, from 0 to 1."


def test_no_line_is_drawn_across_a_jump() -> None:
    x = np.linspace(-1, 1, 201)
    for jumping in (np.heaviside(x, 1.0), np.sign(x), x + (x > 0.5)):
        where, y = broken(x, jumping)
        assert np.isnan(y).any()
        assert np.nanmax(abs(np.diff(y))) < 0.5
        assert len(where) == len(y)
    for continuous in (abs(x), 9 * np.maximum(x, 0), np.sin(20 * x)):
        np.testing.assert_array_equal(broken(x, continuous), (x, continuous))


def test_curves_are_those_of_the_layer() -> None:
    x = np.array([-2.0, 0.3, 1.0])
    y, slopes = evaluate(HardShrink(), x)
    assert (y[:, 0].tolist(), slopes[:, 0].tolist()) == ([-2.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    y, slopes = evaluate(Softmax(), np.array([0.0]), pictures.Line([1.0, 0.0], [0.0, 0.0]))
    np.testing.assert_allclose((y[0], slopes[0]), ([0.5, 0.5], [0.25, -0.25]))


@pytest.mark.parametrize("landscape", [BOWL, VALLEY], ids=lambda landscape: landscape.name)
def test_landscapes_have_their_gradients(landscape: pictures.Landscape) -> None:
    assert (landscape.value(1, 1), *landscape.gradient(1, 1)) == (0, 0, 0)
    x, y, h = 0.3, -0.7, 1e-6
    np.testing.assert_allclose(
        landscape.gradient(x, y),
        [
            (landscape.value(x + h, y) - landscape.value(x - h, y)) / (2 * h),
            (landscape.value(x, y + h) - landscape.value(x, y - h)) / (2 * h),
        ],
        rtol=1e-6,
    )


def test_paths_are_those_of_the_optimizer() -> None:
    places = pictures.path(SGD(lr=0.01), BOWL)
    assert places.shape == (pictures.STEPS + 1, 2)
    for i in (0, 17):
        step = 0.01 * np.array(BOWL.gradient(*places[i]))
        np.testing.assert_allclose(places[i + 1], places[i] - step)


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=named)
def test_every_optimizer_finds_a_way_down(cls: Any) -> None:
    _, places = pictures.best(cls, BOWL)
    assert math.isfinite(places.sum())
    assert BOWL.value(*places[-1]) < BOWL.value(*places[0]) / 4


def test_pictures_are_the_same_every_time() -> None:
    with pictures.style():
        texts = [atlas.svg(pictures.activation(drawn(GELU), WINDOW)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert "<dc:date>" not in texts[0]


def test_files_that_stay_the_same_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    atlas.write(path, "a")
    before = path.stat().st_mtime_ns
    atlas.write(path, "a")
    assert path.stat().st_mtime_ns == before
    atlas.write(path, "b")
    assert path.read_text(encoding="utf-8") == "b"


def test_the_api_has_every_public_name() -> None:
    listed = {n.strip() for page in api.api().values() for n in page if n.startswith("   ")}
    public = {
        name
        for name in layerkit.__all__
        if getattr(layerkit, name).__module__.startswith("layerkit")
    }
    assert public <= listed


@pytest.mark.parametrize(
    ("group", "begins"),
    [
        ("Layers", ["   Layer", "   Dense"]),
        ("Activations", ["## ReLU and its relatives", "   ReLU"]),
        ("Optimizers", ["   Optimizer", "## Gradient descent and its momenta", "   SGD"]),
        ("Training", ["   train", "   fit"]),
    ],
)
def test_a_group_begins_with_its_base_class_and_what_is_used_most(
    group: str, begins: list[str]
) -> None:
    lines = [line for line in api.api()[group] if re.match(r"## |   \w", line)]
    assert lines[: len(begins)] == begins


def test_guides_are_of_groups() -> None:
    assert api.GUIDES.keys() <= api.GROUPS.keys()


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (layerkit.Huber, ["z", "t", "e", "f"]),
        (layerkit.Hinge, ["z", "t", "s"]),
        (layerkit.Adamax, ["g", "m", "m'", "t", "u", "w"]),
        (layerkit.LBFGS, ["w", "g", "s, y", "t"]),
        (layerkit.GlorotNormal, ["w, W", "n_in", "n_out"]),
        (layerkit.EMA, ["w", "a"]),
        (layerkit.Focal, ["z", "t", "p", "l"]),
    ],
)
def test_the_letters_of_a_formula_are_explained(cls: type[Any], names: list[str]) -> None:
    lines = list[str]()
    letters.explain_letters(cls, lines)
    assert sorted(line.split("``")[1] for line in lines if "``" in line) == sorted(names)


def test_fit_explains_every_option() -> None:
    section = (fit.__doc__ or "").partition("Parameters")[2].partition("Returns")[0]
    lines = re.findall(r"^    (\w.*?)(?: : |$)", section, re.MULTILINE)
    explained = {name for line in lines for name in line.split(", ")}
    assert explained == {"network", "optimizer", "x", "t"} | Options.__annotations__.keys()


def test_windows_are_for_classes_that_are_drawn() -> None:
    assert all(any(issubclass(cls, key) for cls in ACTIVATIONS) for key in {*WINDOWS, *LINES})


@pytest.mark.parametrize(
    ("text", "typeset"),
    [
        ("a b / c d", r"&\frac{a b}{c} d"),
        ("1 / sqrt(1 + x^2)^3", r"&\frac{1}{\sqrt{1 + x^{2}}^{3}}"),
        (
            "y = x where x > 0, else -x",
            r"y &= \begin{cases} x & x > 0 \\ -x & \text{otherwise} \end{cases}",
        ),
        (
            "w <- w - lr m', m' = m / u",
            "w &\\leftarrow w - \\text{lr}\\, m' \\\\\nm' &= \\frac{m}{u}",
        ),
        (
            "y = exp(x) / sum over j of exp(x_j) + 1",
            r"y &= \frac{\exp(x)}{\sum_{j} \exp(x_{j})} + 1",
        ),
        ("l = -|e| <= tanh(e)^2, in nats", r"l &= -|e| \le \tanh(e)^{2},\; \text{ in nats }"),
        ("y = 0 (at the kink too)", r"y &= 0\, \text{ (at the kink too)}"),
        ("mu_(t+1) x_i", r"&\mu_{t + 1} x_{i}"),
        ("gamma^floor(i / 2)", r"&\gamma^{\lfloor i / 2 \rfloor}"),
        ("`lr` min_step x", r"&\mathrm{lr}\, \mathrm{min\_step}\, x"),
        ("db = dy a; dx = dy W^T", "db &= dy\\, a \\\\\ndx &= dy\\, W^{T}"),
        ("y = a^(-1/2) b^(i / `lr`)", r"y &= a^{-1 / 2} b^{i / \mathrm{lr}}"),
        (
            "y = x; dy/dx by the quotient rule",
            "y &= x \\\\\n\\frac{dy}{dx} &\\ \\text{by the quotient rule}",
        ),
    ],
)
def test_formulas_are_typeset(text: str, typeset: str) -> None:
    assert formulas.typeset(text, {"lr", "min_step"}) == typeset


@pytest.mark.parametrize(
    "text", ["y = (x", "y = (x, 1", "y = (x]", "y = x)", "y = the sum 1", "y = x /", "y = `x`"]
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(formulas.NotAFormulaError):
        formulas.typeset(text, set())


def test_all_formulas_of_the_atlas_are_typeset() -> None:
    lines = [line for page in atlas.PAGES.values() for line in page()]
    assert lines.count(":::{div} typeset") > 90
    assert "```{code-block} text" not in lines


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("With gamma = 0 it is", r"With $\gamma = 0$ it is"),
        (
            "decayed, u' = u / (1 - beta2^t). In",
            r"decayed, $\displaystyle u' = \frac{u}{1 - \beta_{2}^{t}}.$ In",
        ),
        (
            "is the mean (lower +\n    upper) / 2.",
            r"is the mean $\displaystyle \frac{\text{lower} + \text{upper}}{2}.$",
        ),
        ("their dl/dz_k, or x^2", r"their $\frac{dl}{dz_k},$ or $x^{2}$"),
        ("by a factor m'", "by a factor $m'$"),
        ("db = sum of dy over the batch", r"$db = \sum dy$ over the batch"),
        ("G_ij is e = exp(-|x|).", r"$G_{ij}$ is $e = \exp(-\vert x\vert ).$"),
        (
            "Range (-1/sqrt(alpha), inf).",
            r"Range $\displaystyle \left(-\frac{1}{\sqrt{\alpha}},\; \infty\right)\mathclose{}.$",
        ),
        ("s y <= 1e-10 and 1.7e9 + x", r"$s y \le 10^{-10}$ and $1.7 \cdot 10^{9} + x$"),
        ("Return x s, with", "Return $x s,$ with"),
        ("with lr = 1: eps", r"with $\text{lr} = 1{:}$ eps"),
    ],
)
def test_formulas_in_sentences_are_typeset(text: str, written: str) -> None:
    assert markdown(text) == written


@pytest.mark.parametrize(
    "text",
    [
        "``y = x + 1`` and `x - 1`, with axis=-1, momentum=0.9",
        "c = g - the g before; lr = fast; y = a vector; 2 - 3 epochs; x = 3% of it",
        "x (N, …, n_in, n_out), one of a, b or c, at the n-th, and the factor x of one's own",
        "x_train, y_test, max_step; an L-BFGS step, t-SNE; either/or; what is in (x = the first)",
        "a / the number of steps, sum of x and the sum - that of all",
    ],
)
def test_what_may_be_prose_or_code_stays_as_it_is(text: str) -> None:
    assert pieces(text, option_names()) == [text]


def test_docstrings_become_restructured_text() -> None:
    doc = """y = a x: with *args, ``*xs``.

    kept = (1 - momentum) kept,

    Add()   "a -> b"

y = 2 x; z = x^2.

Where x = 1.

Parameters
----------
beta_1, x : float
    If x = 1, of x_.

Notes
-----
- |w|, v': of g^2
- Others: w^2

Examples
--------
>>> x = 2 ** 3
8 | a_
"""
    assert (
        restructured(doc, of_class=True)
        == r""":opening:`\begin{aligned} y &= a x \end{aligned}` With \*args, ``*xs``.

:opening:`\begin{aligned} \text{kept} &= (1 - \text{momentum})\, \text{kept} \end{aligned}`

::

    Add()   "a -> b"

:opening:`\begin{aligned} y &= 2 x \\ z &= x^{2} \end{aligned}`

Where :math:`x = 1.`

Parameters
----------
beta_1, x : float
    If :math:`x = 1,` of x\_.

Notes
-----
- :math:`|w|`, :math:`v'`: of :math:`g^{2}`
- Others: :math:`w^{2}`

Examples
--------
>>> x = 2 ** 3
8 | a_
"""
    )


@pytest.mark.usefixtures("own")
def test_formulas_of_all_docstrings_are_typeset() -> None:
    parts = {part for group in api.GROUPS.values() for entry in group for part in api.public(entry)}
    classes = {part for part in parts | set(Configurable.registry.values()) if isclass(part)}
    members = {member for cls in classes for member in vars(cls).values() if isfunction(member)}
    found = []
    for part in parts | classes | members:
        text = restructured(getdoc(part) or "", isclass(part))
        found += re.findall(r"(?:math|opening):`([^`]+)", text)
        opening = re.split(r"\. |\n\n", text)[0]
        plain = re.sub("``.+?``|`[^`]+`", "", opening)
        assert text.startswith(":opening:") or not re.search(r" ([=~]|<-) (?!the |x\[)", plain), (
            opening
        )
    assert len(found) > 400
    for latex in found:
        assert latex == latex.strip()
        assert not re.search(r"\\text\w*\{[^}]*_", latex), latex  # MathJax 4 refuses it
        assert latex.count("{") == latex.count("}"), latex
        assert latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right"), latex
