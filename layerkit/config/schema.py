"""The JSON Schema of configuration files: editors complete and check with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from layerkit.config.checks import hints
from layerkit.config.options import Configurable, default, is_required
from layerkit.config.tables import choices_for, to_config

SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}
LIMITS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "min_length": "minItems",
}


def json_schema(root: type[Configurable]) -> dict[str, Any]:
    """Return the JSON Schema of configuration files, by which editors complete and check them.

    Parameters
    ----------
    root : type
        The class that a file describes, such as Experiment. Parts of it may be of all classes that
        are imported by now, your own included.

    Examples
    --------
    >>> from layerkit.runs.experiment import Experiment
    >>> schema = json_schema(Experiment)
    >>> schema["$defs"]["Dense"]["required"]
    ['units']
    >>> schema["$defs"]["Dense"]["properties"]["units"]
    {'type': 'integer', 'exclusiveMinimum': 0, 'exclusiveMaximum': 9223372036854775808}
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
    """The schema of one class; the classes that its options name are added to `found`."""
    properties: dict[str, Any] = {"type": {"const": cls.__name__}}
    annotations = hints(cls)
    for option in fields(cls):
        properties[option.name] = _value_schema(annotations[option.name], found)
        value = default(option)
        if isinstance(value, Configurable):
            value = to_config(value)
        if not is_required(option) and value is not None and value != {}:
            properties[option.name]["default"] = value
    return {
        "title": cls.__name__,
        "description": (inspect.getdoc(cls) or "").split("\n\n")[0],
        "type": "object",
        "properties": properties,
        "required": [option.name for option in fields(cls) if is_required(option)],
        "additionalProperties": False,
    }


def _value_schema(annotation: Any, found: list[type[Configurable]]) -> dict[str, Any]:
    """The schema of the values that an annotation allows."""
    kind, args = get_origin(annotation) or annotation, get_args(annotation)
    if kind in SCALARS:
        return {"type": SCALARS[kind]}
    if kind is Any:
        return {}
    if kind is Path:
        return {"type": "string", "format": "path"}
    if kind is Callable:
        return {"not": {}}
    if kind is Literal:
        return {"type": SCALARS[type(args[0])], "enum": list(args)}
    if isinstance(kind, type) and issubclass(kind, Configurable):
        found.append(kind)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if kind is Annotated:
        limits = [limit for rule in args[1:] for limit in rule.limits.items()]
        return _value_schema(args[0], found) | {LIMITS[name]: limit for name, limit in limits}
    of = [_value_schema(arg, found) for arg in args if arg is not ...]
    if kind in (Union, UnionType):
        return {"anyOf": of}
    if kind is dict:
        return {"type": "object", "additionalProperties": of[-1] if of else {}}
    if kind is tuple and ... not in args:
        return {"type": "array", "prefixItems": of, "minItems": len(of), "maxItems": len(of)}
    return {"type": "array", "items": of[0] if of else {}}
