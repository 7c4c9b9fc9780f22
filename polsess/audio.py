"""Audio files as samples: 16-bit PCM straight from the file, all else by soundfile."""

import struct

import numpy as np
import soundfile as sf

_LSB = np.float32(2**-15)
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")  # of RIFF, fmt and data


def read_audio(path, sample_rate):
    """Samples [time] of a mono file, in single precision.

    Raises
    ------
    ValueError
        If the file cannot be read, is not mono, or has another sample rate in Hz.
    """
    samples = read_pcm16(path, sample_rate)
    if samples is not None:
        return samples
    try:
        with sf.SoundFile(path) as file:
            found = file.samplerate
            if file.subtype == "PCM_16":  # scaled here, in half of soundfile's time
                samples = file.read(file.frames, "int16") * _LSB
            else:
                samples = file.read(file.frames, "float32")
    except (OSError, sf.SoundFileError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if found != sample_rate or samples.ndim != 1:
        raise ValueError(
            f"{path}: expected mono at {sample_rate} Hz, found "
            f"{samples.ndim if samples.ndim == 1 else samples.shape[1]} channel(s) at "
            f"{found} Hz; set sample_rate to the corpus's own, or prepare the corpus "
            "with --audit full to see every such file"
        )
    return samples


def read_pcm16(path, sample_rate):
    """Samples [time] of an intact 16-bit mono wav, bit for bit those of soundfile.

    Several times as fast, because it knows one header only: format and length, then
    nothing but samples, as the corpus's files have it. With one other byte in its
    header a file is left to soundfile, because its library has ways of its own with
    further chunks and with lengths that do not fit.

    Returns
    -------
    np.ndarray or None
        None for any other file, also for one that is missing, empty or damaged.
    """
    try:
        with open(path, "rb") as stream:
            wav = stream.read()
    except OSError:
        return None
    num_bytes = len(wav) - _HEADER.size
    expected = b"RIFF", len(wav) - 8, b"WAVE"
    expected += b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16
    expected += b"data", num_bytes
    if num_bytes <= 0 or num_bytes % 2 or _HEADER.unpack_from(wav) != expected:
        return None
    return np.frombuffer(wav, "<i2", offset=_HEADER.size) * _LSB
