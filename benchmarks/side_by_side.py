"""Contenders side by side: each in its own process, asked for its work in turn.

Only one works at any time, and they alternate: what slows the machine down for a while
slows all of them down.
"""

import statistics
import tempfile
from contextlib import contextmanager

import torch
from child import Child
from contenders import OURS, STOCK, Floor, Network

WORK = {"time": "train", "inference": "infer"}  # by the beginning of a result's name
WARM_UP = 2  # rounds that are not counted: they take memory from the system


@contextmanager
def contenders(setting):
    """Children by name: ours, stock, floor."""
    children = {
        "ours": Child(Network, setting, OURS),
        "stock": Child(Network, setting, STOCK),
        "floor": Child(Floor, setting),
    }
    try:
        yield children
    finally:
        for child in children.values():
            child.stop()


def estimates_agree(children, setting, work, folder):
    """Compare estimates of the same weights; stops stock if it is too big.

    Returns
    -------
    dict
        The largest difference from stock's estimate over its largest magnitude, None
        without stock.
    """
    ours, stock = children["ours"], children["stock"]
    ours.ask("answer", f"{folder}/ours")
    ours.ask("seconds", work)  # takes the memory that ours needs
    if setting.batch_size > 1 and (fit := stock.ask("fit", work)):
        needed, available = fit
        if needed and available and needed > available:
            stock.stop(
                f"does not fit: batch {setting.batch_size} needs about "
                f"{needed / 1e9:.1f} GB, {available / 1e9:.1f} GB are available"
            )
    stock.ask("answer", f"{folder}/stock")
    if ours.fault or stock.fault:
        return {"max_relative_difference": None}
    found, expected = _load(folder, "ours", "stock")
    for name, weight in expected["weights"].items():
        assert torch.equal(found["weights"][name], weight), name
    difference = _relative(found["estimate"], expected["estimate"])
    return {"max_relative_difference": difference}


def gradients_agree(children, folder):
    """Compare gradients of the first weights: see ``Network.gradients``.

    Returns
    -------
    dict
        In double precision, the largest difference from stock's gradient over its
        largest magnitude, of the worst parameter. In single precision, what either
        is off its own double by, all parameters as one vector.
    """
    for name in ("ours", "stock"):
        children[name].ask("gradients", f"{folder}/ours", f"{folder}/{name}_gradients")
    if children["ours"].fault or children["stock"].fault:
        return {"gradient_max_relative_difference": None, "gradient_error": None}
    ours, stock = _load(folder, "ours_gradients", "stock_gradients")
    return {
        "gradient_max_relative_difference": max(
            _relative(ours["double"][name], gradient)
            for name, gradient in stock["double"].items()
        ),
        "gradient_error": {"ours": _error(**ours), "stock": _error(**stock)},
    }


def _load(folder, *names):
    return [torch.load(f"{folder}/{name}", map_location="cpu") for name in names]


def _relative(ours, stock):
    return ((ours - stock).abs().max() / stock.abs().max()).item()


def _error(single, double):
    wrong = sum((single[name] - right).square().sum() for name, right in double.items())
    return (wrong / sum(g.square().sum() for g in double.values())).sqrt().item()


def timings(children, work, repeats):
    """Seconds of each round by contender; empty for one that is gone."""
    found = {name: [] for name in children}
    for _ in range(WARM_UP + repeats):
        for name, child in children.items():
            found[name].append(child.ask("seconds", work))
    return {
        name: [] if children[name].fault else seconds[WARM_UP:]
        for name, seconds in found.items()
    }


def median(seconds):
    """None of none."""
    return statistics.median(seconds) if seconds else None


def ratio(seconds, theirs):
    """Median over the rounds of ours divided by theirs, or None where one is gone."""
    rounds = zip(seconds["ours"], seconds[theirs], strict=False)
    return median([ours / other for ours, other in rounds])


def measure(setting, kinds, repeats):
    """Compare ours with the others in one setting.

    Arguments
    ---------
    setting : Setting
        For all contenders.
    kinds : tuple of str
        What to time, of WORK; peak memory is that of the first.
    repeats : int
        Rounds.

    Returns
    -------
    dict
        By contender its median ``{kind}_seconds``, its ``memory_bytes`` and its fault
        if it is gone; ``{kind}_ratio_{contender}``, ``memory_ratio_stock`` and the
        differences, None where one is gone.
    """
    result = {}
    with contenders(setting) as children, tempfile.TemporaryDirectory() as folder:
        result |= estimates_agree(children, setting, WORK[kinds[0]], folder)
        for kind in kinds:
            seconds = timings(children, WORK[kind], repeats)
            result[f"{kind}_seconds"] = {n: median(s) for n, s in seconds.items()}
            for theirs in ("stock", "floor"):
                result[f"{kind}_ratio_{theirs}"] = ratio(seconds, theirs)
        memory = {n: children[n].ask("added_bytes") for n in ("ours", "stock")}
        known = memory["ours"] and memory["stock"]
        result["memory_bytes"] = memory
        result["memory_ratio_stock"] = (
            memory["ours"] / memory["stock"] if known else None
        )
        if "time" in kinds and setting.precision == "fp32":
            result |= gradients_agree(children, folder)
        result["faults"] = {n: c.fault for n, c in children.items() if c.fault}
    return result
