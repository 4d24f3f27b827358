"""pipelines/schema.json: what editors know of the language."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.language import json_schema
from launcher.language.reference_page import sections
from locat.config import TASKS
from locat.contract import yaml_source

PIPELINES = Path(__file__).parents[3] / "pipelines"
SCHEMA = PIPELINES / "schema.json"
EDITORS = "# yaml-language-server: $schema=schema.json\n"


def test_the_schema_is_current() -> None:
    assert SCHEMA.read_text() == json_schema.text(), f"python -m launcher.language.json_schema > {SCHEMA}"


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_pipeline_tells_editors_where_the_schema_is(path: Path) -> None:
    assert path.read_text().startswith(EDITORS)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_all_of_the_language_is_in_it_and_every_reference_leads_somewhere() -> None:
    text = json_schema.schema()
    definitions = text["$defs"]
    assert sections().keys() - {"Pipeline"} <= definitions.keys()
    assert {model.__name__ for model in TASKS.built_in.values()} <= definitions.keys()
    links = {node["$ref"] for node in nodes(text) if isinstance(node.get("$ref"), str)}
    assert links <= {f"#/$defs/{name}" for name in definitions}


def problems(values: Any) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(values)]


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_pipeline_conforms(path: Path) -> None:
    assert problems(yaml_source.read(path).values) == []


JOB = {"task": "supervised", "config": {"model": {"name": "locatvit_tiny"}, "epochs": 3}}


@pytest.mark.parametrize(
    "values",
    [
        {"name": "a", "jobs": {"a": JOB}},
        {"include": "other.yaml", "jobs": {"a": {"config": {"epochs": 2}}}},
        {
            "name": "a",
            "jobs": {"a": {**JOB, "env": {"THREADS": 2}, "strategy": {"name": "deepspeed", "zero_stage": 3}}},
        },
        {
            "name": "a",
            "jobs": {"a": {"task": "supervised", "config": {"model": "${matrix.model}", "epochs": "${matrix.e}"}}},
        },
        {"name": "a", "defaults": {"options": {"slurm": {"sbatch": {"nice": 100}}}}, "jobs": {"a": JOB}},
        {"name": "a", "jobs": {"a": {"task": "convert", "config": {"dataset": {"name": "digits", "train_scenes": 9}}}}},
        {"name": "a", "jobs": {"a": {"task": "segment", "config": {"strategy": "ddp", "iterations": 9}}}},
    ],
)
def test_what_the_language_takes_conforms(values: Any) -> None:
    assert problems(values) == []


@pytest.mark.parametrize(
    "values, where",
    [
        ({"jobs": {"a": JOB}}, "$: 'name' is a required property"),
        ({"name": "a", "jobs": {"a": {"needs": []}}}, "$.jobs.a: 'task' is a required property"),
        ({"name": "a", "jobs": {"a": {**JOB, "epochs": 2}}}, "$.jobs.a: "),
        ({"name": "a", "jobs": {"a": {"task": "supervised", "config": {"epoch": 2}}}}, "$.jobs.a.config: "),
        ({"name": "a", "jobs": {"a": {"task": "supervised", "config": {"epochs": "two"}}}}, "$.jobs.a.config.epochs"),
        ({"name": "a", "jobs": {"a": {**JOB, "strategy": "dpp"}}}, "$.jobs.a.strategy: "),
    ],
)
def test_mistakes_are_seen_where_they_are(values: Any, where: str) -> None:
    assert any(problem.startswith(where) for problem in problems(values)), problems(values)
