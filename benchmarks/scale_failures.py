"""A week of one job that fails now and then, event by event: how much of it is useful."""

import heapq
import math
import random
from dataclasses import dataclass
from statistics import mean

INTERVALS = [60.0 * minutes for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)]
WEEK = 7 * 24 * 3600.0
WEEKS = 100
"""That are simulated for each interval, with the same failures for all intervals."""


@dataclass(frozen=True)
class Job:
    """All in seconds."""

    between: float
    """Between two failures, on average."""
    still: float
    """That training stands still for a checkpoint."""
    writing: float
    """From its begin until the checkpoint counts; training goes on, but begins no other before."""
    restart: float
    """From a failure to the first step after it."""


def young_daly(job: Job) -> float:
    """The interval between checkpoints that loses least, of Young (1974) and, to the first order, Daly (2006)."""
    return math.sqrt(2 * job.still * job.between)


def expected(job: Job, interval: float) -> float:
    """Useful part of the time, to the first order: a failure costs half an interval, a write and a restart."""
    cycle = max(interval + job.still, job.writing)
    lost = cycle / 2 + job.writing + job.restart
    return interval / cycle * (1 - lost / job.between)


def simulated(job: Job, interval: float) -> float:
    """Useful part of WEEKS weeks."""
    return mean(one_week(job, interval, random.Random(seed)) for seed in range(WEEKS))


def one_week(job: Job, interval: float, draw: random.Random) -> float:
    """Useful part of one week, which begins as the job does: the work that is left at its end by the time that passed.

    Failures come at exponential distances, while a restart is under way too, which then begins again.
    """
    events: list[tuple[float, str, float]] = [(WEEK, "end", 0.0)]
    heapq.heappush(events, (draw.expovariate(1 / job.between), "failure", 0.0))
    heapq.heappush(events, (interval, "checkpoint", interval))
    durable = done = busy_until = 0.0
    """Seconds of work in the newest complete checkpoint, and until `computing_since`; when no checkpoint is written."""
    computing_since: float | None = 0.0
    while True:
        now, kind, work = heapq.heappop(events)
        match kind:
            case "end":
                return (done + (max(0.0, now - computing_since) if computing_since is not None else 0.0)) / WEEK
            case "checkpoint" if now < busy_until:
                done, computing_since = work, None
                heapq.heappush(events, (busy_until, "checkpoint", work))
            case "checkpoint":
                done, computing_since, busy_until = work, now + job.still, now + job.writing
                heapq.heappush(events, (busy_until, "durable", work))
                heapq.heappush(events, (computing_since + interval, "checkpoint", work + interval))
            case "durable":
                durable = work
            case "failure":
                events = [event for event in events if event[1] == "end"]
                done, computing_since, busy_until = durable, None, now
                heapq.heappush(events, (now + job.restart, "restarted", 0.0))
                heapq.heappush(events, (now + draw.expovariate(1 / job.between), "failure", 0.0))
            case "restarted":
                computing_since = now
                heapq.heappush(events, (now + interval, "checkpoint", done + interval))
