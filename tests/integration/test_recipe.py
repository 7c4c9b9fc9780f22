"""The recipe by its command line: train, kill, resume, evaluate."""

import csv
import hashlib
import re

import pytest
import torch
from corpus_maker import make_corpus
from hyperpyyaml import load_hyperpyyaml
from recipe import evaluate, train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve rows to train on, four to validate, four to test, in turn in and out."""
    folder = tmp_path_factory.mktemp("corpora") / "Tiny"
    return make_corpus(folder, {"train": 12, "val": 4, "test": 4})


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A run of two epochs, with a checkpoint every other batch; its output."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    return folder, train(corpus, folder, ckpt_interval_steps=2)


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def epochs(folder):
    """The lines of train_log.txt without times and memory."""
    log = (folder / "train_log.txt").read_text()
    return re.sub(r"(seconds_per_batch|peak_memory_gb): \S+", "", log).splitlines()


def weights(folder, key=None):
    """All tensors of the last checkpoint by file name."""
    last = max((folder / "save").glob("CKPT*"), key=lambda path: path.stat().st_mtime)
    names = ("encoder", "masknet", "decoder")
    return {n: torch.load(last / f"{n}.ckpt", weights_only=True) for n in names}


def assert_same_run(one, other):
    assert epochs(one) == epochs(other)
    found, expected = weights(one), weights(other)
    for name in expected:
        for key, tensor in expected[name].items():
            assert torch.equal(found[name][key], tensor), (name, key)


def test_a_run_is_trained_and_scored(trained):
    folder, output = trained
    assert output.count("fp32, since fp16 is not possible on a CPU") == 1
    assert len(epochs(folder)) == 2
    assert "valid si_sdri" in epochs(folder)[0]
    scores = read(folder / "scores.csv")
    assert len({(row["id"], row["variant"]) for row in scores}) == 2 * 4 + 2 * 3
    assert {row["status"] for row in scores} == {"ok"}
    assert {row["corpus"] for row in scores} == {"Tiny"}
    assert {row["pesq"] for row in scores} == {""}
    summary = read(folder / "summary.csv")
    variants = ["SER", "SR", "ER", "R", "SE", "S", "E", "AVERAGE"]
    assert [row["variant"] for row in summary] == variants
    means = [float(row["si_sdr"]) for row in summary]
    assert sum(means[:-1]) / 7 == pytest.approx(means[-1], abs=1e-3)
    for row in summary:
        gain = float(row["si_sdr"]) - float(row["si_sdr_mixture"])
        assert float(row["si_sdri"]) == pytest.approx(gain, abs=1e-3)
        assert f"{float(row['si_sdr']):.2f}" in output


def test_the_saved_configuration_loads_anywhere(trained):
    folder, _ = trained
    with open(folder / "hyperparams.yaml", encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, {"output_folder": str(folder / "elsewhere")})
    assert hparams["num_filters"] == 16
    assert str(hparams["checkpointer"].checkpoints_dir).startswith(
        str(folder / "elsewhere")
    )
    hparams["modules"]["network"].encoder.load_state_dict(weights(folder)["encoder"])
    (folder / "elsewhere" / "save").rmdir()
    (folder / "elsewhere").rmdir()


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}], ids=["0", "2 workers"])
@pytest.mark.parametrize("checkpoints", [2, 4])
def test_a_killed_run_resumes_where_it_was(
    corpus, trained, tmp_path, checkpoints, options
):
    folder = tmp_path / "killed"
    options = {"ckpt_interval_steps": 2, **options}
    train(corpus, folder, kill_after=checkpoints, expect=-9, **options)
    finished = checkpoints // 3  # an epoch saves three times within
    assert (folder / "train_log.txt").exists() == (finished > 0)
    output = train(corpus, folder, **options)
    assert "Loading a checkpoint" in output
    assert_same_run(folder, trained[0])
    assert read(folder / "scores.csv") == read(trained[0] / "scores.csv")


def test_a_run_goes_on_to_more_epochs(corpus, trained, tmp_path):
    folder = tmp_path / "longer"
    train(corpus, folder, number_of_epochs=1)
    train(corpus, folder, number_of_epochs=2)
    assert_same_run(folder, trained[0])
    before = weights(folder)["encoder"]
    train(corpus, folder, number_of_epochs=2)
    assert len(epochs(folder)) == 2, "a finished run trains no more"
    assert str(weights(folder)["encoder"]) == str(before)


def test_accumulation_survives_a_kill(corpus, tmp_path):
    options = {"ckpt_interval_steps": 1, "grad_accumulation_factor": 4}
    train(corpus, tmp_path / "whole", **options)
    train(corpus, tmp_path / "killed", kill_after=2, expect=-9, **options)
    train(corpus, tmp_path / "killed", **options)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize(("task", "yaml"), [("EB", "eb.yaml"), ("SB", "sb.yaml")])
def test_the_other_tasks(corpus, tmp_path, task, yaml):
    train(corpus, tmp_path, yaml, number_of_epochs=1, test_variants="SER,C,E")
    scores = read(tmp_path / "scores.csv")
    status = "mixture is the target" if task == "EB" else "ok"
    for row in scores:
        assert row["status"] == ("ok" if row["variant"] != "C" else status)
    summary = {row["variant"]: row for row in read(tmp_path / "summary.csv")}
    assert summary["C"]["num_utterances"] == "4"
    assert (summary["C"]["si_sdri"] == "") == (task == "EB")
    averaged = 4 if task == "EB" else 8
    assert summary["AVERAGE"]["num_utterances"] == str(averaged)


def test_evaluation_alone_changes_nothing_else(corpus, trained, tmp_path):
    folder, _ = trained
    before, scores = hashes(folder), read(folder / "scores.csv")
    other = make_corpus(tmp_path / "Other", {"test": 3}, seed=1)
    evaluate(other, folder, scores_folder=tmp_path / "scores", test_variants="[R, S]")
    assert hashes(folder) == before
    found = read(tmp_path / "scores" / "scores.csv")
    assert {row["variant"] for row in found} == {"R", "S"}
    assert {row["corpus"] for row in found} == {"Other"}

    evaluate(corpus, folder)
    again = read(folder / "scores.csv")
    assert [row["si_sdr"] for row in again] == [row["si_sdr"] for row in scores]
    after = hashes(folder)
    for path, digest in before.items():
        if path.parts[0] in ("save", "manifests", "hyperparams.yaml", "train_log.txt"):
            assert after[path] == digest, path


def test_the_best_checkpoint_is_scored(trained):
    folder, output = trained
    scores = [float(re.search(r"valid si_sdr: (\S+),", e)[1]) for e in epochs(folder)]
    best = max(range(2), key=scores.__getitem__) + 1
    assert f"'epoch': {best}.0" in output.split("Evaluating the checkpoint")[1]


def test_eps_comes_from_the_checkpoint(corpus, trained, tmp_path):
    train(corpus, tmp_path, eps=0.01, number_of_epochs=1)
    expected = read(tmp_path / "scores.csv")
    saved = tmp_path / "hyperparams.yaml"
    saved.write_text(saved.read_text().replace("eps: 0.01", "eps: null"))
    output = evaluate(corpus, tmp_path)
    assert "EPS of the norms: 0.01, as the checkpoint was trained" in output
    assert [r["si_sdr"] for r in read(tmp_path / "scores.csv")] == [
        r["si_sdr"] for r in expected
    ]


def test_a_run_without_checkpoint_is_not_scored(corpus, trained, tmp_path):
    (tmp_path / "hyperparams.yaml").write_bytes(
        (trained[0] / "hyperparams.yaml").read_bytes()
    )
    output = evaluate(corpus, tmp_path, expect=1)
    assert "No checkpoint with a score si_sdr" in output
    assert not (tmp_path / "scores.csv").exists()


def test_a_faulty_corpus_is_refused_or_mended(tmp_path):
    folder = make_corpus(tmp_path / "Faulty", {"train": 4, "val": 2, "test": 2})
    next((folder / "train" / "scene").iterdir()).unlink()
    output = train(folder, tmp_path / "run", expect=1)
    assert "scene" in output and "Traceback" not in output
    output = train(folder, tmp_path / "run", on_fault="drop", number_of_epochs=1)
    assert "train: 3 rows" in output


def test_early_stopping(corpus, tmp_path):
    train(corpus, tmp_path, lr=1e-12, early_stopping_patience=1, number_of_epochs=9)
    assert len(epochs(tmp_path)) < 9


@pytest.mark.slow  # and needs a C++ compiler
def test_compiled_training(corpus, trained, tmp_path):
    train(corpus, tmp_path, compile=True, number_of_epochs=1)
    score = re.compile(r"train si_sdr: (\S+)")
    found, expected = (
        float(score.search(epochs(folder)[0])[1]) for folder in (tmp_path, trained[0])
    )
    assert found == pytest.approx(expected, abs=0.02)
