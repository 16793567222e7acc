"""Other processes: workers of data loaders, and data-parallel training.

Trusts the same computation in one process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import logsig_codegen as lg
from logsig_codegen import nn

SEED = 3


class Walks(torch.utils.data.Dataset[torch.Tensor]):
    """Log-signatures computed in the worker, twice differentiated on the way, so that every kind of kernel is used."""

    def __init__(self) -> None:
        self.module = nn.LogSig(2, 3, time_aug=True)

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        path = torch.arange(8.0).reshape(4, 2).sin().mul(index + 1).requires_grad_()
        result = self.module(path)
        (first,) = torch.autograd.grad(result.square().sum(), path, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), path)
        return torch.cat([result.detach(), second.flatten()])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers(context: str) -> None:
    data = Walks()
    expected = torch.stack([data[index] for index in range(len(data))])
    loader = torch.utils.data.DataLoader(
        data, batch_size=2, num_workers=2, multiprocessing_context=context, timeout=240
    )
    torch.testing.assert_close(torch.cat(list(loader)), expected)


def model() -> torch.nn.Module:
    torch.manual_seed(SEED)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), nn.LogSig(2, 3), torch.nn.Linear(5, 1)).double()


def batch() -> torch.Tensor:
    return torch.randn(8, 10, 3, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)


def train(module: torch.nn.Module, data: torch.Tensor) -> list[torch.Tensor]:
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05)
    for _ in range(3):
        optimiser.zero_grad()
        module(data).square().mean().backward()
        optimiser.step()
    return [parameter.detach().clone() for parameter in module.parameters()]


def worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    replica = torch.nn.parallel.DistributedDataParallel(model())
    parameters = train(replica, batch()[rank::2])
    torch.save(parameters, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def test_data_parallel_training(tmp_path: Path) -> None:
    """Two processes with half of the batch each end where one with all of it does."""
    lg.load(2, 3).prepare("log_sig", "log_sig_backprop")
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    expected = train(model(), batch())
    found: list[list[Any]] = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for one, two, alone in zip(*found, expected, strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, alone)
