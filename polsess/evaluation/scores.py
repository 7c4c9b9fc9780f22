"""Scores per utterance and variant, their summary, and both as tables."""

import csv
import math
import os
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from polsess.metrics import METRICS, score_sources
from polsess.padding import unpad
from polsess.variants import VARIANTS, mixture_is_target

SCORE_COLUMNS = (
    "si_sdr",
    "si_sdr_mixture",
    "si_sdri",
    "pesq",
    "pesq_mixture",
    "stoi",
    "stoi_mixture",
)
COLUMNS = ("id", "corpus", "variant", *SCORE_COLUMNS, "status")
SUMMARY_COLUMNS = ("variant", *SCORE_COLUMNS, "num_utterances", "num_failed")
AVERAGE = "AVERAGE"
OK = "ok"
VOID = "mixture is the target"  # by definition, not a failure


def score_utterance(estimate, target, mixture, task, variant, sample_rate, metrics):
    """One row of scores.csv, without its id and corpus.

    Arguments
    ---------
    estimate, target : torch.Tensor
        Signals [time, source] on the CPU.
    mixture : torch.Tensor
        What the network heard [time].
    task, variant : str
        As the example was rendered.
    sample_rate : int
        In Hz.
    metrics : iterable of str
        Among ``polsess.metrics.METRICS``.

    Returns
    -------
    dict
        By ``COLUMNS`` but id and corpus; a score that could not be computed, or was
        not asked for, is NaN, and ``status`` says why.
    """
    row = {"variant": variant, **dict.fromkeys(SCORE_COLUMNS, math.nan)}
    scores, reasons = score_sources(estimate, target, sample_rate, metrics)
    row |= scores
    void = mixture_is_target(task, variant)
    mixture_metrics = [m for m in metrics if not (void and m == "si_sdr")]
    heard = mixture[:, None].expand_as(target)
    scores, mixture_reasons = score_sources(heard, target, sample_rate, mixture_metrics)
    row |= {f"{metric}_mixture": score for metric, score in scores.items()}
    row["si_sdri"] = row["si_sdr"] - row["si_sdr_mixture"]
    reasons += [f"mixture {reason}" for reason in mixture_reasons]
    row["status"] = "; ".join(reasons + [VOID] * void) or OK
    return row


def score_batch(estimate, batch, hparams):
    """Rows of scores.csv for a batch, each utterance over its true length.

    Arguments
    ---------
    estimate : torch.Tensor
        Padded estimates [batch, time, source].
    batch : PaddedBatch
        With the output keys of ``polsess.dataset.VariantDataset``.
    hparams : SimpleNamespace
        With ``task``, ``sample_rate``, ``compute_pesq`` and ``compute_stoi``.
    """
    asked = {"si_sdr": True, "pesq": hparams.compute_pesq, "stoi": hparams.compute_stoi}
    metrics = [metric for metric in METRICS if asked[metric]]
    mixture, lengths = batch.mixture
    padded = (estimate.float().cpu(), batch.target.data.cpu(), mixture.cpu())
    utterances = zip(*(unpad(signal, lengths) for signal in padded), strict=True)
    rows = []
    for i, signals in enumerate(utterances):
        row = score_utterance(
            *signals,
            hparams.task,
            batch.variant[i],
            hparams.sample_rate,
            metrics,
        )
        rows.append({"id": batch.row_id[i], "corpus": batch.corpus[i], **row})
    return rows


def _failed(row):
    return row["status"] not in (OK, VOID)


def _mean(values):
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def summarise(rows, task):
    """Means by variant, and their average over variants.

    A variant whose mixture is its target stays out of the average: it has no gain,
    and its scores are of another kind.

    Arguments
    ---------
    rows : list of dict
        As ``score_utterance`` makes them.
    task : str
        The task that they were scored for.

    Returns
    -------
    list of dict
        By ``SUMMARY_COLUMNS``, in the published order of the variants. Means are over
        the utterances that have the score; ``num_failed`` counts those that lack one.
    """
    summary = []
    for variant in VARIANTS:
        members = [row for row in rows if row["variant"] == variant]
        if members:
            means = {c: _mean(row[c] for row in members) for c in SCORE_COLUMNS}
            counts = {
                "num_utterances": len(members),
                "num_failed": sum(map(_failed, members)),
            }
            summary.append({"variant": variant, **means, **counts})
    averaged = [r for r in summary if not mixture_is_target(task, r["variant"])]
    average = {c: _mean(row[c] for row in averaged) for c in SCORE_COLUMNS}
    counts = {
        c: sum(row[c] for row in averaged) for c in ("num_utterances", "num_failed")
    }
    return [*summary, {"variant": AVERAGE, **average, **counts}]


def _text(value, digits):
    if isinstance(value, float):
        return f"{value:.{digits}f}" if math.isfinite(value) else ""
    return str(value)


def write_csv(path, rows, columns):
    """Write rows, whole or not at all; a NaN becomes an empty field."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_text(row[c], digits=4) for c in columns] for row in rows)
    os.replace(partial, path)


def summary_table(summary, title):
    """The summary as a table, under the names in summary.csv, for 80 columns."""
    table = Table(title=title, box=box.SIMPLE, padding=0)
    for column in SUMMARY_COLUMNS:
        justify = "left" if column == "variant" else "right"
        name = column.replace("_mixture", "\n_mixture").replace("num_", "num_\n")
        table.add_column(name, justify=justify, no_wrap=True)
    for row in summary:
        if row["variant"] == AVERAGE:
            table.add_section()
        table.add_row(*(_text(row[c], digits=2) for c in SUMMARY_COLUMNS))
    return table


def write_scores(folder, rows, task):
    """Write scores.csv and summary.csv into ``folder``; returns the summary."""
    summary = summarise(rows, task)
    write_csv(Path(folder) / "scores.csv", rows, COLUMNS)
    write_csv(Path(folder) / "summary.csv", summary, SUMMARY_COLUMNS)
    return summary
