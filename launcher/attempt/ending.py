"""How an attempt ended: told from its exit code and what its ranks left, then recorded."""

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.runs.state import JobState, Status
from locat.contract import clock
from locat.contract.fence import Fence
from locat.contract.job_folder import ExitCode
from locat.contract.outcome import Outcome
from locat.contract.text import last_line

RECORD_PATIENCE = 60.0
"""Seconds in which the end of an attempt must be written."""
HASTY = 60.0
"""Seconds; an attempt that is preempted before has hardly worked."""
STOPPED = frozenset({ExitCode.PREEMPTED, 128 + signal.SIGTERM})
"""Exit codes of a command that was asked to stop itself, as srun tells them: the second while it imports torch."""
STATUS_OF = {ExitCode.DONE: Status.DONE, ExitCode.INVALID: Status.INVALID, ExitCode.PREEMPTED: Status.PREEMPTED}


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    exit_code: int
    reason: str = ""
    out_of_time: bool = False
    """Whether the job was asked to stop because its time was about to be over."""
    superseded: bool = False
    """Whether a newer attempt has begun meanwhile, to which the job's record belongs from then on."""


def explain(folder: Path, code: int, stop_requested: bool, log_name: str, signals_ranks: bool = False) -> Ending:
    """The job's exit code and reason, from its command's exit code and what its ranks left.

    Args:
        stop_requested: the attempt runner was asked to stop, here or on another node, or asked the job to.
        signals_ranks: the scheduler may ask the command to stop without telling the attempt runner.
    """
    if code == ExitCode.DONE:
        return Ending(ExitCode.DONE)
    killed_by = signal.Signals(-code).name if code < 0 else ""
    own = Ending(128 - code, f"killed by {killed_by}") if code < 0 else Ending(code, last_line(folder / log_name))
    if killed_by == "SIGKILL":
        own = replace(own, reason="killed by SIGKILL, perhaps out of memory")
    outcome = Outcome.read(folder)
    if signals_ranks and code in STOPPED and (outcome is None or outcome.exit_code == ExitCode.PREEMPTED):
        stop_requested = True  # the command itself was signalled, not one of its ranks: they stopped, or had not begun
    if outcome is None and code == ExitCode.PREEMPTED and not stop_requested:
        return Ending(1, _unasked(own.reason))
    if outcome is None:
        # Asked to stop while it was still starting, it stopped: there was nothing to save, and nothing failed.
        stopped = stop_requested and killed_by != "SIGKILL"
        return Ending(ExitCode.PREEMPTED, "stopped when asked to") if stopped else own
    if outcome.exit_code == ExitCode.PREEMPTED and not stop_requested:
        # When a rank dies torchrun stops the others, which then checkpoint and ask to be run again; so does a rank that
        # somebody signals because memory runs short. That is a failure all the same; taken for a preemption it would
        # be repeated for ever.
        is_alone = code == ExitCode.PREEMPTED
        return Ending(1, _unasked(outcome.reason)) if is_alone else replace(own, reason=f"a rank died: {own.reason}")
    return Ending(outcome.exit_code, outcome.reason)


def _unasked(reason: str) -> str:
    """Of a command that ended as if it had been asked to stop."""
    cause = f"ended with exit code {int(ExitCode.PREEMPTED)} though nobody asked it to stop, perhaps short of memory"
    return f"{cause}: {reason}" if reason else cause


def ended(state: JobState, ending: Ending, cancelled: bool) -> JobState:
    status = next((status for code, status in STATUS_OF.items() if code == ending.exit_code), Status.FAILED)
    if cancelled and status in (Status.FAILED, Status.PREEMPTED):
        status = Status.CANCELLED
    hasty = status is Status.PREEMPTED and not ending.out_of_time and clock.since(state.started or 0.0) < HASTY
    return replace(
        state,
        status=status,
        exit_code=ending.exit_code,
        reason=ending.reason,
        ended=time.time(),
        failures=state.failures + (status is Status.FAILED),
        hasty=state.hasty + 1 if hasty else 0,
    )


def superseded(fence: Fence) -> Ending | None:
    """How an attempt ended that is no longer the newest; None if it is, or if that cannot be told."""
    with suppress(OSError):
        if reason := fence.reason():
            return Ending(ExitCode.PREEMPTED, reason, superseded=True)
    return None


def record(state: JobState, file: Path) -> str:
    """Write how a job ended; a full disk may have room in a moment, but schedulers wait for the exit code.

    Returns why it could not be written; empty if it was.
    """
    deadline = time.monotonic() + RECORD_PATIENCE
    while True:
        try:
            state.write(file)
            return ""
        except OSError as error:
            if time.monotonic() > deadline or not file.parent.is_dir():  # its run was deleted
                trouble = f"cannot record that the attempt ended: {error}"
                print(trouble, flush=True)
                return trouble
        time.sleep(1)
