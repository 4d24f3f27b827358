"""The formulas of docs/scale.md, each table as its rows."""

import math

import scale_facts as given
from scale_facts import BATCH, FACTS, GIANT, GPUS, GPUS_A_NODE, LOG_EVERY, MODELS, NODES, SETS, Fact, Transformer
from scale_failures import INTERVALS, WEEK, Job, expected, simulated, young_daly

Rows = list[list[str]]
"""The head first."""
TRAINING = 6
"""Operations per multiply-add of a forward and a backward pass."""


def facts() -> Rows:
    head = ["number", "origin", "of what", "measured again by"]
    return [head, *([shown(fact), fact.kind, fact.source, fact.again] for fact in FACTS)]


def data() -> Rows:
    """Bytes of each set, and what a rank, or the 8 ranks of a node, must hold of it."""
    rows = [
        ["set", "stored", "table, a rank", "table, a node", "opening, a node", "sorted order, a rank", "sorting it"]
    ]
    for images in SETS:
        count = images.samples
        sorting = given.SORTING.value * count * math.log2(count) / (SETS[0].samples * math.log2(SETS[0].samples))
        held = [
            given.TABLE.value,
            GPUS_A_NODE * given.TABLE.value,
            GPUS_A_NODE * given.OPENING.value,
            given.ORDER.value,
        ]
        sizes = [size(count * each) for each in (given.IMAGE.value, *held)]
        rows.append([images.name, *sizes, time(sorting)])
    return rows


def reading() -> Rows:
    """What 1,024 GPUs ask of the loader."""
    rows = [["model", "operations an image", "images/s of a GPU", "of all", "bytes read", "a day"]]
    rows[0] += ["cores a GPU", "a billion images"]
    for model in MODELS:
        pace = images_a_second(model)
        read = GPUS * pace * given.IMAGE.value
        cost = f"{TRAINING * model.multiply_adds / 1e9:,.0f} G"
        paces = [f"{pace:,.0f}", f"{GPUS * pace:,.0f}", f"{size(read)}/s", size(24 * 3600 * read)]
        rows.append([model.name, cost, *paces, f"{pace / given.LOADER.value:.2f}", time(10**9 / (GPUS * pace))])
    return rows


def checkpoints() -> Rows:
    """Size, standing still and writing, by the file system's rate."""
    rates = (1e9, 10e9, 100e9)
    rows = [["model", "parameters", "checkpoint", "standing still"]]
    rows[0] += [f"writing at {rate / 1e9:.0f} GB/s" for rate in rates] + ["digests, by the main rank"]
    for model in MODELS:
        whole = state(model)
        times = [costs(model, GPUS)[0], *(whole / rate for rate in rates), whole / given.HASHING.value]
        rows.append([model.name, f"{model.parameters / 1e9:.2f} G", size(whole), *map(time, times)])
    return rows


def failures() -> Rows:
    """How often a job is interrupted, what it loses, and the interval that Young and Daly would take."""
    rows = [["GPUs", "time between failures", "failures a week", "model", "a restart", "interval by Young and Daly"]]
    for gpus in (8, 64, 1024, 16_384):
        for model in MODELS[1:] if gpus >= GPUS else [GIANT]:
            job = Job(between_failures(gpus), *costs(model, gpus))
            rows.append(
                [
                    f"{gpus:,}",
                    time(job.between),
                    f"{WEEK / job.between:.2f}",
                    model.name,
                    time(job.restart),
                    time(young_daly(job)),
                ]
            )
    return rows


def week() -> Rows:
    """Useful GPU time of a simulated week on 128 nodes, by the interval between checkpoints."""
    jobs = [Job(between_failures(GPUS), *costs(model, GPUS)) for model in MODELS[1:]]
    rows = [["checkpoints every", *(f"{model.name}: useful" for model in MODELS[1:]), "GPU-days lost (ViT-g)"]]
    for interval in INTERVALS:
        shares = [simulated(job, interval) for job in jobs]
        lost = (1 - shares[0]) * GPUS * 7
        rows.append([time(interval), *(f"{100 * share:.2f} %" for share in shares), f"{lost:,.0f}"])
    return rows


def control() -> Rows:
    """What servers and schedulers are asked, by one job of ViT-g on 128 nodes unless it says more."""
    restarts, objects = WEEK / between_failures(GPUS), 2 + NODES
    points = points_a_second()
    return [
        ["what", "number", "how"],
        ["a step, batch 32,768", time(BATCH / (GPUS * images_a_second(GIANT))), "batch by images/s"],
        ["points/s to MLflow", f"{points:.1f}", "11 each 10 steps; 48 of the main node each 5 s"],
        ["points a week", f"{points * WEEK / 1e6:.1f} M", ""],
        ["Kubernetes objects", f"{objects}", "a JobSet, a Job, a pod a node"],
        ["their bytes", size(objects * given.OBJECT.value), ""],
        ["objects of 1,000 such jobs", f"{1000 * objects:,}", size(1000 * objects * given.OBJECT.value)],
        ["`submit` of 1,000 jobs", time(1000 * given.APPLYING.value), "one after the other"],
        ["until the thousandth has begun", time(1000 * given.STARTING.value), "two cores for the whole control plane"],
        ["Slurm calls of `submit`", "1", "`sbatch`; in it one `srun`"],
        ["Slurm calls a week, at most", f"{1 + 2 * restarts:.0f}", "`squeue` and `scontrol requeue` a restart"],
        ["Slurm calls of `status`", "1", "`squeue`, however many jobs"],
        ["files of a checkpoint", f"{2 * GPUS + 3:,}", "two a rank; metadata, task, manifest"],
    ]


def limits() -> Rows:
    """Where each thing breaks, everything else being as above."""
    small = MODELS[0]
    feeds = given.STORAGE.value / given.IMAGE.value / images_a_second(small)
    opens = given.MEMORY.value / (GPUS_A_NODE * given.OPENING.value)
    hashes = given.HASHING.value * young_daly(Job(between_failures(GPUS), *costs(GIANT, GPUS))) / given.STATE.value
    points = points_a_second()
    lasts = next(
        gpus for gpus in range(GPUS, 10**7, GPUS) if best(Job(between_failures(gpus), *costs(GIANT, gpus))) < 0.9
    )
    return [
        ["what", "as far as", "then"],
        ["one file system read by all", f"{feeds:.0f} GPUs of ViT-B", "parts, copied to each node once"],
        ["small requests to one MLflow", f"{2 * given.REQUESTS.value:.0f} jobs", "fewer looks, a database server"],
        ["points to one MLflow", f"{given.POINTS.value / points:.0f} jobs", "a database server, a larger `log_every`"],
        ["one table a rank", f"{opens / 1e6:,.0f} M images", "parts opened when they are read, one table a node"],
        ["digests by the main rank", f"{hashes / 1e9:.0f} G parameters", "each rank digests what it wrote"],
        ["restarts of the whole job", f"{lasts:,} GPUs", "going on without a broken node until a new one comes"],
    ]


def points_a_second() -> float:
    """To MLflow, of one job of ViT-g."""
    step = BATCH / (GPUS * images_a_second(GIANT))
    return 11 / (LOG_EVERY * step) + (8 + 5 * GPUS_A_NODE) / 5


def best(job: Job) -> float:
    """Useful part at Young's and Daly's interval, to the first order."""
    return expected(job, max(young_daly(job), job.writing))


def images_a_second(model: Transformer) -> float:
    """Of one GPU."""
    return given.REACHED.value * given.PEAK.value / (TRAINING * model.multiply_adds)


def state(model: Transformer) -> float:
    """Bytes of a checkpoint."""
    return given.STATE.value * model.parameters


def between_failures(gpus: int) -> float:
    """Seconds between two failures of a job, which any of its GPUs ends."""
    hours = 54 * 24 * 16_384 / given.INTERRUPTIONS.value
    return 3600 * hours / gpus


def costs(model: Transformer, gpus: int) -> tuple[float, float, float]:
    """Seconds of standing still, of writing a checkpoint until it counts, and of a restart."""
    whole = state(model)
    hashing, moving = whole / given.HASHING.value, whole / given.STORAGE.value
    restart = given.NOTICING.value + given.WAITING.value + given.START.value + hashing + moving
    return given.STANDING.value + whole / gpus / given.COPYING.value, moving + hashing, restart


def size(count: float) -> str:
    """Bytes, in units of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000 or unit == "PB":
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError


def time(seconds: float) -> str:
    """Seconds, in a unit that leaves few digits."""
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def shown(fact: Fact) -> str:
    if fact.unit == "s":
        return time(fact.value)
    if fact.unit.startswith("bytes") and fact.value >= 1e6:
        return size(fact.value) + fact.unit.removeprefix("bytes")
    value = (
        f"{fact.value / 1e12:.0f} T"
        if fact.value >= 1e12
        else f"{fact.value:,.0f}"
        if fact.value >= 100
        else f"{fact.value:g}"
    )
    return f"{value} {fact.unit}"


TABLES = {
    "facts": facts,
    "data": data,
    "reading": reading,
    "checkpoints": checkpoints,
    "failures": failures,
    "week": week,
    "control": control,
    "limits": limits,
}
