"""Many runs on many processes or machines; what is finished is on the disk at once, and never run twice.

    job      what one run has to be told, as JSON
    record   what it answers, one line of the file of records: {"job": job, ...}
    sweep    runs the jobs that have no record yet, by joblib: processes of this machine, or a Dask cluster

A job must be a pure function of what it is told, or keep its own checkpoint: one whose worker was killed is started
again, by Dask's scheduler on a cluster, else here.

References:
    joblib's documentation, "Embarrassingly parallel for loops", and Dask's, "Joblib".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import GeometryError
from ...extras import required
from ...files.records import append_record, read_records

Job = Mapping[str, Any]
#: How often killed workers are replaced before the sweep gives up; a cluster's scheduler has its own count.
ATTEMPTS = 3


def sweep(
    run: Callable[[Job], Mapping[str, Any]],
    jobs: Sequence[Job],
    path: Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    finished: Callable[[Job], None] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """The record of every job, in the order of the jobs; those in the file are not run again.

    Args:
        run: from a job to its answer; importable where the workers are.
        jobs: what to run.
        path: the file of records.
        workers: processes of this machine; 1 runs the jobs in this one.
        cluster: address of a Dask scheduler, such as "tcp://10.0.0.1:8786", instead.
        finished: called with a job when its record is on the disk.
        progress: called with (jobs done, jobs in all, words) at first and after each.

    Raises:
        DataError: if the file of records is damaged or cannot be written.
        GeometryError: if two jobs are the same, or there are no workers.
        MissingExtraError: if a cluster is asked for and the extra "cluster" is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "records.jsonl")
    ...     first = sweep(lambda job: {"square": job["n"] ** 2}, [{"n": 3}], path)
    ...     sweep(lambda job: {"square": job["n"] ** 2}, [{"n": 2}, {"n": 3}], path)
    [{'job': {'n': 2}, 'square': 4}, {'job': {'n': 3}, 'square': 9}]
    """
    if workers < 1 or any(job in jobs[:i] for i, job in enumerate(jobs)):
        raise GeometryError("a sweep needs workers and different jobs", got=f"{workers} workers", where="sweep")
    done = [record for record in read_records(path) if record.get("job") in jobs]
    say = progress or (lambda count, total, words: None)
    say(len(done), len(jobs), "")
    for attempt in range(ATTEMPTS):
        known = [record["job"] for record in done]
        left = [job for job in jobs if job not in known]
        if not left:
            break
        with _killed_workers(last=attempt == ATTEMPTS - 1), _backend(workers, cluster) as processes:
            for job, answer in _answers(run, left, processes):
                done.append({"job": job, **answer})
                append_record(path, done[-1])
                if finished:
                    finished(job)
                say(len(done), len(jobs), ", ".join(f"{key} {value}" for key, value in job.items()))
    return sorted(done, key=lambda record: jobs.index(record["job"]))


def _answers(run: Callable[[Job], Mapping[str, Any]], jobs: Sequence[Job], processes: int) -> Iterator[Any]:
    """(job, answer) as they are known."""
    if processes == 1:
        yield from ((job, run(job)) for job in jobs)
    else:
        from joblib import Parallel, delayed

        pool = Parallel(n_jobs=processes, return_as="generator_unordered", pre_dispatch="all")
        yield from pool(delayed(_paired)(run, job) for job in jobs)


def _paired(run: Callable[[Job], Mapping[str, Any]], job: Job) -> tuple[Job, Mapping[str, Any]]:
    return job, run(job)


@contextlib.contextmanager
def _killed_workers(*, last: bool) -> Iterator[None]:
    """Go on after the pool of this machine lost a worker, but not for ever."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        yield
    except TerminatedWorkerError:
        if last:
            raise


@contextlib.contextmanager
def _backend(workers: int, cluster: str | None) -> Iterator[int]:
    """How many processes there are, while joblib's calls go to them."""
    if cluster is None:
        yield workers
        return
    distributed = required("distributed", "cluster")
    from joblib import parallel_config

    with distributed.Client(cluster, set_as_default=False) as client, parallel_config("dask", client=client):
        yield -1
