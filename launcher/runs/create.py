"""A run's folder: created complete or not at all."""

import os
import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from launcher.plan import Plan
from launcher.runs.errors import RunError
from launcher.runs.folder import RunFolder
from locat.contract import durable


def new_run_id(name: str) -> str:
    """A run id nobody else has: `digits-20260131-142500-3f9a`."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def create(plan: Plan, pipeline_text: str, runs: Path) -> RunFolder:
    """Write a run's folder in `runs` under a temporary name, then rename it: it is complete or not there.

    Where jobs see the folder of runs by another path, `plan.folder` is theirs.
    """
    run = RunFolder(runs / plan.run_id)
    try:
        durable.make_folder(runs)
        temporary = Path(tempfile.mkdtemp(dir=runs, prefix=".new-"))
        try:
            _write(temporary, plan, pipeline_text)
            temporary.chmod(0o755)
            durable.sync_tree(temporary)
            os.rename(temporary, run.path)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        durable.sync_folder(runs)
    except OSError as error:
        raise RunError(f"cannot create the run {run.path}: {error.strerror or error}") from error
    return run


def _write(folder: Path, plan: Plan, pipeline_text: str) -> None:
    from locat.contract.yaml_text import to_yaml  # a third of the time that an attempt runner takes to start

    durable.write_text(folder / "pipeline.yaml", redact(pipeline_text))
    durable.write_text(folder / "plan.json", plan.to_json())
    for job in plan.jobs:
        durable.write_text(folder / "jobs" / job.name / "config.yaml", to_yaml(job.config))


def redact(text: str) -> str:
    """`text` without the credentials of URLs (user:password@host)."""
    return re.sub(r"(?<=://)[^\s/@'\"]+@", "***@", text)
