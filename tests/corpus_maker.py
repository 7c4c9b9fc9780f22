"""Tiny corpora in the published format, for tests to use, break and count on."""

import csv

import numpy as np
import soundfile as sf

from polsess.corpus import COLUMNS, FILES, LATER_COLUMNS
from polsess.variants import DRY_STEMS, MIX, REVERB_STEMS, all_stems

LSB = 2.0**-15
STEMS = (*DRY_STEMS, *REVERB_STEMS)


def constant_lsb(stem, number):
    """Level of a stem with ``stems="constants"``, in steps of 16-bit PCM.

    Stem k of STEMS has 2**k times the row's number, which counts from 1 over the whole
    corpus: any sum, divided by the number, tells by its bits what it is made of.
    """
    return 2 ** STEMS.index(stem) * number


def make_corpus(
    folder,
    rows=None,
    sample_rate=8000,
    num_samples=1600,
    stems="noise",
    indoor=lambda number: number % 2 == 1,
    beside=False,
    later_columns=True,
    seed=0,
):
    """Write a corpus of 16-bit wavs and return its folder.

    Arguments
    ---------
    folder : pathlib.Path
        Made here; its name is not the name in the CSV's.
    rows : dict
        Number of rows by folder (train, val, test); by default 4, 2, 2.
    sample_rate : int
        In Hz.
    num_samples : int
        Length of each wav.
    stems : str
        "noise", seeded, or "constants": see ``constant_lsb``.
    indoor : callable
        Whether a row has reverbs, from its number (1, 2, ... over the corpus); by
        default rows take turns.
    beside : bool
        Put the CSVs beside the split's folders.
    later_columns : bool
        Whether the CSV has the columns that older corpora lack.
    seed : int
        Of the noise.
    """
    rng = np.random.default_rng(seed)
    number = 0
    for split, count in (rows or {"train": 4, "val": 2, "test": 2}).items():
        for subfolder, _ in FILES.values():
            (folder / split / subfolder).mkdir(parents=True, exist_ok=True)
        table = []
        for _ in range(count):
            number += 1
            cells = published_row(split, number, indoor(number))
            signals = {}
            for stem in all_stems(indoor(number)):
                if stems == "constants":
                    signal = np.full(num_samples, constant_lsb(stem, number))
                else:
                    signal = rng.integers(-1000, 1000, num_samples)
                signals[stem] = signal
            for stem, signal in (signals | {MIX: sum(signals.values())}).items():
                write_stem(folder, split, cells, stem, signal, sample_rate)
            table.append(cells)
        columns = [c for c in COLUMNS if later_columns or c not in LATER_COLUMNS]
        parent = folder if beside else folder / split
        write_csv(parent / f"corpus_Other_{split}_final.csv", table, columns)
    return folder


def published_row(split, number, indoor):
    """The CSV's cells of a row, as MATLAB writes them."""
    ids = [f"{letter}{number:015d}" for letter in "abcde"[: 5 if indoor else 4]]
    row = dict.fromkeys(COLUMNS, "NaN") | {
        "subset": split,
        "speech1OryginalPath": r"C:\datasety\mls_polish\Zażółć, sesja 1\x.wav",
        "speech2OryginalPath": r"C:\datasety\clarin_emu\y.wav",
        "sceneOryginalPath": r"C:\datasety\TUT\audio\z.wav",
        "eventOryginalPath": r"C:\datasety\ESC-50\audio\e.wav",
        "SSR": "2",
        "sceneOffsetDB": "-7.5",
        "speaker1File": f"{ids[0]}.wav",
        "speaker2File": f"{ids[1]}.wav",
        "sceneFile": f"{ids[2]}.wav",
        "eventFile": f"{ids[3]}.wav",
        "mixFile": f"{'-'.join(ids)}.wav",
        "reverbForSpeaker1": "",
        "reverbForSpeaker2": "",
        "reverbForEvent": "",
        "sceneClass": "home" if indoor else "park",
        "eventClass": "Door",
    }
    if indoor:
        row["reverbForSpeaker1"] = f"sp1_{ids[4]}.wav"
        row["reverbForSpeaker2"] = f"sp2_{ids[4]}.wav"
        row["reverbForEvent"] = f"ev_{ids[4]}.wav"
    return row


def stem_path(folder, split, cells, stem):
    """Where a row's stem, or its mixture, lies."""
    subfolder, column = FILES[stem]
    return folder / split / subfolder / cells[column]


def write_stem(folder, split, cells, stem, lsb, sample_rate=8000):
    """Write a stem from samples [time] or [time, channel] in steps of 16-bit PCM."""
    path = stem_path(folder, split, cells, stem)
    sf.write(path, np.asarray(lsb, dtype=np.int16), sample_rate, subtype="PCM_16")


def read_csv(path):
    """The rows of a CSV, as dicts of their cells."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def write_csv(path, table, columns=COLUMNS, encoding="utf-8"):
    """Write rows with MATLAB's line ends."""
    with open(path, "w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)


def csv_path(folder, split):
    """The CSV that ``make_corpus`` wrote into a split's folder."""
    return folder / split / f"corpus_Other_{split}_final.csv"
