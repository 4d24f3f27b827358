"""A secret that is written into a plan is found; a word that a plan has anyway is none."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from launcher.compile import secrets
from launcher.plan import Plan
from locat.contract.errors import ConfigError
from support import small_runs

JOB = replace(small_runs.job("train"), config={"task": "supervised", "model": {"name": "locatvit_tiny"}})
PLAN = Plan("run-1", "small", "", Path("/runs/run-1"), "http://mlflow", "small", (JOB,), secrets=("MODE",))


@pytest.mark.parametrize(
    "value", ["a", "1", "train", "/", "{", "supervised", "small", "local", "resource", "locatvit_tin"]
)
def test_a_value_that_only_occurs_by_chance_is_taken(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", value)
    secrets.check(PLAN, from_shell=True)


@pytest.mark.parametrize("value", ["hf_12345", "pass word", 'quote"d\\', "schlüssel", "0123456789abcdef0123"])
@pytest.mark.parametrize("where", ["description", "environment", "config", "options", "uri", "list"])
def test_a_value_that_was_written_into_the_pipeline_is_refused(
    value: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODE", value)
    plan = {
        "description": replace(PLAN, description=f"the token is {value}."),
        "environment": replace(PLAN, jobs=(replace(JOB, environment={"name": value}),)),
        "config": replace(PLAN, jobs=(replace(JOB, config={"label": value}),)),
        "options": replace(PLAN, jobs=(replace(JOB, options={"slurm": {"account": value}}),)),
        "uri": replace(PLAN, tracking_uri=f"http://mlflow/{value}/x"),
        "list": replace(PLAN, jobs=(replace(JOB, config={"results": [f"/{value}/x"]}),)),
    }[where]
    with pytest.raises(ConfigError, match="the value of MODE is written in it"):
        secrets.check(plan, from_shell=True)


@pytest.mark.parametrize("secret", ['quote"d\\ too', "schlüssel", "it's mine", "pass word/+", "0123456789abcdef0123"])
def test_a_value_is_found_in_every_spelling_and_in_comments(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", secret)
    spelled = {
        secret,
        json.dumps(secret)[1:-1],
        secret.replace("'", "''"),
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    }
    secrets.check(PLAN, True, ["name: small  # the token is elsewhere\n"])
    for spelling in spelled:
        with pytest.raises(ConfigError, match="the value of MODE is written in it"):
            secrets.check(PLAN, True, [f"name: small  # the token is {spelling}\n"])
        with pytest.raises(ConfigError, match="the value of MODE is written in it"):
            secrets.check(replace(PLAN, description=spelling), from_shell=True)


def test_a_word_of_the_plan_is_no_secret_in_the_file_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "supervised")
    secrets.check(PLAN, True, ["jobs: {train: {task: supervised}}\n"])
