"""`python -m launcher.backends.kubernetes.pod RUN_FOLDER JOB`: what the pods of a job run.

The first pod runs the attempt, as on every backend: it holds the job's lock and records how it ends. The others
find its attempt by what the cluster calls it, and run the same command. All of them leave with the exit code that
the JobSet's policies know, and the reason in the pod's status.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from launcher.attempt import meeting
from launcher.attempt.host import Host
from launcher.attempt.requests import StopRequests
from launcher.attempt.run import LAUNCH_LOG, SCHEDULED_AS, attempt, execute
from launcher.attempt.stop import GRACE
from launcher.backends.kubernetes.config_maps import ELSEWHERE, from_folder
from launcher.backends.kubernetes.log_lines import LogPrinter
from launcher.backends.kubernetes.pod_template import FIRST_POD, PLAN_MOUNT, STOP_GRACE
from launcher.notify import start as notify
from launcher.plan import Plan
from launcher.plugins import parcel
from launcher.runs import mlflow_sync
from launcher.runs.create import create
from launcher.runs.errors import RunError
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.snapshot.take import of_image
from locat.contract.errors import ConfigError
from locat.contract.job_folder import ExitCode
from locat.contract.records import FormatError
from locat.contract.source import Source
from locat.contract.text import printable, speak

TERMINATION_LOG = Path("/dev/termination-log")
"""What is written here becomes part of the pod's status."""
POLL = 0.5
"""Seconds between two looks for the first pod's attempt, and for new lines of logs."""
PATIENCE = 600.0
"""Seconds that other pods wait for the first one's attempt; it may have no place yet, or still pull the image."""
AGREEMENT = 10.0
"""Seconds that other pods, asked to stop, wait for the first one to record how the attempt ended: with GRACE they are
within STOP_GRACE."""


def main() -> int:
    speak()
    try:
        code, reason = run_pod(Path(sys.argv[1]), sys.argv[2], from_folder(Path(PLAN_MOUNT)))
    except FormatError as error:  # a newer launcher submitted it than the image has
        code, reason = ExitCode.INVALID, str(error)
    if code:
        print(reason, file=sys.stderr)
        with suppress(OSError):
            TERMINATION_LOG.write_text(printable(reason)[:4000])
    return code


def run_pod(folder: Path, name: str, plan: Plan) -> tuple[int, str]:
    """Do this pod's part of the job called `name`; exit code and reason."""
    try:
        run = prepared(folder, plan)
        take_plugins(plan, plan.job(name).image)
    except ConfigError as error:
        return ExitCode.INVALID, str(error)
    except RunError as error:
        return 1, str(error)
    scheduled_as = f"{os.environ['LOCAT_JOBSET_UID']}.{os.environ['LOCAT_RESTART']}"
    if (index := os.environ["LOCAT_POD_INDEX"]) == "0":
        return lead(run, name, scheduled_as)
    return follow(run, name, scheduled_as, index)


def prepared(folder: Path, plan: Plan) -> RunFolder:
    """The run's folder, made of the plan by whichever pod comes first.

    Raises:
        ConfigError: the folder is there already, and of a plan whose jobs do something else.
        RunError: it cannot be made.
    """
    run = RunFolder(folder)
    if not folder.exists():
        try:
            create(plan, ELSEWHERE, folder.parent)
        except RunError:
            if not folder.exists():
                raise
    if _work(run.plan()) != _work(plan):
        raise ConfigError(f"{folder} is of another plan with the same run id; render this one with another --run-id")
    return run


def _work(plan: Plan) -> tuple[list[tuple[str, Sequence[str], dict[str, Any]]], Sequence[str]]:
    """What the jobs of a plan do; on what, and in which image, may change between two attempts."""
    return [(job.name, job.command, job.config) for job in plan.jobs], plan.parcel


def take_plugins(plan: Plan, image: str) -> None:
    """Have this process, and all that it starts, find the plan's plugins as though the image had them.

    Raises:
        ConfigError: the image lacks one that is an installed package, or has a module of the same name.
    """
    parcel.check_packages(plan.plugins, image)
    if plan.parcel:
        folder = Path(tempfile.mkdtemp(prefix="locat-plugins-"))
        parcel.unpack(plan.parcel, folder)
        parcel.check_modules(folder, image)
        paths = (os.environ.get("PYTHONPATH", ""), str(folder))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        sys.path.append(str(folder))


def lead(run: RunFolder, name: str, scheduled_as: str) -> tuple[int, str]:
    """Run the attempt; its exit code and reason."""
    address = os.environ.get(FIRST_POD, "")
    image = run.plan().job(name).image
    code = record_code(run)
    host = Host(scheduled_as=scheduled_as, address=address, patience=STOP_GRACE, image=image, code=code)
    with LogPrinter(run.job(name), scheduled_as):
        ending = attempt(run, name, GRACE, host)
    teller = notify.start(run)
    mlflow_sync.sync_if_ended(run)
    notify.wait(teller)
    return ending.exit_code, ending.reason


def record_code(run: RunFolder) -> str:
    """Record the image's code, unless the run knows of it; its digest. Jobs of a run may have several images."""
    code = of_image()
    known = Source.read(run.path)
    if known is None or known.of(code.source.digest) is None:
        code.write(run.path)
    return code.source.digest


def follow(run: RunFolder, name: str, scheduled_as: str, index: str) -> tuple[int, str]:
    """Run the command as another node of the first pod's attempt; exit code and reason."""
    requests = StopRequests()
    deadline = time.monotonic() + PATIENCE
    while (folder := attempt_called(run, name, scheduled_as)) is None:
        if run.state(name).status is Status.DONE:
            return ExitCode.DONE, ""
        if requests.requested or run.is_cancelled(name):
            return ExitCode.PREEMPTED, "stopped before it began"
        if time.monotonic() > deadline:
            return ExitCode.PREEMPTED, f"the first pod began no attempt within {PATIENCE:g} s"
        time.sleep(POLL)
    job, log_name = run.plan().job(name), f"pod-{index}-{LAUNCH_LOG}"
    place = meeting.joined(folder, index) if job.resources.nodes > 1 else {}
    ending = execute(job, run, folder, requests, GRACE, Host(), log_name=log_name, place=place)
    if ending.exit_code == ExitCode.PREEMPTED and (reason := why_first_failed(run, name)):
        return 1, reason
    return ending.exit_code, ending.reason


def why_first_failed(run: RunFolder, name: str) -> str:
    """Why the first pod, asked to stop too, has failed; empty if it has not.

    It alone knows whether anything was saved, and Kubernetes goes by whichever pod ends first.
    """
    deadline = time.monotonic() + AGREEMENT
    while (state := run.state(name)).status is Status.RUNNING and time.monotonic() < deadline:
        time.sleep(POLL)
    return state.reason if state.status is Status.FAILED else ""


def attempt_called(run: RunFolder, name: str, scheduled_as: str) -> Path | None:
    """The folder of the attempt that the cluster calls so; None while it has not begun."""
    for mark in run.job(name).attempts.glob(f"*/{SCHEDULED_AS}"):
        if mark.read_text() == scheduled_as:
            return mark.parent
    return None


if __name__ == "__main__":
    sys.exit(main())
