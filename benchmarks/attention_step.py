"""A whole training step of ViT and LocAtViT, and its memory: ours beside plain ViT and the materialised formula.

    python benchmarks/attention_step.py [--device cuda] [--sizes tiny small base] [--image 224] [--batch 16] [--compile]

Forward, backward and AdamW on random images; float32 on a CPU, bfloat16 autocast on a GPU. --image 512 is the grid of
the segmentation tasks. Each form has a model of its own, and the models take turns in every round, so all of
them must fit into memory at once; memory is measured with one at a time. Results go to benchmarks/results/.
"""

import argparse
import gc
from functools import partial
from typing import Any

import timm
import torch
from attention_forms import MaterialisedGAug
from attention_measuring import compare, kept_bytes, peak_bytes, place, write
from torch import Tensor, nn
from torch.nn import functional as F

import locat.models  # noqa: F401
from locat.engine.blocks import compile_blocks
from locat.engine.precision import autocast
from locat.models import gaussian_attention
from locat.models.cost import count_flops
from locat.models.gaug import GAug

NAMES = {"plain": "vit_{}_patch16_224", **dict.fromkeys(("ours", "separable", "materialised"), "locatvit_{}")}

PEAKS = {"H200": 989.4e12, "H100": 989.4e12, "A100": 312e12}
"""FLOP/s of dense bfloat16 products that the makers' data sheets name, of the GPUs whose name contains that."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sizes", nargs="+", default=["tiny"], choices=["tiny", "small", "base"])
    parser.add_argument("--image", type=int, default=224, help="pixels of an image's side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--depth", type=int, default=12, help="blocks; fewer, to try this out")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--forms", nargs="+", default=list(NAMES), choices=list(NAMES), help="plain among them")
    parser.add_argument("--compile", action="store_true", help="torch.compile every block, as training does")
    options = parser.parse_args()
    for size in options.sizes:
        measure(size, options)


def measure(size: str, options: argparse.Namespace) -> None:
    steps = {form: Training(size, form, options) for form in options.forms}
    found: dict[str, dict[str, Any]] = {**compare(dict(steps), options.rounds, "plain")}
    for form, training in steps.items():
        found[form]["kept_mb"] = kept_bytes(training.loss) / 1e6
        found[form] |= reached(size, form, options, found[form]["median_ms"] / 1000)
    del steps, training
    if options.device == "cuda":
        for form in options.forms:
            found[form]["peak_mb"] = peak_of_one(size, form, options) / 1e6
    print(f"{size}, {options.batch} x {options.image} px on {options.device}")
    for form, values in found.items():
        print(
            f"{form:<13}{values['median_ms']:9.1f} ms {values['ratio']:6.2f} x plain {values['kept_mb']:9.1f} MB kept"
        )
    name = f"step-{place(options.device)}-{size}-{options.image}-b{options.batch}"
    write(name, options.device, {"what": "training step", "settings": vars(options) | {"size": size}, "forms": found})


def reached(size: str, form: str, options: argparse.Namespace, seconds: float) -> dict[str, float]:
    """Images and FLOPs a second of a step that takes so many seconds; of a known GPU `mfu`, the share of its peak.

    A backward pass is counted as two forward passes, and element-wise work not at all (`locat.models.cost`).
    """
    with torch.device("meta"):
        model = timm.create_model(NAMES[form].format(size), img_size=options.image, depth=options.depth).eval()
    model.pretrained_cfg.update(input_size=(3, options.image, options.image))
    flops = 3 * 2 * count_flops(model) * options.batch / seconds
    peak = next((peak for gpu, peak in PEAKS.items() if gpu in gpu_name(options.device)), None)
    return {
        "images_per_s": options.batch / seconds,
        "flops_per_s": flops,
        **({"mfu": flops / peak} if peak else {}),
    }


def gpu_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else ""


def peak_of_one(size: str, form: str, options: argparse.Namespace) -> int:
    gc.collect()
    torch.cuda.empty_cache()
    training = Training(size, form, options)
    training()  # makes the optimizer's state
    return peak_bytes(training)


class Training:
    """A step of one model."""

    def __init__(self, size: str, form: str, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.form = "separable" if form == "separable" else "auto"
        self.precision = partial(autocast, "fp32" if options.device == "cpu" else "bf16", torch.device(options.device))
        name = NAMES[form].format(size)
        self.model: nn.Module = timm.create_model(name, img_size=options.image, depth=options.depth)
        self.model.to(options.device)
        if form == "materialised":
            for module in self.model.modules():
                if type(module) is GAug:
                    module.__class__ = MaterialisedGAug
        if options.compile:
            compile_blocks(self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4, fused=options.device == "cuda")
        self.images = torch.randn(options.batch, 3, options.image, options.image, device=options.device)
        self.labels = torch.randint(1000, (options.batch,), device=options.device)

    def loss(self) -> Tensor:
        gaussian_attention.FORM = self.form
        with self.precision():
            return F.cross_entropy(self.model(self.images), self.labels)

    def __call__(self) -> None:
        self.loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


if __name__ == "__main__":
    main()
