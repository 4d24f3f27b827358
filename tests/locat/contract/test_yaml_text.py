"""What is written as YAML is read as the same values, by this project's parser and by others."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.backends.kubernetes.readable_yaml import to_yaml as readable
from locat.config import load_job
from locat.contract.errors import ConfigError
from locat.contract.yaml_source import parse
from locat.contract.yaml_text import to_yaml

PRINTABLE = st.characters(exclude_categories=["Cs", "Cc", "Cn"], include_characters="\n\t\x85")
AMBIGUOUS = ["1e3", "0o17", "0x1F", ".5", "-.inf", "~", "", "on", "no", "y", "2026-01-31", "1:30", "=", "<", "null"]
TEXTS = st.text(PRINTABLE, max_size=20) | st.sampled_from([*AMBIGUOUS, "a: b", "# a", "- a", "'", '"', "a #b", " a "])
VALUES = st.recursive(
    TEXTS | st.booleans() | st.none() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_every_value_comes_back(value: Any) -> None:
    assert parse(to_yaml({"key": value}), "text").values == {"key": value}


@given(st.dictionaries(TEXTS, TEXTS, max_size=4))
@settings(max_examples=100, deadline=None)
def test_texts_are_texts_for_parsers_of_either_version(value: dict[str, str]) -> None:
    for text in (to_yaml(value), readable([value])):
        assert yaml.safe_load(text) == value  # YAML 1.1
        assert parse(text, "text").values == value


def test_a_config_by_hand_means_what_it_means_in_a_pipeline(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("task: convert\nmost_bad: 1e-3\ndataset: {name: image_folder, train: a, val: b, label: on}\n")
    read = load_job(config)
    assert read.recorded()["most_bad"] == 0.001
    assert read.recorded()["dataset"]["label"] == "on"
    config.write_text("task: convert\nworkers: many\n")
    with pytest.raises(ConfigError, match=r"config.yaml:2:1: workers: "):
        load_job(config)
