"""The benchmarks run and their contenders agree; what they measure is not asserted."""

import json
import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("task", ["ES", "EB", "SB"])
def test_dataset(task, capsys):
    main = runpy.run_path(str(BENCHMARKS / "dataset.py"))["main"]
    assert main(["--task", task, "--rows", "4", "--repeats", "2"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"items_per_second", "speedup", "speedup_soundfile"}
    names = {"plain", "polsess_soundfile", "polsess"}
    assert set(result["items_per_second"]) == names
