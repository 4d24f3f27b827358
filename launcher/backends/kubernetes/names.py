"""What objects of a run are called in a cluster, and the labels by which they are found again."""

import hashlib
import re
from pathlib import Path

POD_RUNS = Path("/runs")
"""Where pods see the folder of runs: a volume that this machine may not see at all."""
MLFLOW = "http://mlflow:5000"
"""The MLflow of k8s/base, as pods of its namespace call it."""
FIELD_MANAGER = "locat-launcher"
"""Who owns the fields that are applied: `submit`, `retry` and `advance` apply the same objects."""
JOBSET_API = "jobset.x-k8s.io/v1alpha2"
RUN_LABEL = "locat.dev/run"
JOB_ANNOTATION = "locat.dev/job"
DONE_LABEL = "locat.dev/done"
"""On a JobSet whose job is done; `advance` sets it before it looks at other jobs."""
PART_OF = {"app.kubernetes.io/part-of": "locat"}
COMPONENT_LABEL = "app.kubernetes.io/component"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
JOBSET_NAME_LABEL = "jobset.sigs.k8s.io/jobset-name"
REPLICATED_JOB_LABEL = "jobset.sigs.k8s.io/replicatedjob-name"
RESTART_LABEL = "jobset.sigs.k8s.io/restart-attempt"
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
TRAIN = "train"
"""The component that pods of jobs are."""
MAIN = "main"
"""The replicatedJob that runs the job, and its container."""
ADVANCE = "advance"
"""The replicatedJob that applies what needs it."""
LONGEST_JOB_PART = 28
"""Characters of a job's name in its JobSet's, so that names of pods stay within 63."""


def jobset(run_id: str, job: str) -> str:
    """Name of a job's JobSet: the same for the same run and job, and no other's."""
    readable = re.sub(r"[^a-z0-9]+", "-", job)[:LONGEST_JOB_PART].strip("-")
    return f"{readable}-{hashlib.sha256(f'{run_id}/{job}'.encode()).hexdigest()[:8]}"


def first_pod(run_id: str, job: str) -> str:
    """The host name of a job's first pod, where the others meet it."""
    name = jobset(run_id, job)
    return f"{name}-{MAIN}-0-0.{name}"


def plan(run_id: str, part: int = 0) -> str:
    """Name of the ConfigMap that holds a part of the plan."""
    return f"{run_id.lower().replace('_', '-')}-plan-{part}"
