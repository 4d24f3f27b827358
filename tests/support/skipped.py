"""What was skipped, and what would enable it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest


def lines(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """A line for each reason, with the number of tests; below it the files that they are in."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for report in reports:
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")].append(report.nodeid.partition("::")[0])
    for reason, files in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield f"{len(files)} skipped: {reason}"
        yield f"    {' '.join(dict.fromkeys(files))}"
