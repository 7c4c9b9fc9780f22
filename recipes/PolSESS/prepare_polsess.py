"""Check a PolSESS corpus and write the manifests that train.py reads.

    python prepare_polsess.py DATA_FOLDER SAVE_FOLDER

Exits with 1, and with every fault on the terminal, when the corpus is refused.
"""

import argparse
import json
import sys
from pathlib import Path

from polsess.audit import AUDITS
from polsess.faults import CorpusError
from polsess.manifest import DROPPED, ON_FAULT, prepare_polsess
from polsess.variants import SUM_HOLDS_DB


def main(argv=None):
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Check a PolSESS corpus and write its manifests.",
        allow_abbrev=False,
    )
    parser.add_argument("data_folder", help="folder that holds train, val and test")
    parser.add_argument("save_folder", help="folder that takes the manifests")
    parser.add_argument(
        "--audit",
        choices=AUDITS,
        default="full",
        help="full: read every file (default); sample: every header, and some rows; "
        "none: the CSVs, and whether the files are there",
    )
    parser.add_argument(
        "--jobs", type=int, help="processes that read audio (default: one a core)"
    )
    parser.add_argument(
        "--on_fault",
        choices=ON_FAULT,
        default="refuse",
        help=f"refuse the corpus (default), or drop faulty rows, listed in {DROPPED}",
    )
    options = parser.parse_args(argv)
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"argument --jobs: expected 1 or more, found {options.jobs}")
    try:
        prepare_polsess(**vars(options))
    except (CorpusError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for split in ("train", "valid", "test"):
        print(_summary(split, Path(options.save_folder) / f"{split}.json"))
    return 0


def _summary(split, path):
    rows = list(json.loads(path.read_text(encoding="utf-8")).values())
    indoor = sum(row["indoor"] for row in rows)
    parts = [f"{len(rows)} rows ({indoor} indoor, {len(rows) - indoor} outdoor)"]
    residuals = [r["residual_db"] for r in rows if r["residual_db"] is not None]
    if residuals:
        held = sum(residual <= SUM_HOLDS_DB for residual in residuals)
        parts.append(f"{held} of {len(residuals)} audited are the sum of their stems")
    if all(row["num_samples"] for row in rows):
        hours = sum(row["num_samples"] / row["sample_rate"] for row in rows) / 3600
        parts.append(f"{hours:.2f} h at {rows[0]['sample_rate']} Hz")
    return f"{split}: {'; '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
