"""The tab that listens: a recording, or one made here; its waveform, its spectrogram, the filters, what was heard."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from convzoo.web import uploads, work


@cache
def listener() -> Any:
    """The network that came with the package, for everybody."""
    from convzoo.apps import listen

    return listen.listener()


def build(gradio: Any, report: Path | None) -> None:
    gradio.HTML(
        "<p class='cz-lead'>A sound is a row of numbers. Say some digits (“three, one, four”), or send a recording: "
        f"at most {uploads.SECONDS} s and {uploads.LARGEST_FILE >> 20} MB.</p>"
    )
    sound = gradio.Audio(
        sources=["upload", "microphone"],
        type="filepath",
        label="Sound",
        buttons=["download"],  # Gradio's own include one that would send the sound to another machine
        elem_id="sound",
    )
    with gradio.Row():
        example = gradio.Button("An example", size="sm")
        stop = gradio.Button("Cancel", size="sm", visible=False, elem_id="listen-cancel")
    job = gradio.State()
    said = gradio.HTML(elem_id="listen-said", apply_default_css=False)
    shown = gradio.HTML(elem_id="listen-shown", apply_default_css=False)
    outputs = [job, stop, shown, said]
    sound.change(heard(gradio), sound, outputs, show_progress="hidden", api_visibility="private", concurrency_limit=2)
    stop.click(work.cancel, job, None, queue=False, show_progress="hidden", api_visibility="private")
    example.click(example_sound, None, sound, queue=False, show_progress="hidden", api_visibility="private")


def heard(gradio: Any) -> Any:
    def run(path: str | None) -> Iterator[tuple[Any, ...]]:
        skip, button = gradio.skip, gradio.Button
        if not path:
            yield None, button(visible=False), "", ""
            return
        try:
            file = uploads.sound(path)
            for job in work.Job(lambda told: listened(file, told)).steps():
                yield job, button(visible=True), skip(), work.progress("listening", job)
            yield None, button(visible=False), job.result or "", "" if job.result else uploads.message("Cancelled.")
        except Exception as error:
            yield None, button(visible=False), "", uploads.spoken(error)

    return run


def listened(file: Path, told: work.Told) -> str:
    from convzoo.apps import listen
    from convzoo.web import sound_view

    found = listener()
    (result,) = listen.listen(found, [file], told)
    if result.error:
        raise uploads.Refused(result.error)
    return sound_view.view(found, result)


def example_sound() -> tuple[int, Any]:
    """Three digits by the synthetic voice where it is installed (the extra ``speech``); else a rising tone."""
    import numpy as np

    from convzoo.data import espeak
    from convzoo.extras import MissingExtra

    try:
        (spoken,) = espeak.speak([espeak.Utterance("seven, three, nine", "en+m3", 130)])
        return espeak.RATE, spoken
    except MissingExtra:
        time = np.arange(16_000) / 8_000
        return 8_000, np.round(8_000 * np.sin(2 * np.pi * (200 + 400 * time) * time)).astype(np.int16)
