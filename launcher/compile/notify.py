"""Whom to tell what, for the run and for each of its jobs."""

from collections.abc import Iterable, Sequence

from launcher.language.model import Job, Pipeline
from launcher.language.notify import Email, Notification
from launcher.language.words import minutes
from launcher.plan import Event
from launcher.plan import Notification as Planned

OF_JOBS = frozenset({"stalled", "metric"})
"""Events that only jobs have: a run hears of those of all its jobs."""


def of_run(pipeline: Pipeline) -> tuple[Planned, ...]:
    """What is told of the run as a whole."""
    return tuple(_planned(pipeline.notify, {"done", "failed", "invalid"}))


def of_job(pipeline: Pipeline, job: Job) -> tuple[Planned, ...]:
    """What is told of a job: what it or `defaults` says, and what the run says of any job."""
    own = pipeline.defaults.notify if job.notify is None else job.notify
    return (*_planned(own), *_planned(pipeline.notify, OF_JOBS))


def secrets(pipeline: Pipeline) -> tuple[str, ...]:
    """The variables that jobs must have: those that are listed, and those that hold where to send messages."""
    of_jobs = (each for job in pipeline.jobs.values() for each in job.notify or ())
    needed = (each.secret for each in (*pipeline.notify, *pipeline.defaults.notify, *of_jobs))
    return tuple(dict.fromkeys(filter(None, (*pipeline.secrets, *needed))))


def _planned(notifications: Sequence[Notification], kinds: Iterable[str] = ()) -> list[Planned]:
    """With the events of these kinds, or all."""
    found = []
    for each in notifications:
        events = [_event_of(event.ends, event.stalled, event.metric) for event in each.on]
        on = tuple(event for event in events if not kinds or event.kind in kinds)
        ((way, settings),) = each.ways.items()
        if isinstance(settings, Email):
            settings = settings.model_copy(update={"sender": settings.sender or settings.to[0]})
        values = {"words": settings} if isinstance(settings, list) else settings.model_dump()
        found += [Planned(on, way, values)] if on else []
    return found


def _event_of(ends: str | None, stalled: str | None, metric: str | None) -> Event:
    if stalled:
        return Event("stalled", minutes=minutes(stalled))
    return Event("metric", condition=metric) if metric else Event(ends or "")
