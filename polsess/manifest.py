"""From a checked corpus to the JSON manifests of SpeechBrain's DynamicItemDataset."""

import csv
import io
import json
from pathlib import Path

from speechbrain.utils.logger import get_logger

from polsess.audit import AUDITS, audit_rows, duplicate_faults, rate_faults
from polsess.corpus import FILES, SPLIT_FOLDERS, read_split
from polsess.faults import CorpusError, Fault
from polsess.publish import publish
from polsess.variants import MIX

logger = get_logger(__name__)

FORMAT_VERSION = 1  # of the manifests: a new one prepares every corpus anew
FEW_ROWS = 50
ON_FAULT = ("refuse", "drop")

DROPPED = "dropped.csv"
_MARKER = "prepared.json"  # comes last: without it, nothing here is finished
_OURS = (_MARKER, *(f"{split}.json" for split in SPLIT_FOLDERS), DROPPED)


def prepare_polsess(
    data_folder,
    save_folder,
    splits=("train", "valid", "test"),
    audit="full",
    on_fault="refuse",
    jobs=None,
):
    """Check a PolSESS corpus and write its manifests.

    Nothing is done where ``save_folder`` has the manifests of the same corpus,
    unchanged, made with the same options.

    Arguments
    ---------
    data_folder : str or path
        The corpus: the folder that holds train, val and test.
    save_folder : str or path
        Takes train.json, valid.json and test.json, and dropped.csv with "drop".
        Paths in a manifest start with ``{data_root}``, which stands for
        ``data_folder``; other braces are doubled, as ``str.format`` wants them.
    splits : sequence of str
        Splits to prepare, of train, valid and test.
    audit : str
        "full", "sample" or "none": see ``polsess.audit.audit_rows``.
    on_fault : str
        "refuse" raises if there is any fault; "drop" leaves the faulty rows out
        and lists them in dropped.csv.
    jobs : int, optional
        Number of processes that read audio; by default, one for each core.

    Raises
    ------
    polsess.faults.CorpusError
        Where the corpus has faults, with a report of all of them; with "drop",
        where leaving rows out does not help.
    ValueError
        If an option is not one of those above.

    Example
    -------
    >>> prepare_polsess("PolSESS", "save", splits=["dev"])
    Traceback (most recent call last):
    ...
    ValueError: splits: expected some of train, valid, test, found 'dev'
    """
    _check_options(splits, audit, on_fault, jobs)
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    corpus = data_folder.resolve().name
    contents = {split: read_split(data_folder, split) for split in splits}
    marker = {
        "options": [FORMAT_VERSION, corpus, audit, on_fault],
        "stamps": {split: contents[split].stamp for split in splits},
    }
    if _is_prepared(save_folder, marker):
        logger.info("%s is unchanged: its manifests are kept", data_folder)
        return

    rows = [row for content in contents.values() for row in content.rows]
    audits = audit_rows(data_folder, rows, audit, jobs)
    faults = [fault for content in contents.values() for fault in content.faults]
    faults += [fault for row_audit in audits for fault in row_audit.faults]
    faults += rate_faults(rows, audits) + duplicate_faults(rows, audits)
    manifests = _manifests(splits, rows, audits, faults, corpus)
    if on_fault == "drop":
        faults += _emptied(manifests, faults)
    if faults and (on_fault == "refuse" or any(f.line is None for f in faults)):
        raise CorpusError(data_folder, faults)

    for split, manifest in manifests.items():
        num_dropped = len({f.line for f in faults if f.split == split})
        if num_dropped:
            texts = num_dropped, num_dropped + len(manifest), DROPPED
            logger.warning("%s: %d of %d rows left out, see %s", split, *texts)
        if len(manifest) < FEW_ROWS:
            texts = split, len(manifest), FEW_ROWS
            logger.warning("%s: only %d rows; under %d, scores are noisy", *texts)
    files = {f"{split}.json": _json(rows) for split, rows in manifests.items()}
    if on_fault == "drop":
        files[DROPPED] = _csv(faults)
    publish(save_folder, files | {_MARKER: [json.dumps(marker)]}, replaced=_OURS)


def _check_options(splits, audit, on_fault, jobs):
    unknown = [split for split in splits if split not in SPLIT_FOLDERS]
    if unknown or not splits:
        found = ", ".join(map(repr, unknown)) or "none"
        expected = ", ".join(SPLIT_FOLDERS)
        raise ValueError(f"splits: expected some of {expected}, found {found}")
    for name, value, allowed in (
        ("audit", audit, AUDITS),
        ("on_fault", on_fault, ON_FAULT),
    ):
        if value not in allowed:
            expected = ", ".join(allowed)
            raise ValueError(f"{name}: expected one of {expected}, found {value!r}")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs: expected 1 or more, found {jobs}")


def _is_prepared(save_folder, marker):
    """Whether the folder has finished manifests of these splits of this corpus."""
    try:
        found = json.loads((save_folder / _MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return found.get("options") == marker["options"] and all(
        found["stamps"].get(split) == stamp and (save_folder / f"{split}.json").exists()
        for split, stamp in marker["stamps"].items()
    )


def _manifests(splits, rows, audits, faults, corpus):
    """Rows without a fault, by split and id."""
    faulty = {(fault.split, fault.line) for fault in faults}
    manifests = {split: {} for split in splits}
    for row, audit in zip(rows, audits, strict=True):
        if (row.split, row.line) not in faulty:
            manifests[row.split][row.id] = _manifest_row(row, audit, corpus)
    return manifests


def _manifest_row(row, audit, corpus):
    files = dict.fromkeys(FILES)
    for stem in row.files:
        files[stem] = "{data_root}/" + _escape(row.path(stem))
    return files | {
        "indoor": row.indoor,
        "sample_rate": audit.sample_rates.get(MIX),
        "num_samples": audit.num_samples,
        "residual_db": audit.residual_db,
        "corpus": _escape(corpus),
        "ssr_db": row.ssr_db,
        "scene_offset_db": row.scene_offset_db,
        "scene_class": _escape(row.scene_class),
        "event_class": _escape(row.event_class),
    }


def _escape(text):
    """Keep braces as they are through SpeechBrain's replacement of {data_root}."""
    return text.replace("{", "{{").replace("}", "}}")


def _emptied(manifests, faults):
    """A fault for each split of which faulty rows leave nothing."""
    said = {fault.split for fault in faults if fault.line is None}
    texts = "a row without a fault", "none", "restore the split"
    return [
        Fault(split, "", "", *texts)
        for split, manifest in manifests.items()
        if not manifest and split not in said
    ]


def _json(rows):
    """A manifest's text, one row a line so that it can be searched and compared."""
    for index, (row_id, row) in enumerate(rows.items()):
        yield ",\n" if index else "{\n"
        yield f"{json.dumps(row_id)}: {json.dumps(row)}"
    yield "\n}\n"


def _csv(faults):
    """The text of dropped.csv: one fault a line."""
    stream = io.StringIO(newline="")
    columns = ("split", "row", "file", "expected", "found", "remedy")
    writer = csv.writer(stream)
    writer.writerow(columns)
    writer.writerows([getattr(fault, name) for name in columns] for fault in faults)
    # A name that is not UTF-8 is shown with escapes.
    yield stream.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")
