"""The pipeline language as a document, from its schema.

    python -m launcher.language.reference_page [--installed [PLUGIN...]]

With `--installed` it has the tasks and datasets of installed packages, too, and of plugins (docs/extend/plugins.md).
"""

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from launcher.backends import OPTIONS
from launcher.language.model import language
from launcher.plugins import use
from locat.config import name_installed, task_configs

JsonSchema = Mapping[str, Any]
"""JSON schema of a model or a field."""

SECTIONS = {
    "Pipeline": "The file",
    "TrackingSettings": "tracking",
    "GpuFigures": "gpus.TYPE",
    "Defaults": "defaults",
    "Job": "jobs.NAME",
    "ResourceRequest": "resources",
    "Storage": "storage.PATH",
    "Notification": "notify",
    "Event": "notify.on",
    "Webhook": "notify.webhook",
    "Email": "notify.email",
    "Apprise": "notify.apprise",
    "Options": "options",
}
"""What the language calls its models, in the order of the document; those of `options` come after them."""
INTRODUCTION = """\
# The pipeline language

This page lists every key of a pipeline file. It is generated from the schema
(`python -m launcher.language.reference_page > docs/pipeline-reference.md`). `launcher validate FILE` checks a pipeline
against the same schema, and names the line, the key and the nearest valid word.

A value may contain the references `${matrix.AXIS}`, `${matrix.AXIS.KEY}` and `${jobs.NAME.outputs.KEY}`; `$${` stands
for `${`. `--set KEY=VALUE` overrides a value of the file, such as `--set jobs.pretrain.config.epochs=2`.
A relative path starts from the folder of the file that contains it, and with `--set` from the pipeline file's folder;
`~` is a home folder. Pods see no folder of the machine that submits, so paths for Kubernetes must be absolute.
"""
TASKS_INTRODUCTION = """
# Tasks

The keys of `jobs.NAME.config` for each `task`, and the outputs that `${jobs.NAME.outputs.KEY}` may refer to. `strategy`
and `seed` may also come from the job and from `defaults`.
"""


def text(installed: bool = False) -> str:
    """The whole document."""
    pipeline = language().model_json_schema()
    models = {"Pipeline": pipeline, **pipeline["$defs"]}
    titles = sections()
    document = [INTRODUCTION, *(_section(f"## {title}", models[name], titles) for name, title in titles.items())]
    document.append(TASKS_INTRODUCTION)
    parts: dict[str, JsonSchema] = {}
    for task, config in task_configs(installed).items():
        schema = config.model_json_schema()
        if installed:
            name_installed(schema.get("$defs", {}))
        parts.update(schema.get("$defs", {}))
        for settled in config.settled:
            del schema["properties"][settled]
        schema["description"] = inspect.getdoc(config) or ""
        document.append(_section(f"## {task}", schema, {}))
        named = "those that `outputs` names" if "outputs" in config.references else ""
        document.append(f"\nOutputs: {named or ', '.join(f'`{key}`' for key in config.outputs)}.\n")
    document.append("\n# Parts of configs\n")
    document += [
        _section(f"## {name}", parts[name], {}) for name in sorted(parts) if name not in ("Tracking", "Branch")
    ]
    return "".join(document)


def sections() -> dict[str, str]:
    """Model -> what the language calls it, in the order of the document: the language's own, then the backends'."""
    found = dict(SECTIONS)
    for backend in OPTIONS.own:
        schema = OPTIONS[backend].model_json_schema()
        found[OPTIONS[backend].__name__] = f"options.{backend}"
        for key, field in schema["properties"].items():
            found |= {name: f"options.{backend}.{key}" for name in re.findall(r"#/\$defs/(\w+)", json.dumps(field))}
    return found


def _section(heading: str, schema: JsonSchema, names: Mapping[str, str]) -> str:
    about = " ".join(schema.get("description", "").split())
    rows = "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(schema, names))
    return f"\n{heading}\n\n{about}\n\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}"


def _rows(schema: JsonSchema, names: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", ())
    for key, field in schema["properties"].items():
        default = "required" if key in required else _default(field.get("default"))
        meaning = " ".join(field.get("description", "").split())
        yield f"`{key}`", _kind(field, names).replace("|", "\\|"), default, meaning.replace("|", "\\|")


def _default(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("name")
    return "" if value in (None, "", [], {}) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(field: JsonSchema, names: Mapping[str, str]) -> str:
    """What a value of this schema is called."""
    if "$ref" in field:
        name = re.sub(r".*/", "", field["$ref"])
        title = names.get(name, name)
        return f"[{title}](#{re.sub(r'[^a-z0-9_-]', '', title.lower())})"
    for several in ("anyOf", "oneOf"):
        if several in field:
            return _either(field[several], names)
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{str(field['const']).lower()}`"
    match field.get("type"):
        case "array" if "prefixItems" in field:
            return f"list of {len(field['prefixItems'])}: {_either(field['prefixItems'], names)}"
        case "array":
            return f"list of {_kind(field.get('items', {}), names)}"
        case "object":
            inner = field.get("additionalProperties")
            return f"mapping to {_kind(inner, names)}" if isinstance(inner, dict) else "mapping"
        case "string":
            return "path" if field.get("format") == "path" else "text"
        case str(kind):
            return kind
    return "any"


def _either(fields: Iterable[JsonSchema], names: Mapping[str, str]) -> str:
    kinds = dict.fromkeys(_kind(field, names) for field in fields)
    return " or ".join(kind for kind in kinds if kind != "null")


if __name__ == "__main__":
    print(text(use.installed(sys.argv[1:])), end="")
