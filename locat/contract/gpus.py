"""What GPUs have and can do at most, by their makers' data sheets.

A GPU has many names: `h100` in one Slurm cluster is `nvidia_h100_80gb_hbm3` in another, the label
`NVIDIA-H100-80GB-HBM3` of a Kubernetes node, "NVIDIA H100 80GB HBM3" to its driver. `find` knows them by their words.
A slice of a GPU (MIG) is none of these. A pipeline adds others under `gpus`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from locat.contract.problems import did_you_mean

Precision = Literal["bf16", "fp16", "fp32"]


@dataclass(frozen=True)
class Gpu:
    """One type of GPU."""

    name: str
    memory: int
    """MiB, as `nvidia-smi` shows them. Programs get 1 to 4 % less, which the driver keeps."""
    bf16: float
    """TFLOP/s of dense matrix products, summed in float32. That of `fp32` where the GPU does not compute in bf16."""
    fp16: float
    fp32: float
    """Not TF32, which torch uses for matrix products only where it is asked to."""
    bandwidth: float
    """GB/s between the GPU and its memory."""
    source: str = ""
    """Whose figures the rates are."""

    def rate(self, precision: Precision) -> float:
        """The most floating-point operations a second."""
        return {"bf16": self.bf16, "fp16": self.fp16, "fp32": self.fp32}[precision] * 1e12


NVIDIA, AMD = "NVIDIA's data sheet of the {}, half of what it gives with sparsity", "AMD's data sheet of the {}"
DENSE = "NVIDIA's data sheet of the {}"
WHITE_PAPER = "NVIDIA's white paper on {}"

# All the words of a name, those that a name must have, and others that it may have; then memory, bf16, fp16, fp32,
# bandwidth, and the source. Where a name fits several, such as `a100`, the first is meant.
_TABLE: tuple[tuple[str, str, str, int, float, float, float, float, str], ...] = (
    ("gb200-186gb", "gb200", "192gb", 189471, 2500, 2500, 80, 8000, NVIDIA.format("GB200")),
    ("b200-sxm-180gb", "b200", "192gb", 183359, 2250, 2250, 75, 8000, NVIDIA.format("DGX B200")),
    ("h200-nvl-141gb", "h200 nvl", "", 143771, 835, 835, 60, 4800, NVIDIA.format("H200")),
    ("h200-sxm-141gb", "h200", "", 143771, 989, 989, 67, 4800, NVIDIA.format("H200")),
    ("gh200-96gb", "gh200", "480gb", 97871, 989, 989, 67, 4000, NVIDIA.format("GH200")),
    ("h100-nvl-94gb", "h100 nvl", "", 95830, 835, 835, 60, 3900, NVIDIA.format("H100")),
    ("h100-pcie-80gb", "h100 pcie", "", 81559, 756, 756, 51, 2000, NVIDIA.format("H100")),
    ("h100-sxm-80gb", "h100", "mega", 81559, 989, 989, 67, 3350, NVIDIA.format("H100")),
    ("h20-96gb", "h20", "", 97871, 148, 148, 44, 4000, DENSE.format("H20")),
    ("a100-sxm-40gb", "a100", "", 40960, 312, 312, 19.5, 1555, DENSE.format("A100")),
    ("a100-pcie-40gb", "a100 pcie", "", 40960, 312, 312, 19.5, 1555, DENSE.format("A100")),
    ("a100-sxm-80gb", "a100", "", 81920, 312, 312, 19.5, 2039, DENSE.format("A100")),
    ("a100-pcie-80gb", "a100 pcie", "", 81920, 312, 312, 19.5, 1935, DENSE.format("A100")),
    ("a30-24gb", "a30", "", 24576, 165, 165, 10.3, 933, DENSE.format("A30")),
    ("a40-48gb", "a40", "", 46068, 149.7, 149.7, 37.4, 696, DENSE.format("A40")),
    ("a10g-24gb", "a10g", "", 23028, 70, 70, 35, 600, DENSE.format("A10G")),
    ("a10-24gb", "a10", "pcie", 23028, 125, 125, 31.2, 600, DENSE.format("A10")),
    ("rtx-a6000-48gb", "a6000", "", 49140, 154.8, 154.8, 38.7, 768, WHITE_PAPER.format("GA102")),
    ("l40s-48gb", "l40s", "", 46068, 362, 362, 91.6, 864, DENSE.format("L40S")),
    ("l40-48gb", "l40", "", 46068, 181, 181, 90.5, 864, DENSE.format("L40")),
    ("l4-24gb", "l4", "", 23034, 121, 121, 30.3, 300, NVIDIA.format("L4")),
    ("rtx-6000-ada-48gb", "6000 ada", "generation", 49140, 364, 364, 91.1, 960, WHITE_PAPER.format("Ada")),
    ("rtx-5090-32gb", "5090", "", 32607, 209.5, 209.5, 104.8, 1792, WHITE_PAPER.format("Blackwell")),
    ("rtx-4090-24gb", "4090", "", 24564, 165.2, 165.2, 82.6, 1008, WHITE_PAPER.format("Ada")),
    ("rtx-3090-24gb", "3090", "", 24576, 71, 71, 35.6, 936, WHITE_PAPER.format("GA102")),
    ("v100-sxm-16gb", "v100", "", 16384, 15.7, 125, 15.7, 900, DENSE.format("V100")),
    ("v100-pcie-16gb", "v100 pcie", "", 16384, 14, 112, 14, 900, DENSE.format("V100")),
    ("v100-sxm-32gb", "v100", "", 32768, 15.7, 125, 15.7, 900, DENSE.format("V100")),
    ("v100-pcie-32gb", "v100 pcie", "", 32768, 14, 112, 14, 900, DENSE.format("V100")),
    ("v100s-pcie-32gb", "v100s", "", 32768, 16.4, 130, 16.4, 1134, DENSE.format("V100")),
    ("t4-16gb", "t4", "", 15360, 8.1, 65, 8.1, 320, DENSE.format("T4")),
    ("mi325x-256gb", "mi325x", "oam", 262144, 1307, 1307, 163.4, 6000, AMD.format("MI325X")),
    ("mi300x-192gb", "mi300x", "oam", 196608, 1307, 1307, 163.4, 5300, AMD.format("MI300X")),
    (
        "mi250x-64gb",
        "mi250x",
        "oam",
        65536,
        191.5,
        191.5,
        47.9,
        1638,
        f"{AMD.format('MI250X')}, for one of its two chips",
    ),
)
_NOISE = re.compile(r"nvidia|amd|instinct|tesla|geforce|shared|hbm\d?e?")
"""Words that tell no two of them apart. `SHARED` is what Kubernetes adds where jobs take turns on a GPU."""


def _words(name: str) -> frozenset[str]:
    """Of a name of a GPU: `NVIDIA A100-SXM4-80GB` has a100, sxm and 80gb."""
    words = (re.sub(r"^(\d+)gi?b?$", r"\1gb", word) for word in re.split(r"[^a-z0-9]+", name.lower()) if word)
    return frozenset(re.sub(r"^sxm\d$", "sxm", word) for word in words if not _NOISE.fullmatch(word))


TABLE: tuple[Gpu, ...] = tuple(Gpu(name, *figures) for name, _, _, *figures in _TABLE)  # type: ignore[arg-type]
"""Every GPU that is known without a pipeline's `gpus`."""
_BY_WORDS = tuple(
    (frozenset(needed.split()), _words(f"{name} {more}"), gpu)
    for (name, needed, more, *_), gpu in zip(_TABLE, TABLE, strict=True)
)


def find(name: str, own: Iterable[Gpu] = ()) -> Gpu | None:
    """The GPU that a scheduler, a driver or torch calls so; None if none is known by this name.

    Args:
        own: what a pipeline says of its own types, which is asked first.
    """
    words = _words(name)
    for gpu in own:
        if words == _words(gpu.name):
            return gpu
    return next((gpu for needed, all_words, gpu in _BY_WORDS if needed <= words <= all_words), None)


def unknown(name: str, own: Iterable[Gpu] = ()) -> str:
    """What to tell a user whose type of GPU `find` does not know."""
    names = [*(gpu.name for gpu in own), *(row[1].replace(" ", "-") for row in _TABLE)]
    return (
        f"unknown GPU {name!r}; say in the pipeline what it has, from its data sheet: gpus: {{{name}: "
        f"{{memory: 80G, bf16: 989, fp32: 67, bandwidth: 3350}}}}{did_you_mean(name.lower(), names)}"
    )
