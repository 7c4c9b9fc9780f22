"""The demo corpus: format, levels, splits, repeatability, whole or not at all."""

import csv
import filecmp
import importlib.util

import numpy as np
import pytest
import soundfile as sf

from polsess.corpus import COLUMNS, SPLIT_FOLDERS, find_csvs, read_split
from polsess.simulate import NUM_SAMPLES, SAMPLE_RATE, demo, sentences
from polsess.simulate.demo import make_demo_corpus
from polsess.simulate.rooms import ROOMS, draw_reverbs
from polsess.simulate.scenes import EVENTS, SCENES, draw_event, draw_scene
from polsess.simulate.speech import VOICES, draw_utterance, synthesise
from polsess.variants import MIX, SUM_HOLDS_DB, all_stems

NUM_ROWS = {"train": 4, "valid": 2, "test": 2}
SPLITS = list(SPLIT_FOLDERS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    make_demo_corpus(folder, NUM_ROWS, seed=7, jobs=2)
    return folder


def read_rows(corpus):
    """Each row with its signals [time] by stem."""
    for split in SPLITS:
        for row in read_split(corpus, split).rows:
            yield row, {stem: read(corpus / row.path(stem)) for stem in row.stems}


def read(path):
    samples, sample_rate = sf.read(path)
    info = sf.info(path)
    assert (sample_rate, info.subtype, info.channels) == (SAMPLE_RATE, "PCM_16", 1)
    return samples


def level_db(samples):
    return 10 * np.log10(np.mean(samples**2))


def read_cells(corpus, split):
    (path,) = find_csvs(corpus, split)
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("split", SPLITS)
def test_published_format(corpus, split):
    contents = read_split(corpus, split)
    assert contents.faults == []
    assert [row.indoor for row in contents.rows] == [True, False] * (
        NUM_ROWS[split] // 2
    )
    assert list(read_cells(corpus, split)[0]) == COLUMNS
    assert not list(corpus.parent.glob(".*"))  # nothing left aside


def test_levels(corpus):
    for row, stems in read_rows(corpus):
        assert all(samples.shape == (NUM_SAMPLES,) for samples in stems.values())
        ssr_db = level_db(stems["sp1"]) - level_db(stems["sp2"])
        assert row.ssr_db == int(row.ssr_db) and -5 <= row.ssr_db <= 5
        assert ssr_db == pytest.approx(row.ssr_db, abs=0.05)
        scene_db = level_db(stems["scene"]) - level_db(stems["sp1"] + stems["sp2"])
        assert -14 <= row.scene_offset_db <= 0
        assert scene_db == pytest.approx(row.scene_offset_db, abs=0.05)
        assert np.abs(stems[MIX]).max() < 0.9999


def test_mixture_is_sum_of_stems(corpus):
    for row, stems in read_rows(corpus):
        residual = stems[MIX] - sum(stems[stem] for stem in all_stems(row.indoor))
        assert np.abs(residual).max() <= 10 ** (SUM_HOLDS_DB / 20)


def test_bytes_depend_on_the_seed_alone(corpus, tmp_path):
    make_demo_corpus(tmp_path / "corpus", NUM_ROWS, seed=7, jobs=1)
    files = [p.relative_to(corpus) for p in corpus.rglob("*") if p.is_file()]
    same, *others = filecmp.cmpfiles(corpus, tmp_path / "corpus", files, shallow=False)
    assert len(same) == len(files) and others == [[], []]

    make_demo_corpus(tmp_path / "other", NUM_ROWS, seed=8, jobs=2)
    names = {path.name for path in (tmp_path / "other").rglob("*.wav")}
    assert names.isdisjoint(path.name for path in files)


def test_utterance_does_not_depend_on_the_one_before():
    """espeak-ng keeps state, which must not pass from one utterance to the next."""
    voices = [voice for split in SPLITS for voice in VOICES[split]]
    text = "Żółta łódź, szybki wąż i ćma."
    speech = {voice: synthesise(text, voice)[0] for voice in voices}
    for voice in reversed(voices):
        again, _ = synthesise(text, voice)
        np.testing.assert_array_equal(again, speech[voice], err_msg=voice)
        assert 0.01 < np.abs(again).max() < 0.99, voice  # heard, not clipped
    assert len({samples.tobytes() for samples in speech.values()}) == len(voices)


def test_polish_letters_are_spoken():
    """Were the text not taken for UTF-8, its letters would be spelled, or skipped."""
    polish, _ = synthesise("żółć", "f1")
    plain, _ = synthesise("zolc", "f1")
    misread, _ = synthesise("żółć".encode().decode("latin-1"), "f1")
    assert 0.7 < len(polish) / len(plain) < 1.3
    assert len(misread) > 2 * len(polish)


def test_splits_share_no_voice_and_no_part_of_a_sentence(corpus):
    assert sum(map(len, VOICES.values())) == len(set().union(*VOICES.values()))
    for text in (sentences._OPENINGS, sentences._CLAUSES, sentences._ENDINGS):
        parts = [set(sentences._fragments(text, split)) for split in SPLITS]
        assert set.union(*parts) == set(text.strip().splitlines())
        assert sum(map(len, parts)) == len(set.union(*parts))
    for split in SPLITS:
        for cells in read_cells(corpus, split):
            paths = [cells[f"speech{speaker}OryginalPath"] for speaker in (1, 2)]
            voices = [path.split("\\")[3] for path in paths]
            assert voices[0] != voices[1] and set(voices) <= set(VOICES[split])
            endings = sentences._fragments(sentences._ENDINGS, split)
            assert all(
                path.endswith(tuple(f"{e}.wav" for e in endings)) for path in paths
            )


@pytest.mark.parametrize("scene_class", ROOMS)
def test_reverb_lacks_the_direct_path(scene_class):
    impulse = np.zeros(NUM_SAMPLES)
    impulse[0] = 1  # the direct sound of this dry stem: gain 1 at time 0
    reverbs, pre_delays = draw_reverbs(
        np.random.default_rng(3), scene_class, [impulse] * 3
    )
    for reverb, pre_delay in zip(reverbs, pre_delays, strict=True):
        first = round(pre_delay * SAMPLE_RATE)  # samples to the first reflection
        assert first > 0
        before = np.abs(reverb[: max(1, first - 3)]).max()
        around = np.abs(reverb[max(1, first - 1) : first + 2]).max()
        assert before < 0.3 * around < 0.3
        assert -12 < 10 * np.log10(np.sum(reverb**2)) < 12  # against the direct sound


@pytest.mark.parametrize("scene_class", SCENES)
def test_scene(scene_class):
    def draw_talker(rng):
        return rng.normal(size=NUM_SAMPLES)

    first, second = (
        draw_scene(np.random.default_rng(seed), scene_class, draw_talker)
        for seed in (1, 2)
    )
    for scene in (first, second):
        assert np.sqrt(np.mean(scene**2)) == pytest.approx(1)
        quarters = np.sqrt(np.mean(scene.reshape(8, -1) ** 2, axis=1))
        assert quarters.min() > 0.1  # continuous
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("event_class", "indoor"),
    [(name, place) for place in EVENTS for name in EVENTS[place]],
)
def test_event(event_class, indoor):
    for seed in range(5):
        event = draw_event(np.random.default_rng(seed), event_class, indoor)
        assert event.shape == (NUM_SAMPLES,)
        assert np.abs(event).max() == pytest.approx(1)
        assert level_db(event) > -45


def test_corpus_is_made_once(tmp_path):
    for name in SPLIT_FOLDERS.values():
        (tmp_path / name).mkdir()
    make_demo_corpus(tmp_path, NUM_ROWS)
    assert sorted(tmp_path.rglob("*")) == sorted(
        tmp_path / name for name in SPLIT_FOLDERS.values()
    )


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(ValueError, match=r"expected a corpus .* found thesis\.txt"):
        make_demo_corpus(tmp_path, NUM_ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("num_rows", [{"train": 4}, {**NUM_ROWS, "valid": 0}])
def test_bad_number_of_rows_is_refused(tmp_path, num_rows):
    with pytest.raises(ValueError, match="num_rows: expected a positive number"):
        make_demo_corpus(tmp_path / "corpus", num_rows)


def test_interrupted_making_leaves_nothing(tmp_path, monkeypatch):
    class Interrupted(demo.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(demo, "tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo_corpus(tmp_path / "corpus", NUM_ROWS, jobs=1)
    assert list(tmp_path.iterdir()) == []


def test_missing_extra_is_named(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "soxr" else find_spec(name),
    )
    with pytest.raises(
        ImportError, match=r'needs soxr: .* pip install -e "\.\[demo\]"'
    ):
        make_demo_corpus(tmp_path / "corpus", NUM_ROWS)


def test_utterance_is_a_segment_of_speech():
    samples, text, start = draw_utterance(np.random.default_rng(0), "test", "steph")
    assert samples.shape == (NUM_SAMPLES,)
    assert text.count(".") >= 2 and start >= 0
    assert np.abs(samples).max() > 0.01
