"""Modules: shapes, options, text, copies, training."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

import logsig_codegen as lg
from logsig_codegen import nn


def paths(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (4, 14)),
        ({"stream": True}, (4, 9, 14)),
        ({"windows": (4, 2)}, (4, 4, 14)),
        ({"time_aug": True}, (4, 30)),
        ({"lead_lag": True, "time_aug": True}, (4, 7 + 21 + 112)),
        ({"method": 0}, (4, 3 + 9 + 27)),
        ({"method": 1, "n_jobs": -1}, (4, 14)),
    ],
)
def test_log_sig_is_the_function(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    module, path = nn.LogSig(3, 3, **options), paths(4, 10, 3)
    result = module(path)
    assert result.shape == shape
    assert module.out_features == shape[-1]
    assert torch.equal(result, lg.log_sig(path, 3, **{"method": 2, **options}))


def test_lengths_initial_and_lists() -> None:
    module, path, initial = nn.LogSig(2, 3), paths(3, 5, 2), paths(3, 5)
    found = module(path, torch.tensor([5, 1, 3]), initial)
    assert torch.equal(found, lg.log_sig(path, 3, method=2, lengths=[5, 1, 3], initial=initial))
    ragged = module([path[0], path[1, :1], path[2, :3]])
    torch.testing.assert_close(ragged, module(path, torch.tensor([5, 1, 3])))


def test_parts_of_paths_are_those_of_the_function() -> None:
    path, times = paths(3, 9, 2), torch.linspace(0, 4, 9)
    module = nn.LogSig(2, 3, windows=[(4, 2), (2, 1)])
    expected = lg.log_sig(path, 3, method=2, windows=[(4, 2), (2, 1)])
    assert all(torch.equal(found, one) for found, one in zip(module(path), expected, strict=True))
    assert repr(module) == "LogSig(dimension=2, degree=3, windows=((4, 2), (2, 1)))"
    timed = nn.LogSig(2, 3, windows=(1.5, 1.0), missing="linear", count_observations=True, time_aug=True)
    assert timed.out_features == lg.log_sig_length(5, 3)
    path[0, 3, 1] = torch.nan
    options: dict[str, Any] = {"missing": "linear", "count_observations": True, "time_aug": True, "windows": (1.5, 1.0)}
    assert torch.equal(timed(path, times=times), lg.log_sig(path, 3, method=2, times=times, **options))
    with pytest.raises(TypeError, match="windows"):
        timed(path)
    one = nn.LogSig(2, 3, missing="forward")(path, intervals=[[0, 5], [4, 8]])
    assert torch.equal(one, lg.log_sig(path, 3, method=2, missing="forward", intervals=[[0, 5], [4, 8]]))


def test_join_is_the_function() -> None:
    module = nn.LogSigJoin(3, 3)
    state = module.start(4)
    for step in paths(4, 6, 3).unbind(1):
        state = module(state, step)
    walk = torch.cat([torch.zeros(4, 1, 3), paths(4, 6, 3).cumsum(1)], 1)
    torch.testing.assert_close(state, lg.log_sig(walk, 3, method=2), rtol=1e-4, atol=1e-5)


def test_what_is_printed() -> None:
    assert repr(nn.LogSig(3, 2)) == "LogSig(dimension=3, degree=2)"
    text = "LogSig(dimension=3, degree=2, windows=(4, 2), method=1, time_aug=True)"
    assert repr(nn.LogSig(3, 2, windows=(4, 2), time_aug=True, method=1)) == text
    assert repr(nn.LogSigJoin(3, 2)) == "LogSigJoin(dimension=3, degree=2)"
    assert "window=5" in repr(nn.LogODE(3, 2, hidden=4, out_features=2, window=5))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LogSig(0, 2), ValueError, "dimension: expected at least 1"),
        (lambda: nn.LogSig(2, 2.0), TypeError, "degree: expected an integer"),  # type: ignore[arg-type]
        (lambda: nn.LogSig(2, 2, method=7), ValueError, "method"),
        (lambda: nn.LogSig(2, 2, windows=(0, 1)), ValueError, "windows"),
        (lambda: nn.LogSig(2, 2, time_aug=1), TypeError, "time_aug"),  # type: ignore[arg-type]
        (lambda: nn.LogSigJoin(2, 2, n_jobs=0), ValueError, "n_jobs"),
        (lambda: nn.LogSig(2, 2)(torch.zeros(4, 3)), ValueError, "path: expected last dimension 2, got 3"),
        (lambda: nn.LogSigJoin(2, 2)(torch.zeros(4), torch.zeros(2)), ValueError, "log_sig: expected last dimension 3"),
    ],
)
def test_wrong_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_and_pickles(duplicate: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), nn.LogSig(2, 3, time_aug=True), torch.nn.Linear(14, 1))
    other, path = duplicate(model), paths(4, 10, 3)
    assert torch.equal(model(path), other(path))
    assert repr(model) == repr(other)
    ode = nn.LogODE(3, 2, hidden=4, out_features=2, window=5)
    assert torch.equal(ode(path), duplicate(ode)(path))
    assert list(duplicate(ode).state_dict()) == list(ode.state_dict())


def test_the_model_sees_every_point_that_counts() -> None:
    model, path = nn.LogODE(2, 2, hidden=4, out_features=3, window=4, missing="linear"), paths(4, 12, 2).double()
    model.double()
    lengths, times = torch.tensor([12, 7, 2, 1]), torch.rand(12).double().cumsum(0)
    padded = path.clone()
    for row, length in zip(padded, lengths, strict=True):
        row[length:] = torch.nan
    for moments in (None, times):
        found = model(padded, lengths, moments)
        for row, one, length in zip(found, path, lengths, strict=True):
            alone = model(one[:length], times=None if moments is None else moments[:length])
            torch.testing.assert_close(row, alone)
    assert not torch.equal(model(path), model(torch.cat([path[:, :-1], path[:, -1:] + 1], 1)))
    straight = path.clone()
    straight[:, 5] = (path[:, 4] + path[:, 6]) / 2
    gap = straight.clone()
    gap[:, 5] = torch.nan
    torch.testing.assert_close(model(gap), model(straight))
    assert "missing='linear'" in repr(model)


def test_the_model_learns() -> None:
    """Which way a path turns: the sign of an area, which no linear function of its points tells."""
    torch.manual_seed(0)
    angles = torch.linspace(0, 3.0, 11)
    signs = torch.arange(64) % 2 * 2 - 1
    circle = torch.stack([angles.cos().expand(64, 11), angles.sin() * signs[:, None]], -1)
    phase = torch.rand(64) * 6.28
    turn = torch.stack([phase.cos(), -phase.sin(), phase.sin(), phase.cos()], -1).reshape(64, 2, 2)
    path = circle @ turn
    model = nn.LogODE(2, 2, hidden=8, out_features=1, window=5, width=16)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        loss = torch.nn.functional.softplus(-signs * model(path).squeeze(-1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 < losses[0]
