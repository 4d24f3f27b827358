import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from locat.config.training import EarlyStop as Settings
from locat.contract.errors import ConfigError
from locat.engine.early_stop import EarlyStop


def seen(
    settings: Settings, values: list[float], restarts: frozenset[int] = frozenset()
) -> tuple[int | None, EarlyStop]:
    """The evaluation after which training ends, and what has seen them; saved and taken up again before `restarts`."""
    stop = EarlyStop(settings)
    for number, value in enumerate(values):
        if number in restarts:
            state, stop = stop.state(), EarlyStop(settings)
            stop.load_state(state)
        stop.see(10 * number, {"top1": value})
        if number in restarts:
            stop.see(10 * number, {"top1": value})  # of a checkpoint that was judged later
        if stop.reached:
            return number, stop
    return None, stop


def test_it_ends_after_as_many_evaluations_without_anything_better() -> None:
    settings = Settings(metric="top1", patience=2)
    end, stop = seen(settings, [1, 3, 2, 3, 9])
    assert end == 3
    told = {"stopped_at": 30, "best": 3, "best_step": 10}
    assert stop.report() == {**told, **settings.model_dump()}
    assert seen(settings, [1, 2, 3, 4, 5])[0] is None


def test_better_means_by_more_than_min_delta_and_in_the_direction_that_is_asked_for() -> None:
    assert seen(Settings(metric="top1", patience=2, min_delta=1.0), [1, 2, 2, 3])[0] == 2
    assert seen(Settings(metric="top1", patience=2, best_is="smallest"), [3, 2, 1, 2, 2])[0] == 4


def test_any_number_is_better_than_what_is_none() -> None:
    nan = float("nan")
    assert seen(Settings(metric="top1", patience=1), [1, nan])[0] == 1
    assert seen(Settings(metric="top1", patience=2), [nan, nan, 1, 1, 2, 1, 1])[0] == 6
    assert seen(Settings(metric="top1", patience=2), [nan, nan, nan])[0] == 2


def test_a_metric_that_these_data_do_not_have_is_named() -> None:
    stop = EarlyStop(Settings(metric="top5", patience=1))
    with pytest.raises(ConfigError, match=r"^early_stop.metric: of these data the job evaluates top1, not top5$"):
        stop.see(10, {"top1": 50.0})


@examples(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(0, 4), max_size=12),
    restarts=st.frozensets(st.integers(0, 11)),
    patience=st.integers(1, 3),
)
def test_restarts_change_nothing(values: list[float], restarts: frozenset[int], patience: int) -> None:
    settings = Settings(metric="top1", patience=patience)
    (alone, one), (restarted, other) = seen(settings, values), seen(settings, values, restarts)
    assert alone == restarted
    assert one.report() == other.report()


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0, 1.0]])
def test_without_settings_nothing_ends(values: list[float]) -> None:
    stop = EarlyStop(None)
    for step, value in enumerate(values):
        stop.see(step, {"top1": value})
    assert not stop.reached and stop.state() == {}
