"""All pictures through a model: decoded ahead in threads, answered in batches, told in their order."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from locat.contract.errors import DataError, JobError
from locat.data.cores import available_cores
from locat.data.intake.pictures import Undecodable
from locat.predict.model import Answer, Answers, Model, Prepared
from locat.predict.outputs import Outputs
from locat.predict.pictures import Picture

Record = dict[str, Any]
"""What is said of a picture, in values that JSON has."""


class Ready(NamedTuple):
    """A picture that was decoded, or why it could not be."""

    picture: Picture
    prepared: Prepared | None
    turned: bool = False
    """Whether EXIF says that it is to be turned, which was not done."""
    problem: str = ""


@dataclass
class Prediction:
    """A model's answers for pictures. `records` does the work and counts `broken` and `turned`.

    Raises:
        ConfigError: the model cannot be asked for what is to be written, or files would be lost.
    """

    model: Model
    pictures: Sequence[Picture]
    outputs: Outputs
    batch_size: int
    top: int
    """So many labels are told of a picture, at most."""
    upright: bool
    """Whether pictures are turned as EXIF says; in training they are not."""
    broken: int = 0
    """Pictures that could not be read."""
    turned: int = 0
    """Pictures that EXIF says to turn, and that were not."""
    rows: list[tuple[str, NDArray[np.float32]]] = field(default_factory=list)
    """Names and embeddings so far."""

    def __post_init__(self) -> None:
        asked: set[Answers] = set()
        if self.outputs.folders:
            asked.add("masks")
        if self.outputs.embeddings is not None:
            asked.add("embeddings")
        if self.model.classes or not asked:
            asked.add("masks" if "masks" in self.model.gives else "labels")
        self.model.refuse_unable(asked)
        self.outputs.refuse_clashes(self.pictures)
        self.wanted = frozenset(asked)

    def records(self) -> Iterator[Record]:
        """One for each picture, in their order, as soon as its files are written; the embeddings' at the end.

        Raises:
            JobError: nothing more can be written, memory is short, or the model's answers are no numbers.
        """
        self.outputs.begin(self.model.classes)
        threads = ThreadPoolExecutor(available_cores())
        try:
            for batch in self.model.batches(self._ready(threads), lambda ready: ready.prepared, self.batch_size):
                for record in threads.map(self._record, batch, self._answers(batch)):
                    self.broken += "error" in record
                    yield record
        finally:
            threads.shutdown(cancel_futures=True)
        self.outputs.write_embeddings(self.rows)

    def _ready(self, threads: ThreadPoolExecutor) -> Iterator[Ready]:
        ahead: deque[Future[Ready]] = deque()
        for picture in self.pictures:
            ahead.append(threads.submit(self._prepare, picture))
            if len(ahead) > self.batch_size + available_cores():
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _prepare(self, picture: Picture) -> Ready:
        try:
            image, turned = picture.open(self.upright, self.model.brightness)
            return Ready(picture, self.model.prepare(image), turned)
        except (Undecodable, DataError) as error:
            return Ready(picture, None, problem=reason(error, picture))

    def _answers(self, batch: Sequence[Ready]) -> list[Answer]:
        """One for each picture, an empty one of a broken picture."""
        prepared = [ready.prepared for ready in batch if ready.prepared is not None]
        try:
            found = iter(self.model.answer(prepared, self.wanted) if prepared else ())
        except torch.OutOfMemoryError as error:
            raise JobError(
                f"{self.model.device} has too little memory for a batch of {len(prepared)}; lower the batch size"
            ) from error
        answers = [next(found) if ready.prepared is not None else Answer() for ready in batch]
        for ready, answer in zip(batch, answers, strict=True):
            self.turned += ready.turned
            if answer.embedding is not None:
                self.rows.append((ready.picture.name, answer.embedding))
        return answers

    def _record(self, ready: Ready, answer: Answer) -> Record:
        """Write what belongs to a picture, and say what it is."""
        record: Record = {"image": ready.picture.name}
        if ready.prepared is None:
            return record | {"error": ready.problem}
        for values in (answer.probabilities, answer.embedding):
            if values is not None and not np.isfinite(values).all():
                raise JobError(f"{ready.picture.name}: the model's answer is not finite; its weights are damaged")
        if answer.probabilities is not None:
            record |= self._labels(answer.probabilities)
        if answer.mask is not None:
            try:
                record |= self._shares(answer.mask)
                record |= self.outputs.write_pictures(ready.picture, answer.mask, self.model, self.upright)
            except (Undecodable, DataError) as error:  # it was there a moment ago
                return {"image": ready.picture.name, "error": reason(error, ready.picture)}
        return record

    def _labels(self, probabilities: NDArray[np.float32]) -> Record:
        """The likeliest class, and the first few."""
        best = np.argsort(-probabilities, kind="stable")[: self.top].tolist()
        top = [
            {"label": self.model.classes[number], "class": number, "probability": share(probabilities[number])}
            for number in best
        ]
        return {"label": top[0]["label"], "probability": top[0]["probability"], "top": top}

    def _shares(self, mask: NDArray[np.uint8]) -> Record:
        """Of a mask (H, W): its size, and the part that each class has of it, the largest first."""
        counts = np.bincount(mask.ravel(), minlength=len(self.model.classes))
        found = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
        shares = {self.model.classes[number]: share(counts[number] / mask.size) for number in found}
        return {"width": mask.shape[1], "height": mask.shape[0], "classes": shares}


def reason(error: Exception, picture: Picture) -> str:
    """Why a picture could not be read, without its name."""
    return str(error).removeprefix(f"{picture.name}: ")


def share(value: float) -> float:
    """A part of 1, to six decimals."""
    return round(float(value), 6)
