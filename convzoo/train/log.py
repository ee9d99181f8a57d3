"""What a person sees of a run while it goes: a progress bar with time left, loss, accuracy and examples per second."""

import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """A progress bar over steps; quiet where ``shown`` is False."""

    def __init__(self, title: str, steps: int, start: int, batch_size: int, *, shown: bool = True):
        self.batch_size, self.begun, self.start = batch_size, time.perf_counter(), start
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            disable=not shown,
        )
        self.task = self.progress.add_task(title, total=steps, completed=start, told="")

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.stop()

    def advance(self, step: int, metrics: dict[str, float] | None = None) -> None:
        """Moves to ``step`` and, where given, tells the metrics."""
        told: dict[str, Any] = {}
        if metrics is not None:
            rate = (step - self.start) * self.batch_size / max(time.perf_counter() - self.begun, 1e-9)
            shown = [f"{name} {value:.4g}" for name, value in metrics.items() if name in ("loss", "accuracy")]
            told = {"told": "  ".join([*shown, f"{rate:,.0f} examples/s"])}
        self.progress.update(self.task, completed=step, **told)
