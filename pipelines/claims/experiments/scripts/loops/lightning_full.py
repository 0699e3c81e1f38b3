"""Trains a small net with PyTorch Lightning until it no longer improves, and keeps the best."""

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from pipelines.claims.experiments.scripts.task import EPOCHS, MOMENTUM, PATIENCE, RATE, task, torch_net, torch_weights

job = task()
net = torch_net(job)
batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in job.batches()]
train, check = DataLoader(batches[:-1], None), DataLoader(batches[-1:], None)


class Training(pl.LightningModule):
    """Says what one step is, what is watched, and what optimises."""

    def __init__(self):
        super().__init__()
        self.net = net

    def training_step(self, batch, number):  # noqa: ARG002 - Lightning's signature
        x, y = batch
        return torch.nn.functional.cross_entropy(self.net(x), y)

    def validation_step(self, batch, number):
        self.log("value", self.training_step(batch, number), batch_size=len(batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), RATE, MOMENTUM)


best = ModelCheckpoint(job.folder, monitor="value", save_weights_only=True)
callbacks = [best, EarlyStopping("value", min_delta=0.0, patience=PATIENCE)]
quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
trainer = pl.Trainer(accelerator="cpu", devices=1, max_epochs=EPOCHS, callbacks=callbacks, **quiet)
training = Training()
trainer.fit(training, train, check)
training.load_state_dict(torch.load(best.best_model_path)["state_dict"])
job.end(torch_weights(net))
