"""knn: weighted k-nearest-neighbour classification on a frozen backbone's features (docs/method.md section 4)."""

import logging

import torch
import torch.distributed as dist
from torch.nn import functional as F

from locat.config import KnnConfig
from locat.contract.errors import ConfigError, Preempted
from locat.contract.job_folder import JobFolder
from locat.data.loader import Loader
from locat.data.views import CentreCrop
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.precision import autocast
from locat.engine.progress import Progress
from locat.engine.signals import StopRequest
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.tasks.classification.frozen import FrozenBackbone
from locat.tasks.classification.neighbours import hits, nearest, votes
from locat.tasks.loaders import read_settings, verify
from locat.tasks.results import write_results

logger = logging.getLogger(__name__)

TOPS = (1, 5)


def knn(config: KnnConfig, job: JobFolder) -> None:
    """Classify the evaluation set by the training set; leave metrics.json, percentages of every k.

    Nothing where the job is done already. A job that is stopped begins anew.
    """
    if job.results.exists():
        logger.info("%s exists: this job is done already", job.results)
        return
    with join_ranks() as ranks, tracked(job, config, ranks.is_main):
        evaluation = Evaluation(config, job, ranks)
        metrics = evaluation.accuracies()
        if ranks.is_main:
            MetricLog(job.metrics).append(0, {f"val/{name}": value for name, value in metrics.items()})
            logger.info(", ".join(f"{name} {value:.2f}" for name, value in metrics.items()))
            write_results(job, config, evaluation.backbone.name, evaluation.train.contents, metrics)
        ranks.barrier()


class Evaluation:
    """Each rank computes features of its share of the images, and classifies its share of the evaluation set."""

    def __init__(self, config: KnnConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        self.stop = StopRequest()
        verify(config.data, ranks)
        self.train, self.val = (self._open(split) for split in ("train", "val"))
        if max(config.neighbours) > self.train.contents.samples:
            raise ConfigError(
                f"neighbours: {max(config.neighbours)} are more than the "
                f"{self.train.contents.samples} samples of {config.data.train}"
            )
        self.backbone = FrozenBackbone(config.backbone, config.image_size, ranks.device)

    def accuracies(self) -> dict[str, float]:
        """Top-1 and top-5 in percent for every k, the same on every rank."""
        features, labels = self._embed(self.train, "features of the training set")
        queries, truth = self._embed(self.val, "features of the evaluation set")
        classes = len(self.train.contents.classes)
        counts = torch.zeros((len(self.config.neighbours), len(TOPS)), dtype=torch.int64, device=self.ranks.device)
        share = slice(self.ranks.rank, None, self.ranks.world_size)
        size = self.config.batch_size
        for some, right in zip(queries[share].split(size), truth[share].split(size), strict=True):
            neighbours = nearest(some, features, labels, max(self.config.neighbours))
            for row, k in zip(counts, self.config.neighbours, strict=True):
                found = votes(neighbours, k, classes, self.config.temperature)
                row += torch.tensor(hits(found, right, TOPS), device=row.device)
        dist.all_reduce(counts)
        percent = (100 * counts.double() / len(queries)).tolist()
        return {
            f"top{top}_k{k}": value
            for k, row in zip(self.config.neighbours, percent, strict=True)
            for top, value in zip(TOPS, row, strict=True)
        }

    def _embed(self, loader: Loader, phase: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of unit length, float32 (N, dim), and labels (N,) of the whole set, on every rank."""
        samples, device = loader.contents.samples, self.ranks.device
        features = torch.zeros((samples, self.backbone.dim), device=device)
        labels = torch.zeros(samples, dtype=torch.int64, device=device)
        with Progress(self.job, phase, loader.batches_per_epoch, "batch", shown=self.ranks.is_main) as progress:
            for number, (batch, _) in enumerate(loader.batches(), 1):
                if len(batch):
                    with autocast(self.config.precision, device):
                        found = self.backbone.features(batch.image)
                    features[batch.index] = F.normalize(found.float(), dim=1)
                    labels[batch.index] = batch.target
                progress.advance_to(number)
                if self.ranks.any(self.stop.received):
                    raise Preempted("asked to stop; there is nothing to save")
        for share in (features, labels):  # a rank has zeros where another one has the sample
            dist.all_reduce(share)
        return features, labels

    def _open(self, split: str) -> Loader:
        view = CentreCrop(self.config.image_size, self.config.crop_pct)
        return Loader(getattr(self.config.data, split), read_settings(self.config, self.ranks), views=(view,))
