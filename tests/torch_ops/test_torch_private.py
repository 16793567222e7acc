"""Names of torch that nobody promised: without any of them there are the same numbers, by slower ways.

What torch's public registration has is there always: reverse mode of every order, and ``vmap`` of values. Gradients
under ``torch.func`` and forward mode need torch's own names. Each test takes a name away in a fresh process, before the
package asks for it.
"""

from __future__ import annotations

import pytest
from processes import RunPython

NAMES = [
    "torch.autograd.function._SingleLevelFunction",
    "torch._functorch.utils.enable_single_level_autograd_function",
    "torch._C._any_requires_grad",
    "torch._C._len_torch_dispatch_stack",
    "torch._C._autograd._profiler_enabled",
    "torch._C._get_tracing_state",
    "torch._C._dispatch_has_kernel",
    "torch._C._after_autograd_keyset",
    "torch._assert_async",
]

PROGRAM = """
import torch
import torch._functorch.utils
import logsig_codegen as lg

hidden = {names!r}
real = getattr

def without(owner, name, *default):
    for path in hidden:
        *parents, last = path.split(".")
        found = torch
        for parent in parents[1:]:
            found = real(found, parent)
        if owner is found and name == last:
            return default[0]
    return real(owner, name, *default)

import builtins
builtins.getattr = without
from logsig_codegen.runtime.torch_ops import private
builtins.getattr = real
assert (private.AUTOGRAD is None) == {public!r}, private.AUTOGRAD

join = lambda l, v: lg.log_sig_join(l, v, 2, 3)
source = torch.Generator().manual_seed(3)
make = lambda *shape: torch.randn(*shape, generator=source, dtype=torch.float64).requires_grad_()
l, v, path = make(3, 5), make(3, 2), make(2, 6, 2)
expected = torch.from_numpy(lg.load(2, 3).join(l.detach().numpy(), v.detach().numpy()))
torch.testing.assert_close(join(l, v).detach(), expected, rtol=0, atol=0)
assert torch.autograd.gradcheck(join, (l, v))
assert torch.autograd.gradgradcheck(join, (l, v))
assert torch.autograd.gradcheck(lambda p: lg.log_sig(p, 3, method=2), path)
torch.testing.assert_close(torch.vmap(join)(l.detach(), v.detach()), expected)
if not {public!r}:
    found = torch.func.grad(lambda l: join(l, v.detach()).sum())(l.detach())
    torch.testing.assert_close(found, torch.autograd.grad(join(l, v.detach()).sum(), l)[0])
lengths = torch.tensor([6, 3])
torch.testing.assert_close(
    lg.log_sig(path, 3, lengths=lengths)[1], lg.log_sig(path[1, :3], 3)
)
print("same numbers")
"""


def without(run_python: RunPython, *names: str, public: bool) -> None:
    assert run_python(PROGRAM.format(names=names, public=public)).stdout == "same numbers\n"


def test_without_what_one_function_for_all_of_autograd_needs(run_python: RunPython) -> None:
    without(run_python, *NAMES[:3], public=True)


def test_without_what_tells_that_nothing_intervenes(run_python: RunPython) -> None:
    without(run_python, *NAMES[3:7], public=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_without_one(run_python: RunPython, name: str) -> None:
    without(run_python, name, public=name in (*NAMES[:3], "torch._C._after_autograd_keyset"))
