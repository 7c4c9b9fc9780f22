"""A training step of ours, of SpeechBrain's and of their products alone, side by side.

    python benchmarks/train_step.py [--config YAML] [--batch_size 1] [--repeats 5]

A step is forward, negative SI-SDR, backward, clipping and Adam, on random utterances of
4 s at 8 kHz. Three contenders take their steps in turn, each in a process of its own
with the same number of threads:

- ours: the network of the recipe's YAML with polsess.models.masknet.MaskNet, keeping
  freed memory, as the recipe does;
- stock: the same weights in SpeechBrain's encoder, MaskNet and decoder, as it has them;
- floor: the products of all 1x1 convolutions, three each, as torch.mm of contiguous
  matrices into memory that is there already. No network with these sizes is faster,
  unless its products are.

Ratios are ours divided by theirs, medians of the rounds; the first rounds do not count.
Peak memory is what a process adds to its own start. Estimates are compared before any
step: the largest difference over the largest magnitude. So are the gradients of the
same weights, but in double precision: in single precision a PReLU's input near 0 may
round to the other side, in either network, and there each one's own error is given. A
stock network that needs more memory than there is does not run, and its ratios are
null. Lastly a fresh process times its first step with the repeated block compiled,
nothing cached.

On a GPU everything is measured there, also in fp16 and bf16; its fp32 is what
SpeechBrain sets, TF32. The last line is JSON: results of the first configuration, by
default the baseline with a batch of 1, then those of all.
"""

import os
import shutil
import sys
import tempfile
from unittest import mock

from child import Child
from contenders import OURS, Network
from reporting import make_parser, print_json, settings, show
from side_by_side import measure

NAMES = (
    "time_ratio_stock",
    "time_ratio_floor",
    "memory_ratio_stock",
    "inference_ratio_stock",
    "max_relative_difference",
    "gradient_max_relative_difference",
)


def first_compiled_step(setting):
    """Its seconds and None, or None and the reason why there are none."""
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(compiler):
        return None, f"no C++ compiler, {compiler}, is found"
    with tempfile.TemporaryDirectory() as folder:
        with mock.patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=folder):
            child = Child(Network, setting, OURS)
        child.ask("compile")
        seconds = child.ask("seconds", "train")
        reason = child.fault
        child.stop()
    return seconds, reason


def main(argv=None):
    """Run the command line; returns the exit status."""
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument(
        "--skip_compile", action="store_true", help="do not time a compiled step"
    )
    options = parser.parse_args(argv)
    measured, results = settings(parser, options), []
    for setting in measured:
        results.append(measure(setting, ("time", "inference"), options.repeats))
        show(setting, results[-1])
    seconds, reason = None, "skipped"
    if not options.skip_compile:
        seconds, reason = first_compiled_step(measured[0])
    print(f"first compiled step: {reason or f'{seconds:.1f} s'}")
    print_json(NAMES, measured, results, first_compiled_step_seconds=seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
