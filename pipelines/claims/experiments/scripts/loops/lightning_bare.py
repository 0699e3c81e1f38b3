"""Trains a small net with PyTorch Lightning."""

import pytorch_lightning as pl
import torch

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, task, torch_net, torch_weights

job = task()
net = torch_net(job)


class Training(pl.LightningModule):
    """Says what one step is, and what optimises."""

    def __init__(self):
        super().__init__()
        self.net = net

    def training_step(self, batch, number):  # noqa: ARG002 - Lightning's signature
        x, y = batch
        return torch.nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), RATE, MOMENTUM)


quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
trainer = pl.Trainer(accelerator="cpu", devices=1, max_epochs=1, **quiet)
trainer.fit(Training(), job.timed((torch.from_numpy(x), torch.from_numpy(y)) for x, y in job.batches()))
job.end(torch_weights(net))
