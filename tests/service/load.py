"""Many clients at once, in a process of their own as real ones are: in the server's they would take its interpreter.

found = load(url, plan(), clients=50, submissions=500, reads=2000)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp  # a third of httpx's work for each request: the load shall not compete with the server

LONGEST_S = 600.0


@dataclass
class Found:
    """What the clients saw.

    Attributes:
        jobs: ids, in the order in which submissions were answered.
        submit_s, status_s: how long each answer took.
        wall_s: from the first request to the last answer.
    """

    jobs: list[str] = field(default_factory=list)
    submit_s: list[float] = field(default_factory=list)
    status_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0

    def percentiles_ms(self) -> dict[str, float]:
        """Median, 99th percentile and slowest answer of both kinds, ms."""
        told: dict[str, float] = {}
        for name, seconds in (("submit", sorted(self.submit_s)), ("status", sorted(self.status_s))):
            if seconds:
                told |= {f"{name}_p{p}_ms": 1e3 * seconds[len(seconds) * p // 100] for p in (50, 99)}
                told[f"{name}_max_ms"] = 1e3 * seconds[-1]
        return told


def load(url: str, inputs: dict[str, Any], *, clients: int, submissions: int, reads: int, tag: str = "load") -> Found:
    """Plans submitted, and their status read, by clients that each wait for one answer before they ask again.

    Args:
        inputs: of a plan; each submission has a title of its own, so that none is answered from the cache.
        reads: of status, spread evenly over the submissions.
    """
    numbers = {"clients": clients, "submissions": submissions, "reads": reads}
    options = [f"--{name}={number}" for name, number in numbers.items()]
    command = [sys.executable, __file__, url, f"--tag={tag}", *options]
    done = subprocess.run(
        command, input=json.dumps(inputs), capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Found(**json.loads(done.stdout))


async def burst(url: str, inputs: dict[str, Any], options: argparse.Namespace) -> Found:
    """All of it; anything but success raises."""
    found = Found()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=options.clients)) as http:

        async def answer(method: str, path: str, seconds: list[float], body: dict[str, Any] | None = None) -> Any:
            start = time.perf_counter()
            async with http.request(method, f"{url}/v1{path}", json=body) as response:
                text = await response.text()
            seconds.append(time.perf_counter() - start)
            if response.status != (200 if method == "GET" else 201):
                raise RuntimeError(f"{response.status}: {text}")
            return json.loads(text)

        async def client(number: int) -> None:
            for i in range(number, options.submissions, options.clients):
                body = {"inputs": {**inputs, "title": f"{options.tag} {i}"}}
                job = await answer("POST", "/processes/plan/execution", found.submit_s, body)
                found.jobs.append(job["jobID"])
                for _ in range(
                    (i + 1) * options.reads // options.submissions - i * options.reads // options.submissions
                ):
                    seen = await answer("GET", f"/jobs/{job['jobID']}", found.status_s)
                    if seen["jobID"] != job["jobID"] or seen["status"] in ("failed", "dismissed"):
                        raise RuntimeError(f"{job['jobID']}: {seen}")

        start = time.perf_counter()
        await asyncio.gather(*map(client, range(options.clients)))
        found.wall_s = time.perf_counter() - start
    return found


def main() -> None:
    """The clients' process: inputs on stdin, what was found on stdout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--tag")
    for name in ("clients", "submissions", "reads"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    found = asyncio.run(burst(options.url, json.load(sys.stdin), options))
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
