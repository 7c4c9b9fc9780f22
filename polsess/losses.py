"""SI-SDR and permutation-invariant training: one definition, for loss and score.

Le Roux, Wisdom, Erdogan, Hershey, "SDR: half-baked or well done?", ICASSP 2019,
with the means of estimate and target removed; Kolbaek et al., "Multitalker speech
separation with utterance-level permutation invariant training", 2017.
"""

from itertools import permutations

import torch

from polsess.padding import unpad

# A signal of less energy is silence: 100 dB below that of one sample at full scale.
ENERGY_FLOOR = 1e-10
# What is left of a signal in silence: it scores -100 dB or less, never as a success.
_NO_SIGNAL = 1e-20


def si_sdr(estimate, target):
    """Scale-invariant signal-to-distortion ratio, in at least single precision.

    Arguments
    ---------
    estimate, target : torch.Tensor
        Signals [..., time].

    Returns
    -------
    torch.Tensor
        SI-SDR [...] in dB, positive is better. Silence has a finite score and gradient,
        but the score of a silent target means nothing: see ``has_silent_source``.

    Example
    -------
    >>> target = torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> noise = torch.tensor([0.1, 0.1, -0.1, -0.1])  # orthogonal, 20 dB below
    >>> round(si_sdr(3 * (target + noise) + 5, target).item(), 3)
    20.0
    """
    dtype = torch.promote_types(
        torch.promote_types(estimate.dtype, target.dtype), torch.float32
    )
    with torch.autocast(estimate.device.type, enabled=False):
        estimate = estimate.to(dtype) - estimate.to(dtype).mean(-1, keepdim=True)
        target = target.to(dtype) - target.to(dtype).mean(-1, keepdim=True)
        scale = (estimate * target).sum(-1, keepdim=True) / (
            target.square().sum(-1, keepdim=True) + ENERGY_FLOOR
        )
        signal = scale * target
        signal_energy = signal.square().sum(-1)
        noise_energy = (estimate - signal).square().sum(-1)
        return 10 * torch.log10(
            (signal_energy + _NO_SIGNAL) / (noise_energy + ENERGY_FLOOR)
        )


def best_permutation(estimate, target):
    """SI-SDR of each source under the assignment with the highest mean.

    With one source this is plain SI-SDR.

    Arguments
    ---------
    estimate, target : torch.Tensor
        Signals [batch, time, source].

    Returns
    -------
    scores : torch.Tensor
        SI-SDR of each target source [batch, source] in dB.
    order : torch.Tensor
        For each target source the index of its estimate [batch, source].

    Example
    -------
    >>> target = torch.randn(1, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> scores, order = best_permutation(target.flip(-1), target)
    >>> order.tolist()
    [[1, 0]]
    """
    num_sources = target.shape[-1]
    pairs = si_sdr(
        estimate.transpose(1, 2).unsqueeze(1), target.transpose(1, 2).unsqueeze(2)
    )  # [batch, target source, estimated source]
    orders = torch.tensor(list(permutations(range(num_sources))), device=pairs.device)
    rows = torch.arange(num_sources, device=pairs.device)
    scores = pairs[:, rows, orders]  # [batch, permutation, source]
    best = scores.mean(-1).argmax(-1)  # [batch]
    return scores[torch.arange(len(best)), best], orders[best]


def reorder(estimate, order):
    """The estimates [batch, time, source] in the targets' order [batch, source]."""
    return estimate.gather(-1, order.unsqueeze(1).expand_as(estimate))


def utterance_si_sdr(estimate, target, lengths):
    """SI-SDR of each utterance over its true length, best permutation, mean of sources.

    Arguments
    ---------
    estimate, target : torch.Tensor
        Padded signals [batch, time, source].
    lengths : torch.Tensor
        True lengths [batch] as fractions of the padded one, as SpeechBrain batches.

    Returns
    -------
    torch.Tensor
        SI-SDR [batch] in dB.
    """
    pairs = zip(unpad(estimate, lengths), unpad(target, lengths), strict=True)
    return torch.stack([best_permutation(e[None], t[None])[0].mean() for e, t in pairs])


def has_silent_source(target):
    """Which utterances have a silent source, so that their SI-SDR is undefined.

    Arguments
    ---------
    target : torch.Tensor
        Signals [batch, time, source].

    Returns
    -------
    torch.Tensor
        Of bool [batch].

    Example
    -------
    >>> has_silent_source(torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]]))
    tensor([ True, False])
    """
    return target.square().sum(1).le(ENERGY_FLOOR).any(-1)
