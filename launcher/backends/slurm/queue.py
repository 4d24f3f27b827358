"""What Slurm knows of runs' jobs: one call of squeue, however many there are."""

import os
import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from launcher.attempt import environment
from launcher.backends.base import NoAnswerError
from launcher.backends.errors import BackendError
from launcher.plan import Plan

TIMEOUT = 60
"""Seconds Slurm may take to answer."""
RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"})
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"})
NEVER = "DependencyNeverSatisfied"


class SlurmError(BackendError):
    """Slurm did not do what it was asked."""


class UnansweredError(SlurmError, NoAnswerError):
    """Slurm took too long."""


@dataclass(frozen=True)
class Entry:
    """One line of the queue."""

    id: str
    """`12`, or `12_3` for an element of an array."""
    state: str
    reason: str
    nodes: str

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING and self.reason != NEVER

    @property
    def is_active(self) -> bool:
        """Whether it runs, or will without being asked."""
        return self.is_running or self.is_waiting

    def __str__(self) -> str:
        if self.is_running:
            return f"Slurm job {self.id} on {self.nodes}"
        waits = f", waits for {self.reason}" if self.reason not in ("None", "") else ""
        return f"Slurm job {self.id}{waits}" if self.is_waiting else f"Slurm job {self.id} is {self.state}"


def lines(user: int) -> list[str]:
    """What the queue says of all jobs of a user (numeric id), for `entries`.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    options = ["--array", "--noheader", "--states=all", f"--user={user}", "--format=%i|%T|%r|%N|%j"]
    return ask(["squeue", *options]).splitlines()


def entries(plan: Plan, lines: Iterable[str]) -> dict[str, Entry]:
    """Job name -> its newest entry, active ones first. Slurm forgets what has ended after a while."""
    names = _names(plan)
    found: dict[str, Entry] = {}
    for line in lines:
        slurm_id, state, reason, nodes, called = line.split("|", 4)
        run, _, name = called.partition("/")
        if run != plan.run_id:
            continue
        job = names.get((name, int(slurm_id.partition("_")[2]) if "_" in slurm_id else None))
        entry = Entry(slurm_id, state, reason, nodes)
        if job and (job not in found or _rank(entry) > _rank(found[job])):
            found[job] = entry
    return found


def _names(plan: Plan) -> Mapping[tuple[str, int | None], str]:
    """What Slurm calls a job, with its index in an array -> its name in the plan."""
    names: dict[tuple[str, int | None], str] = {}
    size: dict[str, int] = {}
    for job in plan.jobs:
        index = size.setdefault(job.group, 0)
        names[job.group, index] = names[job.name, None] = job.name
        size[job.group] += 1
    return names


def _rank(entry: Entry) -> tuple[bool, int]:
    return entry.is_active, int(entry.id.partition("_")[0])


def ask(
    command: Iterable[str],
    text: str | None = None,
    timeout: float = TIMEOUT,
    held: Collection[int] = (),
    decided: Collection[str] = (),
) -> str:
    """What a command of Slurm prints. It holds these descriptors too.

    Its variables, which what it submits inherits, say nothing of a job of Slurm that this shell may be in, and of the
    user's choices only those that are not `decided` (`launcher.attempt.environment.of_submission`).

    Raises:
        SlurmError: it is not installed, or failed; says what it said.
    """
    program, *arguments = command
    try:
        answer = subprocess.run(
            [program, *arguments],
            env=environment.of_submission(os.environ, decided),
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=timeout,
            pass_fds=held,
        )
    except FileNotFoundError:
        raise SlurmError(f"no {program} on this machine; use a login node of the cluster") from None
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"{program}: no answer within {timeout:g} s") from None
    if answer.returncode:
        said = [line for line in (answer.stderr or answer.stdout).splitlines() if line.strip()]
        raise SlurmError(f"{program}: {'; '.join(said[-3:]) or f'exit code {answer.returncode}'}")
    return answer.stdout
