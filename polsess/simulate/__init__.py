"""Corpora made here: synthetic speech, sounds and rooms in the published format."""

SAMPLE_RATE = 8000  # Hz
NUM_SAMPLES = 4 * SAMPLE_RATE  # of every stem
