"""From a manifest to examples: rows, their variants, and the lazy rendering.

Nothing here draws from a global random state: a variant follows from (seed, epoch,
row id) alone, so that neither workers nor a resumed run change it.
"""

import hashlib

import torch
from speechbrain.dataio.dataio import load_data_json
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.logger import get_logger

from polsess.audio import read_audio
from polsess.variants import (
    DRY_STEMS,
    INDOOR_VARIANTS,
    MIX,
    OUTDOOR_VARIANTS,
    REVERB_STEMS,
    SUM_HOLDS_DB,
    compatible_variants,
    render,
)

logger = get_logger(__name__)

FILES = (MIX, *DRY_STEMS, *REVERB_STEMS)
OUTPUT_KEYS = ["id", "row_id", "corpus", "variant", "mixture", "target"]


def draw(num_choices, *key):
    """An index below ``num_choices``, uniformly, by a hash of the key.

    Example
    -------
    >>> [draw(4, "variant", 42, epoch, "row") for epoch in range(1, 9)]
    [2, 1, 0, 3, 2, 0, 3, 1]
    """
    text = "/".join(map(str, key)).encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return number % num_choices


class VariantDataset(DynamicItemDataset):
    """Rows of a manifest as (mixture, target) of one task, rendered when asked for.

    Each item gives ``id``, ``row_id``, ``corpus``, ``variant``, ``mixture`` [time]
    and ``target`` [time, source].

    Arguments
    ---------
    rows : dict
        Manifest rows by item id, each with the additional keys ``row_id`` and
        ``variants``, the ones to draw from.
    task : str
        ES, EB or SB.
    sample_rate : int
        In Hz, of every file.
    seed : int
        Seed of the draws.
    segment_seconds : float, optional
        Take a random segment of this length from each row; by default the whole row.
    """

    def __init__(self, rows, task, sample_rate, seed, segment_seconds=None):
        self.task = task
        self.sample_rate = sample_rate
        self.seed = seed
        self.segment_samples = segment_seconds and round(segment_seconds * sample_rate)
        # Shared memory, so that persistent workers see the epoch change.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        super().__init__(rows)
        self.add_dynamic_item(
            self._example,
            takes=["row_id", "variants", "indoor", "residual_db", *FILES],
            provides=["variant", "mixture", "target"],
        )
        self.set_output_keys(OUTPUT_KEYS)

    def set_epoch(self, epoch):
        """Draw afresh. Without a call, as in validation, draws never change."""
        self.epoch.fill_(epoch)

    def _example(self, row_id, variants, indoor, residual_db, *paths):
        path_of = dict(zip(FILES, paths, strict=True))
        key = self.seed, int(self.epoch), row_id
        variant = variants[draw(len(variants), "variant", *key)]
        sum_holds = residual_db is not None and residual_db <= SUM_HOLDS_DB
        try:
            mixture, target = render(
                lambda stem: read_audio(path_of[stem], self.sample_rate),
                self.task,
                variant,
                indoor,
                sum_holds,
            )
            if len(mixture) != len(target):
                raise ValueError(f"stems of {len(mixture)} and {len(target)} samples")
        except ValueError as error:
            raise ValueError(f"row {row_id}, variant {variant}: {error}") from error
        if self.segment_samples and self.segment_samples < len(mixture):
            num_starts = len(mixture) - self.segment_samples + 1
            start = draw(num_starts, "segment", *key)
            segment = slice(start, start + self.segment_samples)
            mixture, target = mixture[segment], target[segment]
        return variant, torch.from_numpy(mixture), torch.from_numpy(target)


def load_rows(manifest, data_folder, split, variants, max_rows=None):
    """The manifest's rows that have one of ``variants``, counted in the log.

    Raises
    ------
    ValueError
        If no row is left.
    """
    rows = load_data_json(manifest, {"data_root": str(data_folder)})
    rows = dict(list(rows.items())[:max_rows])
    kept = {}
    for row_id, row in rows.items():
        possible = compatible_variants(row["indoor"], variants)
        if possible:
            kept[row_id] = {**row, "row_id": row_id, "variants": possible}
    if not kept:
        raise ValueError(
            f"{split}: none of the {len(rows)} rows has one of the variants "
            f"{', '.join(variants)}; indoor rows have {' '.join(INDOOR_VARIANTS)}, "
            f"outdoor rows {' '.join(OUTDOOR_VARIANTS)}: change {split}_variants"
        )
    left_out = len(rows) - len(kept)
    logger.info(
        f"{split}: {len(kept)} rows in the variants {', '.join(variants)}"
        + (f"; {left_out} rows have none of them and are left out" if left_out else "")
    )
    return kept


def every_variant(rows):
    """An item for each variant of each row, where a draw leaves no choice.

    Example
    -------
    >>> every_variant({"a": {"variants": ("S", "E")}})
    {'a_S': {'variants': ('S',)}, 'a_E': {'variants': ('E',)}}
    """
    return {
        f"{row_id}_{variant}": {**row, "variants": (variant,)}
        for row_id, row in rows.items()
        for variant in row["variants"]
    }


def make_datasets(hparams, splits=("train", "valid", "test")):
    """The datasets of a run, by split.

    Training draws a variant per row and epoch, validation one per row; the test set
    holds every variant of every row.

    Arguments
    ---------
    hparams : dict
        With the keys of ``convtasnet.yaml``.
    splits : iterable of str
        Which to make.

    Raises
    ------
    ValueError
        If a split has no row with a fitting variant, or another sample rate.
    """
    sample_rate = hparams["sample_rate"]
    datasets = {}
    for split in splits:
        source = hparams["valid_split"] if split == "valid" else split
        if source != split:
            logger.warning(f"Validating on the {source} split (valid_split: {source})")
        rows = load_rows(
            f"{hparams['manifest_folder']}/{source}.json",
            hparams["data_folder"],
            split,
            hparams[f"{split}_variants"],
            hparams[f"max_{split}_rows"],
        )
        rates = {row["sample_rate"] for row in rows.values()} - {None, sample_rate}
        if rates:
            raise ValueError(
                f"{split}: expected files at {sample_rate} Hz (sample_rate), found "
                f"{rates.pop()} Hz: a network and its corpora have one rate; train "
                "with sample_rate set to the corpus's own, or resample the corpus"
            )
        if split == "test":
            rows = every_variant(rows)
        datasets[split] = VariantDataset(
            rows,
            hparams["task"],
            sample_rate,
            hparams["seed"],
            hparams["segment_seconds"] if split == "train" else None,
        )
    return datasets
