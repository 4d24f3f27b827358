"""`--set KEY=VALUE` over the values of a file."""

from typing import Any

import pytest

from launcher.language.overrides import apply
from locat.contract.problems import PipelineError
from locat.contract.yaml_source import MAX_DEPTH, parse

SOURCE = parse("jobs:\n  train:\n    needs: [a, b]\n    config: {epochs: 8, lr: 1e-3}\n", "x.yaml")


def config(*overrides: str) -> Any:
    return apply(SOURCE, overrides).values["jobs"]["train"]["config"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("jobs.train.config.epochs=2", {"epochs": 2, "lr": 0.001}),
        ("jobs.train.config.lr=1e-4", {"epochs": 8, "lr": 0.0001}),
        ("jobs.train.config.new=[a=b, {c: no}]", {"epochs": 8, "lr": 0.001, "new": ["a=b", {"c": "no"}]}),
        ("jobs.train.config.lr=", {"epochs": 8, "lr": None}),
        ("jobs.train.config={}", {}),
    ],
)
def test_a_value_is_yaml(override: str, expected: object) -> None:
    assert config(override) == expected


def test_the_last_one_wins_and_the_source_stays() -> None:
    assert config("jobs.train.config={x: {y: 1}}", "jobs.train.config.x.y=2") == {"x": {"y": 2}}
    assert SOURCE.values["jobs"]["train"]["config"]["epochs"] == 8


def test_a_list_item_is_named_by_its_position() -> None:
    changed = apply(SOURCE, ["jobs.train.needs.1=c"])
    assert changed.values["jobs"]["train"]["needs"] == ["a", "c"]
    assert str(changed.places["jobs", "train", "needs", 1]) == "--set jobs.train.needs.1"
    assert changed.places["jobs", "train", "needs", 0].source == "x.yaml"


def test_defaults_and_tracking_need_not_be_in_the_file() -> None:
    values = apply(SOURCE, ["defaults.strategy=ddp", "tracking.uri=http://host"]).values
    assert values["defaults"] == {"strategy": "ddp"}
    assert values["tracking"] == {"uri": "http://host"}


def test_places_below_a_replaced_value_are_gone() -> None:
    assert ("jobs", "train", "needs", 0) not in apply(SOURCE, ["jobs.train.needs=[]"]).places


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "jobs.trian.config.epochs=2",
            "--set jobs.trian.config.epochs: jobs.trian: no such key; did you mean 'train'?",
        ),
        (
            "jobs.train.config.x.y.z=2",
            "jobs.train.config.x: no such key; a new mapping is given whole: jobs.train.config.x='{y: {z: ...}}'",
        ),
        ("jobs.train.config.lr.y=2", "jobs.train.config.lr has no keys; set it as a whole"),
        ("jobs.train.needs.2=c", "jobs.train.needs is a list of 2; name an item from 0"),
        ("jobs.train.needs.²=c", "jobs.train.needs is a list of 2; name an item from 0"),
        ("jobs.train", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("jobs.train.config.x=[", "not valid YAML"),
        ("jobs.train.config.x=!!python/name:os.system", "the tag '!!python/name:os.system' is not allowed"),
        ("jobs.train.config.x=\udcff", "unprintable character U+DCFF"),
        (f"jobs.train.config.x={'[' * (MAX_DEPTH - 1)}{']' * (MAX_DEPTH - 1)}", "nested more than"),
    ],
)
def test_refused(override: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        apply(SOURCE, [override])
    assert str(error.value).startswith("--set ")
    assert message in str(error.value)
