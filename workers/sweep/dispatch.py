"""Which worker computes which points next.

The sweep's points form chains of neighbours (points.py). A worker takes a chain and gets it in slices of about
`SLICE_S`, two at a time, so that it never waits for the driver; a worker without a chain takes the longer half of what
is left of another's. Workers that compute several points at once get slices that keep them busy, over the ends of
chains, and one at a time, because a batch may be all that others could have.

When a worker dies, the points it was given and that have no record go back to the queue; the first of them was the one
it was at, and counts an attempt.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...meshes.errors import PorefieldError
from ..executors.interface import Event, Executor, Failed, Finished, Joined, Lost
from ..store.sweep_store import SweepStore
from .model import PointRecord, PointState
from .points import Points
from .progress import Tally
from .work import PointDone, PointTask

SLICE_S = 1.0
"""Seconds of work handed over at a time, by the mean of the points so far."""
LONGEST_SLICE = 64
SLICES_AHEAD = 2
SHORTEST_CHAIN_TO_SPLIT = 4
TELL_EVERY_S = 0.25


class SweepError(PorefieldError):
    """A sweep that could not go on; what it has computed is kept."""


class Tell(Protocol):
    """Reports progress; see drive.py."""

    def __call__(
        self, stage: Any, *, running: int = 0, workers: int = 0, began_s: float = 0.0, message: str = ""
    ) -> None: ...


@dataclass
class Hand:
    """What a worker has: the rest of its chain, and the slices it is at, oldest first; `batch` as in its WorkerInfo."""

    batch: int = 1
    chain: deque[int] = field(default_factory=deque)
    slices: dict[int, list[int]] = field(default_factory=dict)


@dataclass
class Dispatch:
    """The state of one run of a sweep."""

    store: SweepStore
    points: Points
    driver: str
    max_attempts: int
    tally: Tally
    tell: Tell
    stop: Callable[[], bool]
    queue: deque[deque[int]] = field(default_factory=deque)
    hands: dict[str, Hand] = field(default_factory=dict)
    attempts: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    seconds: float = 0.0
    handed_over: int = 0

    def plan(self, finished: Collection[int], workers: int) -> None:
        """Fill the queue with what is not finished, and count earlier attempts from the journal."""
        known = set(finished)
        chains = ([i for i in chain if i not in known] for chain in self.points.chains(workers))
        self.queue.extend(deque(chain) for chain in chains if chain)
        for i in interrupted(self.store.read_journal(), known):
            self.attempts[i] += 1
        for i in [i for i, n in self.attempts.items() if n >= self.max_attempts]:
            self.give_up(i, "the process that computed it died each time")

    def run(self, executor: Executor) -> float:
        """Until everything is finished or `stop` says so; the seconds from the first ready worker to the end.

        Raises:
            PorefieldError: what no other point would escape: no room for its results, or a fault (SweepError).
        """
        began_s = 0.0
        told_s = 0.0
        self.tell("start_workers")
        while (self.queue or self.busy) and not self.stop():
            events = executor.wait(0.2)
            message = "; ".join(text for event in events if (text := self.handle(event)))
            began_s = began_s or (time.monotonic() if self.hands else 0.0)
            self.feed(executor)
            now_s = time.monotonic()
            if message or now_s - told_s > TELL_EVERY_S:
                told_s = now_s
                stage = "run" if self.hands else "start_workers"
                self.tell(stage, running=self.busy, workers=len(self.hands), began_s=began_s, message=message)
        # what workers are at now is stopped, not died at
        self.note({"event": "stopped"})
        return time.monotonic() - began_s if began_s else 0.0

    @property
    def busy(self) -> int:
        """Points in workers' hands."""
        return sum(len(h.chain) + sum(map(len, h.slices.values())) for h in self.hands.values())

    def handle(self, event: Event) -> str:
        """Take note of an event; what the user should know of it."""
        match event:
            case Joined():
                self.hands[event.worker] = Hand(event.info.batch)
            case Finished():
                self.finish(event.worker, event.task_id, event.result)
            case Failed():
                fault = SweepError.of("sweep", "points that can be evaluated and written", event.error)
                raise event.cause or fault
            case Lost():
                return self.lose(event)
            case _:
                pass
        return ""

    def feed(self, executor: Executor) -> None:
        """Keep workers supplied. What is handed over is written down before, for all of them at once: on an object
        store that is one request, for which all workers wait."""
        slices = [(worker, indices) for worker in self.hands for indices in self.slices_for(worker)]
        if not slices:
            return
        self.note(*({"event": "begin", "worker": worker, "points": indices} for worker, indices in slices))
        for worker, indices in slices:
            self.handed_over += 1
            self.hands[worker].slices[self.handed_over] = indices
            tasks = [PointTask(i, self.attempts[i] + 1) for i in indices]
            executor.submit(worker, self.handed_over, tasks)

    def slices_for(self, worker: str) -> Iterator[list[int]]:
        """What a worker lacks: slices of its chain, or of another."""
        hand = self.hands[worker]
        for _ in range((SLICES_AHEAD if hand.batch == 1 else 1) - len(hand.slices)):
            if not (indices := self.next_slice(hand)):
                return
            yield indices

    def next_slice(self, hand: Hand) -> list[int]:
        """Points of one chain; of several only where one does not fill a batch."""
        length = -(-self.slice_length() // hand.batch) * hand.batch
        indices: list[int] = []
        while len(indices) < hand.batch:
            if not hand.chain:
                hand.chain = self.next_chain()
            if not hand.chain:
                break
            count = min(length - len(indices), len(hand.chain))
            indices += [hand.chain.popleft() for _ in range(count)]
        return indices

    def note(self, *events: Mapping[str, Any]) -> None:
        """Lines in the journal."""
        self.store.append_journal(self.driver, [{"driver": self.driver, "worker": "", **event} for event in events])

    def slice_length(self) -> int:
        mean_s = self.seconds / self.tally.computed if self.tally.computed else SLICE_S
        return int(min(max(SLICE_S / max(mean_s, 1e-6), 1), LONGEST_SLICE))

    def next_chain(self) -> deque[int]:
        """The next chain of the queue, or else the second half of the longest that another worker has."""
        if self.queue:
            return self.queue.popleft()
        longest = max((h.chain for h in self.hands.values()), key=len, default=deque[int]())
        if len(longest) < SHORTEST_CHAIN_TO_SPLIT:
            return deque()
        return deque(reversed([longest.pop() for _ in range(len(longest) // 2)]))

    def finish(self, worker: str, task_id: int, done: list[PointDone]) -> None:
        """A slice came back; points that are not in the answer go back to the front of the chain."""
        hand = self.hands[worker]
        indices = hand.slices.pop(task_id)
        self.seconds += sum(one.seconds for one in done)
        self.tally.finish([one.state for one in done], sum(one.warm for one in done))
        answered = {one.index for one in done}
        hand.chain.extendleft(reversed([i for i in indices if i not in answered]))

    def lose(self, event: Lost) -> str:
        """A worker died: find out what it finished, and give the rest to others."""
        self.lost += 1
        hand = self.hands.pop(event.worker, None)
        if hand is None:
            return f"worker {event.worker} could not start: {event.reason}"
        given = [i for task_id in sorted(hand.slices) for i in hand.slices[task_id]]
        records = {i: record for i in given if (record := self.store.read_record(i)) is not None}
        self.tally.finish([r.state for r in records.values()], sum(r.warm for r in records.values()))
        left = [i for i in given if i not in records]
        if left:
            self.attempts[left[0]] += 1
            self.note({"event": "lost", "worker": event.worker, "point": left[0], "reason": event.reason})
            if self.attempts[left[0]] >= self.max_attempts:
                self.give_up(left[0], event.reason)
                left = left[1:]
        if rest := deque([*left, *hand.chain]):
            self.queue.appendleft(rest)
        return f"worker {event.worker} died ({event.reason}); {len(left)} points go to others"

    def give_up(self, index: int, reason: str) -> None:
        """Record a point that took its worker down each time."""
        for chain in self.queue:
            if index in chain:
                chain.remove(index)
        n = self.attempts[index]
        self.store.write_record(
            PointRecord(
                index=index,
                key="",
                state=PointState.FAILED,
                attempts=n,
                error=f"its worker died {n} times while computing it; the last time: {reason}",
                values=self.points.values(index),
            )
        )
        self.tally.finish([PointState.FAILED], 0)


def interrupted(journal: Iterable[dict[str, Any]], finished: Collection[int]) -> list[int]:
    """The unfinished points that somebody died at: those named lost, and, for each worker that just vanished with its
    driver, the first unfinished one that it had been given. A point stands here once for each death."""
    known = set(finished)
    deaths: dict[tuple[str, str], int] = {}
    for event in journal:
        worker = (event["driver"], event["worker"])
        if event["event"] == "lost":
            deaths[worker] = event["point"]
        elif event["event"] == "begin" and worker not in deaths:
            first = next((i for i in event["points"] if i not in known), None)
            if first is not None:
                deaths[worker] = first
        elif event["event"] == "stopped":
            deaths = {who: point for who, point in deaths.items() if who[0] != event["driver"]}
    return [point for point in deaths.values() if point not in known]
