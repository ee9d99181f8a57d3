"""Long work for one visitor: done in a thread of its own, told as it goes, given up when nobody waits for it."""

import threading
import weakref
from collections.abc import Callable, Generator
from html import escape
from typing import Any

EVERY = 0.2  # seconds from one look at the progress to the next
PATIENCE = 30  # seconds that a job has to notice that the server ends
RUNNING: "weakref.WeakSet[Job]" = weakref.WeakSet()
Told = Callable[[float, float], None]


class Cancelled(Exception):
    """Somebody pressed Cancel, or left."""


class Job:
    """``task(told)`` in a thread; its ``told(done, of)`` raises ``Cancelled`` once ``cancel`` was called.

    ``result`` is what the task returned; None where it was cancelled.
    """

    def __init__(self, task: Callable[[Told], Any]):
        self.done, self.of, self.result = 0.0, 0.0, None
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(task,), daemon=True)

    def _run(self, task: Callable[[Told], Any]) -> None:
        try:
            self.result = task(self.told)
        except Cancelled:
            self.stopping.set()
        except Exception as error:
            self.error = error

    def told(self, done: float, of: float) -> None:
        self.done, self.of = done, of
        if self.stopping.is_set():
            raise Cancelled

    def cancel(self) -> None:
        self.stopping.set()

    def start(self) -> None:
        RUNNING.add(self)
        self.thread.start()

    def steps(self) -> Generator["Job", None, None]:
        """Starts, and yields itself a few times a second until there is a result or it was cancelled.

        Left early (the visitor is gone) it cancels. An error of the task is raised here.
        """
        self.start()
        try:
            while self.thread.is_alive() and not self.stopping.is_set():
                yield self
                self.thread.join(EVERY)
        finally:
            if self.thread.is_alive():
                self.cancel()
        if self.error:
            raise self.error


def end() -> None:
    """Cancels and awaits all jobs: a process that ends while XLA still computes in a thread is aborted."""
    jobs = [job for job in RUNNING if job.thread.is_alive()]
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.thread.join(PATIENCE)


def cancel(job: Job | None) -> None:
    """What a Cancel button does."""
    if job:
        job.cancel()


def progress(what: str, job: Job) -> str:
    """A progress bar with a word on what is going on; one without an end where that is not known yet."""
    share = f' value="{job.done:g}" max="{job.of:g}"' if job.of else ""
    percent = f" {100 * job.done / job.of:.0f} %" if job.of else ""
    what = escape(what)
    shown = f'<progress aria-label="{what}"{share}></progress>'
    return f'<div class="cz-busy" role="status"><span>{what}{percent}</span>{shown}</div>'
