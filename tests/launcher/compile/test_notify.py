"""Whom a plan tells what: of the run, and of each job."""

import json
from pathlib import Path

import pytest

from launcher.actions.submit import prepare, submit
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.plan import Event, Notification, Plan
from locat.contract.errors import ConfigError
from locat.contract.problems import PipelineError

CONVERT = {"task": "convert", "config": {"dataset": {"name": "digits"}}}
PIPELINE = {
    "name": "small",
    "secrets": ["TOKEN"],
    "notify": [
        {"on": ["done", {"stalled": "30m"}, "failed"], "webhook": {"secret": "HOOK", "form": "slack"}},
        {"on": [{"metric": "val/miou < 5 after 2000"}], "command": ["tell", "me"]},
    ],
    "defaults": {"notify": [{"on": ["failed"], "email": {"secret": "MAIL", "to": ["a@b.org", "c@d.org"]}}]},
    "jobs": {
        "one": CONVERT,
        "two": {**CONVERT, "notify": []},
        "three": {**CONVERT, "notify": [{"on": ["invalid"], "webhook": {"secret": "HOOK"}}]},
    },
}
SLACK = {"secret": "HOOK", "form": "slack"}
OF_ANY = (
    Notification((Event("stalled", minutes=30),), "webhook", SLACK),
    Notification((Event("metric", condition="val/miou < 5 after 2000"),), "command", {"words": ["tell", "me"]}),
)


def planned() -> Plan:
    return compile_pipeline(load(PIPELINE), "run-1", Path("/runs"))


def test_a_run_has_its_ends_and_jobs_the_rest() -> None:
    plan = planned()
    assert plan.notify == (Notification((Event("done"), Event("failed")), "webhook", SLACK),)
    mail = {"secret": "MAIL", "to": ["a@b.org", "c@d.org"], "sender": "a@b.org"}
    own = {
        "one": [Notification((Event("failed"),), "email", mail)],
        "two": [],
        "three": [Notification((Event("invalid"),), "webhook", {"secret": "HOOK", "form": "json"})],
    }
    assert {job.name: job.notify for job in plan.jobs} == {name: (*found, *OF_ANY) for name, found in own.items()}


def test_variables_that_hold_urls_are_secrets_of_the_plan() -> None:
    assert planned().secrets == ("TOKEN", "HOOK", "MAIL")


def test_a_plan_is_read_as_it_was_written_and_says_nothing_of_none() -> None:
    plan = planned()
    assert Plan.from_json(plan.to_json()) == plan
    silent = compile_pipeline(load({"name": "small", "jobs": {"one": CONVERT}}), "run-1", Path("/runs"))
    assert "notify" not in json.loads(silent.to_json()) and "notify" not in json.loads(silent.to_json())["jobs"][0]


def test_apprise_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = {
        "name": "small",
        "notify": [{"on": ["done"], "apprise": {"secret": "SERVICE"}}],
        "jobs": {"one": CONVERT},
    }
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        PipelineError, match=r"notify\.0\.apprise: the package apprise is not installed here; install it"
    ):
        load(pipeline)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert load(pipeline).notify[0].secret == "SERVICE"


@pytest.mark.parametrize(
    ("variables", "trouble"),
    [
        ({}, "small: not set in this shell: HOOK; export them first"),
        ({"HOOK": "hooks.example/hidden"}, "small: notify: HOOK holds no URL of https or http; export it anew"),
    ],
)
def test_a_run_without_its_urls_is_not_submitted(
    variables: dict[str, str], trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pipeline = {"name": "small", "notify": [{"on": ["done"], "webhook": {"secret": "HOOK"}}], "jobs": {"one": CONVERT}}
    with pytest.raises(ConfigError) as error:
        list(submit(prepare([pipeline], [], "local", tmp_path), [], "local", tmp_path))
    assert str(error.value) == trouble
    assert not list(tmp_path.iterdir())
