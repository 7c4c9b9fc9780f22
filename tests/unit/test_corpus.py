"""Reading the published CSV, with all that real ones hold."""

import codecs

import pytest
from corpus_maker import csv_path, make_corpus, published_row, read_csv, write_csv

from polsess.corpus import COLUMNS, LATER_COLUMNS, find_csvs, read_split


def read_one(folder, **cells):
    """Read a train split whose first row has these cells; gives that row and faults."""
    path = csv_path(folder, "train")
    table = read_csv(path)
    table[0].update(cells)
    write_csv(path, table)
    split = read_split(folder, "train")
    return split.rows[0], split.faults


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus", {"train": 2})


def test_rows_are_read(corpus):
    rows, faults, _ = read_split(corpus, "train")
    assert not faults
    indoor, outdoor = rows
    ids = [f"{letter}000000000000001" for letter in "abcde"]
    assert indoor.id == "-".join(ids)
    assert (indoor.indoor, outdoor.indoor) == (True, False)
    assert (indoor.line, outdoor.line) == (2, 3)
    assert (indoor.ssr_db, indoor.scene_offset_db) == (2.0, -7.5)
    assert (indoor.scene_class, indoor.event_class) == ("home", "Door")
    assert [indoor.path(stem) for stem in indoor.stems] == [
        f"train/mix/{indoor.id}.wav",
        f"train/clean/{ids[0]}.wav",
        f"train/clean/{ids[1]}.wav",
        f"train/scene/{ids[2]}.wav",
        f"train/event/{ids[3]}.wav",
        f"train/sp1_reverb/sp1_{ids[4]}.wav",
        f"train/sp2_reverb/sp2_{ids[4]}.wav",
        f"train/ev_reverb/ev_{ids[4]}.wav",
    ]
    assert list(outdoor.files) == ["mix", "sp1", "sp2", "scene", "event"]


@pytest.mark.parametrize("missing", ["", " ", "<missing>", "NaN", "<undefined>"])
def test_missing_cells(corpus, missing):
    reverbs = ("reverbForSpeaker1", "reverbForSpeaker2", "reverbForEvent")
    cells = dict.fromkeys((*reverbs, "SSR", "sceneOffsetDB", "sceneClass"), missing)
    row, faults = read_one(corpus, **cells)
    assert not row.indoor and row.complete
    assert (row.ssr_db, row.scene_offset_db, row.scene_class) == (None, None, "")
    assert not faults


@pytest.mark.parametrize("start", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("code_page", ["utf-8", "cp1250"])
def test_encodings(corpus, start, line_end, code_page):
    path = csv_path(corpus, "train")
    write_csv(path, read_csv(path), encoding=code_page)
    path.write_bytes(start + path.read_bytes().replace(b"\r\n", line_end))
    rows, faults, _ = read_split(corpus, "train")
    assert len(rows) == 2 and not faults


def test_older_columns_extra_columns_and_any_order(corpus):
    path = csv_path(corpus, "train")
    columns = [column for column in COLUMNS if column not in LATER_COLUMNS]
    table = [row | {"more": "x"} for row in read_csv(path)]
    write_csv(path, table, [*columns[::-1], "more"])
    rows, faults, _ = read_split(corpus, "train")
    assert not faults
    assert [row.scene_offset_db for row in rows] == [None, None]


def test_blank_lines_are_no_rows(corpus):
    path = csv_path(corpus, "train")
    path.write_bytes(path.read_bytes() + b"\r\n\r\n")
    assert len(read_split(corpus, "train").rows) == 2


def test_outdoor_corpus_without_reverb_folders(tmp_path):
    folder = make_corpus(tmp_path / "out", {"train": 2}, indoor=lambda number: False)
    for name in ("sp1_reverb", "sp2_reverb", "ev_reverb"):
        (folder / "train" / name).rmdir()
    assert not read_split(folder, "train").faults


def test_csv_beside_the_folder(tmp_path):
    folder = make_corpus(tmp_path / "a [b]", {"train": 1, "val": 1}, beside=True)
    assert [p.name for p in find_csvs(folder, "valid")] == [
        "corpus_Other_val_final.csv"
    ]
    assert len(read_split(folder, "valid").rows) == 1


def test_several_csvs_are_listed(corpus):
    (corpus / "corpus_X_train_final.csv").touch()
    (fault,) = read_split(corpus, "train").faults
    assert "train/corpus_Other_train_final.csv, corpus_X_train_final.csv" in fault.found


def test_no_csv(corpus):
    csv_path(corpus, "train").unlink()
    (fault,) = read_split(corpus, "train").faults
    assert fault.found == "none" and "corpus_*_train_final.csv" in fault.expected


def test_no_folder(corpus):
    (fault,) = read_split(corpus, "test").faults
    assert (fault.file, fault.found) == ("test", "none")


def test_missing_columns_are_all_named(corpus):
    path = csv_path(corpus, "train")
    columns = [c for c in COLUMNS if c not in ("SSR", "mixFile", "sceneRandomDB")]
    write_csv(path, read_csv(path), columns)
    (fault,) = read_split(corpus, "train").faults
    assert fault.found == "no SSR, mixFile" and fault.line is None


def test_no_rows(corpus):
    write_csv(csv_path(corpus, "train"), [])
    (fault,) = read_split(corpus, "train").faults
    assert "one row" in fault.expected


def test_cut_off_csv(corpus):
    path = csv_path(corpus, "train")
    path.write_bytes(path.read_bytes()[:-100])
    (fault,) = read_split(corpus, "train").faults
    assert fault.row == "line 3" and fault.expected.startswith("34 cells")


def test_unreadable_csv(corpus):
    with open(csv_path(corpus, "train"), "a") as stream:
        stream.write('"' + "x" * 200_000)
    (fault,) = read_split(corpus, "train").faults
    assert "field larger than field limit" in fault.found and fault.line is None


@pytest.mark.parametrize(
    "name",
    [
        "../x.wav",
        "..",
        "/etc/x.wav",
        r"..\x.wav",
        r"C:\x.wav",
        "C:x.wav",
        "sub/x.wav",
        "x.flac",
        "a\nb.wav",
    ],
)
@pytest.mark.parametrize("column", ["mixFile", "eventFile", "reverbForSpeaker2"])
def test_names_that_leave_the_folder(corpus, name, column):
    row, (fault,) = read_one(corpus, **{column: name})
    assert column in fault.expected and not row.complete
    assert fault.file == (name if name.isprintable() else "'a\\nb.wav'")


@pytest.mark.parametrize(
    "column", ["reverbForSpeaker1", "reverbForSpeaker2", "reverbForEvent"]
)
def test_indoor_row_lacking_a_reverb(corpus, column):
    row, (fault,) = read_one(corpus, **{column: "<missing>"})
    assert not row.complete
    assert fault.found == f"a blank {column}" and "all three" in fault.expected
    assert (fault.row, fault.line) == (row.id, 2)


def test_blank_names(corpus):
    row, faults = read_one(corpus, mixFile="", speaker1File="NaN")
    assert [f.found for f in faults] == ["a blank mixFile", "a blank speaker1File"]
    assert {fault.row for fault in faults} == {"line 2"}
    assert row.id == ""


def test_missing_file(corpus):
    cells = published_row("train", 1, indoor=True)
    (corpus / "train/ev_reverb" / cells["reverbForEvent"]).unlink()
    (fault,) = read_split(corpus, "train").faults
    assert fault.file == f"train/ev_reverb/{cells['reverbForEvent']}"


@pytest.mark.parametrize("cell", ["loud", "2,5", "inf"])
def test_bad_numbers(corpus, cell):
    row, (fault,) = read_one(corpus, SSR=cell)
    assert "SSR" in fault.expected and fault.found == repr(cell)
    assert row.ssr_db is None


def test_stamp_follows_csv_and_files(corpus):
    path = csv_path(corpus, "train")
    stamps = [read_split(corpus, "train").stamp]
    assert read_split(corpus, "train").stamp == stamps[0]
    path.write_bytes(path.read_bytes().replace(b"Door", b"Bell"))
    stamps.append(read_split(corpus, "train").stamp)
    wav = next((corpus / "train/scene").iterdir())
    content = wav.read_bytes()
    wav.unlink()
    stamps.append(read_split(corpus, "train").stamp)
    wav.write_bytes(content + b"\0")
    stamps.append(read_split(corpus, "train").stamp)
    assert len(set(stamps)) == 4
    (corpus / "train/scene/unused.wav").touch()
    assert read_split(corpus, "train").stamp == stamps[-1]
