"""What the benchmarks of the network measure: ours, SpeechBrain's, and the floor.

Each lives in a process of its own, where side_by_side.py asks it for one piece of work
at a time: ``train``, a training step, or ``infer``, the estimates of a batch.
"""

import ctypes
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml

from polsess.config import merge
from polsess.config.yaml_text import dump, parse_text
from polsess.losses import utterance_si_sdr
from polsess.memory import keep_freed_memory
from polsess.models.safety import NormEps

OURS = "polsess.models.masknet.MaskNet"
STOCK = "speechbrain.lobes.models.conv_tasnet.MaskNet"
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
SECONDS = 4  # of each utterance
SAMPLE_RATE = 8000  # Hz


@dataclass(frozen=True)
class Setting:
    """What is the same for all contenders."""

    config: str
    batch_size: int
    precision: str
    threads: int


def build(setting, masknet):
    """The hyperparameters of a recipe's YAML, its network with this mask network."""
    tree = parse_text(merge(setting.config, {"data_folder": "unread"}))
    for key in ("checkpointer", "train_logger"):  # they would write folders
        del tree[key]
    text = re.sub(r"!new:\S+\.MaskNet\b", f"!new:{masknet}", dump(tree))
    # SpeechBrain runs its blocks as it makes them: with many threads minutes, if busy.
    torch.set_num_threads(1)
    hparams = load_hyperpyyaml(text)
    torch.set_num_threads(setting.threads)
    return hparams


def forget_peak(device):
    """Give back what the building of a network left, and start the peak anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(device):
    """The most memory that this process has held, or None where it is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    # Not getrusage: its peak begins with the parent's, and cannot start anew.
    return _kilobytes("/proc/self/status", "VmHWM")


def available_bytes(device):
    """Memory that is left, or None where it is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0]
    return _kilobytes("/proc/meminfo", "MemAvailable")


def _kilobytes(path, key):
    if sys.platform != "linux":
        return None
    found = re.search(rf"{key}:\s+(\d+) kB", Path(path).read_text())
    return 1024 * int(found[1])


class Contender:
    """Clock and memory; subclasses have the methods ``train`` and ``infer``."""

    def __init__(self, setting):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = DTYPES[setting.precision]
        self.batch_size = setting.batch_size
        self.num_samples = SECONDS * SAMPLE_RATE

    def seconds(self, work):
        """Of one piece of work, named as the method that does it."""
        self._synchronize()
        start = time.perf_counter()
        getattr(self, work)()
        self._synchronize()
        return time.perf_counter() - start

    def _synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Network(Contender):
    """The network of a YAML file, with ours or SpeechBrain's mask network."""

    def __init__(self, setting, masknet):
        super().__init__(setting)
        if masknet == OURS:
            keep_freed_memory()
        hparams = build(setting, masknet)
        NormEps().choose(None, setting.precision)
        self.network = hparams["modules"]["network"].to(self.device)
        self.separate = self.network if masknet == OURS else self._as_speechbrain
        self.optimizer = hparams["opt_class"](self.network.parameters())
        self.max_grad_norm = hparams["max_grad_norm"]
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=setting.precision == "fp16"
        )
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch_size, self.num_samples, 1 + hparams["num_sources"])
        signals = 0.1 * torch.randn(shape, generator=generator).to(self.device)
        self.mixture, self.target = signals.sum(-1), signals[..., 1:]
        forget_peak(self.device)
        self.base_bytes = peak_bytes(self.device)

    def estimate(self, batch_size=None):
        """Of the first so many utterances, all by default: [batch, time, source]."""
        half = self.dtype != torch.float32
        with torch.autocast(self.device.type, self.dtype, enabled=half):
            return self.separate(self.mixture[:batch_size])

    def _as_speechbrain(self, mixture):
        """With its encoder and decoder too; needs a whole number of frames."""
        network = self.network
        frames = network.encoder(mixture)
        estimates = [network.decoder(frames * mask) for mask in network.masknet(frames)]
        return torch.stack(estimates, dim=-1)

    def loss(self, batch_size=None):
        """Negative SI-SDR of the first so many utterances."""
        lengths = torch.ones(len(self.mixture[:batch_size]), device=self.device)
        estimate, target = self.estimate(batch_size), self.target[:batch_size]
        return -utterance_si_sdr(estimate, target, lengths).mean()

    def train(self):
        """One step, as the recipe takes it."""
        self.scaler.scale(self.loss()).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def infer(self):
        """One batch."""
        self.estimate()

    def compile(self):
        """Compile the repeated block, which the next piece of work pays for."""
        self.network.masknet.compile_blocks()

    def added_bytes(self):
        """Peak memory above what there was before the first piece of work."""
        return self.base_bytes and peak_bytes(self.device) - self.base_bytes

    def fit(self, work):
        """Bytes that the whole batch is expected to add, and bytes that there are."""
        if work == "train":
            self.loss(batch_size=1).backward()
            self.optimizer.zero_grad()
        else:
            with torch.no_grad():
                self.estimate(batch_size=1)
        added = self.added_bytes()
        return added and added * self.batch_size, available_bytes(self.device)

    @torch.no_grad()
    def answer(self, path):
        """Write weights and estimate: not sent, lest it count as memory."""
        weights = self.network.state_dict()
        torch.save({"weights": weights, "estimate": self.estimate().float()}, path)

    def gradients(self, weights_path, path):
        """Write those of the first second for such weights; ends double precision.

        In single precision a PReLU's input near 0 may round to the other side.
        """
        self.network.load_state_dict(torch.load(weights_path)["weights"])
        self.mixture = self.mixture[:, :SAMPLE_RATE]
        self.target = self.target[:, :SAMPLE_RATE]
        found = {}
        for name, dtype in {"single": torch.float32, "double": torch.float64}.items():
            self.network.to(dtype)
            self.mixture = self.mixture.to(dtype)
            self.optimizer.zero_grad()
            self.loss(batch_size=1).backward()
            named = self.network.named_parameters()
            found[name] = {key: parameter.grad for key, parameter in named}
        torch.save(found, path)


class Floor(Contender):
    """Only the products of the mask network's 1x1 convolutions, frames as rows."""

    def __init__(self, setting):
        super().__init__(setting)
        network = build(setting, STOCK)["modules"]["network"]
        with torch.no_grad():
            frames = network.encoder(torch.zeros(1, self.num_samples)).shape[2]
        self.weights = [
            convolution.weight[:, :, 0].detach().to(self.device, self.dtype)
            for convolution in network.masknet.modules()
            if isinstance(convolution, torch.nn.Conv1d)
            and convolution.kernel_size == (1,)
            and convolution.groups == 1
        ]  # [out, in]
        rows = self.batch_size * frames
        channels = {size for weight in self.weights for size in weight.shape}
        kind = {"device": self.device, "dtype": self.dtype}
        self.given = {size: torch.randn(rows, size, **kind) for size in channels}
        self.taken = {size: torch.empty(rows, size, **kind) for size in channels}
        self.gradients = [torch.empty_like(weight) for weight in self.weights]

    def infer(self):
        """One product for each convolution."""
        for weight in self.weights:
            width, depth = weight.shape
            torch.mm(self.given[depth], weight.T, out=self.taken[width])

    def train(self):
        """Three: of the input, and of the output's gradient for input and weight."""
        self.infer()
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            width, depth = weight.shape
            torch.mm(self.given[width], weight, out=self.taken[depth])
            torch.mm(self.given[width].T, self.given[depth], out=gradient)
