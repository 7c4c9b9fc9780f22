"""The benchmarks run and their contenders agree; what they measure is not asserted."""

import json
import math
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
BASELINE = ROOT / "recipes/PolSESS/ConvTasNet/hparams/convtasnet.yaml"
TINY = f"""
base: {BASELINE}
num_filters: 64
bottleneck_channels: 64
hidden_channels: 128
num_blocks: 2
num_repeats: 1
"""
# What the benchmarks of the network say of all contenders.
RATIOS = {
    "train_step": ["time_ratio_stock", "time_ratio_floor", "inference_ratio_stock"],
    "inference": ["inference_ratio_stock", "inference_ratio_floor"],
}


def run(name, folder, *options):
    """The last line of a benchmark of the network, for a tiny one."""
    config = folder / "tiny.yaml"
    config.write_text(TINY, encoding="utf-8")
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--config", str(config)]
    command += ["--batch_size", "2", "--repeats", "2", "--threads", "1", *options]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.parametrize("task", ["ES", "EB", "SB"])
def test_dataset(task, capsys):
    main = runpy.run_path(str(BENCHMARKS / "dataset.py"))["main"]
    assert main(["--task", task, "--rows", "4", "--repeats", "2"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"items_per_second", "speedup", "speedup_soundfile"}
    names = {"plain", "polsess_soundfile", "polsess"}
    assert set(result["items_per_second"]) == names


@pytest.mark.parametrize("name", RATIOS)
def test_network(name, tmp_path):
    options = ["--skip_compile"] if name == "train_step" else []
    result = run(name, tmp_path, *options)
    row = result["configurations"][0]
    assert row["faults"] == {}
    assert set(row["inference_seconds"]) == {"ours", "stock", "floor"}
    for ratio in [*RATIOS[name], "memory_ratio_stock"]:
        assert math.isfinite(result[ratio]) and result[ratio] > 0
        assert result[ratio] == row[ratio]
    assert result["max_relative_difference"] < 1e-5
    if name == "train_step":
        assert result["gradient_max_relative_difference"] < 1e-9  # in double
        assert max(row["gradient_error"].values()) < 1e-2
        assert result["first_compiled_step_seconds"] is None
    else:
        assert result["real_time_factor"] > 0


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++")), reason="no compiler"
)
def test_compiled_step(tmp_path):
    assert run("train_step", tmp_path)["first_compiled_step_seconds"] > 0


def test_lost_contender(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from child import Child

    child = Child(Path, "polsess")
    assert child.ask("with_suffix", ".py") == Path("polsess.py")
    child.process.kill()
    assert child.ask("exists") is None
    assert "killed" in child.fault
    assert child.ask("exists") is None
    child.stop()


def test_stock_that_does_not_fit(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from contenders import Setting
    from side_by_side import estimates_agree

    class Stub:
        fault = None

        def ask(self, method, *arguments):
            return (3e9, 2e9) if method == "fit" else None

        def stop(self, fault):
            self.fault = fault

    children = {"ours": Stub(), "stock": Stub()}
    setting = Setting("tiny.yaml", batch_size=4, precision="fp32", threads=1)
    found = estimates_agree(children, setting, "train", tmp_path)
    assert found == {"max_relative_difference": None}
    assert children["ours"].fault is None
    assert "batch 4 needs about 3.0 GB, 2.0 GB" in children["stock"].fault
