"""The JSON Schema of configuration files: editors complete and check with it."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from typing import Any

from layerkit.config.options import Configurable, adapter, choices_for, default, to_config


def json_schema(root: type[Configurable]) -> dict[str, Any]:
    """Return the schema of files that describe a `root`, with all classes registered by now.

    Examples
    --------
    >>> from layerkit.runs.experiment import Experiment
    >>> schema = json_schema(Experiment)
    >>> schema["$defs"]["Dense"]["required"]
    ['units']
    >>> schema["$defs"]["Dense"]["properties"]["units"]
    {'exclusiveMinimum': 0, 'title': 'Units', 'type': 'integer'}
    """
    definitions: dict[str, Any] = {}
    declared = [root]
    while declared:
        cls = declared.pop()
        if cls.__name__ in definitions:
            continue
        if not inspect.isabstract(cls) and fields(cls):
            definitions[cls.__name__] = _object_schema(cls, declared)
            continue
        choices = [choice for choice in choices_for(cls) if choice is not cls]
        references = [{"$ref": f"#/$defs/{choice.__name__}"} for choice in choices]
        definitions[cls.__name__] = {"anyOf": references, "required": ["type"]}
        for choice in choices:
            definitions.setdefault(choice.__name__, _object_schema(choice, declared))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"#/$defs/{root.__name__}",
        "$defs": dict(sorted(definitions.items())),
    }


def _object_schema(cls: type[Configurable], found: list[type[Configurable]]) -> dict[str, Any]:
    """The schema of one class; the classes that its fields name are added to `found`."""

    def referring(node: Any) -> Any:
        if isinstance(node, list):
            return [referring(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "layerkit" in node:
            found.append(Configurable.registry[node["layerkit"]])
            return {"$ref": f"#/$defs/{node['layerkit']}"}
        return {key: referring(value) for key, value in node.items()}

    properties = referring(adapter(cls).json_schema()).get("properties", {})
    for option in fields(cls):
        value = default(option)
        if isinstance(value, Configurable):
            value = to_config(value)
        if value is not MISSING and value is not None and value != {}:
            properties[option.name]["default"] = value
    return {
        "title": cls.__name__,
        "description": (inspect.getdoc(cls) or "").split("\n\n")[0],
        "type": "object",
        "properties": {"type": {"const": cls.__name__}, **properties},
        "required": [option.name for option in fields(cls) if default(option) is MISSING],
        "additionalProperties": False,
    }
