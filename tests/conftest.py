"""For all tests: one thread, since many on few busy cores wait for each other."""

import torch

torch.set_num_threads(1)
