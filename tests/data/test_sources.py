"""The four sets: what is in them, what is held out, and what batches look like."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import data
from convzoo.data import espeak

SOURCES = {
    "seen": data.Seen(),
    "direction": data.Drawn(),
    "mean": data.Drawn("mean"),
    "gcn": data.Drawn("gcn", places=False),
    "none": data.Drawn("none"),
    "log_mel": data.Heard(),
    "wave": data.Heard("wave"),
    "spelled": data.Spelled(),
}


def stored(source: data.Source) -> dict[str, list[dict]]:
    return {split: source._stored(split) for split in source.splits}


@pytest.mark.parametrize("name", SOURCES)
def test_every_batch_has_one_shape_and_is_traced_once(name):
    source = SOURCES[name]
    batches = data.load(source, batch_size=48, seed=3)
    shapes = jax.tree.map(lambda array: (array.shape, array.dtype), batches.example)
    # The calls after the first must find their trace: nothing is traced while tracing is forbidden.
    with jax.no_tracing():
        drawn = [batches.at(step) for step in (1, batches.epoch_steps, 10 * batches.epoch_steps + 1)]
    assert all(jax.tree.map(lambda array: (array.shape, array.dtype), batch) == shapes for batch in drawn)
    leaves = jax.tree.leaves(drawn)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert {leaf.dtype for leaf in leaves} <= {jnp.dtype(kind) for kind in ("float32", "int32", "bool")}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_are_values(name):
    source = SOURCES[name]
    assert hash(source) == hash(type(source)(**vars(source)))
    assert source == type(source)(**vars(source))
    assert len(source.classes) == 10
    for split in source.splits[:2]:
        arrays = source.arrays(split)
        assert len({len(array) for array in arrays.values()}) == 1
        assert set(arrays["label"]) == set(range(10))
        assert arrays is source.arrays(split), "read once"
        with pytest.raises(ValueError, match="read-only"):
            arrays["label"][0] = 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.Seen(fraction=0), "fraction=0 must be more than 0"),
        (lambda: data.Seen(fraction=1.5), r"fraction=1.5 must be more than 0 and at most 1"),
        (lambda: data.Drawn("all"), "edges='all' is unknown; known are direction, mean, gcn, none"),
        (lambda: data.Heard("mfcc"), "features='mfcc' is unknown; known are log_mel, picture, wave"),
        (lambda: data.Seen().arrays("rest"), "digits_seen has no split 'rest'; it has train, test"),
        (lambda: data.Spelled().show("dev", 0), "digits_spelled has no split 'dev'; it has train, test, rest"),
    ],
)
def test_errors_say_what_would_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_seen_is_scikit_learns():
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    for split, part in (("train", slice(0, 1437)), ("test", slice(1437, None))):
        arrays = data.Seen().arrays(split)
        ours = sorted(zip(arrays["label"], (arrays["input"] * 16).reshape(-1, 64).tolist(), strict=True))
        theirs = sorted(zip(labels[part], pictures[part].tolist(), strict=True))
        assert [label for label, _ in ours] == [label for label, _ in theirs]
        np.testing.assert_allclose([ink for _, ink in ours], [ink for _, ink in theirs], atol=1e-5)


def test_no_voice_and_no_accent_is_in_two_splits_that_promise_so():
    sets = stored(data.Heard())
    voices, accents = (
        {split: {example[key] for example in examples} for split, examples in sets.items()}
        for key in ("voice", "accent")
    )
    assert [len(voices[split]) for split in sets] == [67, 20, 67, 20]
    assert [len(accents[split]) for split in sets] == [6, 6, 2, 2]
    assert not voices["train"] & (voices["test"] | voices["test_both"])
    assert not accents["train"] & (accents["test_accent"] | accents["test_both"])
    sounds = [example["audio"].tobytes() for examples in sets.values() for example in examples]
    assert len(set(sounds)) == len(sounds), "no two sound the same"
    lengths = {len(example["audio"]) for examples in sets.values() for example in examples}
    assert max(lengths) <= 6400
    assert min(lengths) >= 400
    rates, pitches = ({example[key] for example in sets["train"]} for key in ("rate", "pitch"))
    assert len(rates) > 100
    assert len(pitches) > 50


def test_log_mels_have_no_mean_and_silence_after_their_length():
    arrays = data.Heard().arrays("test_both")
    x, length = arrays["input"], arrays["length"]
    assert x.shape[1:] == (80, 40)
    inside = np.arange(80) < length[:, None]
    assert not x[~inside].any()
    np.testing.assert_allclose(x.sum(axis=1) / length[:, None], 0, atol=1e-4)
    waves = data.Heard("wave").arrays("test_both")
    power = np.square(waves["input"]).sum(axis=(1, 2)) / waves["length"]
    np.testing.assert_allclose(power, 1, rtol=1e-4)
    np.testing.assert_array_equal(length, -(-waves["length"] // 80))


def test_no_number_is_in_two_splits_and_texts_survive():
    from num2words import num2words

    sets = stored(data.Spelled())
    numbers = {split: {example["number"] for example in examples} for split, examples in sets.items()}
    assert [len(found) for found in numbers.values()] == [1000, 1000, 8000]
    assert set().union(*numbers.values()) == set(range(10_000))
    assert len({example["language"] for example in sets["train"]}) >= 6
    arrays = data.Spelled().arrays("train")
    for index in range(0, 7000, 97):
        example, shown = sets["train"][index], data.Spelled().show("train", index)
        row, length = arrays["input"][index], arrays["length"][index]
        assert bytes(row[:length]).decode() == shown["text"] == num2words(example["number"], lang=shown["language"])
        assert not row[length:].any()
        assert arrays["label"][index] == example["number"] % 10
    assert arrays["input"].max() > 127, "not ASCII alone"


def test_examples_can_be_shown():
    import json

    assert np.shape(data.Seen().show("test", 3)["pixels"]) == (8, 8)
    graph = data.Drawn().show("test", 3)
    assert np.shape(graph["nodes"])[1] == 3
    assert max(max(edge) for edge in graph["edges"]) < len(graph["nodes"])
    sound = data.Heard().show("test", 3)
    assert sound["rate"] == 8000
    assert max(map(abs, sound["samples"])) <= 1
    word = data.Spelled().show("test", 3)
    assert set(word) == {"text", "language"}
    json.dumps([graph, sound, word])


def test_espeak_refuses_voices_it_would_silently_replace():
    with pytest.raises(ValueError, match=r"no variant for en\+nobody; it has .*f1"):
        espeak.speak([espeak.Utterance("one", "en+nobody")])
    with pytest.raises(ValueError, match="no voice 'en-gb'"):
        espeak.speak([espeak.Utterance("one", "en-gb")])


def test_espeak_repeats_itself_in_a_fresh_process_and_heeds_rate_and_pitch():
    words = [espeak.Utterance("seven", "en-us+f1", *how) for how in ((175, 50), (300, 50), (175, 90))]
    first, again = espeak.speak(words), espeak.speak(words)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    plain, fast, high = first
    assert len(fast) < 0.8 * len(plain)
    assert len(high) > 0.9 * len(plain)
    assert not np.array_equal(high, plain)
