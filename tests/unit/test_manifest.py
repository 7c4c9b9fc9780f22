"""Preparing a corpus: manifests, one report of all faults, nothing half-written."""

import csv
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from corpus_maker import csv_path, make_corpus, read_csv, stem_path, write_csv
from speechbrain.dataio.dataset import DynamicItemDataset

from polsess import manifest
from polsess.faults import CorpusError
from polsess.manifest import prepare_polsess

SCRIPT = Path(__file__).parents[2] / "recipes/PolSESS/prepare_polsess.py"
SPLITS = ("train", "valid", "test")
MANIFESTS = {"train.json", "valid.json", "test.json"}
FINISHED = MANIFESTS | {"prepared.json"}


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def save(tmp_path):
    return tmp_path / "save"


def names(folder):
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def load(save, split):
    return json.loads((save / f"{split}.json").read_text())


def rows_of(corpus, split):
    return read_csv(csv_path(corpus, split))


def row_id(cells):
    return cells["mixFile"].removesuffix(".wav")


def faults_of(corpus, save, **options):
    with pytest.raises(CorpusError) as error:
        prepare_polsess(corpus, save, **options)
    return error.value.faults


# Each breaks a sound corpus in one way, and gives what the one fault must name:
# split, row (empty for a fault of no row), part of the file's path, part of what was
# found.


def drop_column(corpus):
    path = csv_path(corpus, "val")
    table = read_csv(path)
    write_csv(path, table, [column for column in table[0] if column != "mixFile"])
    return "valid", "", path.name, "mixFile"


def lose_file(corpus):
    cells = rows_of(corpus, "train")[1]
    path = stem_path(corpus, "train", cells, "event")
    path.unlink()
    return "train", row_id(cells), path.name, "none"


def resample(corpus):
    cells = rows_of(corpus, "test")[0]
    path = stem_path(corpus, "test", cells, "sp2_reverb")
    sf.write(path, sf.read(path)[0], 16000)
    return "test", row_id(cells), path.name, "16000 Hz"


def make_stereo(corpus):
    cells = rows_of(corpus, "train")[0]
    path = stem_path(corpus, "train", cells, "scene")
    sf.write(path, np.zeros((1600, 2)), 8000)
    return "train", row_id(cells), path.name, "2 channels"


def shorten(corpus):
    cells = rows_of(corpus, "val")[0]
    path = stem_path(corpus, "val", cells, "sp1")
    sf.write(path, np.zeros(1599), 8000)
    return "valid", row_id(cells), path.name, "1599 samples"


def truncate(corpus):
    cells = rows_of(corpus, "train")[3]
    path = stem_path(corpus, "train", cells, "mix")
    path.write_bytes(path.read_bytes()[:-10])
    return "train", row_id(cells), path.name, "3190 of the 3200 bytes"


def repeat_row(corpus):
    path = csv_path(corpus, "train")
    table = read_csv(path)
    write_csv(path, [*table, table[0]])
    return "train", row_id(table[0]), table[0]["mixFile"], "name of train, line 2"


def repeat_stems(corpus):
    path = csv_path(corpus, "train")
    table = read_csv(path)
    again = table[0] | {"mixFile": "again.wav"}
    mix = stem_path(corpus, "train", table[0], "mix")
    stem_path(corpus, "train", again, "mix").write_bytes(mix.read_bytes())
    write_csv(path, [*table, again])
    return "train", "again", "again.wav", "stems of train, line 2"


def repeat_audio(corpus):
    first, second = rows_of(corpus, "train")[1], rows_of(corpus, "train")[3]
    for stem in ("mix", "sp1", "sp2", "scene", "event"):
        content = stem_path(corpus, "train", first, stem).read_bytes()
        stem_path(corpus, "train", second, stem).write_bytes(content)
    return "train", row_id(second), second["mixFile"], "audio of train, line 3"


def repeat_in_two_splits(corpus):
    cells = rows_of(corpus, "test")[1]
    for stem in ("mix", "sp1", "sp2", "scene", "event"):
        content = stem_path(corpus, "test", cells, stem).read_bytes()
        stem_path(corpus, "train", cells, stem).write_bytes(content)
    path = csv_path(corpus, "train")
    write_csv(path, [*read_csv(path), cells])
    return "train", row_id(cells), cells["mixFile"], "name of test, line 3"


def add_nan(corpus):
    cells = rows_of(corpus, "train")[0]
    path = stem_path(corpus, "train", cells, "sp1")
    sf.write(path, np.full(1600, np.nan), 8000, subtype="FLOAT")
    return "train", row_id(cells), path.name, "1600 samples that are NaN"


def empty_split(corpus):
    path = csv_path(corpus, "val")
    write_csv(path, [])
    return "valid", "", path.name, "none"


def blank_reverb(corpus):
    path = csv_path(corpus, "train")
    table = read_csv(path)
    table[2]["reverbForEvent"] = "<missing>"
    write_csv(path, table)
    return "train", row_id(table[2]), "", "reverbForEvent"


def leave_folder(corpus):
    path = csv_path(corpus, "train")
    table = read_csv(path)
    table[2]["eventFile"] = r"..\event\x.wav"
    write_csv(path, table)
    return "train", row_id(table[2]), r"..\event\x.wav", "leave its folder"


def add_csv(corpus):
    (corpus / "corpus_Old_test_final.csv").touch()
    return "test", "", "", "corpus_Old_test_final.csv"


def lose_csv(corpus):
    csv_path(corpus, "test").unlink()
    return "test", "", "", "none"


def swap_stems(corpus):
    first, second = rows_of(corpus, "train")[1], rows_of(corpus, "train")[3]
    path = stem_path(corpus, "train", second, "event")
    path.write_bytes(stem_path(corpus, "train", first, "event").read_bytes())
    return "train", row_id(second), second["mixFile"], " dB"


def lose_split(corpus):
    (corpus / "val").rename(corpus / "dev")
    return "valid", "", "val", "none"


OF_A_ROW = [
    lose_file,
    resample,
    make_stereo,
    shorten,
    truncate,
    repeat_row,
    repeat_stems,
    repeat_audio,
    repeat_in_two_splits,
    add_nan,
    blank_reverb,
    leave_folder,
    swap_stems,
]
OF_A_SPLIT = [drop_column, empty_split, add_csv, lose_csv, lose_split]


@pytest.mark.parametrize("corrupt", OF_A_ROW + OF_A_SPLIT)
def test_each_fault_alone(corpus, save, corrupt):
    split, row, file, found = corrupt(corpus)
    (fault,) = faults_of(corpus, save)
    assert (fault.split, fault.row) == (split, row)
    assert file in fault.file and found in fault.found
    assert fault.expected and fault.remedy
    assert names(save) == set()


@pytest.mark.parametrize("corrupt", OF_A_ROW)
def test_drop_leaves_the_faulty_row_out(corpus, save, corrupt):
    corrupt(corpus)
    counts = {
        s: len(rows_of(corpus, f))
        for s, f in zip(SPLITS, ("train", "val", "test"), strict=True)
    }
    (fault,) = faults_of(corpus, save)
    counts[fault.split] -= 1
    prepare_polsess(corpus, save, on_fault="drop")
    assert {split: len(load(save, split)) for split in SPLITS} == counts
    with open(save / "dropped.csv", newline="", encoding="utf-8") as stream:
        (listed,) = csv.DictReader(stream)
    columns = ["split", "row", "file", "expected", "found", "remedy"]
    assert listed == {column: getattr(fault, column) for column in columns}


@pytest.mark.parametrize("corrupt", OF_A_SPLIT)
def test_drop_cannot_mend_a_split(corpus, save, corrupt):
    corrupt(corpus)
    assert len(faults_of(corpus, save, on_fault="drop")) == 1
    assert names(save) == set()


def test_all_faults_in_one_report(corpus, save):
    cases = (lose_file, make_stereo, shorten, truncate, blank_reverb, add_csv)
    wanted = [corrupt(corpus) for corrupt in cases]
    with pytest.raises(CorpusError) as error:
        prepare_polsess(corpus, save)
    report = str(error.value)
    assert "6 faults in 5 rows" in report
    for split, row, file, found in wanted:
        assert any(
            line.strip().startswith(split)
            and row in line
            and file in line
            and found in line
            for line in report.splitlines()
        )


def test_dropping_every_row_is_still_refused(corpus, save):
    for cells in rows_of(corpus, "val"):
        stem_path(corpus, "val", cells, "mix").unlink()
    faults = faults_of(corpus, save, on_fault="drop")
    assert [fault.found for fault in faults] == ["none"] * 3
    assert [fault.line is None for fault in faults] == [False, False, True]
    assert names(save) == set()


def test_manifest_row(corpus, save):
    prepare_polsess(corpus, save)
    assert names(save) == FINISHED
    indoor, outdoor = load(save, "valid").items()
    ids = [f"{letter}000000000000005" for letter in "abcde"]
    assert indoor == (
        "-".join(ids),
        {
            "mix": f"{{data_root}}/val/mix/{'-'.join(ids)}.wav",
            "sp1": f"{{data_root}}/val/clean/{ids[0]}.wav",
            "sp2": f"{{data_root}}/val/clean/{ids[1]}.wav",
            "scene": f"{{data_root}}/val/scene/{ids[2]}.wav",
            "event": f"{{data_root}}/val/event/{ids[3]}.wav",
            "sp1_reverb": f"{{data_root}}/val/sp1_reverb/sp1_{ids[4]}.wav",
            "sp2_reverb": f"{{data_root}}/val/sp2_reverb/sp2_{ids[4]}.wav",
            "ev_reverb": f"{{data_root}}/val/ev_reverb/ev_{ids[4]}.wav",
            "indoor": True,
            "sample_rate": 8000,
            "num_samples": 1600,
            "residual_db": -120.0,
            "corpus": "corpus",
            "ssr_db": 2.0,
            "scene_offset_db": -7.5,
            "scene_class": "home",
            "event_class": "Door",
        },
    )
    assert outdoor[1].keys() == indoor[1].keys()
    assert outdoor[1]["ev_reverb"] is None and outdoor[1]["indoor"] is False


def test_audit_none_knows_neither_rate_nor_residual(corpus, save):
    make_stereo(corpus)
    swap_stems(corpus)
    prepare_polsess(corpus, save, audit="none")
    for row in load(save, "train").values():
        assert row["sample_rate"] is row["num_samples"] is row["residual_db"] is None
    lose_file(corpus)
    assert len(faults_of(corpus, save, audit="none")) == 1


def test_sample_audit_reads_all_headers(tmp_path, save, monkeypatch):
    monkeypatch.setattr("polsess.audit.SAMPLE_ROWS", 1)
    corpus = make_corpus(tmp_path / "c")
    swap_stems(corpus)  # not of the one row that is read
    prepare_polsess(corpus, save, audit="sample")
    rows = [row for split in SPLITS for row in load(save, split).values()]
    assert [row["num_samples"] for row in rows] == [1600] * 8
    assert [row["residual_db"] for row in rows] == [-120.0] + [None] * 7
    make_stereo(corpus)
    assert len(faults_of(corpus, save, audit="sample")) == 1


def test_odd_folder_names_reach_the_files(tmp_path, save, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = Path("Zażółć {gęślą} %s jaźń")
    make_corpus(corpus, {"test": 2})
    path = csv_path(corpus, "test")
    table = read_csv(path)
    old = stem_path(corpus, "test", table[0], "event")
    table[0] |= {"eventFile": "{a} ł.wav", "eventClass": "{Door}"}
    old.rename(stem_path(corpus, "test", table[0], "event"))
    write_csv(path, table)
    prepare_polsess(str(corpus), save, splits=["test"])
    data = DynamicItemDataset.from_json(
        save / "test.json",
        replacements={"data_root": corpus},
        output_keys=["event", "event_class", "corpus"],
    )
    assert data[0]["event"] == f"{corpus}/test/event/{{a}} ł.wav"
    assert Path(data[0]["event"]).exists()
    assert data[0]["event_class"] == "{Door}" and data[0]["corpus"] == corpus.name


def test_unchanged_corpus_is_not_prepared_again(corpus, save, monkeypatch):
    prepare_polsess(corpus, save)
    before = {path.name: path.stat().st_mtime_ns for path in save.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "audit_rows", None)  # would raise if it were called
        prepare_polsess(corpus, save)
        prepare_polsess(corpus, save, splits=["test"])
    assert before == {path.name: path.stat().st_mtime_ns for path in save.iterdir()}


def touch(corpus):
    path = stem_path(corpus, "test", rows_of(corpus, "test")[0], "sp1")
    os.utime(path, (1, 1))


def shift_ssr(corpus):
    path = csv_path(corpus, "test")
    write_csv(path, [row | {"SSR": "3"} for row in read_csv(path)])


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (touch, {}),
        (shift_ssr, {}),
        (None, {"audit": "none"}),
        (None, {"on_fault": "drop"}),
    ],
)
def test_changes_are_prepared_anew(corpus, save, change, options):
    prepare_polsess(corpus, save)
    before = (save / "test.json").stat().st_ino, (save / "prepared.json").read_text()
    if change:
        change(corpus)
    prepare_polsess(corpus, save, **options)
    after = (save / "test.json").stat().st_ino, (save / "prepared.json").read_text()
    assert after[0] != before[0] and after[1] != before[1]


def test_new_format_is_prepared_anew(corpus, save, monkeypatch):
    prepare_polsess(corpus, save)
    (save / "test.json").write_text("old")
    monkeypatch.setattr(manifest, "FORMAT_VERSION", manifest.FORMAT_VERSION + 1)
    prepare_polsess(corpus, save)
    assert len(load(save, "test")) == 2


@pytest.mark.parametrize("lost", [*sorted(FINISHED)])
def test_a_lost_file_is_made_again(corpus, save, lost):
    prepare_polsess(corpus, save)
    (save / lost).unlink()
    prepare_polsess(corpus, save)
    assert names(save) == FINISHED


def test_a_mended_corpus_is_prepared_after_drop(corpus, save):
    path = stem_path(corpus, "train", rows_of(corpus, "train")[1], "event")
    content = path.read_bytes()
    path.unlink()
    prepare_polsess(corpus, save, on_fault="drop")
    assert len(load(save, "train")) == 3
    path.write_bytes(content)
    prepare_polsess(corpus, save, on_fault="drop")
    assert len(load(save, "train")) == 4
    prepare_polsess(corpus, save)
    assert names(save) == FINISHED  # the list of dropped rows went with them


def test_manifests_of_other_splits_do_not_stay(corpus, save):
    prepare_polsess(corpus, save)
    shift_ssr(corpus)
    prepare_polsess(corpus, save, splits=["test"])
    assert names(save) == {"test.json", "prepared.json"}


def test_refusal_keeps_what_was_there(corpus, save):
    prepare_polsess(corpus, save)
    before = {path: path.read_bytes() for path in save.iterdir()}
    lose_file(corpus)
    faults_of(corpus, save)
    assert {path: path.read_bytes() for path in save.iterdir()} == before


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_failure_while_publishing_leaves_no_manifest(
    corpus, save, monkeypatch, at, prepared
):
    if prepared:
        prepare_polsess(corpus, save)
        shift_ssr(corpus)
    (save / "checkpoint").mkdir(parents=True)  # another's, in the same folder
    replace, calls = os.replace, []

    def fail(*paths):
        calls.append(paths)
        if len(calls) == at:
            raise OSError("no space left")
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space left"):
            prepare_polsess(corpus, save)
    assert names(save) == {"checkpoint"}
    prepare_polsess(corpus, save)
    assert names(save) == FINISHED | {"checkpoint"}


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_killed_preparation_is_never_taken_for_finished(corpus, save, call, at):
    original, left = getattr(os, call), iter(range(1, at))

    def die_at(*arguments):
        if next(left, None) is None:
            os._exit(9)
        original(*arguments)

    def run():
        setattr(os, call, die_at)
        prepare_polsess(corpus, save)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == 9
    assert "prepared.json" not in names(save)
    for name in names(save) & MANIFESTS:
        json.loads((save / name).read_text())  # whole, if there
    prepare_polsess(corpus, save)
    assert names(save) == FINISHED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": ["val"]}, "splits: .*'val'"),
        ({"splits": []}, "splits: .*none"),
        ({"audit": "quick"}, "audit: .*'quick'"),
        ({"on_fault": "ignore"}, "on_fault: .*'ignore'"),
        ({"jobs": 0}, "jobs: .*0"),
    ],
)
def test_bad_options(corpus, save, options, message):
    with pytest.raises(ValueError, match=message):
        prepare_polsess(corpus, save, **options)


def test_few_rows_are_warned_of(tmp_path, save, caplog):
    corpus = make_corpus(tmp_path / "c", {"val": 50, "test": 49}, num_samples=4)
    prepare_polsess(corpus, save, splits=["valid", "test"])
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "test: only 49 rows; under 50, scores are noisy"
    ]


def main(*arguments):
    spec = importlib.util.spec_from_file_location("prepare_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.main([str(argument) for argument in arguments])


def test_command_line_refuses(corpus, save):
    swapped = swap_stems(corpus)
    lost = lose_file(corpus)
    run = subprocess.run(
        [sys.executable, SCRIPT, corpus, save],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "40"},
    )
    assert run.returncode == 1 and not run.stdout
    assert "Traceback" not in run.stderr
    for split, row, file, _ in (swapped, lost):
        assert f"{split}, line" in run.stderr
        assert row in run.stderr and file in run.stderr
    assert names(save) == set()


def test_command_line_sums_up(tmp_path, save, capsys):
    corpus = make_corpus(tmp_path / "c", num_samples=360_000)  # 45 s
    swap_stems(corpus)
    assert main(corpus, save, "--on_fault", "drop", "--jobs", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    held = "audited are the sum of their stems"
    assert lines == [
        f"train: 3 rows (2 indoor, 1 outdoor); 3 of 3 {held}; 0.04 h at 8000 Hz",
        f"valid: 2 rows (1 indoor, 1 outdoor); 2 of 2 {held}; 0.03 h at 8000 Hz",
        f"test: 2 rows (1 indoor, 1 outdoor); 2 of 2 {held}; 0.03 h at 8000 Hz",
    ]


@pytest.mark.parametrize(
    "wrong", [["--jobs", "0"], ["--audit", "ful"], ["--on", "drop"], ["another"]]
)
def test_wrong_command_lines(corpus, save, wrong, capsys):
    with pytest.raises(SystemExit) as error:
        main(corpus, save, *wrong)
    assert error.value.code == 2 and "usage:" in capsys.readouterr().err
    assert names(save) == set()
