"""A training run in a process of its own, which kills itself where it is told to, or joins others through torchrun."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

import torch

from JointRegSegLib.networks import placed
from JointRegSegLib.training.distributed import team
from JointRegSegLib.training.trainer import Trainer, TrainerConfig
from Testing.engine.training_cases import Alternating, Separate, ToyModel, toy_dataset


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--together", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.together:
        together(asked.folder)
    else:
        alone(asked.folder, asked.die_at, asked.seconds)


def alone(folder: Path, die_at: int, seconds: float) -> None:
    """Train with the whole toy strategy; `kill -9` this process while it reports step `die_at`."""
    dataset, model = toy_dataset(), ToyModel(norm=True, dropout=0.5)
    steps = 0

    def report(fraction: float, message: str) -> None:
        nonlocal steps
        steps = int(message.split()[1])
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    config = TrainerConfig(seed=3, checkpoint_seconds=seconds)
    Trainer(model, Alternating(model, dataset), dataset, config, folder, report=report).run()


def together(folder: Path) -> None:
    """Train as one of several processes; the first leaves the weights in `weights.pt`."""
    with team(torch.device("cpu")) as (members, device):
        dataset, model = toy_dataset(), placed(ToyModel(), device)
        strategy = Separate(model, dataset, batch=1)
        if members.rank:  # only the first process's weights may count
            torch.nn.init.ones_(model.reg[0].weight)
        Trainer(model, strategy, dataset, TrainerConfig(seed=3), folder, device=device, team=members).run()
        if members.leads:
            torch.save(model.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    main()
