"""Samples read directly, and all others, are those of soundfile, bit for bit."""

import struct
import wave

import numpy as np
import pytest
import soundfile as sf

from polsess.audio import read_audio, read_pcm16

RATE = 8000
PCM = np.array([-32768, -32767, -1, 0, 1, 32767, *range(1000, 1050)], dtype="<i2")
FMT = (16, 1, 1, RATE, 2 * RATE, 2, 16)  # from the length of the chunk on


def chunk(name, content):
    """A chunk with its padding."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def fmt_chunk(*fields):
    return b"fmt " + struct.pack("<IHHIIHH", *fields)


def riff(*chunks):
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


DATA = chunk(b"data", PCM.tobytes())
INFO = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Lavf58.76.100\0"))
PLAIN = riff(fmt_chunk(*FMT), DATA)


def by_soundfile(path):
    """Samples as soundfile gives them, or what an error has to say."""
    try:
        samples, found = sf.read(path, dtype="float32")
    except (OSError, sf.SoundFileError) as error:
        return f"cannot read {path}: {error}"
    if found != RATE or samples.ndim != 1:
        return f"{path}: expected mono at {RATE} Hz, found "
    return samples


def agree(path):
    """Assert that both readers agree; whether the file was read directly."""
    expected = by_soundfile(path)
    if isinstance(expected, str):
        with pytest.raises(ValueError) as raised:
            read_audio(path, RATE)
        assert str(raised.value).startswith(expected)
    else:
        found = read_audio(path, RATE)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    return read_pcm16(path, RATE) is not None


@pytest.mark.parametrize(
    ("file_format", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "G721_32"),  # which cannot seek
        ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
    ],
)
def test_formats(tmp_path, file_format, subtype):
    path = tmp_path / "x.wav"
    sf.write(path, PCM, RATE, subtype=subtype, format=file_format)
    assert agree(path) == ((file_format, subtype) == ("WAV", "PCM_16"))


def test_what_common_writers_write_is_read_directly(tmp_path):
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(PCM.tobytes())
    sf.write(tmp_path / "y.wav", PCM, RATE, subtype="PCM_16")
    for name in ("x.wav", "y.wav"):
        assert (tmp_path / name).read_bytes() == PLAIN
        assert agree(tmp_path / name)
        expected = np.float32([-1, -32767 / 2**15, -(2.0**-15), 0, 2.0**-15])
        np.testing.assert_array_equal(read_pcm16(tmp_path / name, RATE)[:5], expected)


FURTHER = {
    "list first": riff(fmt_chunk(*FMT), INFO, DATA),
    "list last": riff(fmt_chunk(*FMT), DATA, INFO),
    "fact": riff(fmt_chunk(*FMT), chunk(b"fact", struct.pack("<I", len(PCM))), DATA),
    "odd fact": riff(fmt_chunk(*FMT), chunk(b"fact", b"odd"), DATA),
    "odd list": riff(fmt_chunk(*FMT), chunk(b"LIST", b"odd"), DATA),
    "exif": riff(fmt_chunk(*FMT), chunk(b"LIST", b"exifever\4\0\0\0" + b"0200"), DATA),
    "unknown chunk": riff(fmt_chunk(*FMT), chunk(b"junk", b"odd"), DATA),
    "format last": riff(DATA, fmt_chunk(*FMT)),
    "two formats": riff(fmt_chunk(*FMT), fmt_chunk(*FMT), DATA),
    "two datas": riff(fmt_chunk(*FMT), DATA, DATA),
    "long format": riff(fmt_chunk(18, *FMT[1:]) + b"\0\0", DATA),
    "no format": riff(DATA),
    "no data": riff(fmt_chunk(*FMT)),
    "big-endian": PLAIN.replace(b"RIFF", b"RIFX"),
    "empty": b"",
    "bytes after": PLAIN + b"\0\0",
    "no samples": riff(fmt_chunk(*FMT), b"data\0\0\0\0"),
    "half a sample": riff(fmt_chunk(*FMT), b"data\3\0\0\0abc"),
    "data length 0": riff(fmt_chunk(*FMT), b"data\0\0\0\0", PCM.tobytes()),
    "data length unknown": riff(fmt_chunk(*FMT), b"data\xff\xff\xff\xff", b"ab" * 9),
    "data length too small": riff(fmt_chunk(*FMT), b"data\4\0\0\0", PCM.tobytes()),
    "data length too large": riff(fmt_chunk(*FMT), b"data\0\1\0\0", PCM.tobytes()),
    "riff length 0": PLAIN[:4] + bytes(4) + PLAIN[8:],
    "riff length unknown": PLAIN[:4] + b"\xff" * 4 + PLAIN[8:],
    "stereo": riff(fmt_chunk(16, 1, 2, RATE, 4 * RATE, 4, 16), DATA),
    "other rate": riff(fmt_chunk(16, 1, 1, 16000, 32000, 2, 16), DATA),
    "other block": riff(fmt_chunk(16, 1, 1, RATE, 2 * RATE, 4, 16), DATA),
    "other byte rate": riff(fmt_chunk(16, 1, 1, RATE, RATE, 2, 16), DATA),
    "float that says 16": riff(fmt_chunk(16, 3, 1, RATE, 2 * RATE, 2, 16), DATA),
    "12 bits": riff(fmt_chunk(16, 1, 1, RATE, 2 * RATE, 2, 12), DATA),
}


@pytest.mark.parametrize("case", FURTHER)
def test_another_header_is_left_to_soundfile(tmp_path, case):
    (tmp_path / "x.wav").write_bytes(FURTHER[case])
    assert not agree(tmp_path / "x.wav")


def test_truncated_files_are_left_to_soundfile(tmp_path):
    path = tmp_path / "x.wav"
    for length in range(1, len(PLAIN)):
        path.write_bytes(PLAIN[:length])
        assert not agree(path), length


def test_what_is_no_file_is_left_to_soundfile(tmp_path):
    assert not agree(tmp_path)
    assert not agree(tmp_path / "missing.wav")


def test_a_corrupted_header_never_changes_the_outcome(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.wav"
    with_list = FURTHER["list first"]
    num_direct = 0
    for _ in range(400):
        content = bytearray(PLAIN if rng.random() < 0.7 else with_list)
        for _ in range(rng.integers(1, 3)):
            place = rng.integers(len(content) - len(PCM.tobytes()))
            new = rng.choice([0, 1, 2, 16, 128, 255, rng.integers(256)])
            match rng.integers(3):
                case 0:
                    content[place] = new
                case 1:
                    content.insert(place, new)
                case 2:
                    del content[place]
        if rng.random() < 0.5:  # so that other lies than this length are told too
            content[4:8] = struct.pack("<I", len(content) - 8)
        path.write_bytes(content)
        num_direct += agree(path)
    assert 0 < num_direct < 100  # a corruption may put back what was there
