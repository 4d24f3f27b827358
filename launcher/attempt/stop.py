"""What requests to stop and the passing of time ask for. Pure: launcher/attempt/command.py does it.

Moments are those of the monotonic clock, in seconds.
"""

import math
import signal
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

GRACE = 60.0
"""Seconds a job has to checkpoint after it was asked to stop."""


@dataclass(frozen=True)
class Request:
    """A signal that asks to stop."""

    number: int
    at: float


class Action(Enum):
    """What is to be done to a job's command."""

    ASK = auto()
    """Ask it to stop."""
    KILL = auto()


@dataclass(frozen=True)
class Stopping:
    """Whether, when and why an attempt is to stop."""

    grace: float
    ask_at: float = math.inf
    """Without a request it is asked to stop at this moment: its time is about to be over."""
    half_time: float = math.inf
    """Half of its time is over at this moment."""
    requested: bool = False
    out_of_time: bool = False
    """Whether the first request was made because its time is about to be over."""
    kill_at: float = math.inf
    """The grace after the first request is over at this moment."""
    killed: bool = False

    def limited(self, now: float, limit: float, is_warned: bool) -> "Stopping":
        """The same, of a command that begins now and has ended `limit` seconds later.

        It is asked to stop as long before that as the grace is, but not before half of the time is over. `is_warned`:
        its scheduler asks for that by SIGUSR1. One that was asked already is not asked for its time as well.
        """
        if self.requested:
            return self
        ask_at = math.inf if is_warned else now + max(limit - self.grace, limit / 2)
        return replace(self, ask_at=ask_at, half_time=now + limit / 2)

    def advance(
        self, now: float, requests: Iterable[Request], has_ended: bool = False
    ) -> tuple["Stopping", list[Action]]:
        """What has become of it with these new requests, and what is to be done now.

        Each request is passed on. The time of a command that `has_ended` does not count any more.
        """
        after, actions = self, []
        for request in requests:
            # An early warning of the scheduler is to make room for others.
            late = request.number == signal.SIGUSR1 and request.at > after.half_time
            after = after._asked(request.at, out_of_time=late)
            actions = [Action.ASK]
        if has_ended:
            return after, actions
        if not after.requested and now >= after.ask_at:
            after = after._asked(now, out_of_time=True)
            actions = [Action.ASK]
        if now >= after.kill_at and not after.killed:
            after = replace(after, killed=True)
            actions = [*actions, Action.KILL]
        return after, actions

    def _asked(self, at: float, out_of_time: bool) -> "Stopping":
        if self.requested:
            return self
        return replace(self, requested=True, out_of_time=out_of_time, kill_at=at + self.grace)

    @property
    def next_at(self) -> float:
        """When something is to be done without a further request; infinity if never."""
        if self.killed:
            return math.inf
        return self.kill_at if self.requested else self.ask_at
