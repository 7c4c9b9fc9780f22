"""The command line of the benchmarks of the network, their tables and their JSON."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from contenders import DTYPES, Setting
from rich.console import Console
from rich.table import Table

from polsess.config import ConfigError, merge

HPARAMS = Path(__file__).parents[1] / "recipes/PolSESS/ConvTasNet/hparams"
CONFIGS = [str(HPARAMS / name) for name in ("convtasnet.yaml", "small.yaml")]
BATCH_SIZES = [1, 4]
COLUMNS = {
    "time": ("step", "time_seconds", "{:.3f} s", 1),
    "inference": ("inference", "inference_seconds", "{:.3f} s", 1),
    "memory": ("peak memory", "memory_bytes", "{:.0f} MB", 1e-6),
}


def make_parser(description, repeats):
    """The options that both have."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", help="a recipe's YAML; default: baseline and small")
    parser.add_argument("--batch_size", type=int, help="utterances; default: 1 and 4")
    parser.add_argument(
        "--repeats",
        type=int,
        default=repeats,
        help="rounds to time; default: %(default)s",
    )
    parser.add_argument("--threads", type=int, help="default: PyTorch's, all cores")
    return parser


def settings(parser, options):
    """All that is to be measured; exits when that cannot be."""
    for name in ("batch_size", "repeats", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected 1 or more; found {value}")
    configs = [options.config] if options.config else CONFIGS
    try:
        for config in configs:
            merge(config, {"data_folder": "unread"})
    except ConfigError as error:
        parser.error(str(error))
    batch_sizes = [options.batch_size] if options.batch_size else BATCH_SIZES
    threads = options.threads or torch.get_num_threads()
    precisions = list(DTYPES) if torch.cuda.is_available() else ["fp32"]
    return [
        Setting(config, batch_size, precision, threads)
        for config in configs
        for batch_size in batch_sizes
        for precision in precisions
    ]


def show(setting, result):
    """Print a table, each ratio as ours divided by theirs."""
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"{setting.threads} CPU threads"
    name, batch = Path(setting.config).name, setting.batch_size
    table = Table(title=f"{name}, batch {batch}, {setting.precision}, {device}")
    table.add_column("")
    kinds = [kind for kind, (_, key, *_) in COLUMNS.items() if key in result]
    for kind in kinds:
        table.add_column(COLUMNS[kind][0], justify="right")
        table.add_column("ours is", justify="right")
    for contender in ("ours", "stock", "floor"):
        cells = []
        for kind in kinds:
            _, key, form, unit = COLUMNS[kind]
            value = result[key].get(contender)
            ratio = result.get(f"{kind}_ratio_{contender}")
            cells.append("" if value is None else form.format(value * unit))
            cells.append("" if ratio is None else f"{ratio:.3f} x")
        table.add_row(contender, *cells)
    Console().print(table)
    for key, value in result.items():
        if key.endswith("relative_difference") and value is not None:
            print(f"{key.replace('_', ' ')}: {value:.1e}")
    if errors := result.get("gradient_error"):
        print("gradient error: " + ", ".join(f"{n} {e:.1e}" for n, e in errors.items()))
    for contender, fault in result["faults"].items():
        print(f"{contender}: {fault}")


def print_json(names, settings, results, **further):
    """The last line: the first setting's results of these names, then all of them."""
    line = {name: results[0].get(name) for name in names} | further
    line["configurations"] = [
        {**asdict(setting), "config": Path(setting.config).name, **result}
        for setting, result in zip(settings, results, strict=True)
    ]
    print(json.dumps(_rounded(line)))


def _rounded(value):
    """Four digits of each number; None for what is not one, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < float("inf") else None
    return value
