"""Columns are what tells jobs apart; seeds are taken together, and nothing else is."""

import math
import statistics
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.comparing import settings as decided
from launcher.comparing.columns import differing
from launcher.comparing.rows import Row
from launcher.comparing.seeds import over_seeds
from launcher.comparing.settings import plain
from launcher.plan import Plan, PlannedJob, Resources

QUICK = settings(deadline=None, max_examples=60)
VALUES = st.sampled_from([0, 1, 1.0, True, None, "1", [1], [2]])
SETTINGS = st.fixed_dictionaries(
    {"task": st.sampled_from(["a", "b"])},
    optional={key: VALUES for key in ("lr", "depth", "seed", "matrix.lr")},
)


def rows(all_settings: list[dict[str, Any]]) -> list[Row]:
    return [Row({"run": "r", "job": str(i), "status": ""}, each) for i, each in enumerate(all_settings)]


def is_same(one: dict[str, Any], other: dict[str, Any], keys: list[str]) -> bool:
    return all((key in one) == (key in other) and plain(one.get(key)) == plain(other.get(key)) for key in keys)


@QUICK
@given(st.lists(SETTINGS, min_size=1, max_size=8))
def test_columns_tell_all_apart_and_each_tells_something(found: list[dict[str, Any]]) -> None:
    shown = differing(rows(found))
    for one in found:
        for other in found:
            if one["task"] == other["task"] and is_same(one, other, shown):
                assert is_same(one, other, [*one, *other])
    for key in shown:
        assert any(not is_same(one, other, [key]) for one in found for other in found)
    assert set(shown) == set(differing(rows(found[::-1])))


def test_a_key_of_another_task_or_said_twice_is_no_column() -> None:
    found = [{"task": "a", "lr": x, "matrix.x": float(x), "k": 2, "warmup": x} for x in (1, 2)]
    assert differing(rows(found)) == ["lr", "warmup"]
    assert differing(rows([*found, {"task": "b", "iterations": 3}])) == ["task", "lr", "warmup"]
    assert differing(rows([{"task": "a"}, {"task": "a", "freeze": None}])) == ["freeze"]


def plan(name: str, trained: list[dict[str, Any]]) -> Plan:
    """Jobs that train, each read by one that evaluates."""
    folder = Path("/runs") / name

    def job(of: str, group: str, config: dict[str, Any], needs: tuple[str, ...] = ()) -> PlannedJob:
        config |= {"task": group, "tracking": {"parent": str(folder)}}
        return PlannedJob(of, group, {}, needs, (), {}, Resources(), 0, config)

    jobs = [job(f"train-{i}", "train", dict(config)) for i, config in enumerate(trained)]
    jobs += [
        job(f"test-{i}", "test", {"model": f"{folder}/jobs/train-{i}/outputs", "seed": 0}, (f"train-{i}",))
        for i in range(len(trained))
    ]
    return Plan(name, "p", "", folder, "", "e", tuple(jobs))


def identities(of: Plan, *ignored: str) -> dict[str, str]:
    return decided.identities(of, {job.name: {} for job in of.jobs}, *ignored)


TRAINED = st.lists(st.fixed_dictionaries({"seed": st.integers(0, 3), "lr": st.integers(0, 1)}), min_size=1, max_size=8)


@QUICK
@given(TRAINED, st.randoms(use_true_random=False))
def test_seeds_are_taken_together_and_nothing_else_is(trained: list[dict[str, Any]], random: Any) -> None:
    here = plan("one", trained)
    exact, but_for_seeds = identities(here), identities(here, decided.SEED)
    known = decided.by_group(here)
    found = [
        Row(
            {"run": "one", "job": job.name, "status": "done"},
            known[job.name],
            {"x": float(i)},
            float(i),
            exact[job.name],
            but_for_seeds[job.name],
        )
        for i, job in enumerate(here.jobs)
    ]
    random.shuffle(found)
    joined, repeated = over_seeds(found)
    newest: dict[tuple[str, int, int], float] = {}
    for i, job in enumerate(here.jobs):
        config = trained[int(job.name.split("-")[1])]
        newest[job.group, config["lr"], config["seed"]] = float(i)
    expected: dict[tuple[str, int], list[float]] = {}
    for (group, lr, _), value in newest.items():
        expected.setdefault((group, lr), []).append(value)
    assert repeated == len(found) - len(newest)
    assert sorted(row.metrics["x"] for row in joined) == sorted(map(statistics.mean, expected.values()))
    spreads = [statistics.stdev(each) for each in expected.values() if len(each) > 1]
    shown = [row.metrics["x sd"] for row in joined if "x sd" in row.metrics]
    assert all(map(math.isclose, sorted(shown), sorted(spreads))) and len(shown) == len(spreads)
    assert not any("seed" in row.settings for row in joined)


def test_the_same_jobs_of_two_runs_are_the_same_and_others_are_not() -> None:
    one, other = plan("one", [{"seed": 0, "lr": 1}]), plan("other", [{"seed": 1, "lr": 1}])
    assert identities(one) != identities(other)
    assert identities(one, decided.SEED) == identities(other, decided.SEED)
    of_other_images = decided.identities(other, {"train-0": {"data.train": "ff"}, "test-0": {}}, decided.SEED)
    assert not {*of_other_images.values()} & {*identities(one, decided.SEED).values()}
    assert decided.by_group(one)["test-0"]["model"] == "jobs/train/outputs"
    assert decided.by_name(one, one.job("test-0"))["model"] == "jobs/train-0/outputs"
    assert "tracking.parent" not in decided.by_group(one)["train-0"]


def test_a_number_that_some_seeds_lack_says_how_many_have_it() -> None:
    numbers: list[dict[str, float]] = [{"n": math.inf}, {"m": 1.0}, {"m": 2.0}]
    found = [
        Row({"run": "r", "job": f"a-{i}-x", "status": "done"}, {"seed": i, "axis": i}, each, 0.0, str(i), "a")
        for i, each in enumerate(numbers)
    ]
    ((row,), _) = over_seeds(found)
    assert row.metrics["m"] == 1.5 and row.metrics["m n"] == 2 and math.isnan(row.metrics["n"])
    assert row.about == {"run": "r", "job": "a-*-x", "status": "done", "seeds": "0 1 2"} and row.settings == {}
