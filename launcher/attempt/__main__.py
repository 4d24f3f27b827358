"""One attempt of one job: `python -m launcher.attempt RUN_FOLDER JOB`, the same on every backend.

Holds the job's lock, runs the command, and records how it ended. Needs no supervisor.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from launcher.attempt.host import Host
from launcher.attempt.run import attempt, runs_again
from launcher.attempt.stop import GRACE
from launcher.notify import start as notify
from launcher.runs import mlflow_sync
from launcher.runs.folder import RunFolder
from locat.contract.errors import UserError
from locat.contract.job_folder import ExitCode
from locat.contract.text import speak


def main() -> int:
    speak()
    parser = argparse.ArgumentParser(prog="python -m launcher.attempt", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds to stop in before SIGKILL (default 60)")
    parser.add_argument("--limits-time", action="store_true", help="the scheduler asks to stop before the time limit")
    parser.add_argument("--slots", default="", metavar="N,N", help="descriptors that hold its slots")
    parser.add_argument("--python", default=sys.executable, help="what `python` in the job's command stands for")
    parser.add_argument("--image", default="", help="container image of the job's command, for the record")
    parser.add_argument("--stop-with", default="", metavar="COMMAND", help="asks the job to stop (default SIGTERM)")
    parser.add_argument("--rerun-with", default="", metavar="COMMAND", help="asks the scheduler for another attempt")
    parser.add_argument("launch", nargs="*", metavar="-- LAUNCH", help="what the job's command is put after")
    arguments = parser.parse_args()
    stop_with, rerun_with = (tuple(shlex.split(text)) for text in (arguments.stop_with, arguments.rerun_with))
    host = Host(
        launch=tuple(arguments.launch),
        python=arguments.python,
        image=arguments.image,
        limits_time=arguments.limits_time,
        slots=tuple(int(number) for number in arguments.slots.split(",") if number),
        stop_with=stop_with,
        rerun_with=rerun_with,
    )
    run = RunFolder(arguments.run.resolve())
    try:
        ending = attempt(run, arguments.job, arguments.grace, host)
    except UserError as error:  # such as a plan that a newer launcher wrote
        print(error, file=sys.stderr)
        return ExitCode.INVALID
    # The run was deleted meanwhile, or the job has another attempt already.
    if not run.exists() or ending.superseded:
        return ending.exit_code
    if rerun_with and runs_again(run, arguments.job, ending.exit_code):
        subprocess.run(rerun_with, stdin=subprocess.DEVNULL)
        return ending.exit_code
    teller = notify.start(run)
    if rerun_with:
        mlflow_sync.sync_if_ended(run)
        notify.wait(teller)  # with this process its scheduler ends all that it left
    return ending.exit_code


if __name__ == "__main__":
    sys.exit(main())
