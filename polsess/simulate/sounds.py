"""What synthetic scenes and events are made of: noises, tones, knocks, cries.

Every function draws its parameters from ranges, so that no two sounds are alike.
Frequencies in Hz, times in s, levels in dB; a sound's own level is arbitrary.
"""

import numpy as np
from scipy.signal import fftconvolve

from polsess.simulate import NUM_SAMPLES, SAMPLE_RATE


def seconds(num_samples):
    """The time [time] of each sample."""
    return np.arange(num_samples) / SAMPLE_RATE


def _log_uniform(rng, low, high, size=None):
    """Draw so that each octave is as likely."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def unit_rms(sound):
    """A sound [time] with an RMS of 1; silence stays silent."""
    return sound / max(np.sqrt(np.mean(sound**2)), 1e-9)


def noise(rng, slope=(-6, -3), bumps=6, num_samples=NUM_SAMPLES):
    """Noise [time] with a slope in dB per octave and a random curve of bumps in dB."""
    spectrum = np.fft.rfft(rng.normal(size=num_samples))
    frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequencies, 40) / 40)  # flat below 40 Hz
    curve = np.interp(octaves, np.arange(8), rng.normal(0, bumps, size=8))
    gain_db = rng.uniform(*slope) * octaves + curve
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), num_samples)


def swell(rng, depth=(2, 6), changes_per_second=2):
    """A slowly varying gain [time], log-normal with a deviation in dB."""
    num_knots = 4 * changes_per_second + 2
    knots = rng.uniform(*depth) * rng.normal(size=num_knots)
    steps = np.linspace(0, num_knots - 1, NUM_SAMPLES)
    return 10 ** (np.interp(steps, np.arange(num_knots), knots) / 20)


def swelling_noise(rng, slope=(-6, -3), depth=(2, 6), changes_per_second=2):
    """Noise [time] that comes and goes: traffic, wind, waves."""
    return noise(rng, slope) * swell(rng, depth, changes_per_second)


def harmonics(rng, contour, tilt=(-9, -3)):
    """A harmonic tone [time] along a contour [time] of its fundamental frequency."""
    phase = 2 * np.pi * np.cumsum(contour) / SAMPLE_RATE
    orders = np.arange(1, max(2, int(0.45 * SAMPLE_RATE / contour.max())))
    orders = orders[:30]
    gain_db = rng.uniform(*tilt) * np.log2(orders) + rng.normal(0, 5, len(orders))
    starts = rng.uniform(0, 2 * np.pi, len(orders))
    return sum(
        10 ** (gain / 20) * np.sin(order * phase + start)
        for order, gain, start in zip(orders, gain_db, starts, strict=True)
    )


def motor(rng, fundamental=(40, 120), roughness=(-6, 6)):
    """An engine, a fan or the mains [time]: a wavering harmonic tone and noise."""
    pitch = _log_uniform(rng, *fundamental) * swell(rng, (0.0, 0.6), 1)
    rough = 10 ** (rng.uniform(*roughness) / 20)
    tone = unit_rms(harmonics(rng, pitch))
    return tone * swell(rng, (0, 3)) + rough * unit_rms(swelling_noise(rng))


def modes(rng, fundamental, decay, length=0.6, num=6):
    """A struck object [time]: inharmonic modes that die away, higher ones sooner."""
    time = seconds(int(length * SAMPLE_RATE))
    ratios = np.cumprod(np.r_[1, rng.uniform(1, 1.8, num - 1)])
    frequencies = _log_uniform(rng, *fundamental) * ratios
    decays = _log_uniform(rng, *decay) * frequencies[0] / frequencies
    return sum(
        rng.normal() * np.exp(-time / d) * np.sin(2 * np.pi * f * time)
        for f, d in zip(frequencies, decays, strict=True)
        if f < 0.45 * SAMPLE_RATE
    )


def burst(rng, slope=(-3, 3), attack=(0.001, 0.02), decay=(0.02, 0.2)):
    """A burst of noise [time]: click, cough, clap, step, splash."""
    attack, decay = _log_uniform(rng, *attack), _log_uniform(rng, *decay)
    time = seconds(int(6 * (attack + decay) * SAMPLE_RATE))
    envelope = (1 - np.exp(-time / attack)) * np.exp(-time / decay)
    return noise(rng, slope, num_samples=len(time)) * envelope


def cry(rng, fundamental, length, bend=(0.7, 1.5), breath=(-25, -10)):
    """A voice or a horn [time]: a harmonic tone that bends, with some noise."""
    num_samples = int(_log_uniform(rng, *length) * SAMPLE_RATE)
    knots = _log_uniform(rng, *fundamental) * np.r_[1, rng.uniform(*bend, size=2)]
    contour = np.interp(np.linspace(0, 2, num_samples), np.arange(3), knots)
    ramp = np.linspace(0, 1, num_samples)
    envelope = np.minimum(1, ramp / 0.1) * np.minimum(1, (1 - ramp) / 0.3)
    breath = 10 ** (rng.uniform(*breath) / 20)
    tone = unit_rms(harmonics(rng, contour))
    return envelope * (tone + breath * noise(rng, (-3, 0), num_samples=num_samples))


def repeat(rng, make, times, gap):
    """One sound, heard several times with about the same gap [time]."""
    sound, gap = make(rng), rng.uniform(*gap)
    times = rng.integers(*times, endpoint=True)
    spacing = np.cumsum(gap * rng.uniform(0.8, 1.2, size=times))
    start = rng.uniform(0, max(0.5, NUM_SAMPLES / SAMPLE_RATE - spacing[-1] - 0.5))
    strikes = np.zeros(NUM_SAMPLES)
    for moment in start + spacing - spacing[0]:
        if moment * SAMPLE_RATE < NUM_SAMPLES:
            strikes[int(moment * SAMPLE_RATE)] = rng.uniform(0.5, 1)
    return fftconvolve(strikes, sound)[:NUM_SAMPLES]


def scatter(rng, make, per_second, kinds=4):
    """Sounds of a few kinds at random moments [time]: dishes, steps, drops, birds."""
    scattered = np.zeros(NUM_SAMPLES)
    for _ in range(kinds):
        rate = rng.uniform(*per_second) / kinds / SAMPLE_RATE
        strikes = (rng.random(NUM_SAMPLES) < rate) * rng.uniform(0.1, 1, NUM_SAMPLES)
        scattered += fftconvolve(strikes, make(rng))[:NUM_SAMPLES]
    return scattered


def wail(rng, fundamental=(400, 700), span=(1.3, 2.2), period=(0.5, 5)):
    """A siren [time]: a tone that sweeps or jumps between two heights."""
    swing = np.sin(
        2 * np.pi * seconds(NUM_SAMPLES) / _log_uniform(rng, *period)
        + rng.uniform(0, 2 * np.pi)
    )
    swing = np.sign(swing) if rng.random() < 0.3 else swing
    height = np.log(rng.uniform(*span)) / 2
    return harmonics(rng, _log_uniform(rng, *fundamental) * np.exp(height * swing))
