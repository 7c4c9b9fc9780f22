"""Scores of one utterance: SI-SDR, PESQ and STOI, each with its failures told.

A score that cannot be computed is NaN with a reason, never 0 and never left out.
PESQ: ITU-T P.862, narrow band (P.862.1) at 8 kHz, wide band (P.862.2) at 16 kHz,
by the ``pesq`` package. STOI: Taal et al., "An Algorithm for Intelligibility
Prediction of Time-Frequency Weighted Noisy Speech", 2011, by ``pystoi``.
"""

import math
import warnings

import numpy as np
import pesq
import pystoi
import torch

from polsess.losses import ENERGY_FLOOR, best_permutation, reorder, si_sdr

PESQ_MODES = {8000: "nb", 16000: "wb"}  # by sample rate in Hz


def _why_undefined(estimate, target):
    """Why no score of this pair [time] means anything; empty if it does."""
    for name, signal in (("target", target), ("estimate", estimate)):
        if not np.isfinite(signal).all():
            return f"non-finite {name}"
        if np.square(signal - signal.mean(dtype=np.float64)).sum() <= ENERGY_FLOOR:
            return f"silent {name}"
    return ""


def si_sdr_score(estimate, target, sample_rate):
    """SI-SDR in dB of one source.

    Arguments
    ---------
    estimate, target : np.ndarray
        Signals [time], neither silent.
    sample_rate : int
        In Hz; not needed, but all scores are called alike.

    Returns
    -------
    float, str
        The score, NaN if it failed; the reason, empty if it did not.
    """
    del sample_rate
    return si_sdr(torch.from_numpy(estimate), torch.from_numpy(target)).item(), ""


def pesq_score(estimate, target, sample_rate):
    """PESQ (MOS-LQO) of one source; as ``si_sdr_score``."""
    mode = PESQ_MODES.get(sample_rate)
    if mode is None:
        return math.nan, f"not defined at {sample_rate} Hz"
    try:
        return pesq.pesq(sample_rate, target, estimate, mode), ""
    except pesq.NoUtterancesError:
        return math.nan, "no utterance detected"
    except pesq.BufferTooShortError:
        return math.nan, "too short"
    except (pesq.PesqError, ValueError) as error:
        return math.nan, str(error) or type(error).__name__


def stoi_score(estimate, target, sample_rate):
    """STOI (0 to 1) of one source; as ``si_sdr_score``."""
    with warnings.catch_warnings():
        # With too few frames of speech pystoi warns and answers 1e-5.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(target, estimate, sample_rate)), ""
        except RuntimeWarning:
            return math.nan, "too little speech"
        except ValueError as error:  # shorter than a frame
            return math.nan, f"too short ({error})"


SCORES = {"si_sdr": si_sdr_score, "pesq": pesq_score, "stoi": stoi_score}
METRICS = tuple(SCORES)


def score(metric, estimate, target, sample_rate):
    """A metric of one source, and why there is none.

    Arguments
    ---------
    metric : str
        One of ``METRICS``.
    estimate, target : np.ndarray
        Signals [time].
    sample_rate : int
        In Hz.

    Returns
    -------
    float, str
        The score, NaN if it failed; the reason, empty if it did not.

    Example
    -------
    >>> score("si_sdr", np.ones(100), np.zeros(100), 8000)
    (nan, 'silent target')
    """
    reason = _why_undefined(estimate, target)
    if reason:
        return math.nan, reason
    value, reason = SCORES[metric](estimate, target, sample_rate)
    if not reason and not math.isfinite(value):
        return math.nan, "not finite"
    return value, reason


def score_sources(estimate, target, sample_rate, metrics=METRICS):
    """Mean scores over the sources, under the permutation with the best SI-SDR.

    Arguments
    ---------
    estimate, target : torch.Tensor
        Signals [time, source] on the CPU.
    sample_rate : int
        In Hz.
    metrics : iterable of str
        Among ``METRICS``.

    Returns
    -------
    scores : dict
        By metric; NaN where any source has none.
    reasons : list of str
        What failed.

    Example
    -------
    >>> target = torch.sin(torch.arange(8000.0))[:, None]
    >>> scores, reasons = score_sources(2 * target, target, 44100, ["si_sdr", "pesq"])
    >>> scores["si_sdr"] > 100, scores["pesq"], reasons
    (True, nan, ['pesq: not defined at 44100 Hz'])
    """
    _, order = best_permutation(estimate[None], target[None])
    estimate = reorder(estimate[None], order)[0].numpy()
    target = target.numpy()
    scores, reasons = {}, []
    for metric in metrics:
        results = [
            score(metric, estimate[:, source], target[:, source], sample_rate)
            for source in range(target.shape[1])
        ]
        scores[metric] = float(np.mean([value for value, _ in results]))
        reasons += dict.fromkeys(f"{metric}: {why}" for _, why in results if why)
    return scores, reasons
