"""Checks of a corpus's audio, row by row and across rows."""

import functools
import hashlib
import os
import struct
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
import soundfile as sf
from tqdm import tqdm

from polsess.residual import explain_residual
from polsess.variants import MIX, SUM_HOLDS_DB

AUDITS = ("full", "sample", "none")
SAMPLE_ROWS = 200  # rows whose samples the audit "sample" reads
_RESTORE = "restore the file from the published corpus"
_POOL_ROWS = 64  # fewer rows are not worth starting processes for


class RowAudit(NamedTuple):
    """What the audit of one row found; None is unknown."""

    faults: list
    sample_rates: dict  # stem: Hz
    num_samples: int | None = None
    residual_db: float | None = None
    mix_digest: bytes | None = None


def audit_rows(data_folder, rows, audit="full", jobs=None):
    """Check the audio of rows, in parallel.

    Arguments
    ---------
    data_folder : pathlib.Path
        The corpus.
    rows : list of polsess.corpus.Row
        Rows to check; of an incomplete one, the files that are there.
    audit : str
        "none": nothing. "sample": headers, and the samples of ``SAMPLE_ROWS`` rows
        spread evenly. "full": headers and samples of all.
    jobs : int, optional
        Number of processes; by default, one for each core.

    Returns
    -------
    list of RowAudit
        One for each row, in their order.
    """
    if audit == "none":
        return [RowAudit([], {})] * len(rows)
    picked = range(len(rows))
    if audit == "sample":
        picked = {i * len(rows) // SAMPLE_ROWS for i in range(SAMPLE_ROWS)}
    deep = [index in picked for index in range(len(rows))]
    work = functools.partial(_audit_row, data_folder)
    progress = functools.partial(
        tqdm, total=len(rows), unit="row", desc="Audit", disable=not rows
    )
    jobs = jobs or num_cores()
    if jobs == 1 or len(rows) < _POOL_ROWS:
        return list(progress(map(work, rows, deep)))
    with ProcessPoolExecutor(jobs) as pool:
        return list(progress(pool.map(work, rows, deep, chunksize=16)))


def num_cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: also true within a container
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def rate_faults(rows, audits):
    """Faults of files whose sample rate is not that of most of the corpus."""
    rates = Counter(rate for a in audits for rate in a.sample_rates.values())
    if len(rates) < 2:
        return []
    expected = rates.most_common(1)[0][0]
    remedy = "resample the file, or prepare corpora of different rates apart"
    return [
        row.fault(
            row.path(stem), f"{expected} Hz, as in most files", f"{rate} Hz", remedy
        )
        for row, audit in zip(rows, audits, strict=True)
        for stem, rate in audit.sample_rates.items()
        if rate != expected
    ]


def duplicate_faults(rows, audits):
    """Faults of rows that repeat another: its id, its stems' files, or its mixture.

    Of rows in two splits, the one in the test split is kept, then the one in valid.
    """
    found = []
    seen = {}
    order = sorted(
        zip(rows, audits, strict=True),
        key=lambda pair: ("test", "valid", "train").index(pair[0].split),
    )
    for row, audit in order:
        keys = {}
        if row.id:
            keys["a mixture's name"] = row.id
        if row.complete:
            keys["stems"] = tuple(row.files[s] for s in row.stems if s != MIX)
        if audit.mix_digest:
            keys["a mixture's audio"] = audit.mix_digest
        firsts = {what: seen.setdefault((what, key), row) for what, key in keys.items()}
        for what, first in firsts.items():
            if first is not row:
                where = f"{what} of {first.split}, line {first.line}, row {first.id}"
                expected = "no row twice, in one split or in two"
                remedy = "remove the row from the CSV"
                file = row.path(MIX) if MIX in row.files else ""
                found.append(row.fault(file, expected, where, remedy))
                break
    return found


def _audit_row(data_folder, row, deep):
    """Check one row's files; with ``deep``, their samples too."""
    faults, headers, signals = [], {}, {}
    for stem in row.files:
        path = row.path(stem)
        try:
            headers[stem], signals[stem] = _read_wav(data_folder / path, deep)
        except (OSError, sf.LibsndfileError, ValueError) as error:
            expected = "a whole wav file that can be read"
            faults.append(row.fault(path, expected, str(error), _RESTORE))
    lengths = Counter(header.num_samples for header in headers.values())
    num_samples = lengths.most_common(1)[0][0] if lengths else None
    for stem, header in headers.items():
        path = row.path(stem)
        if header.num_channels != 1:
            found = f"{header.num_channels} channels"
            remedy = "restore the file, or keep one channel of it"
            faults.append(row.fault(path, "one channel", found, remedy))
        if header.num_samples != num_samples or not header.num_samples:
            expected = "files of one length in a row, and not empty"
            found = f"{header.num_samples} samples where others have {num_samples}"
            faults.append(row.fault(path, expected, found, _RESTORE))
        if deep and not np.isfinite(signals[stem]).all():
            bad = np.count_nonzero(~np.isfinite(signals[stem]))
            found = f"{bad} samples that are NaN or infinite"
            faults.append(row.fault(path, "finite samples", found, _RESTORE))

    rates = {stem: header.sample_rate for stem, header in headers.items()}
    if not deep or faults or not row.complete:
        return RowAudit(faults, rates, num_samples)
    digest = hashlib.blake2b(signals[MIX].tobytes(), digest_size=16).digest()
    residual_db, found = explain_residual(signals)
    if found:
        expected = f"a mixture within {SUM_HOLDS_DB:.1f} dB of the sum of its stems, "
        expected += "except where the generator's limiter acted"
        remedy = "restore the row's files: the stems are not the mixture's own"
        faults = [row.fault(row.path(MIX), expected, found, remedy)]
    return RowAudit(faults, rates, num_samples, residual_db, digest)


class _Header(NamedTuple):
    sample_rate: int
    num_channels: int
    num_samples: int


def _read_wav(path, deep):
    """Header of a wav, and its samples [time] or [time, channel] with ``deep``.

    Raises
    ------
    ValueError
        If the file is no wav, or has fewer bytes than its header announces, which
        libsndfile reads as a shorter signal without a word.
    """
    announced, stored = _data_bytes(path)
    if stored < announced:
        raise ValueError(f"{stored} of the {announced} bytes that its header announces")
    with sf.SoundFile(path) as wav:
        header = _Header(wav.samplerate, wav.channels, wav.frames)
        return header, wav.read(dtype="float32") if deep else None


def _data_bytes(path):
    """Bytes of audio that a wav's header announces, and those that are there."""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size < 12 or stream.read(4) != b"RIFF":
            raise ValueError(f"no wav header in {size} bytes")
        stream.seek(12)
        while len(chunk := stream.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            if name == b"data":
                return length, size - stream.tell()
            stream.seek(length + length % 2, os.SEEK_CUR)  # chunks are padded
    raise ValueError(f"no audio in {size} bytes")
