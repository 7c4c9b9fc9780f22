"""What the audit finds in a row's files; the sum identity by analytic values."""

import math

import numpy as np
import pytest
import soundfile as sf
from corpus_maker import csv_path, make_corpus, read_csv, stem_path, write_stem

from polsess.audit import SAMPLE_ROWS, audit_rows
from polsess.corpus import read_split
from polsess.variants import SUM_HOLDS_DB

LIMIT = 32735  # 0.999 in steps of 16-bit PCM, rounded


def audit(folder, level="full", jobs=1):
    split = read_split(folder, "train")
    assert not split.faults
    return audit_rows(folder, split.rows, level, jobs)


def first_row(folder):
    return read_csv(csv_path(folder, "train"))[0]


def rewrite(folder, stem, **arguments):
    """Write the first row's stem anew with other arguments of soundfile.write."""
    path = stem_path(folder, "train", first_row(folder), stem)
    signal, rate = sf.read(path)
    sf.write(path, **{"data": signal, "samplerate": rate} | arguments)


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus", {"train": 2})


@pytest.fixture
def outdoor(tmp_path):
    """A function that audits one outdoor row of these levels, in LSB."""

    def audit_levels(mix, sp1=0, sp2=0, scene=0, event=0):
        folder = make_corpus(tmp_path / "out", {"train": 1}, indoor=lambda n: False)
        levels = {"mix": mix, "sp1": sp1, "sp2": sp2, "scene": scene, "event": event}
        for stem, level in levels.items():
            signal = np.broadcast_to(level, 100)
            write_stem(folder, "train", first_row(folder), stem, signal)
        return audit(folder)[0]

    return audit_levels


def decibels(lsb):
    return pytest.approx(20 * math.log10(lsb / 2**15))


@pytest.mark.parametrize("off", [0, 1, -8, 8])
def test_sum_holds_to_eight_lsb(outdoor, off):
    result = outdoor(mix=1111 + off, sp1=1000, sp2=100, scene=10, event=1)
    assert not result.faults
    assert result.residual_db == (decibels(abs(off)) if off else -120.0)
    assert result.residual_db <= SUM_HOLDS_DB


def test_nine_lsb_are_a_fault(outdoor):
    result = outdoor(mix=1111 - 9, sp1=1000, sp2=100, scene=10, event=1)
    (fault,) = result.faults
    assert result.residual_db == decibels(9)
    assert "-71.2 dB" in fault.found and "100 of 100 samples" in fault.found


def test_the_stems_of_another_row_are_named(corpus):
    for stem in ("scene", "ev_reverb"):
        rewrite(corpus, stem, data=np.linspace(-0.1, 0.1, 1600))
    (fault,) = audit(corpus)[0].faults
    assert "perhaps of another row: scene, ev_reverb" in fault.found


def test_the_mixture_of_another_row_is_named(corpus):
    rewrite(corpus, "mix", data=np.linspace(-0.1, 0.1, 1600))
    (fault,) = audit(corpus)[0].faults
    stems = "sp1, sp2, scene, event, sp1_reverb, sp2_reverb, ev_reverb"
    assert f"perhaps of another row: {stems}" in fault.found


# The speech mix of 38000 was limited to 0.999.
SPEECH = {"sp1": 20000, "sp2": 18000, "scene": -10000}
# sp2 was 40000 in the mixture, and limited when stored.
SP2 = {"sp1": -15000, "sp2": LIMIT}
# The scene was 36000 in the mixture and saturated in its wav.
SCENE = {"sp1": -10000, "scene": 32767}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("mix", "stems", "residual"),
    [
        (LIMIT - 10000, SPEECH, 38000 - LIMIT),
        (40000 - 15000, SP2, 40000 - LIMIT),
        (36000 - 10000, SCENE, 36000 - 32767),
        # sp2 alone of 40000 and the speech mix of both were limited.
        (LIMIT - 5000, SP2 | {"sp1": 1000, "scene": -5000}, 1000),
    ],
)
def test_limiting_explains(outdoor, mix, stems, residual, sign):
    result = outdoor(sign * mix, **{s: sign * level for s, level in stems.items()})
    assert not result.faults
    assert result.residual_db == decibels(residual)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("mix", "stems"),
    [
        (LIMIT - 10000 - 100, SPEECH),  # lower than the limiter takes it
        (LIMIT - 10000 - 100, SPEECH | {"sp2": 12000}),  # no speech to limit
        (38000 - 10000 + 100, SPEECH),  # louder than without a limiter
        (LIMIT - 15000 - 100, SP2),  # a limited stem had more, never less
        (32767 - 10000 - 100, SCENE),
        (36000 - 10000, SCENE | {"scene": LIMIT}),  # does not limit a scene
    ],
)
def test_limiting_does_not_explain(outdoor, mix, stems, sign):
    levels = {stem: sign * level for stem, level in stems.items()}
    (fault,) = outdoor(sign * mix, **levels).faults
    assert "limiting does not explain in 100 of 100 samples" in fault.found


def test_limiting_elsewhere_explains_nothing(outdoor):
    scene = np.zeros(100)
    scene[:30] = 32767
    (fault,) = outdoor(mix=1000, sp1=-32000, scene=scene).faults
    assert "does not explain in 70 of 100" in fault.found


def test_silence_is_its_own_sum(outdoor):
    result = outdoor(mix=0)
    assert not result.faults and result.residual_db == -120.0


def test_what_is_recorded(corpus):
    for result in audit(corpus):
        assert result.residual_db == -120.0 and result.num_samples == 1600
        assert set(result.sample_rates.values()) == {8000}


@pytest.mark.parametrize("level", ["full", "sample"])
def test_header_faults(corpus, level):
    rewrite(corpus, "sp1", data=np.zeros((1600, 2)))
    rewrite(corpus, "ev_reverb", data=np.zeros(1500))
    rewrite(corpus, "scene", data=np.zeros(0))
    faulty, sound = audit(corpus, level)
    assert [(f.file.split("/")[1], f.found) for f in faulty.faults] == [
        ("clean", "2 channels"),
        ("scene", "0 samples where others have 1600"),
        ("ev_reverb", "1500 samples where others have 1600"),
    ]
    assert faulty.residual_db is None
    assert not sound.faults


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite(corpus, bad):
    signal = np.zeros(1600)
    signal[7:10] = bad
    rewrite(corpus, "event", data=signal, subtype="FLOAT")
    (fault,) = audit(corpus)[0].faults
    assert fault.found == "3 samples that are NaN or infinite"
    assert fault.file.startswith("train/event/")


@pytest.mark.parametrize("kept", [-1, -1000, 44, 20, 0])
def test_truncated_wav(corpus, kept):
    path = stem_path(corpus, "train", first_row(corpus), "sp2")
    content = path.read_bytes()[:kept]
    path.write_bytes(content)
    (fault,) = audit(corpus, "sample")[0].faults
    held = f"{len(content) - 44} of the 3200 bytes"
    nothing = f"no audio in {kept} bytes" if kept else "no wav header in 0 bytes"
    assert (nothing if kept in (0, 20) else held) in fault.found


@pytest.mark.parametrize("content", [b"x" * 100, b"RIFF" + b"\0" * 100])
def test_file_that_is_no_wav(corpus, content):
    stem_path(corpus, "train", first_row(corpus), "mix").write_bytes(content)
    (fault,) = audit(corpus)[0].faults
    assert "wav" in fault.expected and fault.file.startswith("train/mix/")


def test_chunks_around_the_audio_are_no_fault(corpus):
    path = stem_path(corpus, "train", first_row(corpus), "sp2")
    content = path.read_bytes()
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"
    path.write_bytes(content[:36] + odd + content[36:] + odd)
    result = audit(corpus)[0]
    assert not result.faults and result.residual_db == -120.0


def test_24_bit_and_float_wavs_are_read(corpus):
    rewrite(corpus, "sp1", subtype="PCM_24")
    rewrite(corpus, "mix", subtype="FLOAT")
    assert audit(corpus)[0].residual_db == -120.0


def test_row_with_a_missing_file_is_still_checked(corpus):
    row = first_row(corpus)
    stem_path(corpus, "train", row, "scene").unlink()
    rewrite(corpus, "sp1", data=np.zeros((1600, 2)))
    split = read_split(corpus, "train")
    assert len(split.faults) == 1
    result = audit_rows(corpus, split.rows, "full", jobs=1)[0]
    assert [fault.found for fault in result.faults] == ["2 channels"]


def test_sample_reads_some_rows_none_reads_nothing(tmp_path):
    count = SAMPLE_ROWS + 50
    folder = make_corpus(tmp_path / "c", {"train": count}, num_samples=8)
    sampled = audit(folder, "sample")
    known = [result.residual_db is not None for result in sampled]
    assert sum(known) == SAMPLE_ROWS
    assert all(known[i] or known[i + 1] for i in range(count - 1))  # spread evenly
    assert {result.num_samples for result in sampled} == {8}
    assert sampled == audit(folder, "sample")
    assert {result.num_samples for result in audit(folder, "none")} == {None}


def test_processes_find_the_same(tmp_path):
    folder = make_corpus(tmp_path / "c", {"train": 80}, num_samples=8)
    rewrite(folder, "sp2", data=np.ones(8))
    one, two = audit(folder, jobs=1), audit(folder, jobs=2)
    assert one == two
    assert [bool(result.faults) for result in two] == [True] + [False] * 79
