"""Sweeps: nothing that is finished is lost or run twice, whoever dies; on processes and on a Dask cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from algebraic_cnn import DataError, GeometryError, MissingExtraError
from algebraic_cnn.apps.experiments.sweep import sweep
from algebraic_cnn.files.records import append_record, read_records
from tests.apps.experiments.jobs import square


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    folder = tmp_path / "starts"
    folder.mkdir()
    return folder


def jobs_in(starts: Path, count: int, deadly: int | None = None) -> list[dict]:
    return [{"n": n, "folder": str(starts), "deadly": n == deadly} for n in range(count)]


def started(starts: Path) -> list[str]:
    return sorted(path.name for path in starts.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_has_its_record_in_order(starts: Path, tmp_path: Path, workers: int) -> None:
    seen: list[tuple[int, int]] = []
    jobs, path = jobs_in(starts, 5), tmp_path / "records.jsonl"
    records = sweep(square, jobs, path, workers=workers, progress=lambda done, total, words: seen.append((done, total)))
    assert [(record["job"], record["square"]) for record in records] == [(job, job["n"] ** 2) for job in jobs]
    assert seen == [(done, 5) for done in range(6)]
    assert sweep(square, jobs, path, workers=workers) == records
    assert started(starts) == [f"{n}-0" for n in range(5)]


class Stop(BaseException):
    pass


def test_a_stopped_sweep_goes_on(starts: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, words: str) -> None:
        if done == 2:
            raise Stop

    jobs, path = jobs_in(starts, 4), tmp_path / "records.jsonl"
    with pytest.raises(Stop):
        sweep(square, jobs, path, progress=stop)
    assert len(read_records(path)) == 2
    assert [record["square"] for record in sweep(square, jobs, path)] == [0, 1, 4, 9]
    assert started(starts) == [f"{n}-0" for n in range(4)]


def test_a_killed_process_is_replaced(starts: Path, tmp_path: Path) -> None:
    """The job that killed it runs again; a job whose record was on the disk does not."""
    path = tmp_path / "records.jsonl"
    jobs = jobs_in(starts, 6, deadly=3)
    first = sweep(square, jobs[:2], path)
    records = sweep(square, jobs, path, workers=2)
    assert [record["square"] for record in records] == [n * n for n in range(6)]
    assert records[:2] == first
    assert len(read_records(path)) == 6
    assert {"0-0", "1-0", "3-0", "3-1"} <= set(started(starts))
    assert not {"0-1", "1-1"} & set(started(starts))


@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_a_cluster_is_killed(starts: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    path, jobs = tmp_path / "records.jsonl", jobs_in(starts, 8, deadly=4)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": str(tmp_path)}
    with distributed.LocalCluster(**options) as cluster:
        first = sweep(square, jobs[:3], path, cluster=cluster.scheduler_address)
        records = sweep(square, jobs, path, cluster=cluster.scheduler_address)
    assert [record["square"] for record in records] == [n * n for n in range(8)]
    assert records[:3] == first
    assert [record["job"]["n"] for record in first] == [0, 1, 2]
    assert len(read_records(path)) == 8
    assert {"4-0", "4-1"} <= set(started(starts))
    assert not {"0-1", "1-1", "2-1"} & set(started(starts))


def test_a_cluster_without_dask_names_the_extra(
    starts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingExtraError, match="cluster"):
        sweep(square, jobs_in(starts, 1), tmp_path / "records.jsonl", cluster="tcp://127.0.0.1:1")


def test_a_job_twice_or_no_worker_is_refused(starts: Path, tmp_path: Path) -> None:
    job = jobs_in(starts, 1)[0]
    with pytest.raises(GeometryError, match="different jobs"):
        sweep(square, [job, dict(job)], tmp_path / "records.jsonl")
    with pytest.raises(GeometryError, match="0 workers"):
        sweep(square, [job], tmp_path / "records.jsonl", workers=0)


def test_a_damaged_file_of_records_is_refused_by_line(starts: Path, tmp_path: Path) -> None:
    path, jobs = tmp_path / "records.jsonl", jobs_in(starts, 3)
    sweep(square, jobs, path)
    whole = path.read_text()
    path.write_text(whole[:-5])
    assert len(sweep(square, jobs, path)) == 3
    assert started(starts) == ["0-0", "1-0", "2-0", "2-1"]
    lines = whole.splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:7] + "\n" + lines[2])
    with pytest.raises(DataError, match=r"records.jsonl:2"):
        sweep(square, jobs, path)
    path.write_text(json.dumps([1]) + "\n")
    with pytest.raises(DataError, match="JSON object"):
        read_records(path)


def test_records_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="no regular file"):
        append_record(tmp_path / "folder", {"a": 1})
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "folder")
