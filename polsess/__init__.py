"""PolSESS: Polish speech enhancement with SpeechBrain."""

__version__ = "0.1.0"
