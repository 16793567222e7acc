"""Arguments for every operator of torch: small, in double precision, all options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.operations import PRODUCTS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.torch_ops import calls

assert calls  # importing it registers the operators

D, N = 2, 3
M = Problem(D, N).size
S = 2 + 4 + 8


@dataclass(frozen=True)
class Case:
    """A call: its tensors (``None`` where an optional one is left out), and the plain arguments after them."""

    operator: str
    tensors: tuple[Tensor | None, ...]
    others: tuple[Any, ...]
    differentiable: tuple[int, ...]
    """Which tensors it is differentiated by."""

    @property
    def expands(self) -> bool:
        """Whether the result of a call along paths is in other coordinates than Lyndon brackets."""
        names = [one.name for one in overload(self.operator)._schema.arguments[len(self.tensors) :]]
        return dict(zip(names, self.others, strict=False)).get("method", 2) < 2

    def function(self) -> tuple[Callable[..., Any], list[Tensor]]:
        """The call as a function of what it is differentiated by, and fresh leaves to call it with."""
        operator = overload(self.operator)

        def call(*leaves: Tensor) -> Any:
            given = list(self.tensors)
            for place, leaf in zip(self.differentiable, leaves, strict=True):
                given[place] = leaf
            return operator(*given, *self.others)

        chosen = [self.tensors[place] for place in self.differentiable]
        return call, [one.clone().requires_grad_() for one in chosen if one is not None]


def overload(name: str) -> Any:
    return getattr(torch.ops.logsig_codegen, name).default


_source = torch.Generator().manual_seed(11)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=_source, dtype=torch.float64)


def case(operator: str, *tensors: Tensor | None, others: tuple[Any, ...] = (D, N)) -> Case:
    places = tuple(place for place, one in enumerate(tensors) if one is not None and one.is_floating_point())
    return Case(operator, tensors, others, places)


def _products() -> dict[str, Case]:
    found = {}
    for name, operation in PRODUCTS.items():
        width = operation.operand_inputs[1].columns(Problem(D, N))
        for label, lead, right in (("", (2,), (2,)), (", broadcast", (2, 1), (2,)), (", no batch", (), ())):
            full = torch.broadcast_shapes(lead, right)
            left_row, right_row = (lambda lead=lead: random(*lead, M)), (lambda r=right, w=width: random(*r, w))  # type: ignore[misc]
            found[f"{name}{label}"] = case(name, left_row(), right_row())
            found[f"{name}_backprop{label}"] = case(f"{name}_backprop", random(*full, M), left_row(), right_row())
            found[f"{name}_jvp{label}"] = case(f"{name}_jvp", left_row(), right_row(), left_row(), right_row())
            found[f"{name}_backprop_backprop{label}"] = case(
                f"{name}_backprop_backprop", left_row(), right_row(), random(*full, M), left_row(), right_row()
            )
    found["join_jvp, tangents of another shape"] = case("join_jvp", random(M), random(D), random(2, M), random(D))
    found["bracket"] = case("bracket", random(2, M), random(M))
    found["coadjoint"] = case("coadjoint", random(M), random(2, M))
    return found


LENGTHS = torch.tensor([4, 1, 0, 3])


def _paths() -> dict[str, Case]:
    def backward(d_out: Tensor, path: Tensor, lengths: Any, initial: Any, *options: Any) -> Case:
        # Without the result of the forward pass: the kernel takes it for known, so it must not stand still.
        return case("log_sig_backprop", d_out, None, path, lengths, initial, others=(D, N, *options))

    stream = (True,)
    return {
        "log_sig": case("log_sig", random(2, 4, D), None, None),
        "log_sig, no batch": case("log_sig", random(4, D), None, None),
        "log_sig, one point": case("log_sig", random(2, 1, D), None, None),
        "log_sig, initial": case("log_sig", random(2, 3, D), None, random(M)),
        "log_sig, wide initial": case("log_sig", random(2, D), None, random(3, M)),
        "log_sig, lengths": case("log_sig", random(4, 4, D), LENGTHS, random(4, M)),
        "log_sig, stream": case("log_sig", random(4, 4, D), LENGTHS, random(M), others=(D, N, *stream)),
        "log_sig, stream without initial": case("log_sig", random(3, D), None, None, others=(D, N, *stream)),
        "log_sig, windows": case("log_sig", random(4, 4, D), LENGTHS, None, others=(D, N, False, [3, 1])),
        "log_sig, state, method": case("log_sig", random(3, D), None, None, others=(D, N, False, None, "signature", 0)),
        "log_sig, words": case("log_sig", random(3, D), None, random(M), others=(D, N, False, None, None, 1)),
        "log_sig_backprop": backward(random(2, M), random(2, 4, D), None, None),
        "log_sig_backprop, initial": backward(random(2, M), random(2, 3, D), None, random(M)),
        "log_sig_backprop, wide initial": backward(random(3, M), random(2, D), None, random(3, M)),
        "log_sig_backprop, lengths": backward(random(4, M), random(4, 3, D), LENGTHS.clamp(max=3), None),
        "log_sig_backprop, stream": backward(random(2, M), random(3, D), None, random(M), *stream),
        "log_sig_backprop, windows": backward(random(2, M), random(4, D), None, None, False, [3, 1]),
        "log_sig_backprop, expanded": backward(random(S), random(3, D), None, None, False, None, None, 0),
    }


PAIRS = torch.tensor([[0, 3], [2, 1], [1, 3], [2, 2], [1, 2], [0, 1]])


def _intervals() -> dict[str, Case]:
    each = torch.stack([PAIRS[:3], PAIRS[3:]])
    back = "log_sig_intervals_backprop"
    return {
        "log_sig_intervals": case("log_sig_intervals", random(2, 4, D), PAIRS),
        "log_sig_intervals, each path": case("log_sig_intervals", random(2, 4, D), each),
        "log_sig_intervals, no batch": case("log_sig_intervals", random(4, D), PAIRS, others=(D, N, "signature", 0)),
        "log_sig_intervals, none": case("log_sig_intervals", random(2, 4, D), PAIRS[:0]),
        back: case(back, random(2, 6, M), None, random(2, 4, D), PAIRS),
        f"{back}, each path": case(back, random(2, 3, M), None, random(2, 4, D), each),
        f"{back}, broadcast": case(back, random(M), None, random(4, D), PAIRS, others=(D, N, None, 1)),
    }


def _conversions() -> dict[str, Case]:
    found = {}
    for source, width in ((0, S), (0, S + 1), (1, M), (2, M)):
        for target in (0, 1, 2):
            label = f"change_method {source} ({width}) to {target}"
            found[label] = case("change_method", random(2, width), others=(D, N, source, target, True))
    for source, target, width in ((2, 0, S + 1), (0, 2, M), (1, 0, S)):
        label = f"change_method_backprop {source} to {target}"
        found[label] = case("change_method_backprop", random(2, width), others=(D, N, source, target, True))
    for name in ("to_hall", "from_hall", "to_hall_backprop", "from_hall_backprop"):
        found[name] = case(name, random(2, M))
    for method, width in ((0, S + 1), (2, M)):
        found[f"linear_log_sig {method}"] = case("linear_log_sig", random(2, D), others=(D, N, method, True))
        found[f"linear_log_sig_backprop {method}"] = case(
            "linear_log_sig_backprop", random(2, width), others=(D, N, method, True)
        )
    for label, time_aug, lead_lag in (("time", True, False), ("lead-lag", False, True), ("both", True, True)):
        width, length = (2 * D if lead_lag else D) + time_aug, 5 if lead_lag else 3
        found[f"transform_path {label}"] = case(
            "transform_path", random(2, 3, D), None, others=(time_aug, lead_lag, 2.0)
        )
        found[f"transform_path_backprop {label}"] = case(
            "transform_path_backprop", random(2, length, width), torch.tensor([3, 1]), others=(time_aug, lead_lag)
        )
    for method, width in ((0, S), (1, M), (2, M)):
        for scalar in (0, 1):
            label = f"{method}{', scalar term' if scalar else ''}"
            more = width + scalar if method == 0 else width
            found[f"sig_to_log_sig {label}"] = case("sig_to_log_sig", random(2, S + scalar), others=(D, N, method))
            found[f"sig_to_log_sig_backprop {label}"] = case(
                "sig_to_log_sig_backprop", random(2, S + scalar), random(2, more), others=(D, N, method)
            )
            found[f"logsig_to_sig {label}"] = case(
                "logsig_to_sig", random(2, more), others=(D, N, method, bool(scalar))
            )
            found[f"logsig_to_sig_backprop {label}"] = case(
                "logsig_to_sig_backprop", random(2, more), random(2, S + scalar), others=(D, N, method, bool(scalar))
            )
    return found


CASES: dict[str, Case] = {**_products(), **_paths(), **_intervals(), **_conversions()}
