"""Inference of ours, of SpeechBrain's and of their products alone, side by side.

    python benchmarks/inference.py [--config YAML] [--batch_size 1] [--repeats 20]

The contenders are those of train_step.py, here without gradients, the floor with one
product for each 1x1 convolution; ratios, memory and differences are meant as there.
The real-time factor is ours: seconds of work for a second of audio. The last line is
JSON: results of the first configuration, then those of all.
"""

import sys

from contenders import SECONDS
from reporting import make_parser, print_json, settings, show
from side_by_side import measure

NAMES = (
    "inference_ratio_stock",
    "inference_ratio_floor",
    "memory_ratio_stock",
    "max_relative_difference",
    "real_time_factor",
)


def main(argv=None):
    """Run the command line; returns the exit status."""
    parser = make_parser(__doc__, repeats=20)
    options = parser.parse_args(argv)
    measured, results = settings(parser, options), []
    for setting in measured:
        result = measure(setting, ("inference",), options.repeats)
        seconds = result["inference_seconds"]["ours"]
        factor = seconds and seconds / (SECONDS * setting.batch_size)
        results.append(result | {"real_time_factor": factor})
        show(setting, result)
        if factor:
            print(f"real-time factor of ours: {factor:.4f}")
    print_json(NAMES, measured, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
