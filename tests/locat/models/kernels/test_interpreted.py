"""The Triton kernels where there is no GPU: run in Triton's interpreter, and compiled, each in its own process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[3]

pytestmark = pytest.mark.slow


@pytest.mark.skipif(torch.cuda.is_available(), reason="test_triton.py runs on the GPU")
def test_the_kernels_are_right_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "test_triton.py")]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 8


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_they_compile_for_a_gpu_without_spilling_registers(dtype):
    """For compute capability 9.0, in a process where Triton is not interpreting; needs no GPU."""
    command = [sys.executable, str(ROOT / "tests" / "support" / "kernel_build.py"), dtype, "64"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\w+) spills (\d+) bytes", done.stdout) == [
        ("forward_kernel", "0"),
        ("queries_kernel", "0"),
        ("keys_kernel", "0"),
    ]
