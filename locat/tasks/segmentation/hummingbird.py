"""hummingbird: segment by retrieval, by one of two protocols; nothing is trained."""

from locat.config import HummingbirdConfig
from locat.contract.job_folder import JobFolder
from locat.engine.evaluation import run_evaluation
from locat.tasks.segmentation.release_retrieval import ReleaseRetrieval
from locat.tasks.segmentation.retrieval import Retrieval


def hummingbird(config: HummingbirdConfig, job: JobFolder) -> None:
    """Segment the evaluation set by the training set; leave metrics.json, tables and figures."""
    form = ReleaseRetrieval if config.protocol == "release" else Retrieval
    run_evaluation(lambda ranks: form(config, job, ranks), config, job)
