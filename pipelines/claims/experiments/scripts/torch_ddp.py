"""Trains a small net with PyTorch, in every process that torchrun started: each takes its part of a batch."""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, task, torch_net, torch_weights

job = task()
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
net = DistributedDataParallel(torch_net(job))
optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
for x, y in job.timed(job.batches()):
    x, y = x[rank::world], y[rank::world]
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    optimizer.step()
job.end(torch_weights(net), rank)
dist.destroy_process_group()
