"""Looking at a run until it has ended or nobody supervises it any more."""

from collections.abc import Iterator

from launcher.backends import BACKENDS, look
from launcher.backends.base import NoAnswerError
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView


def views(run: RunFolder, plan: Plan) -> Iterator[RunView]:
    """The run's view now and then, the last one when there is nothing left to wait for."""
    alone = 0
    view: RunView | None = None
    while True:
        try:
            view = look(run, plan)
        except NoAnswerError:
            if view is None:
                raise
        # A supervisor takes a moment between its last decision and its end: twice alone is really alone.
        alone = 0 if view.supervised or view.running else alone + 1
        yield view
        if view.ended or alone == 2:
            return
        BACKENDS[plan.backend].wait(run)


def wait(run: RunFolder, plan: Plan) -> RunView:
    """The last view of the run."""
    *_, last = views(run, plan)
    return last
