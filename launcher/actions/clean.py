"""What runs keep is deleted where nobody needs it any more."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from launcher.backends import BACKENDS, look_all
from launcher.cleaning import deleting, find, remove
from launcher.cleaning.find import CHECKPOINT, CODE, Thing
from launcher.cleaning.needs import Needs
from launcher.cleaning.remove import Cleaned
from launcher.runs.find import is_own, list_runs
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView
from locat.contract.errors import UserError

ATTEMPTS = "jobs/*/attempts"
"""What is there in a run's folder where its jobs write to it."""


def clean(
    runs: Path,
    chosen: Collection[RunFolder] | None,
    keep: str | None,
    older: float,
    dry_run: bool,
    tell: Callable[[Thing], None],
) -> Cleaned:
    """Delete what nobody needs of runs, and what no run names of their folder.

    Args:
        runs: the folder.
        chosen: runs in it; None: all of them, and the folder itself.
        keep: which checkpoints of a done job stay, of `launcher.cleaning.find.KEEP`; None: as its config says.
        older: seconds ago that a job must have ended at least.
        dry_run: only find what would go.
        tell: is given each thing, once it is gone.

    Raises:
        UserError: somebody else is cleaning the folder, or nothing can be written there.
    """
    runs = runs.resolve()
    search = _Search(runs, keep, older, restores=not dry_run)
    if dry_run:
        search.result.things = search.things(chosen)
        for thing in search.result.things:
            tell(thing)
        return search.result
    with remove.alone(runs):
        remove.remove(runs, search.things(chosen), search.needs, search.result, tell)
    return search.result


@dataclass(frozen=True)
class _Search:
    """For what may go."""

    runs: Path
    keep: str | None
    older: float
    restores: bool
    """Whether what a killed clean hid gets its name back where somebody needs it."""
    needs: Needs = field(default_factory=Needs)
    result: Cleaned = field(default_factory=Cleaned)

    def things(self, chosen: Collection[RunFolder] | None) -> list[Thing]:
        """What may go of the chosen runs, or of all and of their folder."""
        every, notes = list_runs(self.runs), self.result.notes
        self.needs.read(every)
        notes += [f"{trouble}; so all checkpoints and copies of code stay" for trouble in self.needs.unknown]
        views, unreadable = look_all(self._within_reach(every if chosen is None else chosen))
        notes += [trouble for trouble in unreadable if not any(trouble in note for note in notes)]
        found = [thing for view in views for thing in self._in_run(RunFolder(self.runs / view.plan.run_id), view)]
        if chosen is None:
            self._show(find.lost_code(self.runs, self.needs))
            found += find.in_folder(self.runs, self.needs, self.older)
        return [thing for thing in found if not (self.needs.unknown and thing.kind in (CHECKPOINT, CODE))]

    def _within_reach(self, chosen: Collection[RunFolder]) -> list[RunFolder]:
        """Those of the runs that are this user's and not elsewhere."""
        foreign = [run for run in chosen if not is_own(run)]
        if foreign:
            names = ", ".join(run.name for run in foreign)
            self.result.notes.append(f"left alone, for they are another user's, who can clean them: {names}")
        found = []
        for run in chosen:
            if run in foreign:
                continue
            if run.path.parent != self.runs:
                self.result.notes.append(f"{run.path} is elsewhere; clean it with --runs-dir {run.path.parent}")
            elif why := _why_not(run):
                self.result.notes.append(f"{run.name} is left alone: {why}")
            else:
                found.append(run)
        return found

    def _in_run(self, run: RunFolder, view: RunView) -> list[Thing]:
        found = []
        for job in view.jobs:
            try:
                self._show(find.lost(run, job, self.needs))
                things, kept = find.in_job(run, job, self.needs, self.keep, self.older)
            except (OSError, UserError) as error:
                self.result.faults.append(remove.fault(run.job(job.name).path, error))
                continue
            found += things
            self.result.kept += kept
        return found

    def _show(self, hidden: Iterable[Path]) -> None:
        for path in hidden if self.restores else ():
            deleting.show(path)


def _why_not(run: RunFolder) -> str:
    """Why there is nothing to be told of a run's jobs here; empty if there is."""
    try:
        plan = run.plan()
    except UserError:  # which who looks at the run tells
        return ""
    if plan.run_id != run.name:
        return f"its folder is a copy of {plan.run_id}, or was renamed"
    known = not BACKENDS.trouble(plan.backend)
    if known and not BACKENDS[plan.backend].places(run.path.parent).sees_folders and not any(run.path.glob(ATTEMPTS)):
        return f"what its jobs wrote is in a volume of {plan.backend}; clean where that is mounted"
    return ""
