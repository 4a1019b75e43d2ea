"""How Sphinx builds these pages; `make docs` runs it."""

import html
import re
import sys
from pathlib import Path
from typing import Any

from docutils.parsers.rst.roles import CustomRole, math_role, register_local_role

import layerkit

sys.path.insert(0, str(Path(__file__).parents[1]))  # wherever Sphinx is called from

from docs.generate.api import address, documented, file_names, write_api
from docs.generate.atlas import write, write_atlas
from docs.generate.configuration import write_configuration
from docs.generate.docstrings import restructured
from docs.generate.front import write_front
from docs.generate.letters import explain_letters
from docs.generate.runs import write_digits
from docs.generate.signatures import describe_parameters
from docs.generate.step import write_step
from docs.generate.table_plots import write_table_plots
from docs.generate.tables import write_run
from docs.generate.tutorial import write_tutorial
from layerkit.lab import slides
from layerkit.lab.exercises import find_lab
from layerkit.play.build import build

DOCS = Path(__file__).parent
GENERATED = DOCS / "_generated"

project = "layerkit"
copyright = "the layerkit developers"
version = release = layerkit.__version__
language = "en"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_generated", "gallery"]
default_role = "py:obj"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autosummary_generate = True
autosummary_filename_map = file_names()
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "image_srcset": ["2x"],
    "reset_modules": ("matplotlib", "docs.generate.pictures.use_style"),
    "min_reported_time": 60,
    "write_computation_times": False,
    "show_signature": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "layerkit"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_extra_path = ["_generated/pages"]
html_sidebars = {
    "index": [],
    "tutorial": [],  # code beside formulas needs the room
    "extending": [],  # a section of one page
}
html_css_files = ["style.css", "run.css"]
html_js_files = [(name, {"type": "module"}) for name in ("run.js", "names.js")]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "footer_start": ["copyright"],
    "footer_end": [],
    "logo": {"image_light": "_static/logo.svg", "image_dark": "_static/logo_dark.svg"},
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
}


def escape_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]):
    """In docstrings, which are written for the reader of the code, formulas are typeset."""
    # scikit-learn's methods refer to its own pages
    text = re.sub(r":(?:ref|term):`([^`<]+?)( <[^>]*>)?`", r"\1", "\n".join(lines))
    lines[:] = restructured(text, of_class=what == "class").split("\n")


def explain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """The page of a class says what the letters of its formulas mean."""
    if what == "class":
        explain_letters(obj, lines)


def link_documented(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Link also names that only the module of a sentence knows, in the lists of a family."""
    name = node["reftarget"]
    if not (name in documented() and (name[0].isupper() or "_" in name)):
        return None
    target = f"layerkit.{address(documented()[name])}"
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, node, contnode
    )


def trim_examples(app: Any, name: str, source: list[str]) -> None:
    """A doctest in Markdown ends with a blank line, which need not be shown."""
    source[0] = re.sub(r"\n\n( *```\n)", r"\n\1", source[0])


def show_defaults(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, result: Any
) -> tuple[str, Any] | None:
    """An empty list or dict, which a dataclass makes anew each time, is shown as an ellipsis."""
    return (signature.replace("<factory>", "..."), result) if signature else None


def skip_members(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> Any:
    """Fields are attributes in the docstring; metadata routing is scikit-learn's own."""
    routing = name.startswith("set_") and name.endswith("_request")
    return True if routing or type(obj).__name__ == "_tuplegetter" else None


def show_bases(app: Any, name: str, obj: Any, options: Any, bases: list[Any]) -> None:
    """An estimator shows scikit-learn's classes in place of a private one."""
    if any(base.__name__[0] == "_" for base in bases):
        bases[:] = [base for base in obj.__mro__[1:] if base.__module__ == "sklearn.base"]


LONG, SHORT = 24, 34
"""Characters: of a word of code that a line of a phone may not hold, and of a short formula."""
LONG_WORD = rf'class="pre">(?=(?:[^<&]|&[#\w]+;){{{LONG}}})'
SHORT_FORMULA = rf'<span class="math notranslate nohighlight">[^<]{{1,{SHORT}}}</span>[.,;:)?!]+'
ONE_LINE = r"(?<=[(\[])(?:[^\s<>(),]{1,9}, ){1,2}(?=[^\s<>(),]{1,9}[)\]])|[≥≤] (?=\d)"
"""Shapes such as (N, D), and limits such as ≥ 0."""


def keep_together(
    app: Any, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Say where lines break, outside of blocks of code; short code does not."""
    parts = re.split("(<pre.*?</pre>)", context.get("body", ""), flags=re.DOTALL)
    for i in range(0, len(parts), 2):
        text = re.sub(LONG_WORD, 'class="pre long">', parts[i])
        text = re.sub(SHORT_FORMULA, r'<span class="kept">\g<0></span>', text)
        text = re.sub(ONE_LINE, lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
        parts[i] = re.sub(r'<code class="([^"]*)">(.*?)</code>', _keep_code, text)
    context["body"] = "".join(parts)


def _keep_code(found: re.Match[str]) -> str:
    words = html.unescape(re.sub("<.*?>", "", found[2]))
    return found[0].replace(found[1], f"{found[1]} kept", 1) if len(words) <= LONG else found[0]


def link_back(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """From its source a name links back to its page, whatever the first name of the file is in."""
    if page.startswith("_modules/"):
        link = r"(/api/([\w.]+\.(\w+))(?:-function)?\.html#)(?!\2\b)[\w.]+?\.\3\b"
        context["body"] = re.sub(link, r"\1\2", context["body"])


def describe_all(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A page describes all parameters of its class or function, inherited ones too."""
    if what in ("class", "function"):
        describe_parameters(obj, lines)


def write_pages(app: Any, config: Any) -> None:
    """Make what is generated from the classes, before Sphinx looks for pages."""
    GENERATED.mkdir(exist_ok=True)
    write_api(DOCS / "api.md")
    write_configuration(GENERATED / "configuration")
    write_atlas(GENERATED / "atlas")
    write_front(GENERATED / "front")
    write_step(GENERATED / "pages/step.html")
    write(GENERATED / "pages/slides.html", slides.page(find_lab("backprop")))
    write_table_plots(GENERATED / "table_plots")
    write_run(GENERATED / "flats")
    write_digits(GENERATED / "digits")
    write_tutorial(GENERATED / "tutorial")
    build(GENERATED / "pages/playground", site="../playground.html")


def setup(app: Any) -> None:
    register_local_role("opening", CustomRole("opening", math_role, {"class": ["opening"]}))
    app.connect("config-inited", write_pages)
    app.connect("source-read", trim_examples)
    app.connect("missing-reference", link_documented)
    app.connect("autodoc-process-docstring", explain, priority=350)
    app.connect("autodoc-process-docstring", escape_docstring, priority=400)
    app.connect("autodoc-process-bases", show_bases)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("autodoc-skip-member", skip_members)
    app.connect("html-page-context", keep_together)
    app.connect("html-page-context", link_back)
    app.connect("autodoc-process-docstring", describe_all, priority=300)
