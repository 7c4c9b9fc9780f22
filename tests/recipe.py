"""Running the recipe as a user does, on tiny corpora and networks."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "PolSESS" / "ConvTasNet"
TINY = {
    "num_filters": 16,
    "bottleneck_channels": 8,
    "hidden_channels": 16,
    "num_blocks": 2,
    "num_repeats": 1,
    "number_of_epochs": 2,
    "batch_size": 2,
    "num_workers": 0,
    "compute_pesq": False,
    "compute_stoi": False,
}

# Ends the process, as a power cut would, after so many checkpoints within an epoch.
KILLER = """
import os, runpy, signal, sys
from polsess.training.brain import Brain

countdown, save = int(sys.argv.pop(1)), Brain._save_intra_epoch_ckpt

def save_then_die(brain):
    global countdown
    save(brain)
    countdown -= 1
    if countdown == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Brain._save_intra_epoch_ckpt = save_then_die
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def arguments(yaml, options):
    """The command line of train.py for a configuration and its overrides."""
    words = [str(RECIPE / "train.py"), str(RECIPE / "hparams" / yaml)]
    for key, value in options.items():
        words += [f"--{key}", str(value)]
    return words


def run(yaml, kill_after=None, expect=0, cwd=None, **options):
    """Run train.py in a process of its own; returns what it printed.

    Arguments
    ---------
    yaml : str
        A file in hparams/.
    kill_after : int
        Kill it after so many checkpoints within an epoch.
    expect : int
        The exit status; the output is shown when it is another.
    cwd : path
        The working directory.
    **options
        Overrides.
    """
    words = arguments(yaml, options)
    prefix = [sys.executable]
    if kill_after:
        prefix += ["-c", KILLER, str(kill_after)]
    done = subprocess.run(
        [*prefix, *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # see conftest.py
        capture_output=True,
        text=True,
        timeout=600,
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output
    return output


def train(corpus, folder, yaml="convtasnet.yaml", **options):
    """Run a tiny training."""
    options = {**TINY, "data_folder": corpus, "output_folder": folder, **options}
    return run(yaml, **options)


def evaluate(corpus, folder, **options):
    """Run an evaluation of a run."""
    options = {"num_workers": 0, **options}
    return run("evaluate.yaml", data_folder=corpus, output_folder=folder, **options)
