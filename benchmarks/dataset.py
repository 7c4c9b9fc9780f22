"""Items per second of VariantDataset, against reading the mixture and subtracting.

    python benchmarks/dataset.py [--task ES] [--rows 100] [--repeats 20]

Three contenders give the same draws of the default variants, in turn, in one process
with one thread, and keep no sample from one item to the next:

- plain: a torch Dataset that always reads the mixture with soundfile, subtracts every
  stem that the variant lacks, and reads the target; its paths are ready beforehand;
- polsess_soundfile: VariantDataset, reading by soundfile alone;
- polsess: VariantDataset as it is.

Before an epoch is timed, a pass over it checks that they agree, and warms the page
cache: what is measured is the work, not the disk. Without --data_folder the corpus is
noise, 4 s at 8 kHz in 16 bits. The last line is JSON: items per second (medians of the
epochs), and their ratios to plain.
"""

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile as sf
import torch

from polsess import audio
from polsess.corpus import COLUMNS, FILES
from polsess.dataset import VariantDataset, load_rows
from polsess.faults import CorpusError
from polsess.manifest import prepare_polsess
from polsess.variants import (
    DEFAULT_VARIANTS,
    MIX,
    TASKS,
    all_stems,
    kept_stems,
)

SAMPLE_RATE = 8000  # Hz
NUM_SAMPLES = 4 * SAMPLE_RATE


class PlainDataset(torch.utils.data.Dataset):
    """Each item reads the mixture, all stems to subtract from it, and the target.

    Arguments
    ---------
    items : list of (str, list of str, list of list of str)
        Paths of the mixture, of what to subtract, and of each source's stems.
    """

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        mix, removed, sources = self.items[index]
        mixture = self._read(mix)
        for path in removed:
            mixture -= self._read(path)
        target = [sum(self._read(path) for path in source) for source in sources]
        return torch.from_numpy(mixture), torch.from_numpy(np.stack(target, axis=-1))

    def _read(self, path):
        return sf.read(path, dtype="float32")[0]


def make_corpus(folder, num_rows, seed=0):
    """Write a train split of noise, indoors and outdoors in turn, as published."""
    rng = np.random.default_rng(seed)
    for subfolder, _ in FILES.values():
        (folder / "train" / subfolder).mkdir(parents=True, exist_ok=True)
    path = folder / "train" / "corpus_noise_train_final.csv"
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="NaN")
        writer.writeheader()
        for number in range(num_rows):
            signals = {
                stem: rng.uniform(-0.1, 0.1, NUM_SAMPLES)
                for stem in all_stems(indoor=number % 2 == 0)
            }
            cells = {}
            for stem, signal in {MIX: sum(signals.values()), **signals}.items():
                subfolder, column = FILES[stem]
                cells[column] = f"{stem}_{number}.wav"
                path = folder / "train" / subfolder / cells[column]
                sf.write(path, signal, SAMPLE_RATE, subtype="PCM_16")
            writer.writerow(cells)


def make_dataset(data_folder, manifest_folder, task, max_rows):
    """The rows of the train split, and the dataset of them."""
    prepare_polsess(data_folder, manifest_folder, splits=["train"])
    manifest = Path(manifest_folder) / "train.json"
    rows = load_rows(manifest, data_folder, "train", DEFAULT_VARIANTS, max_rows)
    sample_rate = next(iter(rows.values()))["sample_rate"]
    return rows, VariantDataset(rows, task, sample_rate, seed=42)


def plain_item(row, task, variant):
    """The paths that a PlainDataset reads for one variant of a row."""
    kept = kept_stems(task, variant, row["indoor"])
    removed = [row[stem] for stem in all_stems(row["indoor"]) if stem not in kept]
    return row[MIX], removed, [[row[stem] for stem in source] for source in TASKS[task]]


def by_soundfile_alone():
    """While this is entered, no file is read directly."""
    return mock.patch.object(audio, "read_pcm16", lambda path, sample_rate: None)


def check(rows, dataset):
    """Read an epoch with each contender; the plain one's dataset, if all agree."""
    ours = list(dataset)
    with by_soundfile_alone():
        for item, same in zip(ours, dataset, strict=True):
            assert torch.equal(item["mixture"], same["mixture"]), item["id"]
            assert torch.equal(item["target"], same["target"]), item["id"]
    plain = PlainDataset(
        [plain_item(rows[i["row_id"]], dataset.task, i["variant"]) for i in ours]
    )
    # Each file was rounded on its own: what SUM_HOLDS_DB lets a sum depart by.
    tolerance = 8 / 2**15
    for index, item in enumerate(ours):
        mixture, target = plain[index]
        assert (item["mixture"] - mixture).abs().max() <= tolerance, item["id"]
        assert torch.equal(item["target"], target), item["id"]
    return plain


def items_per_second(dataset):
    """Of one pass over a dataset."""
    start = time.perf_counter()
    for index in range(len(dataset)):
        dataset[index]
    return len(dataset) / (time.perf_counter() - start)


def measure(rows, dataset, repeats):
    """Items per second of each contender: medians of so many epochs, in turn."""
    rates = {"plain": [], "polsess_soundfile": [], "polsess": []}
    for epoch in range(1, repeats + 1):
        dataset.set_epoch(epoch)
        rates["plain"].append(items_per_second(check(rows, dataset)))
        with by_soundfile_alone():
            rates["polsess_soundfile"].append(items_per_second(dataset))
        rates["polsess"].append(items_per_second(dataset))
    return {name: statistics.median(found) for name, found in rates.items()}


def report(rates):
    """Print a table, and the same as a line of JSON."""
    speedups = {name: rate / rates["plain"] for name, rate in rates.items()}
    for name, rate in rates.items():
        print(f"{name:20}{rate:8.0f} items/s{speedups[name]:8.2f} x")
    result = {
        "items_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "speedup": round(speedups["polsess"], 2),
        "speedup_soundfile": round(speedups["polsess_soundfile"], 2),
    }
    print(json.dumps(result))


def main(argv=None):
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--task", choices=TASKS, default="ES")
    parser.add_argument("--rows", type=int, default=100, help="of the train split")
    parser.add_argument("--repeats", type=int, default=20, help="epochs to time")
    parser.add_argument("--data_folder", help="a corpus to read instead of noise")
    options = parser.parse_args(argv)
    if min(options.rows, options.repeats) < 1:
        parser.error("--rows and --repeats: expected 1 or more")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        data_folder = options.data_folder or f"{temporary}/noise"
        if not options.data_folder:
            make_corpus(Path(data_folder), options.rows)
        try:
            rows, dataset = make_dataset(
                data_folder, f"{temporary}/manifests", options.task, options.rows
            )
        except (CorpusError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        rates = measure(rows, dataset, options.repeats)
    print(f"{options.task}, {len(rows)} rows, median of {options.repeats} epochs")
    report(rates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
