"""How Sphinx builds these pages; `make docs` runs it."""

import json
import re
from pathlib import Path
from typing import Any

import layerkit
from layerkit.config import Configurable
from layerkit.experiment import Experiment
from layerkit.schema import json_schema

project = "layerkit"
copyright = "the layerkit developers"
version = release = layerkit.__version__
language = "en"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_generated"]
default_role = "py:obj"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autosummary_generate = True
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "layerkit"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_sidebars = {
    page: []
    for page in ("index", "get_started", "tutorial", "extending", "configuration", "design")
}
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
}

REFERENCE = Path(__file__).parent / "_generated" / "configuration.md"
LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def escape_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]):
    """Docstrings are written for the reader of the code: keep * and | from being markup."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("`")
            parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
            lines[i] = "`".join(parts)


def trim_examples(app: Any, name: str, source: list[str]) -> None:
    """A doctest in Markdown ends with a blank line, which need not be shown."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def write_reference(app: Any) -> None:
    """Describe all options of configuration files in Markdown, from the JSON Schema."""
    definitions = json_schema(Experiment)["$defs"]
    names = ["Experiment"]
    for name in names:
        found = re.findall(r"#/\$defs/(\w+)", json.dumps(definitions[name]))
        names += [name for name in dict.fromkeys(found) if name not in names]
    registry = Configurable.registry
    families = {n: choices(definitions[n]) for n in names if "anyOf" in definitions[n]}
    members = {name for family in families.values() for name in family}
    lines = ["## Tables", ""]
    for name in [name for name in names if name not in families and name not in members]:
        lines += section(registry[name], definitions[name])
    for family, parts in families.items():
        lines += [
            f"(config-{family.lower()})=",
            f"## {family}",
            "",
            first_line(registry[family]),
            "",
        ]
        for name in [name for name in registry if name in parts]:
            lines += section(registry[name], definitions[name])
    REFERENCE.parent.mkdir(exist_ok=True)
    text = "\n".join(lines)
    if not REFERENCE.exists() or REFERENCE.read_text(encoding="utf-8") != text:
        REFERENCE.write_text(text, encoding="utf-8")


def choices(family: dict[str, Any]) -> list[str]:
    """The classes that can stand where one of this family is wanted."""
    return [reference["$ref"].rpartition("/")[2] for reference in family["anyOf"]]


def section(cls: type[Configurable], schema: dict[str, Any]) -> list[str]:
    """What a class is, and a table of its options."""
    from numpydoc.docscrape import ClassDoc

    lines = [f"(config-{cls.__name__.lower()})=", f"### {cls.__name__}", "", summary(cls), ""]
    options = {name: node for name, node in schema["properties"].items() if name != "type"}
    if not options:
        return lines
    meanings = {p.name: escape(" ".join(p.desc)) for p in ClassDoc(cls)["Parameters"]}
    rows = [["Option", "Type", "Allowed", "Default", "Meaning"]]
    for name, node in options.items():
        default = "required" if name in schema["required"] else toml(node.get("default"))
        if default and default.startswith(f'`{{type = "{node.get("$ref", "").rpartition("/")[2]}"'):
            default = "its defaults"
        rows.append([f"`{name}`", *kind(node), default, meanings.get(name, "")])
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    heading, *rows = zip(*columns, strict=True)
    lines += [f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *rows)]
    return [*lines, ""]


def summary(cls: type[Configurable]) -> str:
    from numpydoc.docscrape import ClassDoc

    doc = ClassDoc(cls)
    return escape("\n".join([*doc["Summary"], "", *doc["Extended Summary"]]).strip())


def first_line(cls: type[Configurable]) -> str:
    return summary(cls).partition("\n\n")[0]


def escape(text: str) -> str:
    """Keep Markdown from taking formulas for markup, outside of backticks."""
    parts = text.replace("``", "`").split("`")
    parts[::2] = [re.sub(r"([*_<|\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def kind(node: dict[str, Any]) -> tuple[str, str]:
    """What type a value has, and what it may be."""
    if "anyOf" in node:
        (node,) = [choice for choice in node["anyOf"] if choice["type"] != "null"]
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#config-{name.lower()})", ""
    if node["type"] == "array":
        of, allowed = kind(node["items"])
        allowed = f"each {allowed}" if allowed else ""
        least = f"at least {node['minItems']}" if "minItems" in node else ""
        return f"list of {of}", ", ".join(filter(None, [least, allowed]))
    if "enum" in node:
        return node["type"], ", ".join(toml(value) for value in node["enum"])
    return node["type"], ", ".join(f"{LIMITS[k]} {node[k]}" for k in LIMITS if k in node)


def toml(value: Any) -> str:
    """Show a default as it would stand in a file."""

    def plain(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {plain(v)}" for key, v in value.items()) + "}"
        return json.dumps(value)

    return "" if value is None else f"`{plain(value)}`"


def setup(app: Any) -> None:
    app.connect("builder-inited", write_reference, priority=400)
    app.connect("source-read", trim_examples)
    app.connect("autodoc-process-docstring", escape_docstring, priority=400)
