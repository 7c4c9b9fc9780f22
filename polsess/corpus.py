"""The published PolSESS corpus: the only module that knows its CSV and folders."""

import csv
import hashlib
import math
import os
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from polsess.faults import Fault
from polsess.variants import MIX, REVERB_STEMS, all_stems

# As MATLAB's writetable puts them, the spelling "Oryginal" included.
COLUMNS = [
    "subset",
    "speech1OryginalPath",
    "speech1Start",
    "speech1End",
    "speech2OryginalPath",
    "speech2Start",
    "speech2End",
    "SSR",
    "sceneOryginalPath",
    "sceneStart",
    "sceneEnd",
    "sceneRandomDB",
    "sceneOffsetDB",
    "sceneVolumeGain",
    "eventOryginalPath",
    "eventStart",
    "eventEnd",
    "speaker1File",
    "speaker2File",
    "eventFile",
    "sceneFile",
    "reverbForSpeaker1",
    "reverbForSpeaker2",
    "reverbForEvent",
    "mixFile",
    "sceneClass",
    "eventClass",
    "preDelayForEvent",
    "preDelay1",
    "preDelay2",
    "highCut",
    "diffusion",
    "decay",
    "freqDamp",
]

# Corpora generated before the scene's level was recorded lack these.
LATER_COLUMNS = {"sceneRandomDB", "sceneOffsetDB", "sceneVolumeGain"}

SPLIT_FOLDERS = {"train": "train", "valid": "val", "test": "test"}

# Folder and column of the mixture and of each stem.
FILES = {
    MIX: ("mix", "mixFile"),
    "sp1": ("clean", "speaker1File"),
    "sp2": ("clean", "speaker2File"),
    "scene": ("scene", "sceneFile"),
    "event": ("event", "eventFile"),
    "sp1_reverb": ("sp1_reverb", "reverbForSpeaker1"),
    "sp2_reverb": ("sp2_reverb", "reverbForSpeaker2"),
    "ev_reverb": ("ev_reverb", "reverbForEvent"),
}

_MISSING = {"", "<missing>", "<undefined>", "nan"}  # in lower case
# No separator and no drive: the name stays in its folder. No control character
# either: the name stays on its line of a report.
_PLAIN_NAME = re.compile(r"[^/\\:\x00-\x1f\x7f]+\.wav", re.IGNORECASE)


@dataclass(slots=True)
class Row:
    """One row of a corpus, in this library's words.

    Arguments
    ---------
    split : str
        train, valid or test.
    line : int
        Line of the CSV on which the row ends.
    id : str
        The mixture's file name without its ending.
    indoor : bool
        Whether the row has reverbs.
    files : dict
        File name by stem, of those files that are there.
    ssr_db, scene_offset_db : float or None
        Speech-to-speech ratio; level of the scene against the speech, in dB.
    scene_class, event_class : str
        As published; empty where the CSV has none.
    """

    split: str
    line: int
    id: str = ""
    indoor: bool = False
    files: dict = field(default_factory=dict)
    ssr_db: float | None = None
    scene_offset_db: float | None = None
    scene_class: str = ""
    event_class: str = ""

    @property
    def stems(self):
        """What the row must have files of: the mixture and its stems."""
        return (MIX, *all_stems(self.indoor))

    @property
    def complete(self):
        """Whether every file of the row is there."""
        return len(self.files) == len(self.stems)

    def path(self, stem):
        """Path of a stem's file within the data folder, with forward slashes.

        Example
        -------
        >>> Row("valid", 2, files={"sp2": "x.wav"}).path("sp2")
        'val/clean/x.wav'
        """
        return f"{SPLIT_FOLDERS[self.split]}/{FILES[stem][0]}/{self.files[stem]}"

    def fault(self, file, expected, found, remedy):
        """A fault of this row."""
        row = self.id or f"line {self.line}"
        return Fault(self.split, row, file, expected, found, remedy, self.line)


class Split(NamedTuple):
    """A split as read: its rows, its faults, and a stamp of CSV and files."""

    rows: list
    faults: list
    stamp: str


def find_csvs(data_folder, split):
    """Every file that may be a split's CSV: in the split's folder or beside it.

    Arguments
    ---------
    data_folder : pathlib.Path
        The corpus.
    split : str
        train, valid or test.

    Returns
    -------
    list of pathlib.Path
    """
    folders = (data_folder / SPLIT_FOLDERS[split], data_folder)
    found = [path for f in folders for path in sorted(f.glob(_csv_pattern(split)))]
    return [path for path in found if path.is_file()]


def read_split(data_folder, split):
    """Read a split's CSV and look for the files that it names.

    Arguments
    ---------
    data_folder : pathlib.Path
        The corpus.
    split : str
        train, valid or test.

    Returns
    -------
    Split
        The rows, also faulty ones; the faults; and a hash that changes with the
        CSV and with the size or time of any file that it names.
    """
    folder = data_folder / SPLIT_FOLDERS[split]

    def refuse(file, *texts):
        return Split([], [Fault(split, "", file, *texts)], "")

    if not folder.is_dir():
        remedy = "name the folder that holds the folders train, val and test"
        return refuse(folder.name, "a folder of the split", "none", remedy)
    csvs = [path.relative_to(data_folder) for path in find_csvs(data_folder, split)]
    if len(csvs) != 1:
        expected = f"one {_csv_pattern(split)} in {folder.name}/ or beside it"
        found = ", ".join(path.as_posix() for path in csvs) or "none"
        return refuse("", expected, found, "leave the one that describes the files")

    file = csvs[0].as_posix()
    # Older MATLAB writes the code page of its machine. That matters in the original
    # paths only, which nobody reads; in a file's name the bytes stay as they are.
    with open(
        data_folder / file, newline="", encoding="utf-8-sig", errors="surrogateescape"
    ) as stream:
        reader = csv.reader(stream)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [c for c in COLUMNS if c not in {*header, *LATER_COLUMNS}]
            if missing:
                found = f"no {', '.join(missing)}"
                expected = "the published columns, separated by commas"
                return refuse(file, expected, found, "restore the CSV's first line")
            contents = _read_rows(reader, header, split, _list_files(folder))
        except csv.Error as error:
            found = f"{error} in line {reader.line_num}"
            return refuse(file, "a CSV that can be read", found, "restore the CSV")
    if not contents.rows and not contents.faults:
        return refuse(file, "at least one row", "none", "restore the CSV")
    return contents


def _csv_pattern(split):
    return f"corpus_*_{SPLIT_FOLDERS[split]}_final.csv"


def _list_files(folder):
    """Size and time of every file, by folder and name: far faster than asking of each.

    A folder that is not there has no files: outdoor corpora may lack the reverbs'.
    """
    listings = {}
    for name in {name for name, _ in FILES.values()}:
        listings[name] = {}
        if (folder / name).is_dir():
            with os.scandir(folder / name) as entries:
                for entry in entries:
                    if entry.is_file():
                        stat = entry.stat()
                        listings[name][entry.name] = (stat.st_size, stat.st_mtime_ns)
    return listings


def _read_rows(reader, header, split, listings):
    contents = Split([], [], "")
    stamp = hashlib.sha256(repr(header).encode("utf-8", "surrogateescape"))
    for cells in reader:
        if not cells:
            continue  # a blank line
        row = Row(split, reader.line_num)
        if len(cells) == len(header):
            contents.rows.append(row)
            faults = _fill(row, dict(zip(header, cells, strict=True)), listings)
        else:
            expected = f"{len(header)} cells, as in the CSV's first line"
            found = f"{len(cells)} cells"
            faults = [row.fault("", expected, found, "restore the CSV")]
        contents.faults.extend(faults)
        found_files = [
            listings[FILES[stem][0]][name] for stem, name in row.files.items()
        ]
        stamp.update(repr((cells, found_files)).encode("utf-8", "surrogateescape"))
    return contents._replace(stamp=stamp.hexdigest())


def _fill(row, cells, listings):
    """Fill a row from its cells, and give its faults."""
    cells = {column: _text(cell) for column, cell in cells.items()}
    row.indoor = any(cells[FILES[stem][1]] for stem in REVERB_STEMS)
    row.scene_class = cells["sceneClass"]
    row.event_class = cells["eventClass"]
    if _PLAIN_NAME.fullmatch(cells["mixFile"]):
        row.id = cells["mixFile"][: -len(".wav")]

    faults = []
    for stem in row.stems:
        folder, column = FILES[stem]
        name = cells[column]
        path = f"{SPLIT_FOLDERS[row.split]}/{folder}/{name}"
        if not name:
            expected = "a file's name"
            if stem in REVERB_STEMS:
                expected = "all three reverbs indoors, none outdoors"
            found = f"a blank {column}"
            faults.append(row.fault("", expected, found, "mend the CSV's row"))
        elif not _PLAIN_NAME.fullmatch(name):
            expected = f"a plain name of a wav file in column {column}"
            found = "a name that may leave its folder, or is no wav's"
            shown = name if name.isprintable() else ascii(name)
            faults.append(row.fault(shown, expected, found, "mend the CSV's row"))
        elif name not in listings[folder]:
            remedy = "restore the file from the published corpus"
            faults.append(row.fault(path, "a file", "none", remedy))
        else:
            row.files[stem] = name
    for attribute, column in (("ssr_db", "SSR"), ("scene_offset_db", "sceneOffsetDB")):
        try:
            setattr(row, attribute, _number(cells.get(column, "")))
        except ValueError:
            found, remedy = repr(cells[column]), "mend the CSV's row"
            expected = f"a number of dB, or NaN, in column {column}"
            faults.append(row.fault("", expected, found, remedy))
    return faults


def _text(cell):
    cell = cell.strip()
    return "" if cell.lower() in _MISSING else cell


def _number(text):
    """The number in a cell, or None for a missing one."""
    if not text:
        return None
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not finite: {text}")
    return number
