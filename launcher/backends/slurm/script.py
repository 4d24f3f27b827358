"""Batches as text: sbatch scripts that a person can read, in a shell program that submits them."""

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from launcher.backends.containers import engine_image
from launcher.backends.slurm.batches import Batch
from launcher.backends.slurm.options import Container, SlurmOptions
from launcher.plan import Plan, PlannedJob
from launcher.runs.folder import PATH_FILE

WARNING = 60
"""Seconds before its time limit that Slurm warns a job."""
GRACE = 50
"""Seconds a warned job has to checkpoint in, so that its end is recorded before Slurm ends it."""
HEADER = """\
#!/bin/bash
# Run {run} on Slurm: `launcher submit --backend slurm` feeds this to bash, once the run folder is written.
set -euo pipefail
mkdir -p {logs}
declare -A id

submit() {{  # KEY [OPTION...]: hand the script on standard input to Slurm
    local answer
    answer=$(sbatch --parsable "${{@:2}}")
    id[$1]=${{answer%%;*}}
    echo "${{id[$1]}} $1"
}}
"""


def program(plan: Plan, batches: Iterable[Batch], known: Mapping[str, str]) -> str:
    """A bash program that submits `batches`; `known` are the ids of jobs Slurm has already, by job name."""
    parts = [HEADER.format(run=plan.run_id, logs=shlex.quote(str(logs(plan.folder))))]
    parts += [f"id[{name}]={slurm_id}\n" for name, slurm_id in known.items()]
    for batch in batches:
        dependency = _dependency(batch)
        parts.append(f"\nsubmit {batch.key}{dependency} <<'SCRIPT'\n{script(plan, batch)}SCRIPT\n")
    return "".join(parts)


def logs(run_folder: Path) -> Path:
    """Where Slurm writes what a batch script prints."""
    return run_folder / "slurm"


def script(plan: Plan, batch: Batch) -> str:
    """The sbatch script of one batch."""
    job = batch.jobs[0]
    array = {"array": f"0-{len(batch.jobs) - 1}"} if batch.is_array else {}
    log = str(logs(plan.folder)).replace("%", "%%") + f"/{batch.name}{'-%a' if batch.is_array else ''}.log"
    settings = {
        "job-name": f"{plan.run_id}/{batch.name}",
        **array,
        "chdir": str(plan.folder),
        "output": log,
        "open-mode": "append",
        **_resources(job),
        **_options(options_of(job)),
        "requeue": True,
        "signal": f"B:USR1@{WARNING}",
    }
    lines = ["#!/bin/bash", *(f"#SBATCH --{key}{_value(value)}" for key, value in settings.items())]
    if batch.is_array:
        lines.append(f"jobs=({' '.join(each.name for each in batch.jobs)})")
    return "\n".join(lines) + "\n" + _body(plan, batch)


def options_of(job: PlannedJob) -> SlurmOptions:
    """What the pipeline says to Slurm about a job."""
    return SlurmOptions.model_validate(job.options.get("slurm", {}))


def _value(value: str | bool) -> str:
    if value is True:
        return ""
    return f'="{value}"' if " " in str(value) else f"={value}"


def _resources(job: PlannedJob) -> dict[str, str]:
    asked = job.resources
    gpus = ":".join(filter(None, ("gpu", asked.gpu_type, str(asked.gpus)))) if asked.gpus else ""
    settings = {
        "nodes": str(asked.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(asked.cpus),
        "mem": f"{asked.memory}M" if asked.memory else "",
        "gres": gpus,
        "time": str(asked.time) if asked.time else "",
    }
    return {key: value for key, value in settings.items() if value}


def decided(jobs: Iterable[PlannedJob]) -> frozenset[str]:
    """The variables of sbatch that would go before what a pipeline says about these jobs."""
    return frozenset(f"SBATCH_{key.upper()}" for job in jobs for key in _options(options_of(job)))


def _options(options: SlurmOptions) -> dict[str, str | bool]:
    named = {
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
    }
    return {**{key: value for key, value in named.items() if value}, **options.sbatch}


def _dependency(batch: Batch) -> str:
    kinds = {"afterok": batch.after, "aftercorr": batch.after_same}
    waits = [":".join([kind, *map(_reference, keys)]) for kind, keys in kinds.items() if keys]
    return f' --dependency="{",".join(waits)}" --kill-on-invalid-dep=yes' if waits else ""


def _reference(key: str) -> str:
    """The shell's words for the id of a batch, or of one element of an array: `pretrain:all[3]`."""
    name, bracket, index = key.partition("[")
    return f"${{id[{name}]}}" + (f"_{index[:-1]}" if bracket else "")


def _body(plan: Plan, batch: Batch) -> str:
    """The commands: one attempt, which asks Slurm to be run again if it should be."""
    job = batch.jobs[0]
    container = options_of(job).container
    # Of an array SLURM_JOB_ID may be that of the whole.
    slurm_id = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" if batch.is_array else "$SLURM_JOB_ID"
    runs_in_steps = job.resources.nodes > 1 or (container is not None and container.engine == "pyxis")
    python = shlex.quote(sys.executable)
    options = [
        "--limits-time",
        f"--grace {GRACE}",
        f'--rerun-with "{python} -P -m launcher.backends.slurm.requeue {slurm_id}"',
    ]
    if runs_in_steps:  # srun itself would kill the step when asked to stop
        options.append(f'--stop-with "scancel --signal=TERM {slurm_id}.0"')
    if container:
        options.append(f"--python python --image {shlex.quote(_image(container, job))}")
    launch = [*(_srun(job) if runs_in_steps else ()), *(_container(container, plan, job) if container else ())]
    path = shlex.quote(str(plan.folder / PATH_FILE))
    words = [
        f"exec {python} -P -m launcher.attempt {' '.join(options[:2])}",
        *options[2:],
        f"{shlex.quote(str(plan.folder))} {'${jobs[$SLURM_ARRAY_TASK_ID]}' if batch.is_array else job.name}",
        *([f"-- {shlex.join(launch)}"] if launch else []),
    ]
    # The run's own code, or none at all: `retry --code now` may change it until the job begins.
    code = f'PYTHONPATH="$(<{path})" || exit\nexport PYTHONPATH\n'
    return code + " \\\n    ".join(words) + "\n"


def _srun(job: PlannedJob) -> list[str]:
    """One torchrun a node. When one has ended the others have the grace to checkpoint in."""
    asked = job.resources
    return [
        *("srun", f"--nodes={asked.nodes}", "--ntasks-per-node=1"),
        *(f"--cpus-per-task={asked.cpus}", "--kill-on-bad-exit=0", f"--wait={GRACE}"),
    ]


def _image(container: Container, job: PlannedJob) -> str:
    return container.image or engine_image(container.engine, job.image)


def _container(container: Container, plan: Plan, job: PlannedJob) -> list[str]:
    image = _image(container, job)
    mounts = [f"{folder}:{folder}" for folder in (plan.folder.parent, *container.mounts)]
    mounts += [f"{each.path}:{each.mount}{':ro' if each.read_only else ''}" for each in job.storage]
    if container.engine == "pyxis":
        return [f"--container-image={image}", f"--container-mounts={','.join(mounts)}"]
    gpus = ["--nv"] if job.resources.gpus else []
    return ["apptainer", "exec", *gpus, "--bind", ",".join(mounts), image]
