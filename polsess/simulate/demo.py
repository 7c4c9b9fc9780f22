"""The demo corpus: PolSESS's format, made here from nothing, without a download."""

import csv
import importlib.util
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from speechbrain.utils.logger import get_logger
from tqdm import tqdm

from polsess.audit import num_cores
from polsess.corpus import COLUMNS, FILES, SPLIT_FOLDERS

logger = get_logger(__name__)

_EXTRA = ("espeakng_loader", "pyroomacoustics", "scipy", "soxr")
_NUM_ROWS = {"train": 400, "valid": 50, "test": 50}


def make_demo_corpus(folder, num_rows=_NUM_ROWS, seed=42, jobs=None):
    """Make the demo corpus, once: a folder that holds a corpus is left as it is.

    Synthetic Polish speech, scenes, events and rooms, 4 s at 8 kHz, with the
    published levels; half of the rows indoors, half outdoors. No two splits share a
    voice, a part of a sentence or a room. The same seed gives the same bytes. The
    corpus appears whole or not at all.

    Arguments
    ---------
    folder : str or pathlib.Path
        Where the corpus is to be: missing, empty, or a corpus.
    num_rows : dict
        Number of rows by split: train, valid, test.
    seed : int
        Of everything that is drawn.
    jobs : int or None
        Number of processes; None: one for each core.

    Raises
    ------
    ImportError
        If the libraries of the extra ``demo`` are missing.
    ValueError
        If ``folder`` holds something else, or ``num_rows`` lacks a split.
    """
    folder = Path(folder).absolute()
    if all((folder / name).is_dir() for name in SPLIT_FOLDERS.values()):
        logger.info(f"Demo corpus: {folder} holds a corpus, none is made")
        return
    if set(num_rows) != set(SPLIT_FOLDERS) or min(num_rows.values()) < 1:
        raise ValueError(
            f"num_rows: expected a positive number for each of "
            f"{', '.join(SPLIT_FOLDERS)}, found {num_rows}"
        )
    _check_folder(folder)
    _check_extra()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that a rename can put it there.
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _make_corpus(aside, folder.name, num_rows, seed, jobs or num_cores())
        aside.chmod(0o755)  # mkdtemp gives it to its owner alone
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    logger.info(f"Demo corpus: made {sum(num_rows.values())} rows in {folder}")


def _check_folder(folder):
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = "a file"
        if folder.is_dir():
            found = ", ".join(sorted(path.name for path in folder.iterdir())[:5])
        raise ValueError(
            f"{folder}: expected a corpus (the folders "
            f"{', '.join(SPLIT_FOLDERS.values())}), an empty folder or none, to make "
            f"the demo corpus in; found {found}. Name another data_folder."
        )


def _check_extra():
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"The demo corpus needs {', '.join(missing)}: "
            'install the extra with pip install -e ".[demo]"'
        )


def _make_corpus(folder, name, num_rows, seed, jobs):
    # Imported here because it needs the extra, which the real corpus does not.
    from polsess.simulate.rows import make_row

    for subset in SPLIT_FOLDERS.values():
        for stem_folder, _ in FILES.values():
            (folder / subset / stem_folder).mkdir(parents=True, exist_ok=True)
    with (
        ProcessPoolExecutor(jobs) as pool,
        tqdm(total=sum(num_rows.values()), desc="demo corpus", unit="row") as progress,
    ):
        for split, subset in SPLIT_FOLDERS.items():
            make = partial(make_row, folder, split, seed=seed)
            path = folder / subset / f"corpus_{name}_{subset}_final.csv"
            with open(path, "w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, COLUMNS)
                writer.writeheader()
                for cells in pool.map(make, range(num_rows[split])):
                    writer.writerow(cells)
                    progress.update()
