"""What is made of the API server's answers, and of none."""

import json
import threading
import time
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import msgspec
import pytest

from launcher.actions.wait import views
from launcher.backends import BACKENDS, look, look_all
from launcher.backends.errors import BackendError
from launcher.backends.kubernetes import history, names
from launcher.backends.kubernetes.api_objects import JobSet, Metadata, Pod
from launcher.backends.kubernetes.backend import _mark_cancelled
from launcher.backends.kubernetes.cluster import Cluster, KubernetesError, UnansweredError, translated
from launcher.backends.kubernetes.watch import Changes
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.runs.status import RunView, derive
from locat.contract import durable
from locat.contract.records import FormatError
from support.http_server import serving
from support.kubernetes_objects import (
    COMPLETED,
    FAILED,
    NOW,
    diamond,
    jobset,
    jobset_of,
    observed,
    pod,
    seen_with,
    terminal,
)


def use_kubeconfig(folder: Path, monkeypatch: pytest.MonkeyPatch, server: str, user: dict[str, Any]) -> None:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "config"))


def test_who_looks_on_is_patient_with_a_server_that_has_answered_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    going = derive(plan, observed(plan, seen_with(plan, {"a": jobset()})), supervised=True)
    done = {job.name: JobState(Status.DONE, 1) for job in plan.jobs}
    over = derive(plan, observed(plan, seen_with(plan, {}), **done), supervised=False)
    away = UnansweredError("the Kubernetes API does not answer")

    def seen(*answers: RunView | Exception) -> list[RunView]:
        monkeypatch.setattr("launcher.actions.wait.look", Mock(side_effect=answers))
        return list(views(run, plan))

    monkeypatch.setattr(BACKENDS["kubernetes"], "wait", lambda run: None)

    assert seen(going, away, away, over) == [going, going, going, over]
    with pytest.raises(UnansweredError):
        seen(away, over)


def test_a_run_whose_cluster_is_gone_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    history.record(run, {"a": JobState(Status.DONE, 1)})
    durable.write_json(run.path / "cluster.json", {"context": "gone", "namespace": "n"})
    ((view,), _) = look_all([run])
    assert [str(job.status) for job in view.jobs] == ["done", "queued", "pending", "queued"]
    assert "as last recorded; no cluster is configured" in view.jobs[1].reason


def test_a_login_that_has_expired_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "false"}}
    use_kubeconfig(tmp_path, monkeypatch, "http://127.0.0.1:1", user)
    with pytest.raises(KubernetesError, match=r"no access to the cluster: .*log in again"):
        Cluster().jobsets("r")


class Unknown(BaseHTTPRequestHandler):
    """Answers as an API server does that has no such kind of objects."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"404 page not found\n")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_what_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Unknown) as server:
        use_kubeconfig(tmp_path, monkeypatch, server, {"token": "x"})
        with pytest.raises(KubernetesError, match=r"JobSet is not installed in this cluster; install JobSet"):
            Cluster().jobsets("r")
        with pytest.raises(KubernetesError, match=r"Kueue is not installed .* leave options.kubernetes.queue out"):
            Cluster().quota_waits()


def test_an_answer_that_is_not_of_the_api_is_told_in_one_line() -> None:
    with pytest.raises(UnansweredError, match="does not answer"), translated():
        msgspec.json.decode(b"<html>log in first</html>", type=JobSet)


class Watched(BaseHTTPRequestHandler):
    """Says of one kind of objects that there is a new one, and then nothing."""

    kind = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.kind in self.path:
            event = {"type": "ADDED", "object": {"metadata": {"name": "x", "resourceVersion": "7"}}}
            self.wfile.write(f"{json.dumps(event)}\n".encode())
            self.wfile.flush()
        threading.Event().wait(30)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize("kind", ["/jobsets", "/pods"])
def test_who_waits_hears_of_changes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "kind", kind)
    with serving(Watched) as server:
        use_kubeconfig(tmp_path, monkeypatch, server, {"token": "x"})
        started = time.monotonic()
        Changes(Cluster(), "r").wait(20)
        assert time.monotonic() - started < 10


def test_retry_forgets_how_jobs_failed_and_not_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    done, failed = JobState(Status.DONE, 1), JobState(Status.FAILED, 1)
    history.record(run, {"a": done, "b": failed, "d": failed})
    stuck = msgspec.structs.replace(FAILED, metadata=Metadata("", labels={names.DONE_LABEL: "true"}))
    jobsets = {"a": COMPLETED, "b": FAILED, "c": stuck, "d": FAILED}
    there = {job: jobset_of(plan, job, each) for job, each in jobsets.items()}
    cluster = Mock(spec=Cluster)
    cluster.config_map.return_value = None
    cluster.jobsets.side_effect = lambda _: list(there.values())
    cluster.delete_jobset.side_effect = lambda name: there.pop(next(job for job in there if there[job].name == name))
    monkeypatch.setattr("launcher.backends.kubernetes.backend._cluster", lambda _: cluster)
    BACKENDS["kubernetes"].forget(run, {"a", "b", "c"})
    assert history.recorded(run) == {"a": done, "d": failed}
    assert set(there) == {"a", "c", "d"}


def test_a_job_that_failed_for_good_says_so_without_a_made_up_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its JobSet is there, is gone, or was seen by a version that counted 2**30 failures."""
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    lenient = replace(plan, jobs=tuple(replace(job, retries=5) for job in plan.jobs))
    cluster = Mock(spec=Cluster)
    cluster.config_map.return_value = None
    cluster.pods.return_value = []
    cluster.failed_creations.return_value = {}
    monkeypatch.setattr("launcher.backends.kubernetes.backend._cluster", lambda _: cluster)

    def seen(*jobsets: JobSet) -> tuple[str, int]:
        cluster.jobsets_and_pods.return_value = [jobset_of(plan, "a", each) for each in jobsets], []
        job = look(run, lenient).jobs[0]
        return str(job.status), job.state.failures

    failed_twice = jobset(conditions=[terminal("Failed")], restarts=3, restartsCountTowardsMax=1)
    assert seen(failed_twice) == ("failed", 2)
    assert seen() == ("failed", 2)
    assert json.loads((run.path / "ended.json").read_text())["format"] == history.FORMAT
    older = {name: asdict(JobState(Status.FAILED, 3, failures=1 << 30)) for name in ("a", "format")}
    durable.write_json(run.path / "ended.json", older)
    assert seen() == ("failed", 1)
    assert set(history.recorded(run)) == {"a", "format"}


def test_a_history_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    run = RunFolder(diamond(tmp_path).folder)
    durable.write_json(run.path / "ended.json", {"format": history.FORMAT + 1})
    with pytest.raises(FormatError, match=r"ended\.json: is of format 3, .* up to format 2; install"):
        history.recorded(run)


def test_a_history_that_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    run = RunFolder(diamond(tmp_path).folder)
    durable.write_json(run.path / "ended.json", {"format": history.FORMAT, "jobs": {"a": {"status": "asleep"}}})
    with pytest.raises(FormatError, match=r"ended\.json: cannot be read .*'asleep'.*; restore it, or remove its run"):
        history.recorded(run)


def test_an_end_is_not_recorded_of_what_is_being_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = diamond(tmp_path)
    run = RunFolder(plan.folder)
    failed, leaving = (jobset_of(plan, job, FAILED) for job in "ab")
    leaving.metadata.deletion_timestamp = NOW
    cluster = Mock(spec=Cluster)
    cluster.config_map.return_value = None
    cluster.jobsets_and_pods.return_value = [failed, leaving], []
    cluster.pods.return_value = []
    monkeypatch.setattr("launcher.backends.kubernetes.backend._cluster", lambda _: cluster)
    assert {job.name: str(job.status) for job in look(run, plan).jobs}["b"] == "failed"
    assert set(history.recorded(run)) == {"a"}


class Kept(BaseHTTPRequestHandler):
    """One ConfigMap, which another one changes whenever it has been read."""

    data: ClassVar[dict[str, str]] = {}
    version = 1
    meanwhile: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer(200)
        if self.meanwhile:
            type(self).data = {"cancelled": self.meanwhile.pop()}
            type(self).version += 1

    def do_PATCH(self) -> None:
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if patch["metadata"]["resourceVersion"] != str(self.version):
            self._send(409, {"kind": "Status", "code": 409, "message": "changed", "reason": "Conflict"})
            return
        type(self).data = {key: value for key, value in patch["data"].items() if value is not None}
        self._answer(200)

    def _answer(self, code: int) -> None:
        metadata = {"name": "r-plan-0", "resourceVersion": str(self.version)}
        self._send(code, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": self.data})

    def _send(self, code: int, value: object) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_two_who_cancel_at_once_lose_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "data", {})
    monkeypatch.setattr(Kept, "meanwhile", ["b\nc", "b"])
    plan = diamond(tmp_path)
    with serving(Kept) as server:
        use_kubeconfig(tmp_path, monkeypatch, server, {"token": "x"})
        _mark_cancelled(RunFolder(plan.folder), Cluster(), lambda marked: marked | {"a"})
        assert Kept.data == {"cancelled": "a\nb\nc"}
        _mark_cancelled(RunFolder(plan.folder), Cluster(), lambda marked: marked - {"a", "b", "c"})
        assert Kept.data == {}


def test_who_cancels_waits_for_an_advance_that_has_not_seen_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It applies the cancelled job after the first look, which must find it and delete it."""
    plan = diamond(tmp_path)
    labels = {names.JOBSET_NAME_LABEL: names.jobset(plan.run_id, "a"), names.REPLICATED_JOB_LABEL: names.ADVANCE}
    began = msgspec.structs.replace(pod("Running"), metadata=Metadata("began", labels=labels))
    later = msgspec.structs.replace(began, metadata=Metadata("later", labels=labels))
    applied: list[JobSet] = []
    deleted = []
    looks = iter([[began], [began, later], [later], [later]])

    def pods(_: str) -> list[Pod]:
        found = next(looks)
        if found == [later] and not deleted:
            applied[:] = [jobset_of(plan, "d", jobset())]
        return found

    def delete(name: str) -> None:
        deleted.append(name)
        applied.clear()

    cluster = Mock(spec=Cluster)
    cluster.pods.side_effect = pods
    cluster.jobsets.side_effect = lambda _: list(applied)
    cluster.delete_jobset.side_effect = delete
    monkeypatch.setattr("launcher.backends.kubernetes.backend._cluster", lambda _: cluster)
    monkeypatch.setattr("launcher.backends.kubernetes.backend.STOP_POLL", 0.0)
    BACKENDS["kubernetes"].stop(RunFolder(plan.folder), {"d"}, grace=1)
    assert deleted == [names.jobset(plan.run_id, "d")]
    looks = iter([[began]] * 100_000)
    monkeypatch.setattr("launcher.backends.kubernetes.backend.END_TIMEOUT", 0.0)
    with pytest.raises(BackendError, match="began may yet apply what was cancelled"):
        BACKENDS["kubernetes"].stop(RunFolder(plan.folder), {"d"}, grace=0)
