"""Scores that can be computed are right; those that cannot say why."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch

from polsess.evaluation.scores import (
    COLUMNS,
    SUMMARY_COLUMNS,
    score_batch,
    score_utterance,
    summarise,
    write_scores,
)
from polsess.evaluation.validation import ValidationScores
from polsess.metrics import METRICS, score, score_sources

RATE = 8000


@pytest.fixture(scope="module")
def speech():
    """Something that PESQ takes for speech: a modulated harmonic tone."""
    time = np.arange(4 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return (0.1 * tone * (np.sin(2 * np.pi * 1.5 * time) > 0)).astype(np.float32)


def test_scores_of_a_clean_and_a_noisy_estimate(speech):
    noise = np.random.default_rng(0).standard_normal(speech.size).astype(np.float32)
    noise -= noise @ speech / (speech @ speech) * speech
    noise *= np.linalg.norm(speech) / np.linalg.norm(noise) / 10  # 20 dB below
    noisy = speech + noise
    value, reason = score("si_sdr", noisy, speech, RATE)
    assert reason == "" and value == pytest.approx(20.0, abs=0.05)
    for metric in METRICS:
        best = score(metric, speech, speech, RATE)
        worse = score(metric, noisy, speech, RATE)
        assert best[1] == worse[1] == ""
        assert best[0] > worse[0]
    assert score("pesq", speech, speech, RATE)[0] == pytest.approx(4.55, abs=0.01)
    assert score("stoi", speech, speech, RATE)[0] == pytest.approx(1.0, abs=1e-6)


BROKEN = ["silent target", "silent estimate", "non-finite estimate"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_computed_is_nan_with_a_reason(speech, metric, broken):
    target = np.zeros_like(speech) if broken == "silent target" else speech
    factor = {"silent estimate": 0, "non-finite estimate": np.nan}.get(broken, 1)
    value, reason = score(metric, factor * speech, target, RATE)
    assert math.isnan(value)
    assert reason == broken


def test_short_signals_do_not_end_the_evaluation(speech):
    for num_samples in (10, 100, 1000):
        short = speech[:num_samples]
        for metric in ("pesq", "stoi"):
            value, reason = score(metric, short, short, RATE)
            assert math.isnan(value) and reason


def test_separation_is_scored_on_the_best_permutation(speech):
    other = np.roll(speech, 3000)
    target = torch.from_numpy(np.stack([speech, other], -1))
    straight, _ = score_sources(target, target, RATE)
    swapped, reasons = score_sources(target.flip(-1), target, RATE)
    assert swapped == straight
    assert reasons == []


def signals(speech):
    target = torch.from_numpy(speech)[:, None]
    generator = torch.Generator().manual_seed(0)
    mixture = target[:, 0] + 0.1 * torch.randn(len(target), generator=generator)
    return target, mixture


def test_a_row_holds_the_gain_over_the_mixture(speech):
    target, mixture = signals(speech)
    row = score_utterance(target, target, mixture, "ES", "S", RATE, ["si_sdr"])
    assert row["si_sdri"] == row["si_sdr"] - row["si_sdr_mixture"] > 50
    assert row["status"] == "ok"
    assert math.isnan(row["pesq"]) and math.isnan(row["stoi_mixture"])


@pytest.mark.parametrize(("task", "void"), [("ES", True), ("SB", False)])
def test_gains_over_a_clean_mixture_are_void(speech, task, void):
    target, _ = signals(speech)
    if task == "SB":
        target = torch.cat([target, target.roll(3000, 0)], dim=-1)
    row = score_utterance(target, target, target.sum(-1), task, "C", RATE, ["si_sdr"])
    assert math.isnan(row["si_sdr_mixture"]) == math.isnan(row["si_sdri"]) == void
    assert row["si_sdr"] > 50
    assert row["status"] == ("mixture is the target" if void else "ok")


def make_row(variant, si_sdr, status="ok", **scores):
    scores = {"si_sdr": si_sdr, "si_sdr_mixture": 0.0, "si_sdri": si_sdr, **scores}
    blank = dict.fromkeys(COLUMNS, math.nan)
    return (
        blank
        | {"id": "a", "corpus": "c", "variant": variant, "status": status}
        | scores
    )


def test_summary_and_files(tmp_path):
    rows = [
        make_row("SER", 1.0, pesq=2.0),
        make_row("SER", 3.0, status="pesq: no utterance detected"),
        make_row("E", 8.0, pesq=3.0),
        make_row("C", 50.0, "mixture is the target", si_sdr_mixture=math.nan),
    ]
    summary = {row["variant"]: row for row in summarise(rows, "ES")}
    assert list(summary) == ["SER", "C", "E", "AVERAGE"]
    assert summary["SER"]["si_sdr"] == 2.0 and summary["SER"]["pesq"] == 2.0
    assert summary["SER"]["num_utterances"] == 2 and summary["SER"]["num_failed"] == 1
    assert summary["C"]["num_failed"] == 0
    assert summary["AVERAGE"]["si_sdr"] == 5.0, "over variants, without C"
    assert summary["AVERAGE"]["num_utterances"] == 3
    assert {r["variant"]: r for r in summarise(rows, "SB")}["AVERAGE"]["si_sdr"] == 20.0

    write_scores(tmp_path, rows, "ES")
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "a,c,SER,1.0000,0.0000,1.0000,2.0000,,,,ok"
    assert len(lines) == 5
    header, *_, average = (tmp_path / "summary.csv").read_text().splitlines()
    assert header == ",".join(SUMMARY_COLUMNS)
    assert average.startswith("AVERAGE,5.0000,")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores.csv", "summary.csv"]


def test_no_padding_is_scored(speech):
    target, mixture = signals(speech)
    short = len(target) // 2
    examples = [
        {"target": target[:n], "mixture": mixture[:n]} for n in (len(target), short)
    ]
    names = {"row_id": "r", "corpus": "c", "variant": "S"}
    batch = PaddedBatch([names | example for example in examples])
    estimate = batch.target.data + 1.0  # wrong in the padding alone
    estimate[1, short:] = 7.0
    hparams = SimpleNamespace(
        task="ES", sample_rate=RATE, compute_pesq=False, compute_stoi=False
    )
    for row, example in zip(
        score_batch(estimate, batch, hparams), examples, strict=True
    ):
        values = (example["target"] + 1.0, example["target"], example["mixture"])
        alone = score_utterance(*values, "ES", "S", RATE, ["si_sdr"])
        assert row["si_sdr"] == alone["si_sdr"] > 50
        assert row["si_sdr_mixture"] == alone["si_sdr_mixture"]
        assert row["id"] == "r" and row["corpus"] == "c"


@pytest.mark.parametrize("task", ["ES", "SB"])
def test_validation_scores(task, caplog):
    time = torch.arange(8000.0)
    tones = [torch.sin(2 * math.pi * f / RATE * time) for f in (100, 300, 500)]
    target = torch.stack(tones[: 1 if task == "ES" else 2], dim=-1)
    noise = tones[2]
    clean = target.sum(-1)
    examples = [
        {"id": "a", "variant": "S", "mixture": clean + noise, "target": target},
        {"id": "b", "variant": "C", "mixture": clean, "target": target},
        {"id": "c", "variant": "S", "mixture": noise, "target": 0 * target},
    ]
    batch = PaddedBatch(examples)
    scores = ValidationScores(task)
    assert math.isnan(scores.means()["si_sdr"])
    scores.add(torch.tensor([10.0, 20.0, 99.0]), batch)
    means = scores.means()
    assert means["si_sdr"] == pytest.approx(15.0)
    # In SB each tone hears the other, and in S the noise too: 0 and -3.01 dB.
    expected = 10.0 if task == "ES" else (10.0 + 3.01 + 20.0) / 2
    assert means["si_sdri"] == pytest.approx(expected, abs=0.01)
    assert "c left out: its target is silent" in caplog.text
