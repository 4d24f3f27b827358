"""A GPU is known by whatever schedulers, drivers and torch call it."""

import pytest

from locat.contract.gpus import TABLE, Gpu, find, unknown

OWN = Gpu("h300", 200 << 10, 3000, 3000, 90, 9000)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("h100", "h100-sxm-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm-80gb"),
        ("nvidia_h100_80gb_hbm3", "h100-sxm-80gb"),
        ("nvidia-h100-mega-80gb", "h100-sxm-80gb"),
        ("NVIDIA-H100-80GB-HBM3-SHARED", "h100-sxm-80gb"),
        ("NVIDIA H100 PCIe", "h100-pcie-80gb"),
        ("NVIDIA H100 NVL", "h100-nvl-94gb"),
        ("NVIDIA H200", "h200-sxm-141gb"),
        ("NVIDIA B200", "b200-sxm-180gb"),
        ("NVIDIA GH200 480GB", "gh200-96gb"),
        ("a100", "a100-sxm-40gb"),
        ("nvidia-tesla-a100", "a100-sxm-40gb"),
        ("a100_80g", "a100-sxm-80gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("Tesla V100-SXM2-32GB", "v100-sxm-32gb"),
        ("Tesla T4", "t4-16gb"),
        ("NVIDIA A10G", "a10g-24gb"),
        ("NVIDIA L4", "l4-24gb"),
        ("NVIDIA L40S", "l40s-48gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090-24gb"),
        ("NVIDIA RTX A6000", "rtx-a6000-48gb"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada-48gb"),
        ("AMD Instinct MI300X", "mi300x-192gb"),
    ],
)
def test_names_of_schedulers_drivers_and_torch_are_known(name: str, meant: str) -> None:
    found = find(name)
    assert found is not None and found.name == meant


@pytest.mark.parametrize(
    "name", ["", "gpu", "h101", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "a100_3g.20gb", "Quadro RTX 6000", "h100-l4"]
)
def test_other_gpus_and_slices_are_unknown(name: str) -> None:
    assert find(name) is None


def test_every_row_is_found_by_its_own_name() -> None:
    assert [find(gpu.name) for gpu in TABLE] == list(TABLE)
    assert all(gpu.bf16 >= gpu.fp32 and gpu.fp16 > gpu.fp32 and gpu.source for gpu in TABLE)


def test_a_pipelines_own_types_come_first() -> None:
    mine = Gpu("NVIDIA-H100-80GB-HBM3", 1 << 10, 1, 1, 1, 1)
    assert find("H300", [OWN]) == OWN
    assert find("NVIDIA H100 80GB HBM3", [OWN, mine]) == mine


def test_rates_are_operations_a_second() -> None:
    v100 = find("v100")
    assert v100 is not None
    assert (v100.rate("fp16"), v100.rate("bf16"), v100.rate("fp32")) == (125e12, 15.7e12, 15.7e12)


def test_what_is_unknown_names_the_remedy() -> None:
    told = unknown("h1000")
    assert "did you mean 'h100'?" in told and "gpus: {h1000: {memory: " in told
