"""Rows and columns of the comparison."""

from typing import Any

import pytest

from locat.tasks.compare import comparison, headlines, in_order

FIRST = {"top1", "top1_k20", "miou"}


def result(task: str, model: str, dataset: str, contents: str = "", **metrics: float) -> dict[str, Any]:
    return {"task": task, "model": model, "dataset": dataset, "contents": contents, "metrics": metrics}


def test_a_model_has_one_row_of_all_its_tasks_headlines_first() -> None:
    table = comparison(
        [
            result("supervised", "vit", "digits", top5=99.0, top1=90.0),
            result("segment", "vit", "digits", aacc=80.0, miou=30.0),
        ]
    )
    assert table == [{"model": "vit", "top5": 99.0, "top1": 90.0, "aacc": 80.0, "miou": 30.0}]
    assert in_order(table, FIRST) == ["top1", "miou", "top5", "aacc"]


def test_several_datasets_of_a_task_have_columns_of_their_own() -> None:
    table = comparison(
        [
            result("supervised", "vit", "ImageNet-1K", top1=80.0),
            result("segment", "vit", "ADE20K", miou=28.4),
            result("segment", "vit", "COCO-Stuff", miou=30.4),
        ]
    )
    assert table == [{"model": "vit", "top1": 80.0, "ADE20K miou": 28.4, "COCO-Stuff miou": 30.4}]
    assert in_order(table, FIRST) == ["top1", "ADE20K miou", "COCO-Stuff miou"]


def test_a_frozen_and_a_trained_backbone_are_never_averaged() -> None:
    frozen, trained = (result("segment", "vit", "digits", miou=value) for value in (20.0, 30.0))
    table = comparison([frozen, {**trained, "variant": "trained upernet"}])
    assert table == [{"model": "vit", "frozen miou": 20.0, "trained upernet miou": 30.0}]
    assert in_order(table, FIRST) == ["frozen miou", "trained upernet miou"]
    assert comparison([frozen]) == [{"model": "vit", "miou": 20.0}]


def test_several_results_of_a_model_give_mean_and_standard_deviation() -> None:
    table = comparison([result("segment", "vit", "digits", aacc=80.0, miou=value) for value in (20.0, 24.0, 25.0)])
    expected = {"miou": 23.0, "miou sd": pytest.approx(7**0.5), "aacc": 80.0, "aacc sd": 0.0}
    assert table == [{"model": "vit", **expected}]
    assert in_order(table, FIRST) == ["miou", "miou sd", "aacc", "aacc sd"]


def test_datasets_that_only_share_their_name_are_never_averaged() -> None:
    table = comparison(
        [
            result("supervised", "vit", "flowers", "a" * 64, top1=80.0),
            result("supervised", "vit", "flowers", "a" * 64, top1=82.0),
            result("supervised", "vit", "flowers", "b" * 64, top1=20.0),
            result("supervised", "vit", "birds", "c" * 64, top1=50.0),
        ]
    )
    spread = {"flowers (aaaaaaa) top1": 81.0, "flowers (aaaaaaa) top1 sd": pytest.approx(2**0.5)}
    assert table == [{"model": "vit", **spread, "flowers (bbbbbbb) top1": 20.0, "birds top1": 50.0}]


def test_numbers_by_different_protocols_are_never_averaged() -> None:
    exact, release = (
        {**result("segment", "vit", "digits", miou=30.0), "protocol": name} for name in ("exact", "release")
    )
    assert comparison([exact, exact]) == [{"model": "vit", "miou": 30.0, "miou sd": 0.0}]
    table = comparison([exact, release, result("segment", "vit", "digits", miou=20.0)])
    assert table == [{"model": "vit", "exact miou": 30.0, "release miou": 30.0, "(protocol unknown) miou": 20.0}]
    assert in_order(table, FIRST) == ["exact miou", "release miou", "(protocol unknown) miou"]


def test_headlines_are_those_of_the_tasks_that_are_there() -> None:
    results = [result(task, "vit", "digits") for task in ("supervised", "knn", "dino", "from_elsewhere")]
    assert headlines(results) == {"top1", "top1_k20"}
    assert headlines([result("segment", "vit", "digits")]) == {"miou"}
