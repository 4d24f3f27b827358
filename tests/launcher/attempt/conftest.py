"""What a process that runs an attempt has once."""

import os
import signal
from collections.abc import Iterator

import pytest

from launcher.attempt.requests import StopRequests


@pytest.fixture
def requests() -> Iterator[StopRequests]:
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    yield StopRequests()
    os.close(signal.set_wakeup_fd(-1))
    for number, handler in before.items():
        signal.signal(number, handler)
