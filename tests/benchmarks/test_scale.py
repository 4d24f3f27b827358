"""docs/scale.md says what benchmarks/scale.py computes, and the simulation agrees with what is known of such jobs."""

import random
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("scale_failures")


def test_the_page_holds_what_the_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    scale = import_module("scale")
    page = scale.PAGE.read_text()
    assert scale.filled(page) == page, "run `python benchmarks/scale.py --write`"
    row = next(line for line in page.splitlines() if line.startswith("| a billion images"))
    assert scale.filled(page.replace(row, row.replace("GB", "MB"))) == page


def test_what_was_measured_here_says_what_measures_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    given = import_module("scale_facts")
    for fact in given.FACTS:
        assert bool(fact.again) == (fact.kind == given.HERE), fact
        for file in re.findall(r"benchmarks/\w+\.py", fact.again):
            assert (BENCHMARKS.parent / file).is_file(), fact


def test_models_are_those_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm
    import torch

    monkeypatch.syspath_prepend(BENCHMARKS)
    with torch.device("meta"):
        for model, name in zip(
            import_module("scale_facts").MODELS, ("vit_base_patch16_224", "vit_giant_patch14_224"), strict=False
        ):
            assert model.parameters == sum(weight.numel() for weight in timm.create_model(name).parameters())


def test_without_failures_only_standing_still_is_lost(failures: Any) -> None:
    job = failures.Job(between=1e15, still=10.0, writing=20.0, restart=100.0)
    assert failures.one_week(job, 990.0, random.Random(0)) == pytest.approx(0.99, abs=1e-3)
    waiting = failures.Job(between=1e15, still=10.0, writing=100.0, restart=100.0)
    assert failures.one_week(waiting, 50.0, random.Random(0)) == pytest.approx(0.5, abs=1e-3)


def test_what_was_not_complete_is_lost(failures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures after 1,000 s each; checkpoints at 400 and 800 s of work, the second one complete at 1,050 s."""

    class Each1000(random.Random):
        def expovariate(self, lambd: float = 1.0) -> float:
            return 1000.0

    monkeypatch.setattr(failures, "WEEK", 1500.0)
    job = failures.Job(between=1.0, still=0.0, writing=250.0, restart=100.0)
    assert failures.one_week(job, 400.0, Each1000()) * 1500 == pytest.approx(400 + 400)


def test_the_simulation_agrees_with_theory(failures: Any) -> None:
    """Of a job that fails every six hours: the share to the first order, and the best interval by Young and Daly."""
    job = failures.Job(between=6 * 3600.0, still=30.0, writing=30.0, restart=300.0)
    best = failures.young_daly(job)
    found = {factor: failures.simulated(job, factor * best) for factor in (0.25, 1.0, 4.0)}
    for factor, useful in found.items():
        assert useful == pytest.approx(failures.expected(job, factor * best), abs=0.01)
    assert found[1.0] > max(found[0.25], found[4.0])
