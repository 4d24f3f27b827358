"""What a job imports before it begins: nothing that it does not use."""

import subprocess
import sys

import pytest

from locat.config import TASKS

NEVER = {
    "cv2",
    "ffcv",
    "matplotlib",
    "mlflow",
    "pandas",
    "scipy.io",
    "scipy.ndimage",
    "segmentation_models_pytorch",
    "sklearn",
    "torchmetrics",
    "transformers",
}
"""Decoders, figures and tracking: each is imported by the few who need it, and when they do."""
SOME = {"deepspeed", "faiss"}
"""What one strategy or one task needs."""
HEAVY = {"llvmlite", "numba", "timm", "torch", "torchvision"}
"""What a job that computes nothing does without."""
FORBIDDEN = {task: NEVER | SOME for task in TASKS.built_in} | {
    "convert": NEVER | SOME | HEAVY,
    **dict.fromkeys(("compare", "command"), NEVER | SOME | HEAVY),
    "hummingbird": NEVER | {"deepspeed"},
}


@pytest.mark.parametrize("task", TASKS.built_in)
def test_a_task_imports_nothing_that_it_does_not_use(task: str) -> None:
    module = TASKS[task].entry.partition(":")[0]
    code = f"import locat.__main__, {module}, sys; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert FORBIDDEN[task] & set(process.stdout.split()) == set()


def test_a_tracked_job_leaves_mlflow_to_the_thread_that_sends() -> None:
    code = "import locat.engine.tracking, sys; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mlflow" not in process.stdout.split()
