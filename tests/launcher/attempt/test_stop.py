"""When an attempt is asked to stop, why, and when it is killed; test_attempt.py does it to processes."""

import math
import os
import signal
import threading
import time

import pytest

from launcher.attempt.requests import StopRequests
from launcher.attempt.stop import Action, Request, Stopping

GRACE = 60.0
ASK, KILL = Action.ASK, Action.KILL


def request_at(at: float, number: int = signal.SIGTERM) -> list[Request]:
    return [Request(number, at)]


def limited(limit: float, is_warned: bool = False) -> Stopping:
    return Stopping(GRACE).limited(1000.0, limit, is_warned)


def test_without_a_request_or_a_limit_nothing_is_ever_due() -> None:
    stopping = Stopping(GRACE)
    assert stopping.next_at == math.inf
    assert stopping.advance(1e9, []) == (stopping, [])


def test_it_is_asked_at_once_and_killed_once_when_the_grace_is_over() -> None:
    asked, actions = Stopping(GRACE).advance(5.0, request_at(4.0))
    assert (actions, asked.requested, asked.out_of_time, asked.next_at) == ([ASK], True, False, 64.0)
    assert asked.advance(63.9, []) == (asked, [])
    killed, actions = asked.advance(64.0, [])
    assert (actions, killed.killed, killed.next_at) == ([KILL], True, math.inf)
    assert killed.advance(1e9, []) == (killed, [])


def test_a_further_request_is_passed_on_and_gives_no_more_time() -> None:
    asked, _ = Stopping(GRACE).advance(5.0, request_at(4.0))
    again, actions = asked.advance(30.0, request_at(30.0))
    assert (again, actions) == (asked, [ASK])
    assert asked.advance(70.0, request_at(69.0, signal.SIGINT))[1] == [ASK, KILL]


def test_one_that_was_asked_long_before_it_began_is_asked_and_killed() -> None:
    stopping, actions = Stopping(GRACE).advance(100.0, request_at(1.0))
    assert (actions, stopping.killed) == ([ASK, KILL], True)


@pytest.mark.parametrize(("limit", "asked_at"), [(300.0, 1240.0), (120.0, 1060.0), (100.0, 1050.0), (2.0, 1001.0)])
def test_it_is_asked_a_grace_before_its_limit_but_not_before_half_of_its_time(limit: float, asked_at: float) -> None:
    stopping = limited(limit)
    assert stopping.next_at == asked_at
    assert stopping.advance(asked_at - 0.1, []) == (stopping, [])
    asked, actions = stopping.advance(asked_at, [])
    assert (actions, asked.requested, asked.out_of_time) == ([ASK], True, True)
    assert asked.next_at == asked_at + GRACE


def test_a_scheduler_that_warns_is_left_to_do_so() -> None:
    assert limited(300.0, is_warned=True).next_at == math.inf


@pytest.mark.parametrize("is_warned", [True, False])
@pytest.mark.parametrize(
    ("number", "at", "out_of_time"),
    [(signal.SIGUSR1, 1151.0, True), (signal.SIGUSR1, 1149.0, False), (signal.SIGTERM, 1151.0, False)],
)
def test_a_warning_late_in_its_time_is_of_its_limit(number: int, at: float, out_of_time: bool, is_warned: bool) -> None:
    """An early one is to make room for others."""
    asked, actions = limited(300.0, is_warned).advance(at, request_at(at, number))
    assert (actions, asked.out_of_time) == ([ASK], out_of_time)
    again, _ = asked.advance(at + 1, request_at(1299.0, signal.SIGUSR1))
    assert again.out_of_time == out_of_time, "the first one counts"


def test_the_limit_of_one_that_was_asked_before_it_began_does_not_count() -> None:
    asked, _ = Stopping(GRACE).advance(1000.0, request_at(999.0))
    assert asked.limited(1000.0, 2.0, is_warned=False) == asked


def test_of_one_that_has_ended_only_requests_count() -> None:
    stopping = limited(2.0)
    assert stopping.advance(1e9, [], has_ended=True) == (stopping, [])
    asked, actions = stopping.advance(1e9, request_at(1.0), has_ended=True)
    assert (actions, asked.requested, asked.killed) == ([ASK], True, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_is_noted_and_wakes_who_waits(requests: StopRequests, number: signal.Signals) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
    began = time.monotonic()
    requests.wait(until=began + 30)
    assert time.monotonic() - began < 20
    (noted,) = requests.new()
    assert (noted.number, requests.requested, requests.new()) == (number, True, [])
    assert began < noted.at < time.monotonic()


def test_without_a_signal_the_wait_ends_in_time(requests: StopRequests) -> None:
    requests.wait(until=time.monotonic() - 1)
    requests.wait(until=time.monotonic() + 0.05)
    assert not requests.requested
