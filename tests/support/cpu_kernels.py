"""The ways to attend on a CPU that this machine can run: what `native.instructions` may say here."""

from unittest import mock

import torch

from locat.models.kernels import native

OF_TORCH = "DEFAULT"
"""torch's name of what neither of the compiled kernels is for: torch's operations attend."""
COMPILED = {"AVX512": ["AVX512", "AVX2"], "AVX2": ["AVX2"]}.get(torch.backends.cpu.get_cpu_capability(), [])
FORMS = [*COMPILED, OF_TORCH]


def attending_by(form):
    """While this is entered, attention is computed by one of FORMS."""
    return mock.patch.object(native, "instructions", return_value=form)
