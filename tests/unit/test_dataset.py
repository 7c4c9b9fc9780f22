"""Examples from a manifest: right mixtures, lazy reads, draws by counter alone."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from speechbrain.dataio.dataloader import make_dataloader

from polsess import dataset as dataset_module
from polsess.dataset import VariantDataset, draw, load_rows, make_datasets

RATE = 8000
VALUES = {"sp1": 1, "sp2": 2, "scene": 4, "event": 8}
REVERBS = {"sp1_reverb": 16, "sp2_reverb": 32, "ev_reverb": 64}
UNIT = 2**-10  # stems are constants, exact in 16 bits
ALL = ["SER", "SR", "ER", "R", "SE", "S", "E"]


def write_manifest(folder, name="train", num_rows=8, mix_offset=0, residual_db=-120.0):
    """Rows in turn indoor and outdoor, of constant stems; returns the manifest."""
    rows = {}
    for i in range(num_rows):
        indoor = i % 2 == 0
        stems = VALUES | (REVERBS if indoor else {})
        stems = stems | {"mix": sum(stems.values()) + mix_offset}
        row = dict.fromkeys(REVERBS)
        for stem, value in stems.items():
            path = folder / f"{name}_{stem}_{i}.wav"
            sf.write(path, np.full(400, value * UNIT), RATE)
            row[stem] = "{data_root}/" + path.name
        row |= {"indoor": indoor, "residual_db": residual_db, "corpus": "c"}
        row["sample_rate"] = RATE if i else None
        rows[f"{name}{i}"] = row
    manifest = folder / f"{name}.json"
    manifest.write_text(json.dumps(rows), encoding="utf-8")
    return manifest


def make_dataset(folder, task="ES", variants=ALL, **manifest):
    rows = load_rows(write_manifest(folder, **manifest), folder, "train", variants)
    return VariantDataset(rows, task, RATE, seed=42)


@pytest.mark.parametrize(("residual_db", "offset"), [(-120.0, 0), (None, 100)])
def test_examples(tmp_path, residual_db, offset):
    data = make_dataset(
        tmp_path, "SB", ["SR", "E"], mix_offset=offset, residual_db=residual_db
    )
    expected = {"SR": 1 + 2 + 4 + 16 + 32 + offset, "E": 1 + 2 + 8 + offset}
    for item in data:
        torch.testing.assert_close(
            item["mixture"], torch.full((400,), expected[item["variant"]] * UNIT)
        )
        torch.testing.assert_close(
            item["target"], torch.tensor([1.0, 2.0]).expand(400, 2) * UNIT
        )


def test_only_the_needed_files_are_read(tmp_path, monkeypatch):
    data = make_dataset(tmp_path, "ES", ["R"])
    reads = []
    read_audio = dataset_module.read_audio
    monkeypatch.setattr(
        dataset_module,
        "read_audio",
        lambda path, rate: reads.append(path) or read_audio(path, rate),
    )
    data[0]
    assert [Path(path).name for path in reads] == [
        "train_sp1_0.wav",
        "train_sp1_reverb_0.wav",
    ]


def draws(data, num_workers=0, epoch=None, **kwargs):
    loader = make_dataloader(data, batch_size=3, num_workers=num_workers, **kwargs)
    if epoch is not None:
        data.set_epoch(epoch)
    return {
        row_id: variant
        for batch in loader
        for row_id, variant in zip(batch.id, batch.variant, strict=True)
    }


def test_draws_do_not_depend_on_workers_or_order(tmp_path):
    data = make_dataset(tmp_path)
    expected = draws(data, epoch=3)
    torch.manual_seed(1)
    np.random.seed(1)
    assert draws(data, num_workers=2, epoch=3) == expected
    assert draws(data, num_workers=2, epoch=3, shuffle=True) == expected
    assert draws(data, epoch=4) != expected


def test_persistent_workers_see_the_epoch(tmp_path):
    data = make_dataset(tmp_path)
    loader = make_dataloader(data, batch_size=2, num_workers=2, persistent_workers=True)
    for epoch in (1, 2, 3):
        data.set_epoch(epoch)
        found = {
            row_id: variant
            for batch in loader
            for row_id, variant in zip(batch.id, batch.variant, strict=True)
        }
        assert found == draws(data, epoch=epoch)


def test_every_variant_is_drawn_equally_often():
    counts = Counter(
        draw(4, "variant", 42, epoch, f"row{row}")
        for epoch in range(1, 21)
        for row in range(100)
    )
    assert len(counts) == 4
    for count in counts.values():  # 500 expected, standard deviation 19.4
        assert abs(count - 500) < 5 * 19.4


def hparams(folder, **changes):
    variants = {f"{split}_variants": ALL for split in ("train", "valid", "test")}
    limits = {f"max_{split}_rows": None for split in ("train", "valid", "test")}
    return {
        "manifest_folder": str(folder),
        "data_folder": str(folder),
        "valid_split": "valid",
        "task": "ES",
        "sample_rate": RATE,
        "seed": 42,
        "segment_seconds": None,
        **variants,
        **limits,
        **changes,
    }


@pytest.fixture
def manifests(tmp_path):
    for name in ("train", "valid", "test"):
        write_manifest(tmp_path, name)
    return tmp_path


def test_validation_draws_are_fixed_and_training_draws_are_not(manifests):
    datasets = make_datasets(hparams(manifests))
    datasets["train"].set_epoch(1)
    train, valid = draws(datasets["train"]), draws(datasets["valid"])
    datasets["train"].set_epoch(2)
    assert draws(datasets["train"]) != train
    assert draws(datasets["valid"]) == valid


def test_the_test_set_holds_every_variant_of_every_row(manifests):
    test = make_datasets(hparams(manifests, test_variants=[*ALL, "C"]))["test"]
    found = Counter((item["row_id"], item["variant"]) for item in test)
    indoor, outdoor = ["SER", "SR", "ER", "R", "C"], ["SE", "S", "E", "C"]
    assert found == Counter(
        (f"test{i}", variant)
        for i in range(8)
        for variant in (outdoor if i % 2 else indoor)
    )


def test_restrictions(manifests, caplog):
    caplog.set_level("INFO")
    datasets = make_datasets(
        hparams(manifests, train_variants=["SE"], max_train_rows=3, valid_split="test")
    )
    assert datasets["train"].data_ids == ["train1"]
    assert "1 rows in the variants SE; 2 rows have none" in caplog.text
    assert datasets["valid"].data_ids[0] == "test0"
    assert "Validating on the test split" in caplog.text


def test_no_row_left_is_an_error(manifests):
    with pytest.raises(ValueError, match=r"none of the 1 rows.*change valid_variants"):
        make_datasets(hparams(manifests, valid_variants=["SE"], max_valid_rows=1))


@pytest.mark.parametrize("fault", ["missing", "sample rate", "stereo"])
def test_an_unreadable_file_names_its_row(tmp_path, fault):
    data = make_dataset(tmp_path, variants=["R"])
    path = tmp_path / "train_sp1_reverb_0.wav"
    if fault == "missing":
        path.unlink()
    else:
        channels = 2 if fault == "stereo" else 1
        sf.write(path, np.zeros((400, channels)), 16000 if channels == 1 else RATE)
    with pytest.raises(ValueError, match=r"row train0, variant R: .*sp1_reverb_0.wav"):
        data[0]


def test_another_sample_rate_is_refused_at_once(manifests):
    with pytest.raises(ValueError, match=r"expected files at 16000 Hz.*found 8000 Hz"):
        make_datasets(hparams(manifests, sample_rate=16000))


def test_training_hears_random_segments(manifests):
    for stem in ("sp1", "sp1_reverb"):  # rising, so that a sample tells its place
        ramp = np.arange(400) * UNIT
        sf.write(manifests / f"train_{stem}_0.wav", ramp, RATE)
    options = hparams(manifests, segment_seconds=0.01, train_variants=["R"])
    datasets = make_datasets(options)
    starts = set()
    for epoch in range(1, 201):
        datasets["train"].set_epoch(epoch)
        item, again = datasets["train"][0], datasets["train"][0]
        assert torch.equal(item["mixture"], again["mixture"])
        start = item["target"][0, 0].item() / UNIT
        expected = (start + torch.arange(80.0)) * UNIT
        torch.testing.assert_close(item["target"][:, 0], expected)
        torch.testing.assert_close(item["mixture"], 2 * expected)
        starts.add(start)
    assert len(starts) > 100 and min(starts) < 20 and max(starts) > 300
    assert len(datasets["valid"][0]["mixture"]) == 400
    assert len(datasets["test"][0]["mixture"]) == 400


def test_a_row_shorter_than_a_segment_is_taken_whole(manifests):
    data = make_datasets(hparams(manifests, segment_seconds=9.0))["train"]
    assert len(data[0]["mixture"]) == 400
