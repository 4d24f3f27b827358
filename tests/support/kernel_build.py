"""Compile the kernels of GAug attention for compute capability 9.0, without a GPU: python kernel_build.py bf16 64."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from locat.models.kernels.backward import keys_kernel, queries_kernel
from locat.models.kernels.forward import forward_kernel
from locat.models.kernels.launch import backward_tiles, forward_tiles, options

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
FLOAT32 = ("shapes", "log_sum", "delta", "of_shapes", "shapes_gradient")


def main(dtype: str, head_dim: int) -> None:
    heads = torch.empty(2, 3, 197, head_dim, dtype=DTYPES[dtype], device="meta")
    given = options(heads, heads, heads, heads, torch.empty(2, 3, 196, 3, device="meta"), (14, 14), (14, 14))
    for kernel in (forward_kernel, queries_kernel, keys_kernel):
        tiles = forward_tiles(head_dim, DTYPES[dtype]) if kernel is forward_kernel else backward_tiles(DTYPES[dtype])
        sizes = (tiles.met, tiles.owned) if kernel is keys_kernel else (tiles.owned, tiles.met)
        values = {**given, "BLOCK_Q": sizes[0], "BLOCK_K": sizes[1]}
        print(f"{kernel.__name__} spills {spilled(kernel, values, dtype, tiles.warps)} bytes a thread")


def spilled(kernel, values, dtype: str, warps: int) -> int:
    """Bytes of a thread's stack: 0 if all fits into registers."""
    signature, constants, aligned = {}, {}, {}
    for index, name in enumerate(kernel.arg_names):
        if name.isupper():
            signature[name], constants[(index,)] = "constexpr", values[name]
        elif name.endswith("_strides"):
            signature[name] = ("i32", "i32", "i32")
            aligned |= {(index, axis): [["tt.divisibility", 16]] for axis in range(3)}
        elif name in values:
            signature[name] = "fp32" if name == "scale" else "i32"
        else:
            signature[name] = "*fp32" if name in FLOAT32 else f"*{dtype}"
        if signature[name][0] == "*":
            aligned[(index,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, aligned)
    options = {"num_warps": warps, "num_stages": values["num_stages"]}
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built.asm["cubin"])
        file.flush()
        usage = subprocess.run([CUOBJDUMP, "--dump-resource-usage", file.name], capture_output=True, text=True)
    return int(re.search(r"STACK:(\d+)", usage.stdout)[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
