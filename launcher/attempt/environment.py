"""Which variables reach an attempt: the one place that says so, for every backend.

| variables | what is done | why |
|---|---|---|
| `RANKS` | dropped | where ranks are and how they meet is decided here and by torchrun, not by the shell of `submit` |
| `STEP` | dropped, but for what Slurm says to an attempt that it runs | that shell may be inside `srun` or `salloc` |
| `MODES_OF_PYTHON` | dropped | they change how, or whether, Python ends |
| `PYTHONPATH` | absolute entries of the attempt runner, then of the job | first is the run's code (`RunFolder.code`) |
| `PYTHONPATH` in a container that the runner is not in | absolute entries of the job | the image has the code |
| `LOCAT_PLUGINS` in such a container | the run's code, if the pipeline has plugins | the image has all else |
| `launcher.interpreter.MODES`, `_set` | set | |
| the job's `env` | set, but for `RANKS` | |
| anything else | kept | it is the user's: proxies, CUDA_VISIBLE_DEVICES, credentials, NCCL's tuning |
"""

import getpass
import math
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from launcher import interpreter
from locat.contract.job_folder import ATTEMPT_VARIABLE
from locat.contract.plugins import FOLDER

RANKS = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME"),
    *("PET_*", "TORCHELASTIC_*", "TORCH_ELASTIC_*", "TORCH_NCCL_RDZV_*", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"),
    *("LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE", "DLTS_*"),  # DeepSpeed
    *("OMPI_*", "PMI_*", "PMIX_*", "MPI_*", "MV2_*"),  # MPI, which DeepSpeed asks too
    *("NCCL_COMM_ID", "NCCL_HOSTID"),
    *("LOCAT_ATTEMPT_DIR", "LOCAT_MEETING", "LOCAT_NODE", "LOCAT_STORE", FOLDER),
)
"""Variables, or `PREFIX_*`, by which something decides which rank a process is, whom it meets where, or what is found
as a plugin."""
STEP = ("SLURM_*", "SLURMD_*", "SBATCH_*", "SRUN_*", "SQUEUE_*", "SCANCEL_*", "SINFO_*", "SALLOC_*")
"""What Slurm says to the processes of a job, and what its commands read."""
MODES_OF_PYTHON = ("PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONDEVMODE", "PYTHONHOME")
CONFIGURED = ("SLURM_CONF", "SLURM_JWT")
"""Of `STEP`, what says how Slurm is reached."""
CHOICES = ("SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION")
"""Of `STEP`, the user's own choices where a pipeline makes none; sbatch would prefer them to those of a pipeline."""


def of_attempt(
    inherited: Mapping[str, str],
    given: Mapping[str, str],
    folder: Path,
    grace: float,
    place: Mapping[str, str],
    contained: bool = False,
    plugins: Path | None = None,
) -> dict[str, str]:
    """The variables of an attempt's command.

    Args:
        inherited: of the attempt runner.
        given: the job's `env`.
        folder: the attempt's.
        grace: seconds to stop in.
        place: where several nodes meet.
        contained: the command runs in a container that the attempt runner is not in.
        plugins: the folder in which such a container finds the pipeline's.
    """
    if contained:
        inherited = _without(inherited, ("PYTHONPATH",))
    kept = {**_without(inherited, (*RANKS, *MODES_OF_PYTHON)), **_without(given, RANKS)}
    paths = [each["PYTHONPATH"] for each in (inherited, given) if "PYTHONPATH" in each]
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    found = {FOLDER: str(plugins)} if contained and plugins else {}
    return {**kept, **_set(kept, folder, grace), **found, **place}


def of_supervisor(inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of what runs attempts on this machine, where no Slurm does."""
    kept = _without(inherited, (*RANKS, *STEP, *MODES_OF_PYTHON))
    return {**kept, **_of_python(kept)}


def of_submission(inherited: Mapping[str, str], decided: Collection[str] = ()) -> dict[str, str]:
    """The variables of Slurm's commands, which jobs that they submit inherit; `decided`: those of `CHOICES` that
    something else decides."""
    chosen = {name: inherited[name] for name in (*CONFIGURED, *CHOICES) if name in inherited and name not in decided}
    return {**of_supervisor(inherited), **chosen}


def _set(kept: Mapping[str, str], folder: Path, grace: float) -> dict[str, str]:
    return {
        **_of_python(kept),
        **_user(kept),
        # torchrun (2.12 and newer) else kills ranks 30 s after it passed the request to stop on to them
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(math.ceil(grace)),
        "PET_LOG_DIR": str(folder / "torchrun"),  # it else leaves a folder in /tmp
        ATTEMPT_VARIABLE: str(folder),
    }


def _of_python(kept: Mapping[str, str]) -> dict[str, str]:
    path = {"PYTHONPATH": interpreter.import_path(kept["PYTHONPATH"])} if "PYTHONPATH" in kept else {}
    return {**path, **interpreter.MODES, "PYTHONUNBUFFERED": "1"}  # logs are read while they are written


def _user(kept: Mapping[str, str]) -> dict[str, str]:
    """A name for a user without an entry in passwd, as in many a container: libraries ask for one and fail."""
    if any(kept.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        return {}
    try:
        getpass.getuser()
    except (KeyError, OSError):
        return {"LOGNAME": f"uid-{os.getuid()}"}
    return {}


def _without(variables: Mapping[str, str], patterns: Collection[str]) -> dict[str, str]:
    pattern = re.compile("|".join(re.escape(each).replace(r"\*", ".*") for each in patterns), re.DOTALL)
    return {name: value for name, value in variables.items() if not pattern.fullmatch(name)}
