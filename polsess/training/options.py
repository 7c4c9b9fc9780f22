"""Run options, fitted to the device and to each other."""

import dataclasses

import torch
from speechbrain.utils.distributed import infer_device
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)


def resolve_run_options(run_opts, hparams):
    """Replace the run options that cannot be carried out as asked.

    fp16 becomes fp32 on a CPU, where SpeechBrain would refuse it. A positive
    ``ckpt_interval_steps`` switches ``ckpt_interval_minutes`` off, where SpeechBrain
    would exit.

    Arguments
    ---------
    run_opts : speechbrain.utils.run_opts.RunOptions
        From the command line.
    hparams : dict
        Where SpeechBrain looks for run options that the command line does not give.

    Returns
    -------
    run_opts, hparams
        As given, with the replacements where SpeechBrain looks for them.

    Example
    -------
    >>> from speechbrain.utils.run_opts import RunOptions
    >>> run_opts = RunOptions.from_dictionary({"device": "cpu"})
    >>> resolve_run_options(run_opts, {"precision": "fp16"})[1]
    {'precision': 'fp32'}
    """

    def asked(option):
        if option in run_opts.overridden_args:
            return run_opts[option]
        return hparams.get(option, run_opts[option])

    changes = {}
    device = asked("device") or infer_device()
    for option in ("precision", "eval_precision"):
        if asked(option) == "fp16" and torch.device(device).type == "cpu":
            logger.info(f"{option}: fp32, since fp16 is not possible on a CPU")
            changes[option] = "fp32"
    if asked("ckpt_interval_steps") > 0:
        changes["ckpt_interval_minutes"] = 0
    on_command_line = {o: changes[o] for o in changes if o in run_opts.overridden_args}
    return dataclasses.replace(run_opts, **on_command_line), {**hparams, **changes}
