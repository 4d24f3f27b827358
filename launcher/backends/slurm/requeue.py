"""Another attempt of a job, asked for by the job itself: `python -m launcher.backends.slurm.requeue ID`."""

import sys
import time

from launcher.backends.slurm.queue import SlurmError, ask

PAUSE = 5.0
"""Seconds between two tries: Slurm's controller may be restarting."""


def main() -> None:
    (slurm_id,) = sys.argv[1:]
    while True:
        try:
            # One that Slurm is ending already was cancelled, or is requeued by Slurm itself.
            # `scontrol requeue` would bring back to life what a user has cancelled.
            if ask(["squeue", "--noheader", f"--jobs={slurm_id}", "--format=%T"]).strip() == "RUNNING":
                ask(["scontrol", "requeue", slurm_id])
            return
        except SlurmError as error:
            print(f"{error}; asked again in {PAUSE:g} s", file=sys.stderr, flush=True)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
