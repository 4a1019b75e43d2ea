"""The list of all options of configuration files, from the JSON Schema and the docstrings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generate.atlas import families, formula, rule, write
from docs.generate.catalogue import FAMILIES
from docs.generate.docstrings import (
    aligned,
    blocks,
    common_options,
    markdown,
    meanings,
    own_options,
    paragraphs,
)
from layerkit import Configurable, Layer
from layerkit.config.schema import json_schema
from layerkit.runs.experiment import Experiment

TABLES = {
    "Experiment": "The whole file",
    "Network": "`[network]`",
    "Data": "`[data]`",
    "Training": "`[training]`",
    "Checkpoints": "`[training.checkpoints]`",
}
"""Classes that are a table of a file, with the headings of their sections."""

LAYERS = {
    "Layers made of layers": ["Sequential", "Residual", "Sum", "Concat", "Graph"],
    "With weights": ["Dense", "Embedding"],
    "Normalization": ["BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm"],
    "Noise against overfitting": ["Dropout", "AlphaDropout", "GaussianNoise"],
    "For raw data": ["Standardize", "Table"],
    "Shapes and single features": ["Flatten", "Reshape", "Take", "Lambda"],
    "Of several inputs, in a Graph": ["Add", "Multiply", "Join"],
}
"""The layers that are not in the atlas, below their headings."""

LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def write_configuration(folder: Path) -> None:
    """Describe all options of configuration files in Markdown, a file for each page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in reference().items():
        write(folder / f"{name.lower()}.md", "\n".join(lines))


def reference() -> dict[str, list[str]]:
    """The tables of a file, and the families of classes that can appear in them."""
    schemas = json_schema(Experiment)["$defs"]
    schemas["Network"]["required"].remove("shape")  # the data may say it
    tables = []
    for name, title in TABLES.items():
        cls, schema = Configurable.registry[name], schemas[name]
        tables += [*heading("##", name, title), *opening(cls)]
        tables += options(cls, schema, list(schema["properties"])[1:])
    found = [name for name, schema in schemas.items() if "anyOf" in schema]
    return {"Tables": tables} | {name: list(family(name, schemas)) for name in found}


def family(name: str, schemas: dict[str, Any]) -> Iterator[str]:
    """The classes of a family: what they are, and their options."""
    base = Configurable.registry[name]
    parts = [node["$ref"].rpartition("/")[2] for node in schemas[name]["anyOf"]]
    if common := [option.name for option in common_options(base)]:
        yield from ("All have these options in common:", "")
        yield from options(base, schemas[parts[0]], common)
    for title, classes in groups(base, parts):
        yield from (f"## {title}", "") if title else ()
        for cls in classes:
            yield from heading("###" if title else "##", cls.__name__, cls.__name__)
            yield from opening(cls)
            own = [option.name for option in own_options(cls, base)]
            yield from options(cls, schemas[cls.__name__], own)


def groups(base: Any, parts: list[str]) -> Iterator[tuple[str, list[type[Any]]]]:
    """The headings of a page, and the classes below them."""
    registry = Configurable.registry
    if base is Layer:
        yield from ((title, [registry[name] for name in names]) for title, names in LAYERS.items())
    if base in FAMILIES:
        yield from ((lines[0].removeprefix("## "), classes) for lines, classes in families(base))
    else:
        yield "", [cls for name, cls in registry.items() if name in parts]


def heading(level: str, name: str, title: str) -> list[str]:
    """A heading that can be linked to."""
    return [f"(config-{name.lower()})=", f"{level} {title}", ""]


def opening(cls: type[Any]) -> Iterator[str]:
    """What a class does: all of it, or its formula, a sentence and a link to the atlas."""
    text, remarks, others = rule(cls)
    typeset = text and aligned(text)
    if typeset:
        yield from formula(text)
    if in_atlas(cls):
        begin = [*remarks, *map(first_sentence, others), ""] if typeset else paragraphs(cls)
        yield from (f"{markdown(begin[0])} [More in the atlas](#atlas-{cls.__name__.lower()}).", "")
    else:
        yield from blocks([*remarks, *others] if typeset else paragraphs(cls))


def first_sentence(text: str) -> str:
    """The first sentence of a paragraph; the next may begin with a letter of a formula."""
    return re.split(r"(?<=\.) (?=[A-Z]|[a-z]\b)", text)[0]


def in_atlas(cls: type[Any]) -> bool:
    """Whether the atlas has a section of a class."""
    return any(cls in classes for kind in FAMILIES for _, classes in families(kind))


def options(cls: type[Configurable], schema: dict[str, Any], names: list[str]) -> list[str]:
    """A list of some options of a class: their values and defaults, and what they mean.

    Options with the same text are described together.
    """
    texts = meanings(cls)
    same = dict[tuple[str, str], list[str]]()
    for name in names:
        same.setdefault((texts.get(name, ""), value(schema["properties"][name])), []).append(name)
    lines = []
    for (text, kind), together in same.items():
        found = list(dict.fromkeys(default(name, schema) for name in together))
        if len(found) > 1:
            found = [default(name, schema) for name in together]
            found[1:] = [each.removeprefix("default ") for each in found[1:]]
        keys = ", ".join(f"`{name}`" for name in together)
        lines += [f"{keys}: {kind}, {', '.join(found)}", f":   {markdown(text)}", ""]
    return lines


def default(name: str, schema: dict[str, Any]) -> str:
    """What an option is if it is left out."""
    if name in schema["required"]:
        return "required"
    node = schema["properties"][name]
    given = node.get("default")
    if given is None or node.get("$ref", "").rpartition("/")[2] in TABLES:
        return "optional"
    return f"default {toml(given)}"


def value(node: dict[str, Any], several: bool = False) -> str:
    """The values that are allowed, in words."""
    s = "s" if several else ""
    if not node:
        return "any value"
    if "anyOf" in node:
        kinds = [value(choice) for choice in node["anyOf"] if choice != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        what = "table" if name in TABLES else f"{name.lower()}{s}"
        return f"[{what}](#config-{name.lower()})"
    if "enum" in node:
        *others, last = map(toml, node["enum"])
        return " or ".join(filter(None, [", ".join(others), last]))
    if "not" in node:
        return "a Python function, not possible in a file"
    if "prefixItems" in node:
        return f"list of {len(node['prefixItems'])} {value(node['prefixItems'][0], several=True)}"
    if node["type"] == "array":
        least = ", at least one" if "minItems" in node else ""
        return f"list of {value(node['items'], several=True)}{least}"
    if node["type"] == "object":
        return f"table of {value(node['additionalProperties'], several=True)}"
    limits = [f"{LIMITS[k]} {node[k]}" for k in LIMITS if k in node and abs(node[k]) < 2**31]
    return " ".join([f"{node['type']}{s}", " and ".join(limits)]).strip()


def toml(value: Any) -> str:
    """Show a value as it would be written in a file."""

    def plain(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {plain(v)}" for key, v in value.items()) + "}"
        return json.dumps(value)

    return f"`{plain(value)}`"
