"""Memory of a server and its worker over ten thousand jobs. They solve nothing; all else is as in `porefield serve`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .stub_server import StubServer, run

FIRST, ALL = 2_000, 10_000
GROWTH_BYTES = 16 * 2**20
"""Over the last 8,000. Measured: 2 MB in the server, 4 MB in its worker. Who kept each job's inputs, 5 kB as objects,
would grow by 40 MB."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
def test_memory_stays_bounded_over_ten_thousand_jobs(tmp_path: Path) -> None:
    server = StubServer(tmp_path / "data", max_unfinished_jobs=ALL)
    try:
        server.start()
        jobs = run(server, FIRST, "first")
        (worker,) = server.workers()
        before = resident_bytes(server.process.pid), resident_bytes(worker)
        jobs += run(server, ALL - FIRST, "more")
        assert server.workers() == [worker]
        after = resident_bytes(server.process.pid), resident_bytes(worker)
        assert len(set(jobs)) == ALL
        grown = [now - then for now, then in zip(after, before, strict=True)]
        assert max(grown) < GROWTH_BYTES, grown
        assert server.stop() == 0
    finally:
        server.end()


def resident_bytes(pid: int) -> int:
    """Of a process, in whole kilobytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))
