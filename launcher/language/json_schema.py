"""The pipeline language as a JSON schema, for editors.

    python -m launcher.language.json_schema [--installed [PLUGIN...]]

It is what the language's own models say, made as lenient as a file may be: where a reference may stand it allows one,
and a file that includes others may leave out what they have. `launcher validate` is stricter. With `--installed` it
knows the tasks and datasets of installed packages, too, and of plugins (docs/extend/plugins.md).
"""

import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from launcher.language.model import language
from launcher.plugins import use
from locat.config import name_installed, task_configs

JsonSchema = dict[str, Any]
REFERENCE: JsonSchema = {"type": "string", "pattern": r"\$\{[^}]+\}"}
"""`${matrix.AXIS}`, `${jobs.NAME.outputs.KEY}`."""
STRATEGY: JsonSchema = {"anyOf": [{"enum": ["ddp", "fsdp", "deepspeed"]}, {"$ref": "#/$defs/Strategy"}, REFERENCE]}
"""In a job and in `defaults`, where the language itself takes anything."""


class AsWritten(GenerateJsonSchema):
    """What may stand in the file for what it becomes: a number for text, a name for an object."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchema:
        becomes = super().function_before_schema(schema)
        return {"anyOf": [becomes, {"type": "number" if becomes.get("type") == "string" else "string"}]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would be the key again


def schema(installed: bool = False) -> JsonSchema:
    """Draft 2020-12."""
    tasks = task_configs(installed)
    pipeline = language().model_json_schema(schema_generator=AsWritten)
    definitions: dict[str, JsonSchema] = pipeline.pop("$defs")
    job = definitions["Job"]
    job["properties"]["task"]["enum"] = [*tasks]
    job["allOf"] = []
    for task, model in tasks.items():
        config = model.model_json_schema(schema_generator=AsWritten)
        parts = config.pop("$defs", {})
        if installed:
            name_installed(parts)
        for settled in model.settled:
            del config["properties"][settled]
        definitions |= {name: _lenient(part) for name, part in parts.items() if name not in ("Tracking", "Branch")}
        definitions[model.__name__] = _lenient(config)
        condition = {"properties": {"task": {"const": task}}, "required": ["task"]}
        job["allOf"].append(
            {"if": condition, "then": {"properties": {"config": {"$ref": f"#/$defs/{model.__name__}"}}}}
        )
    for owner in (definitions["Defaults"], job):
        owner["properties"]["strategy"] |= STRATEGY
    complete_job = {"required": job.pop("required")}
    complete = {
        "required": pipeline.pop("required"),
        "properties": {"jobs": {"additionalProperties": complete_job}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **pipeline,
        "title": "LocAt pipeline",
        "if": {"not": {"required": ["include"]}},
        "then": complete,
        "$defs": dict(sorted(definitions.items())),
    }


def text(installed: bool = False) -> str:
    """The file's content."""
    return json.dumps(schema(installed), indent=1, ensure_ascii=False) + "\n"


def _lenient(part: JsonSchema) -> JsonSchema:
    """A config's schema with references allowed for each value, and nothing required: an included file may have it."""
    part = {key: value for key, value in part.items() if key != "required"}
    part["properties"] = {key: _or_reference(value) for key, value in part["properties"].items()}
    return part


def _or_reference(field: JsonSchema) -> JsonSchema:
    """`field`, or a reference instead of it or of what is in it."""
    about = {key: value for key, value in field.items() if key in ("description", "default")}
    value = {key: each for key, each in field.items() if key not in ("description", "default", "discriminator")}
    kinds = value.pop("anyOf", None) or value.pop("oneOf", None) or [value]
    return {**about, "anyOf": [*(_inside(kind) for kind in kinds), REFERENCE]}


def _inside(kind: JsonSchema) -> JsonSchema:
    kind = dict(kind)
    for key in ("items", "additionalProperties"):
        if isinstance(kind.get(key), dict):
            kind[key] = _or_reference(kind[key])
    if "prefixItems" in kind:
        kind["prefixItems"] = [_or_reference(each) for each in kind["prefixItems"]]
    return kind


if __name__ == "__main__":
    print(text(use.installed(sys.argv[1:])), end="")
