"""predict: what an upstream job's model says of pictures, as files."""

import json
import logging
from dataclasses import asdict, dataclass

from locat.config.predict import LINES, PLACES, PredictConfig
from locat.contract import durable, records
from locat.contract.errors import DataError, JobError
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.contract.names import one_line
from locat.engine.progress import Progress, watched
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.predict.model import Model
from locat.predict.outputs import Outputs
from locat.predict.pictures import named
from locat.predict.run import Prediction, Record

logger = logging.getLogger(__name__)

COUNTS = "counts.json"
FORMAT = 1
"""Of the counts."""
SHOWN = 3
"""Images that a message names."""


@dataclass(frozen=True)
class Counts:
    """counts.json: how many images there were, and what was wrong with some."""

    images: int
    bad: list[Record]
    """Those that could not be read: `image` and `error` of each."""
    turned: int
    """Those that their EXIF says to turn, and that were not."""


def predict(config: PredictConfig, job: JobFolder) -> None:
    """Write outputs/predictions.jsonl, what `write` asks for, and counts.json at last. What is stopped begins anew.

    Raises:
        DataError: more images than `most_bad` allows could not be read; the others have been answered.
        ConfigError, WeightsError: the model is none, or does not give what is to be written.
        JobError: nothing more can be written, memory is short, or the model's answers are no numbers.
        Superseded: a newer attempt of the job has begun.
    """
    file = job.outputs / COUNTS
    with tracked(job, config, is_main=True):
        if file.exists() and not too_many(counts := records.built(Counts, records.read_object(file)), config):
            logger.info("%s exists: this job is done already", file)
        else:
            counts = answered(config, job)
            durable.write_json(file, records.numbered(asdict(counts), FORMAT))
            if too_many(counts, config):
                raise DataError(refusal(counts, config))
        measured = {"images": counts.images, "bad": len(counts.bad), "turned": counts.turned}
        MetricLog(job.metrics).append(0, measured)


def answered(config: PredictConfig, job: JobFolder) -> Counts:
    """Ask the model about all images, and write its answers."""
    outputs = Outputs(**{name: job.outputs / PLACES[name] for name in config.write})
    pictures = named(map(str, config.pictures), outputs.folders)
    model = Model.from_source(config.model, device="auto", precision=config.precision)
    prediction = Prediction(model, pictures, outputs, config.batch_size, config.top, config.upright)
    lines = job.outputs / LINES["predictions"]
    durable.make_folder(job.outputs, within=job.path)
    bad = []
    try:
        with Fence.here().replacing(lines) as temporary, Progress(job, "predict", len(pictures), "image") as progress:
            advance_to = watched(progress)
            with temporary.open("w") as file:
                for number, record in enumerate(prediction.records(), 1):
                    file.write(json.dumps(record, allow_nan=False) + "\n")
                    if "error" in record:
                        bad.append(record)
                        logger.warning("%s: %s", one_line(record["image"]), record["error"])
                    advance_to(number)
            durable.sync_file(temporary)
        durable.sync_folder(lines.parent)
    except OSError as error:
        raise JobError(f"{lines}: cannot be written ({error.strerror})") from error
    if prediction.turned:
        logger.warning(
            "%d of %d images are to be turned by their EXIF, which is not applied, as in training: see `upright`",
            prediction.turned,
            len(pictures),
        )
    logger.info("%d of %d images are answered: %s", len(pictures) - len(bad), len(pictures), lines)
    return Counts(len(pictures), bad, prediction.turned)


def too_many(counts: Counts, config: PredictConfig) -> bool:
    """Whether more could not be read than the job may leave out."""
    return len(counts.bad) > config.most_bad * counts.images


def refusal(counts: Counts, config: PredictConfig) -> str:
    """Why the job fails, for people."""
    few = ", ".join(f"{one_line(each['image'])}: {each['error']}" for each in counts.bad[:SHOWN])
    return (
        f"{len(counts.bad)} of {counts.images} images ({len(counts.bad) / counts.images:.3%}) could not be read, where "
        f"most_bad allows {config.most_bad:.3%} ({few}; all are listed in {COUNTS}, and the others are answered); mend "
        "or remove them, or raise most_bad"
    )
