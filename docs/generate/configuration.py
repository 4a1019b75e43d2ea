"""The list of all options of configuration files, from the JSON Schema and the docstrings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generate.atlas import typeset_beginning, write
from docs.generate.catalogue import FAMILIES, registered
from docs.generate.docstrings import (
    blocks,
    common_options,
    markdown,
    meanings,
    own_options,
    paragraphs,
)
from layerkit import Configurable, Initializer
from layerkit.config.schema import json_schema
from layerkit.runs.experiment import Experiment

LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
COLUMNS = ["Option", "Type", "Allowed", "Default", "Meaning"]


PAGES = {
    "Tables": "Tables of a file",
    "Layer": "Layers",
    "Loss": "Losses",
    "Optimizer": "Optimizers",
    "Schedule": "Schedules",
    "Initializer": "Initializers",
    "Average": "Averages of the weights",
    "Augmentation": "Augmentations",
    "Callback": "Callbacks",
    "Column": "Columns of tables",
}
"""The titles of the pages: first the tables of a file, then a page for each family."""


def write_configuration(folder: Path) -> None:
    """Describe all options of configuration files in Markdown, a page for each family."""
    folder.mkdir(exist_ok=True)
    for name, lines in reference().items():
        write(folder / f"{name.lower()}.md", "\n".join(lines))


def reference() -> dict[str, list[str]]:
    """The tables of a file, and the families of classes that can appear in them."""
    definitions = json_schema(Experiment)["$defs"]
    names = ["Experiment"]
    for name in names:
        found = re.findall(r"#/\$defs/(\w+)", json.dumps(definitions[name]))
        names += [name for name in dict.fromkeys(found) if name not in names]
    registry = Configurable.registry
    families = {n: choices(definitions[n]) for n in names if "anyOf" in definitions[n]}
    members = {name for family in families.values() for name in family}
    tables = ["# " + PAGES["Tables"], ""]
    for name in [name for name in names if name not in families and name not in members]:
        tables += heading("##", name)
        tables += blocks(paragraphs(registry[name]))
        tables += table(registry[name], definitions[name], list(definitions[name]["properties"]))
    found = {name: list(family(name, parts, definitions)) for name, parts in families.items()}
    return {name: ({"Tables": tables} | found)[name] for name in PAGES}


def family(name: str, parts: list[str], definitions: dict[str, Any]) -> Iterator[str]:
    """The classes of a family: what they are, and their options."""
    registry = Configurable.registry
    base = registry[name]
    yield from (f"(config-{name.lower()})=", f"# {PAGES[name]}", "")
    yield from (opening(base), "")
    common = [option.name for option in common_options(base)]
    if common:
        yield from ("All of them have these options:", "")
        yield from table(base, definitions[parts[0]], common)
    pages = [kind for kind in FAMILIES if kind is not Initializer]
    in_atlas = [cls.__name__ for kind in pages for cls in registered(kind)]
    known = [part for part in in_atlas if part in parts]
    for part in [part for part in registry if part in parts and part not in known] + known:
        cls = registry[part]
        yield from heading("##", part)
        if part in in_atlas:
            more = f"([atlas](#atlas-{part.lower()}))"
            yield from (f"{opening(cls)} {more}", "")
        else:
            yield from (opening(cls), "", *blocks(paragraphs(cls)[1:]))
        yield from table(cls, definitions[part], [o.name for o in own_options(cls, base)])


def opening(cls: type[Any]) -> str:
    """The first paragraph of a class, with its formula typeset."""
    formula, rest = typeset_beginning(paragraphs(cls)[0])
    return f"${formula}$ {markdown(rest)}" if formula else markdown(rest)


def heading(level: str, name: str) -> list[str]:
    """A heading that can be linked to."""
    return [f"(config-{name.lower()})=", f"{level} {name}", ""]


def choices(family: dict[str, Any]) -> list[str]:
    """The classes that are allowed where one of this family is wanted."""
    return [node["$ref"].rpartition("/")[2] for node in family["anyOf"]]


def table(cls: type[Configurable], schema: dict[str, Any], names: list[str]) -> list[str]:
    """A table of some options of a class, without columns that would be empty."""
    texts = meanings(cls)
    rows = []
    for name in [name for name in names if name != "type"]:
        node = schema["properties"][name]
        default = "required" if name in schema["required"] else toml(node.get("default"))
        if default and default.startswith(f'`{{type = "{node.get("$ref", "").rpartition("/")[2]}"'):
            default = "its defaults"
        rows.append([f"`{name}`", *kind(node), default, markdown(texts.get(name, ""))])
    if not rows:
        return []
    columns = [column for column in zip(COLUMNS, *rows, strict=True) if any(column[1:])]
    first, *others = zip(*columns, strict=True)
    lines = [f"| {' | '.join(row)} |" for row in (first, ["---"] * len(first), *others)]
    return [*lines, ""]


def kind(node: dict[str, Any]) -> tuple[str, str]:
    """The type of a value, and the limits or choices that are allowed."""
    if not node:
        return "any value", ""
    if "anyOf" in node:
        kinds = [kind(choice) for choice in node["anyOf"] if choice.get("type") != "null"]
        types, limits = (list(dict.fromkeys(part)) for part in zip(*kinds, strict=True))
        return " or ".join(types), " or ".join(filter(None, limits))
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#config-{name.lower()})", ""
    if "enum" in node:
        return node["type"], ", ".join(toml(value) for value in node["enum"])
    if "not" in node:
        return "not possible in a file", ""
    if "prefixItems" in node:
        of, allowed = kind(node["prefixItems"][0])
        return f"list of {len(node['prefixItems'])} {of}", f"each {allowed}"
    if node["type"] in ("array", "object"):
        of, allowed = kind(node["items" if node["type"] == "array" else "additionalProperties"])
        allowed = f"each {allowed}" if allowed else ""
        least = f"at least {node['minItems']}" if "minItems" in node else ""
        what = "list" if node["type"] == "array" else "table"
        return f"{what} of {of}", ", ".join(filter(None, [least, allowed]))
    limits = {k: node[k] for k in LIMITS if node.get(k, 2**63) != 2**63}  # that of any integer
    return node["type"], ", ".join(f"{LIMITS[k]} {limit}" for k, limit in limits.items())


def toml(value: Any) -> str:
    """Show a default as it would be written in a file."""

    def plain(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {plain(v)}" for key, v in value.items()) + "}"
        return json.dumps(value)

    return "" if value is None else f"`{plain(value)}`"
