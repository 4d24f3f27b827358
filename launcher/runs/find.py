"""The runs in a folder, found by name."""

import os
from contextlib import suppress
from pathlib import Path

from launcher.plan import Plan
from launcher.runs.errors import RunError
from launcher.runs.folder import RunFolder
from locat.contract.problems import did_you_mean
from locat.contract.tracking_uri import check_path, located_path


def folder_of_runs(path: Path) -> Path:
    """A folder of runs by a path that all that is told of a run can hold; `~` is a home folder.

    Raises:
        UserError: it is no such path.
    """
    try:
        path = located_path(path, None)
    except ValueError as error:
        raise RunError(str(error)) from None
    check_path(path.absolute())
    return path


def list_runs(runs: Path) -> list[RunFolder]:
    """The runs in a folder, newest first; not those whose name would command a terminal."""
    made = []
    for plan in runs.glob("[!.]*/plan.json"):
        if plan.parent.name.isprintable():
            with suppress(OSError):  # deleted meanwhile
                made.append((plan.stat().st_mtime_ns, plan))
    return [RunFolder(plan.parent.resolve()) for _, plan in sorted(made, reverse=True)]


def find(runs: Path, reference: str | None) -> RunFolder:
    """The run called `reference` (or by a prefix that only one run has); this user's newest if None.

    Raises:
        RunError: there is no such run, or several.
    """
    known = list_runs(runs)
    if not known:
        raise RunError(f"no runs in {runs} (another folder: --runs-dir or LAUNCHER_RUNS)")
    if reference is None:
        own = next((run for run in known if is_own(run)), None)
        if own is None:
            raise RunError(f"no run in {runs} is yours; name one of another user's, such as {known[0].name}")
        return own
    exact = [run for run in known if run.name == reference]
    matches = exact or [run for run in known if run.name.startswith(reference)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"{reference!r} is several runs: {', '.join(run.name for run in matches)}")
    raise RunError(f"no run {reference!r} in {runs}{did_you_mean(reference, [run.name for run in known])}")


def is_own(run: RunFolder) -> bool:
    """Whether this user made a run. In a folder that several write to, anybody may put one for others to find."""
    try:
        return run.path.stat().st_uid == os.geteuid()
    except OSError:  # deleted meanwhile
        return False


def check_supervised_here(run: RunFolder) -> None:
    """See that no other machine supervises the run.

    Raises:
        RunError: one did when it was last heard of.
    """
    if elsewhere := run.supervised_elsewhere():
        raise RunError(
            f"{run.name} was last supervised on {elsewhere}, whose processes are not seen from here;"
            " go on there, or with `retry --force` if that machine is gone"
        )


def find_job(plan: Plan, name: str) -> str:
    """`name` if the plan has such a job.

    Raises:
        RunError: it has none.
    """
    names = [job.name for job in plan.jobs]
    if name not in names:
        raise RunError(f"no job {name!r} in run {plan.run_id}{did_you_mean(name, names)}")
    return name
