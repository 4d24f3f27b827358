"""A file system that does not answer, stood in for by a call that sleeps: the job ends and names the file."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from locat.contract.errors import JobError
from locat.data.datasets.base import Sample
from locat.data.datasets.digits import DigitScenes
from locat.data.encode import Encoding
from locat.data.intake import stalls
from locat.data.parts import PART_SIZE, Parts


class Stalling(DigitScenes):
    """One sample of these never comes."""

    def __getitem__(self, index: int) -> Sample:
        if index == PART_SIZE + 3:
            time.sleep(600)
        return super().__getitem__(index)

    def name(self, index: int) -> str:
        return f"/mnt/away/{index}.png"


@pytest.mark.timeout(60)
def test_a_sample_that_does_not_come_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(stalls, "LOOK", 0.1)
    monkeypatch.setattr("locat.data.parts.LOOK", 0.1)
    parts = Parts(tmp_path / "parts", Stalling("train", 2 * PART_SIZE, image_size=32), Encoding())
    began = time.monotonic()
    with pytest.raises(JobError, match=rf"/mnt/away/{PART_SIZE + 3}\.png: was not read within 2 s \(read_timeout\)"):
        parts.encode(2, lambda done: None, read_timeout=2)
    assert time.monotonic() - began < 40
    assert (tmp_path / "parts" / "0.npz").exists()  # the other process went on


LIST = """
import os, sys, time
from pathlib import Path
from locat.data.datasets.image_folder import image_folder
from locat.data.intake import stalls

true = os.scandir
os.scandir = lambda path: time.sleep(600) if path.endswith("b") else true(path)
stalls.LOOK = 0.1
with stalls.answers_within(1.0):
    image_folder(Path(sys.argv[1]))
"""


def test_a_folder_that_is_not_listed_is_named(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    ended = subprocess.run([sys.executable, "-c", LIST, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert f"{tmp_path}/b: was not read within 1 s (read_timeout)" in ended.stderr


def test_work_without_a_stall_goes_on(monkeypatch) -> None:
    monkeypatch.setattr(stalls, "LOOK", 0.01)
    with stalls.answers_within(0.2):
        for number in range(30):
            stalls.asking(str(number), lambda: time.sleep(0.02))
        for _ in range(30):  # as the members of one tar are
            stalls.asking("a.tar", lambda: time.sleep(0.02))
        time.sleep(0.5)  # what is no question may take its time


def test_a_job_that_was_stopped_itself_has_not_waited(monkeypatch) -> None:
    """Time in which nobody looked does not count."""
    desks = stalls.Desks(multiprocessing.get_context("fork"), 1)
    desks.sit()
    desks.begin(7)
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(5):
        now[0] += 3600
        desks.look(10, str)


def test_a_process_that_never_comes_to_its_desk_is_told(monkeypatch) -> None:
    """One that is forked may wait for a lock that another thread held; signals to process 0 would reach this one."""
    fork = multiprocessing.get_context("fork")
    desks = stalls.Desks(fork, 2)
    waiting = fork.Process(target=time.sleep, args=(600,))
    waiting.start()
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(3):
        now[0] += 3600
        desks.look(3, str)
    now[0] += 3600
    with pytest.raises(JobError, match="did not begin within 3 s; run again to go on"):
        desks.look(3, str)
    waiting.join(20)
    assert waiting.exitcode == -9
