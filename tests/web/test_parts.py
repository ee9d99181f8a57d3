"""What lies behind the page, without a browser: graphs, uploads, long work, the comparison's table."""

import base64
import threading
import time

import numpy as np
import pytest
from PIL import Image

from convzoo.explain import drawn
from convzoo.web import tab_compare, tab_graph, tab_kernel, uploads, work


def test_messages_are_the_rules_as_matrices():
    graph = tab_graph.typed("0-1, 1 - 2; 2-0 2-3 4")
    values = np.arange(1.0, 6.0)
    for node, value in zip(graph["nodes"], values, strict=True):
        node["value"] = value
    neighbours = np.eye(5)
    for a, b in graph["edges"]:
        neighbours[a, b] = neighbours[b, a] = 1
    degree = neighbours.sum(1)
    expected = {
        "gcn": neighbours / np.sqrt(np.outer(degree, degree)) @ values,
        "mean": neighbours @ values / degree,
        "sum": neighbours @ values,
        "max": np.where(neighbours > 0, values, -np.inf).max(1),
    }
    for name, (rule, kind) in tab_graph.RULES.items():
        found = tab_graph.passed(graph, name, 2)
        np.testing.assert_allclose(found["rounds"][1], expected[rule], rtol=1e-6)
        if kind == "sum":  # what the page writes out as a sum is that sum
            told = np.zeros(5)
            for sender, receiver, weight in found["messages"]:
                told[receiver] += weight * found["rounds"][1][sender]
            np.testing.assert_allclose(told, found["rounds"][2], rtol=1e-5)


def test_a_typed_graph_reads_as_it_was_written():
    graph = tab_graph.typed("0-1 4 2-1")
    assert graph["edges"] == [(0, 1), (1, 2)]
    assert len(graph["nodes"]) == 5
    assert tab_graph.typed(tab_graph.written(graph)) == graph


@pytest.mark.parametrize("given", ["", "0-", "a-b", "0-99", "0-1-2", "1e3"])
def test_what_is_no_graph_is_refused(given):
    with pytest.raises(uploads.Refused):
        tab_graph.typed(given)


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"nodes": [], "edges": []},
        {"nodes": [{"x": 0, "y": 0, "value": "nan"}], "edges": []},
        {"nodes": [{"x": 0, "y": 0, "value": 0}], "edges": [[0, 1]]},
        {"nodes": [{"x": 0, "y": 0, "value": 0}] * 41, "edges": []},
    ],
)
def test_what_a_browser_sends_is_checked(given):
    with pytest.raises(uploads.Refused):
        tab_graph.checked(given)


def test_the_kernel_tab_shows_what_core_computes():
    x = drawn.cross(16)
    found = tab_kernel.view("cross", x, tab_kernel.Choice("typed in", numbers="0 1 0 0 0 0 0 0 0"))
    shown = np.frombuffer(base64.b64decode(found["map"]), "<f4").reshape(found["shape"])
    np.testing.assert_array_equal(shown[1:], x[:-1])
    graph = found["graph"]
    told = np.zeros(len(graph["values"]))
    np.add.at(told, graph["receivers"], np.array(graph["weights"]) * np.array(graph["values"])[graph["senders"]])
    np.testing.assert_allclose(told, graph["map"], atol=1e-6)


def test_uploads_are_bounded(tmp_path):
    wide = tmp_path / "wide.png"
    Image.new("1", (10_000, 4_100)).save(wide)
    with pytest.raises(uploads.Refused, match="at most 40 million"):
        uploads.photograph(wide)
    fat = tmp_path / "fat.wav"
    with fat.open("wb") as file:
        file.truncate(uploads.LARGEST_FILE + 1)
    with pytest.raises(uploads.Refused, match="takes at most 20"):
        uploads.sound(fat)
    with pytest.raises(uploads.Refused, match="did not arrive"):
        uploads.sound(tmp_path / "nothing.wav")


def test_long_sounds_are_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (the extra `audio`)")
    soundfile.write(tmp_path / "long.flac", np.zeros(8_000 * (uploads.SECONDS + 1), np.int16), 8_000)
    with pytest.raises(uploads.Refused, match="lasts 121 s"):
        uploads.sound(tmp_path / "long.flac")


def test_an_error_becomes_a_message_without_its_trace(caplog):
    @uploads.answered(2)
    def fails():
        raise KeyError("/home/somebody/secret")

    pytest.importorskip("gradio", reason="gradio is not installed (the extra `demo`)")
    *_, told = fails()
    assert "secret" not in told
    assert "did not work" in told
    assert "KeyError" in caplog.text
    assert uploads.message("<b>") == '<p class="cz-said" role="alert">&lt;b&gt;</p>'


def count(told: work.Told, ended: threading.Event) -> int:
    try:
        for step in range(10_000):
            told(step, 10_000)
            time.sleep(0.001)
        return 10_000
    finally:
        ended.set()


@pytest.mark.parametrize("how", ["cancelled", "left", "ended"])
def test_work_stops_when_nobody_waits(how):
    ended = threading.Event()
    job = work.Job(lambda told: count(told, ended))
    steps = job.steps()
    next(steps)
    {"cancelled": job.cancel, "left": steps.close, "ended": work.end}[how]()
    assert ended.wait(5)
    assert list(steps) == []
    assert job.result is None


def test_work_tells_its_result_or_its_error():
    job = work.Job(lambda told: told(1, 2) or "done")
    assert all(each is job for each in job.steps())
    assert (job.result, job.done, job.of) == ("done", 1, 2)
    with pytest.raises(ZeroDivisionError):
        list(work.Job(lambda told: 1 / 0).steps())


def test_the_comparison_is_a_table_until_there_is_a_report(tmp_path):
    assert "99.35 %" in tab_compare.view(tmp_path)
    (tmp_path / "report.html").write_text('<p title="x">&amp;</p>')
    frame = tab_compare.view(tmp_path)
    assert 'sandbox=""' in frame
    assert "&lt;p title=&quot;x&quot;&gt;&amp;amp;" in frame
