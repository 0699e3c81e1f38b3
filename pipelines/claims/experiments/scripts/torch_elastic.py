"""Trains a small net with PyTorch, in every process that torchrun started, and goes on from a checkpoint."""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, task, torch_net, torch_weights

EVERY = 20

job = task()
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
net = DistributedDataParallel(torch_net(job))
optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
checkpoint, done = job.folder / "checkpoint.pt", 0
if checkpoint.exists():
    saved = torch.load(checkpoint)
    net.load_state_dict(saved["net"])
    optimizer.load_state_dict(saved["optimizer"])
    done = saved["done"]
for number, (x, y) in enumerate(job.batches()):
    if number < done:
        continue
    x, y = x[rank::world], y[rank::world]
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    optimizer.step()
    if rank == 0 and (number + 1) % EVERY == 0:
        beside = checkpoint.with_suffix(".writing")
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "done": number + 1}, beside)
        beside.replace(checkpoint)
    job.log(number)
job.end(torch_weights(net), rank)
dist.destroy_process_group()
