"""What docs/scale.md stands on: what was measured here, what others published, and what is assumed."""

from dataclasses import dataclass

HERE = "measured here"
DEFINED = "by definition"
PAPER = "published"
ASSUMED = "assumed"


@dataclass(frozen=True)
class Fact:
    """A number with its origin."""

    value: float
    unit: str
    kind: str
    source: str
    again: str = ""
    """What measures it again, if it was measured here."""


@dataclass(frozen=True)
class Images:
    """A training set."""

    name: str
    samples: int


@dataclass(frozen=True)
class Transformer:
    """A plain ViT on images of 224 pixels."""

    name: str
    depth: int
    width: int
    hidden: int
    patch: int

    @property
    def parameters(self) -> int:
        """Of the blocks, the patches, the positions and one head of 1,000 classes, biases and norms included."""
        width, hidden = self.width, self.hidden
        block = 4 * width * width + 4 * width + 2 * width * hidden + width + hidden + 4 * width
        tokens = (224 // self.patch) ** 2 + 1
        return self.depth * block + width * (3 * self.patch**2 + 1 + tokens + 1 + 2) + 1000 * (width + 1)

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass on one image."""
        tokens = (224 // self.patch) ** 2 + 1
        products = 4 * self.width**2 + 2 * self.width * self.hidden
        return self.depth * (tokens * products + 2 * tokens**2 * self.width) + tokens * 3 * self.patch**2 * self.width


SETS = (
    Images("ImageNet-1K", 1_281_167),
    Images("ImageNet-21K", 14_197_122),
    Images("a billion images", 10**9),
    Images("ten thousand million", 10**10),
)
MODELS = (
    Transformer("ViT-B/16", 12, 768, 3072, 16),
    Transformer("ViT-g/14", 40, 1408, 6144, 14),
    Transformer("ViT-22B/14", 48, 6144, 24576, 14),
)
GIANT = MODELS[1]
NODES, GPUS_A_NODE = 128, 8
GPUS = NODES * GPUS_A_NODE
BATCH = 32_768
LOG_EVERY = 10

MEASURED = "`benchmarks/scale_measured.py`"
LOADER_AGAIN = "`benchmarks/loader.py`"
CLUSTER = "`python -m cluster.scale` ([how](performance.md#a-run-of-1000-jobs-on-kubernetes))"

IMAGE = Fact(52_732, "bytes", HERE, "a JPEG of 500 x 375 pixels", LOADER_AGAIN)
LOADER = Fact(1_237, "images/s of a core", HERE, "one crop of 224 pixels", LOADER_AGAIN)
TABLE = Fact(56, "bytes a sample and rank", HERE, "what an open .beton file keeps of 1,281,167 samples", MEASURED)
OPENING = Fact(130, "bytes a sample and rank", HERE, "the most that opening that file takes", MEASURED)
ORDER = Fact(8, "bytes a sample and rank", DEFINED, "an order that is sorted: one int64")
SORTING = Fact(0.164, "s", HERE, "of a processor, to sort the order of 1,281,167 samples", MEASURED)
PLACE = Fact(0.24e-3, "s", HERE, "of a processor, to compute the places of 256 of 10^9 samples", MEASURED)
STANDING = Fact(
    0.079,
    "s",
    HERE,
    "that ViT-Tiny stands still for a checkpoint, fsdp on one rank",
    "`benchmarks/checkpoint.py --model vit_tiny_patch16_224`",
)
HASHING = Fact(1.77e9, "bytes/s", HERE, "SHA-256 by one core", MEASURED)
START = Fact(
    10,
    "s",
    HERE,
    "from submit to the first step of a tiny job, beside other work: [performance.md](performance.md)",
    "`submit`, and the clock of the first line of metrics.jsonl",
)
POINTS = Fact(4184, "points/s", HERE, "MLflow's server on SQLite, 8 clients at once, 1,000 points a request", MEASURED)
REQUESTS = Fact(59.5, "requests/s", HERE, "the same, 14 points a request", MEASURED)
APPLYING = Fact(32.14 / 900, "s", HERE, "`submit` to Kubernetes, a job", CLUSTER)
STARTING = Fact(586 / 1000, "s", HERE, "from one JobSet to the next", CLUSTER)
OBJECT = Fact(16e6 / 2100, "bytes", HERE, "a JobSet or pod as `status` reads it", CLUSTER)
INTERRUPTIONS = Fact(419, "in 54 days of 16,384 GPUs", PAPER, "unexpected interruptions of Llama 3, arXiv 2407.21783")
PEAK = Fact(989e12, "operations/s", PAPER, "an H100's dense bf16, its maker's number")
REACHED = Fact(0.22, "of the peak", ASSUMED, "compiled ViTs in bf16; nothing here was measured on a GPU")
COPYING = Fact(10e9, "bytes/s", ASSUMED, "of a GPU to host memory, all of a node at the same time")
STORAGE = Fact(10e9, "bytes/s", ASSUMED, "a shared file system, all nodes together, to write and to read")
MEMORY = Fact(1e12, "bytes", ASSUMED, "host memory of a node")
NOTICING = Fact(30, "s", ASSUMED, "until the death of a rank has ended all others")
WAITING = Fact(
    120, "s", ASSUMED, "until a node that the scheduler holds in reserve has taken the place of a broken one"
)
STATE = Fact(16, "bytes a parameter", ASSUMED, "float32: weights, AdamW's two moments, an average of the weights")

FACTS = [fact for fact in globals().values() if isinstance(fact, Fact)]
