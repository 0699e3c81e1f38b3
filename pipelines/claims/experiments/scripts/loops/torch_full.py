"""Trains a small net with PyTorch until it no longer improves, and keeps the best: a loop of its own."""

import math

import torch
from torch.utils.data import DataLoader

from pipelines.claims.experiments.scripts.task import EPOCHS, MOMENTUM, PATIENCE, RATE, task, torch_net, torch_weights

job = task()
net = torch_net(job)
batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in job.batches()]
train, check = DataLoader(batches[:-1], None), DataLoader(batches[-1:], None)
optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
best, since, checkpoint = math.inf, 0, job.folder / "best.pt"
for _ in range(EPOCHS):
    net.train()
    for x, y in train:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        value = sum(float(torch.nn.functional.cross_entropy(net(x), y)) for x, y in check)
    if value < best:
        best, since = value, 0
        torch.save(net.state_dict(), checkpoint)
    else:
        since += 1
    if since >= PATIENCE:
        break
net.load_state_dict(torch.load(checkpoint))
job.end(torch_weights(net))
