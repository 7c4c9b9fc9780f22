"""Whether a row's mixture is the sum of its stems, or what else it is."""

import math

import numpy as np

from polsess.variants import MIX, SUM_HOLDS_DB

FLOOR_DB = -120.0  # a smaller residual is recorded as this
LIMIT = 0.999  # the generator's hard limiter, of stems and of the speech mix

_LSB = 2.0**-15
_TOLERANCE = 10 ** (SUM_HOLDS_DB / 20) + _LSB / 100  # a margin for float rounding


def explain_residual(signals):
    """Measure how far a mixture is from the sum of its stems, and judge it.

    Arguments
    ---------
    signals : dict
        Samples [time] of the mixture and of each stem, by name.

    Returns
    -------
    residual_db : float
        Largest absolute difference, in dB relative to full scale.
    found : str
        Empty if the sum holds or if limiting explains every sample where it does
        not; otherwise what is wrong.

    Example
    -------
    >>> stems = {"sp1": np.ones(2) / 4, "sp2": np.ones(2) / 2}
    >>> explain_residual({"mix": np.ones(2) * 3 / 4} | stems)
    (-120.0, '')
    >>> residual_db, found = explain_residual({"mix": np.ones(2) / 2} | stems)
    >>> round(residual_db, 2), found.split(";")[0]
    (-12.04, 'a residual of -12.0 dB that limiting does not explain in 2 of 2 samples')
    """
    stems = {stem: signal for stem, signal in signals.items() if stem != MIX}
    residual = signals[MIX] - sum(stems.values())
    peak = float(np.abs(residual).max())
    residual_db = max(FLOOR_DB, 20 * math.log10(peak)) if peak else FLOOR_DB
    if residual_db <= SUM_HOLDS_DB:
        return residual_db, ""
    low, high = limiting_range(stems)
    unexplained = (residual < low - _TOLERANCE) | (residual > high + _TOLERANCE)
    if not unexplained.any():
        return residual_db, ""
    return residual_db, (
        f"a residual of {residual_db:.1f} dB that limiting does not explain in "
        f"{np.count_nonzero(unexplained)} of {residual.size} samples; "
        f"perhaps of another row: {', '.join(_strangers(signals[MIX], stems)) or 'mix'}"
    )


def limiting_range(stems):
    """Range of what hard limiting may have added to a mixture, sample by sample.

    The generator limits every stem but the scene, and the mix of both speakers, at
    +-0.999; a scene saturates in its wav. Where the mixture took a limited signal and
    the stems give the whole one, it lacks at most the excess. Where the stored stem
    is the limited one, the mixture may exceed the sum by any amount.

    Arguments
    ---------
    stems : dict
        Samples [time] of each stem, by name.

    Returns
    -------
    low, high : np.ndarray
        Bounds [time] of the mixture less the sum of its stems.

    Example
    -------
    >>> low, high = limiting_range({"sp1": np.array([0.1, 1]), "sp2": np.ones(2) / 2})
    >>> low.round(3), high
    (array([ 0.   , -0.502]), array([ 0., inf]))
    """
    low = np.zeros_like(stems["sp1"])
    high = np.zeros_like(low)
    for signal in (*stems.values(), stems["sp1"] + stems["sp2"]):
        excess = signal - np.clip(signal, -LIMIT, LIMIT)
        low -= np.maximum(excess, 0)
        high -= np.minimum(excess, 0)
    for stem, signal in stems.items():
        limit = (1.0 if stem == "scene" else LIMIT) - 2 * _LSB
        high[signal >= limit] = np.inf
        low[signal <= -limit] = -np.inf
    return low, high


def _strangers(mix, stems):
    """Stems that the mixture does not hold: their least-squares gains are far from 1.

    Silent stems are in any mixture.
    """
    heard = {stem: signal for stem, signal in stems.items() if signal.any()}
    if not heard:
        return []
    gains = np.linalg.lstsq(np.stack(list(heard.values()), axis=-1), mix, rcond=None)[0]
    return [
        stem for stem, gain in zip(heard, gains, strict=True) if abs(gain - 1) > 0.5
    ]
