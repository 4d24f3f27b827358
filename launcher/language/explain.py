"""What pydantic found, in words for the person who wrote the YAML.

Pydantic says which rule was broken; what would have been right is read from the schema itself,
so that a new field or rule needs nothing here.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from locat.contract.problems import KeyPath, did_you_mean, known_words, shown

JsonSchema = dict[str, Any]


def explain(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[KeyPath, str]]:
    """The path below `model`, and what is wrong with it, of each of the error's findings."""
    root = _schema(model)
    for finding in error.errors(include_url=False):
        loc = finding["loc"]
        kind = finding["type"]
        if loc and loc[-1] == "[key]":
            loc = loc[:-1]
        if kind == "missing" and isinstance(loc[-1], int):  # a list that is too short
            kind, loc = "too_short", loc[:-1]
        path = _as_written(root, loc)
        expected = _at(root, loc)
        match kind:
            case "extra_forbidden":
                known = _at(root, loc[:-1]).get("properties", {})
                message = f"unknown key {loc[-1]!r}{known_words(loc[-1], known)}"
            case "missing":
                message = f"required, but missing: {_words(expected, root)}"
            case "value_error":
                message = str(finding["ctx"]["error"])
            case "union_tag_not_found":
                key, tags = _tags(expected)
                message = f"required, but missing: {key!r}, one of {', '.join(tags)}"
            case "union_tag_invalid":
                key, tags = _tags(expected)
                tag = finding["input"][key]
                path = (*path, key)
                message = f"expected one of {', '.join(tags)}, got {shown(tag)}{did_you_mean(str(tag), tags)}"
            case _:
                choices = map(str, expected.get("enum", ()))
                nearest = did_you_mean(finding["input"], choices) if isinstance(finding["input"], str) else ""
                message = f"expected {_words(expected, root)}, got {shown(finding['input'])}{nearest}"
        yield path, message


@functools.cache
def _schema(model: type[BaseModel]) -> JsonSchema:
    return model.model_json_schema()


def _as_written(root: JsonSchema, loc: KeyPath) -> KeyPath:
    """`loc` without the tags by which pydantic says which member of a union it means."""
    path: KeyPath = ()
    schema = _followed(root, root)
    for key in loc:
        if key not in _tags(schema)[1]:
            path = (*path, key)
        schema = _child(schema, key, root)
    return path


def _at(root: JsonSchema, loc: KeyPath) -> JsonSchema:
    """The schema of the value at `loc`; empty where anything goes."""
    schema = _followed(root, root)
    for key in loc:
        schema = _child(schema, key, root)
    return schema


def _child(schema: JsonSchema, key: str | int, root: JsonSchema) -> JsonSchema:
    if isinstance(key, int):
        items = schema.get("prefixItems", [])
        child = items[key] if key < len(items) else schema.get("items", {})
    elif key in _tags(schema)[1]:
        child = {"$ref": schema["discriminator"]["mapping"][key]}
    else:
        others = schema.get("additionalProperties")
        child = schema.get("properties", {}).get(key, others if isinstance(others, dict) else {})
    return _followed(child, root)


def _tags(schema: JsonSchema) -> tuple[str, Sequence[str]]:
    """The key by which the members of a union are told apart, and its values; none for what is no such union."""
    union = schema.get("discriminator", {"propertyName": "", "mapping": {}})
    return union["propertyName"], tuple(union["mapping"])


def _followed(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    """The schema that a reference, or an optional one, stands for."""
    if "$ref" in schema:
        return _followed(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root)
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _followed(option, root)
    return schema


def _words(schema: JsonSchema, root: JsonSchema) -> str:
    """What a value of this schema is called."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return repr(schema["const"])
    match schema.get("type"):
        case "integer":
            return _bounded("an integer", "a positive integer", schema)
        case "number":
            return _bounded("a number", "a positive number", schema)
        case "string":
            text = "non-empty text" if schema.get("minLength") else "text"
            return "a path" if schema.get("format") == "path" else text
        case "boolean":
            return "true or false"
        case "array":
            least = schema.get("minItems", 0)
            many = f" of {least}" if least and least == schema.get("maxItems") else ""
            return f"a non-empty list{many}" if least and not many else f"a list{many}"
        case "object":
            needed = ", ".join(schema.get("required", ()))
            some = "a non-empty mapping" if schema.get("minProperties") else "a mapping"
            return f"{some} with {needed}" if needed else some
    return "another value"


def _bounded(plain: str, positive: str, schema: JsonSchema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{plain} between {least} and {most}"
    if schema.get("exclusiveMinimum") == 0:
        return positive if most is None else f"{positive} of at most {most}"
    return plain if least is None else f"{plain} of at least {least}"
