"""Runs one job: `python -m locat JOB_DIR/config.yaml`, under torchrun for several ranks.

Exits with a code of `locat.contract.job_folder.ExitCode`, or 1 for a failure. `python -m locat COMMAND` runs
one of `locat.commands` instead.
"""

import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from locat.commands import COMMANDS, commands
from locat.config import load_job
from locat.contract import durable
from locat.contract.fence import Fence
from locat.contract.job_folder import ExitCode, JobFolder, rank_log
from locat.contract.outcome import TOLD, attempt_folder, outcome_of, write_outcome
from locat.contract.plugins import take_folder
from locat.contract.private import settle_caches
from locat.contract.text import speak
from locat.parent import die_with_parent
from locat.tasks import run_task


def main() -> int:
    """Run the job whose config is named on the command line; its exit code. A command exits by itself."""
    speak()
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        commands(prog_name="python -m locat")
    if len(sys.argv) != 2:
        print(f"usage: python -m locat JOB_DIR/config.yaml, or one of {', '.join(COMMANDS)}", file=sys.stderr)
        return ExitCode.INVALID
    die_with_parent(signal.SIGTERM)
    if (attempt := attempt_folder()) is not None:
        log_to(rank_log(attempt, int(os.environ.get("RANK", 0))))
    code, reason = run(Path(sys.argv[1]))
    if code != ExitCode.DONE:
        write_outcome(code, reason)
    return code


def run(config_file: Path) -> tuple[int, str]:
    """Run a job; its exit code and the reason where that is not 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    try:
        settle_caches()
        take_folder()
        dispatch(config_file)
    except Exception as error:
        if isinstance(error, TOLD):
            print(error, file=sys.stderr)
        else:
            traceback.print_exc()
        return outcome_of(error)
    return ExitCode.DONE, ""


def dispatch(config_file: Path) -> None:
    """Hand the job to its task; what the task leaves is on the disk before the job is called done."""
    Fence.here().check()
    job = JobFolder(config_file.resolve().parent)
    run_task(load_job(config_file), job)
    if job.outputs.exists() and os.environ.get("RANK", "0") == "0":
        durable.sync_tree(job.outputs)


def log_to(path: Path) -> None:
    """Send everything this process prints, C libraries included, to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.close(descriptor)


def leave(code: int) -> NoReturn:
    """End this process; at once where it leaves others of its group alone, for NCCL would wait for them."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_initialized():
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
