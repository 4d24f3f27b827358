"""Conditions are of one form, and nothing that is written in them runs."""

import math
from typing import Any

import pytest

from launcher.comparing.query import Condition, in_order, parse
from locat.contract.errors import UserError

ROW: dict[str, Any] = {
    "lr": 0.001,
    "name": "locat vit",
    "freeze": None,
    "compile": True,
    "m": math.nan,
    "betas": [0.9, 1],
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("lr=1e-3", True),
        ("lr<0.001", False),
        ("lr <= 0.001, compile=true", True),
        ("lr>=0.001 compile=false", False),
        ("name='locat vit'", True),
        ('name~cat name!="vit"', True),
        ("freeze=null", True),
        ("none=null", False),
        ("none!=3", True),
        ("name>1", False),
        ("m>0", False),
        ("m=nan", False),
        ("betas='[0.9, 1]'", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert all(condition.holds(ROW) for condition in parse(text)) == holds


@pytest.mark.parametrize(
    "text", ["", "lr", "lr=", "=3", "lr==3", "lr=3=4", "lr>x", "__import__('os')", "lr=3 or", "a='b"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--where"):
        list(parse(text))


def test_several_in_one_text() -> None:
    assert list(parse(" a<=1,b!='x y'  val/top1@best>2 ")) == [
        Condition("a", "<=", "1"),
        Condition("b", "!=", "x y"),
        Condition("val/top1@best", ">", "2"),
    ]


def test_sorted_by_numbers_then_texts_and_what_has_none_is_last() -> None:
    rows: list[dict[str, Any]] = [{"k": "b"}, {}, {"k": 10}, {"k": math.nan}, {"k": "a"}, {"k": 9.5}, {"k": None}]
    assert [row.get("k") for row in in_order(rows, "k", False)][:5] == [9.5, 10, "a", "b", None]
    assert [row.get("k") for row in in_order(rows, "k", True)][:5] == [None, "b", "a", 10, 9.5]
