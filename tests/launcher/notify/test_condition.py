"""The conditions of metrics: what they take, and what meets them."""

import math

import pytest

from launcher.notify.condition import Condition
from locat.contract.metric_record import Record


@pytest.mark.parametrize(
    ("text", "step", "value", "met"),
    [
        ("val/miou < 5 after 2000", 2000, 4.9, True),
        ("val/miou < 5 after 2000", 1999, 4.9, False),
        ("val/miou < 5", 0, 5.0, False),
        ("val/miou<=5", 0, 5.0, True),
        ("val/miou >= -1e-3", 0, 0.0, True),
        ("val/miou > .5", 0, math.nan, False),
        ("val/miou > .5", 0, math.inf, True),
        ("train/loss > 1", 0, 2.0, False),
    ],
)
def test_a_condition_is_met(text: str, step: int, value: float, met: bool) -> None:
    assert Condition.parse(text).is_met(Record(step, 0.0, {"val/miou": value})) is met


def test_what_meets_it_is_said() -> None:
    condition = Condition.parse(" val/miou <  5 after 2000")
    record = Record(2500, 0.0, {"val/miou": 3.14159265})
    assert condition.said_of(record) == "val/miou is 3.14159 at step 2500, val/miou < 5 after 2000"


@pytest.mark.parametrize(
    "text",
    [
        *("", "val/miou", "val/miou <", "val/miou = 5", "val/miou == 5", "< 5", "val/miou < five", "val/miou < nan"),
        *("val/miou < 5 after", "val/miou < 5 after -1", "val/miou < 5 before 3", "a < 1 and b < 2", "x" * 999 + "<1"),
        *("__import__('os').abort() < ", "val miou < 5", "val/miou < 5 after 1e9"),
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected METRIC < NUMBER \[after STEP\]"):
        Condition.parse(text)
