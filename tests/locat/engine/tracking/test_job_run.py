"""What is sent to MLflow, by itself; test_tracking_outages.py sends it to a server."""

from hypothesis import given, settings
from hypothesis import strategies as st

from locat.contract.flatten import flatten
from locat.contract.metric_record import Record
from locat.engine.tracking.job_run import POINTS_A_REQUEST, _batches

METRICS = st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False), max_size=4)


@given(st.lists(METRICS, max_size=6), st.integers(1, 150))
@settings(max_examples=30)
def test_every_point_is_in_one_batch_and_no_record_in_two(metrics: list[dict[str, float]], copies: int) -> None:
    records = [(Record(step, 1.5, each), 10 * (step + 1)) for step, each in enumerate(metrics * copies)]
    batches = list(_batches(records))
    points = [(point.step, point.value) for batch, _ in batches for point in batch]
    assert points == [(record.step, value) for record, _ in records for value in record.metrics.values()]
    assert [batch[-1].step * 10 + 10 for batch, offset in batches[:-1]] == [offset for _, offset in batches[:-1]]
    assert not records or batches[-1][1] == records[-1][1]
    assert all(len(batch) <= POINTS_A_REQUEST for batch, _ in batches)


def test_parameters_are_called_by_dotted_keys() -> None:
    assert dict(flatten({"classes": {"0": "sky", "#ff0000": "road"}})) == {"classes": {"0": "sky", "#ff0000": "road"}}
    assert dict(flatten({"a": 1, "b": {"c": {"d": 2}, "e": [3]}})) == {"a": 1, "b.c.d": 2, "b.e": [3]}
