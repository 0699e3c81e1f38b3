"""Trains a small net with PyTorch, in one process."""

import torch

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, task, torch_net, torch_weights

job = task()
net = torch_net(job)
optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
for x, y in job.timed(job.batches()):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    optimizer.step()
job.end(torch_weights(net))
