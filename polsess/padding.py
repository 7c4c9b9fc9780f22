"""Batches of unequal lengths, back to what was not padded."""


def unpad(padded, lengths):
    """The signals of a batch at their true lengths, as views that keep gradients.

    SpeechBrain's ``undo_padding`` gives lists of numbers instead.

    Arguments
    ---------
    padded : torch.Tensor
        Padded signals [batch, time, ...].
    lengths : torch.Tensor
        True lengths [batch] as fractions of the padded one, as SpeechBrain batches.

    Returns
    -------
    list of torch.Tensor
        Signals [time, ...], one for each utterance.

    Example
    -------
    >>> import torch
    >>> unpad(torch.tensor([[1, 2], [3, 0]]), torch.tensor([1.0, 0.5]))
    [tensor([1, 2]), tensor([3])]
    """
    num_samples = (lengths * padded.shape[1]).round().long().tolist()
    return [signal[:n] for signal, n in zip(padded, num_samples, strict=True)]
