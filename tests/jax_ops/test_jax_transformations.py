"""Every transformation of JAX: results are those of loops and of numpy, and nothing leaves the compiled program."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax_cases import EACH, ENDS, PAIRS, TIMES, D, M, N
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen import jax_api

Function = Callable[..., Any]


def random(*shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def looped(function: Function, in_axes: tuple[Any, ...], *arrays: Any) -> Any:
    size = next(one.shape[axis] for one, axis in zip(arrays, in_axes, strict=True) if axis is not None)
    rows = []
    for k in range(size):
        chosen = (
            one if axis is None else jnp.take(one, k, axis=axis) for one, axis in zip(arrays, in_axes, strict=True)
        )
        rows.append(function(*chosen))
    return jax.tree_util.tree_map(lambda *x: jnp.stack(x), *rows)


def join(left: Any, right: Any) -> Any:
    return lg.log_sig_join(left, right, D, N)


def after(path: Any, before: Any) -> Any:
    return lg.log_sig(path, N, initial=before)


def stream(path: Any, before: Any) -> Any:
    return lg.log_sig(path, N, initial=before, stream=True)


def padded(path: Any, lengths: Any) -> Any:
    return lg.log_sig(path, N, lengths=lengths, windows=(3, 1))


def parts(path: Any, intervals: Any) -> Any:
    return lg.log_sig(path, N, lengths=[5, 4], intervals=intervals)


def timed(path: Any, times: Any, ends: Any) -> Any:
    return lg.log_sig(path, 2, times=times, intervals=0.9 * ends, missing="linear", time_aug=True)


DOUBLE = np.random.default_rng(3).normal(size=(2, 5, D))
BATCHED: dict[str, tuple[Function, tuple[Any, ...], tuple[Any, ...]]] = {
    "join": (join, (0, 0), (random(3, M), random(3, D))),
    "join, last axis": (join, (1, None), (random(M, 3), random(D))),
    "join, right only": (join, (None, 1), (random(2, M), random(2, 3, D))),
    "after": (after, (0, 0), (random(3, 4, D), random(3, M))),
    "after, paths only": (after, (1, None), (random(2, 3, 4, D), random(M))),
    "after, before only": (after, (None, 1), (random(2, 4, D), random(2, 3, M))),
    "stream, before only": (stream, (None, 0), (random(2, 4, D), random(3, M))),
    "stream, paths only": (stream, (0, None), (random(3, 2, 4, D), random(M))),
    "lengths only": (padded, (None, 0), (random(2, 4, D), jnp.array([[4, 3], [0, 1], [2, 4]]))),
    "intervals": (parts, (0, None), (random(3, 2, 5, D), jnp.asarray(PAIRS))),
    "intervals only": (parts, (None, 0), (random(2, 5, D), jnp.stack([PAIRS, PAIRS[::-1], PAIRS]))),
    "intervals of each path": (parts, (0, None), (random(3, 2, 5, D), jnp.asarray(EACH))),
    "intervals of each, last axis": (parts, (None, 3), (random(2, 5, D), jnp.stack([EACH, EACH[::-1]], -1))),
    "times only": (timed, (None, 0, None), (DOUBLE, np.stack([TIMES, TIMES * 2]), ENDS)),
    "ends only": (timed, (None, None, 1), (DOUBLE, TIMES, np.stack([ENDS, ENDS / 2], 1))),
    "to_sig": (lambda x: lg.logsig_to_sig(x, D, N), (1,), (random(M, 3),)),
    "hall": (lambda x: lg.log_sig_to_hall(x, D, N), (1,), (random(M, 3),)),
}


SLOW = ("times only", "ends only", "intervals of each, last axis")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in BATCHED]
)
def test_vmap_is_a_loop_and_so_are_its_gradients(name: str) -> None:
    function, in_axes, arrays = BATCHED[name]
    np.testing.assert_allclose(
        jax.jit(jax.vmap(function, in_axes))(*arrays), looped(function, in_axes, *arrays), rtol=1e-14, atol=1e-13
    )
    places = tuple(k for k, one in enumerate(arrays) if jnp.issubdtype(one.dtype, jnp.floating))

    def gradient(*args: Any) -> Any:
        return jax.grad(lambda *a: (function(*a) ** 2).sum(), places)(*args)

    for found, expected in zip(
        jax.jit(jax.vmap(gradient, in_axes))(*arrays), looped(gradient, in_axes, *arrays), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_nested_vmap() -> None:
    lefts, rights = random(3, M), random(4, D)
    both = jax.jit(jax.vmap(jax.vmap(join, (None, 0)), (0, None)))(lefts, rights)
    np.testing.assert_array_equal(both, lg.log_sig_join(np.asarray(lefts)[:, None], np.asarray(rights), D, N))
    outer = jax.vmap(lambda path: jax.vmap(lambda before: after(path, before))(lefts))(random(2, 5, D))
    np.testing.assert_array_equal(outer, lg.log_sig(np.asarray(random(2, 5, D))[:, None], N, initial=np.asarray(lefts)))


def test_vmap_copies_nothing_that_it_broadcasts() -> None:
    """The operand that is not mapped reaches the kernel with one row; `broadcast_in_dim` adds no elements."""
    mapped = jax.make_jaxpr(jax.vmap(join, (None, 0)))(random(M), random(1000, D))
    for equation in mapped.jaxpr.eqns:
        if equation.primitive.name != "logsig_join":
            assert sum(out.aval.size for out in equation.outvars) <= 1000 * D
    (call,) = [one for one in mapped.jaxpr.eqns if one.primitive.name == "logsig_join"]
    assert [one.aval.shape for one in call.invars] == [(1, M), (1000, D)]


@pytest.mark.slow
def test_jacobians_of_paths() -> None:
    path, before = random(2, 4, D), random(M)
    expected = jax.jit(jax.jacrev(after, (0, 1)))(path, before)
    for found, other in zip(jax.jit(jax.jacfwd(after, (0, 1)))(path, before), expected, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-11, atol=1e-12)


def test_hessians() -> None:
    point = random(M)

    def energy(x: Any) -> Any:
        return (join(x, jnp.array([0.5, -1.0])) ** 2).sum()

    hessians = [
        jax.jit(outer(inner(energy)))(point) for outer in (jax.jacfwd, jax.jacrev) for inner in (jax.jacfwd, jax.jacrev)
    ]
    for found in (*hessians[1:], jax.hessian(energy)(point)):
        np.testing.assert_allclose(found, hessians[0], rtol=1e-11, atol=1e-12)


def test_control_flow() -> None:
    steps, start = random(6, 3, D), random(3, M)
    state = np.asarray(start)
    for step in np.asarray(steps):
        state = lg.log_sig_join(state, step, D, N)

    def scanned(start: Any, steps: Any) -> Any:
        return jax.lax.scan(lambda x, step: (join(x, step), None), start, steps)[0]

    np.testing.assert_array_equal(jax.jit(scanned)(start, steps), state)
    along = jax.grad(lambda x: after(x, start[0]).sum())(
        jnp.concatenate([jnp.zeros((1, D)), jnp.cumsum(steps[:, 0], 0)])
    )
    d_steps = jax.jit(jax.grad(lambda x: scanned(start[0], x).sum()))(steps[:, 0])
    np.testing.assert_allclose(
        along[1:], jnp.concatenate([d_steps[:-1] - d_steps[1:], d_steps[-1:]]), rtol=1e-11, atol=1e-12
    )
    np.testing.assert_array_equal(jax.lax.map(lambda x: join(x, steps[0, 0]), start), join(start, steps[0, 0]))
    chosen = jax.jit(lambda flag, x: jax.lax.cond(flag, lambda: join(x, steps[0]), lambda: x))
    np.testing.assert_array_equal(chosen(True, start), join(start, steps[0]))

    def checkpointed(x: Any) -> Any:
        return jax.checkpoint(scanned)(start, x).sum()

    np.testing.assert_allclose(
        jax.jit(jax.grad(checkpointed))(steps), jax.grad(lambda x: scanned(start, x).sum())(steps), rtol=1e-13
    )


def test_linearize_donation_and_ahead_of_time() -> None:
    path, tangent = random(2, 5, D), random(5, D)
    value, along = jax.linearize(lambda x: lg.log_sig(x, N), path)
    np.testing.assert_array_equal(value, lg.log_sig(np.asarray(path), N))
    steps = jnp.broadcast_to(tangent, path.shape)
    np.testing.assert_allclose(along(steps), jax.jvp(lambda x: lg.log_sig(x, N), (path,), (steps,))[1], rtol=1e-12)
    left, right = random(3, M), random(3, D)
    expected = np.asarray(join(left, right))
    np.testing.assert_array_equal(jax.jit(join, donate_argnums=0)(left + 0, right), expected)
    compiled = jax.jit(join).lower(left, right).compile()
    np.testing.assert_array_equal(compiled(left, right), expected)


def test_no_callback_and_few_calls() -> None:
    lowered = jax.jit(jax.value_and_grad(lambda x, y: after(x, y).sum(), (0, 1))).lower(random(2, 5, D), random(M))
    assert "callback" not in lowered.as_text()


def test_traced_lengths_are_checked_when_the_program_runs() -> None:
    path = random(2, 4, D)
    run = jax.jit(lambda x, n: lg.log_sig(x, N, lengths=n))
    np.testing.assert_array_equal(run(path, jnp.array([4, 2])), lg.log_sig(np.asarray(path), N, lengths=[4, 2]))
    with pytest.raises(Exception, match="lengths: expected values from 0 to length"):
        jax.block_until_ready(run(path, jnp.array([5, 2])))
    with pytest.raises(ValueError, match="lengths: expected shape"):
        run(path, jnp.array([4]))


def test_traced_intervals_are_checked_when_the_program_runs() -> None:
    path = random(2, 4, D)
    for kind in (np.int32, np.int64, np.uint8):
        run = jax.jit(lambda x, pairs: lg.log_sig(x, N, intervals=pairs))
        expected = lg.log_sig(np.asarray(path), N, intervals=[[0, 3], [2, 2]])
        np.testing.assert_array_equal(run(path, np.array([[0, 3], [2, 2]], kind)), expected)
    for wrong in ([[0, 4]], [[-1, 2]], [[3, 1]], [[0, 1 << 40]]):
        with pytest.raises(Exception, match="intervals: expected pairs of points"):
            jax.block_until_ready(run(path, jnp.array(wrong)))
        assert jnp.isnan(jax.jit(lambda x, pairs: lg.log_sig(x, 1, intervals=pairs))(path, jnp.array(wrong))).all()
    with pytest.raises(ValueError, match="intervals: expected shape"):
        run(path, jnp.zeros((3, 1, 2), int))
    with pytest.raises(TypeError, match="intervals: expected integers"):
        run(path, jnp.zeros((1, 2)))


def test_traced_times_and_ends() -> None:
    """The number of windows depends on times, so they have to be known; ends beyond a path become its ends."""
    path = random(2, 5, D)
    for call in (
        lambda times: lg.log_sig(path, 2, times=times, windows=(2.0, 1.5)),
        lambda times: lg.logsig_windows(path, 2, 2.0, times),
    ):
        with pytest.raises(ValueError, match="expected times whose numbers are known when a program is traced"):
            jax.jit(call)(TIMES)
    run = jax.jit(lambda ends: lg.log_sig(path, 2, times=TIMES, intervals=ends))
    expected = lg.log_sig(np.asarray(path), 2)
    np.testing.assert_allclose(run(jnp.array([[-5.0, 100.0]]))[:, 0], expected, rtol=1e-12, atol=1e-13)
    for call in (lg.log_sig, lg.load(D, 2).log_sig):
        numbers = () if call is not lg.log_sig else (2,)
        run = jax.jit(lambda pairs, call=call, numbers=numbers: call(np.asarray(path), *numbers, intervals=pairs))
        np.testing.assert_array_equal(run(PAIRS), call(np.asarray(path), *numbers, intervals=PAIRS))
    with pytest.raises(ValueError, match=r"times\[1\]: expected a number above"):
        jax.grad(lambda times: lg.log_sig(path, 2, times=times, time_aug=True).sum())(jnp.zeros(5))


@pytest.mark.slow
def test_windows_of_time_are_differentiated_by_times() -> None:
    path = random(2, 5, D)

    def windows(times: Any) -> Any:
        return lg.log_sig(path, 2, times=times, windows=(2.0, 1.5)).sum()

    tensor = torch.tensor(TIMES, requires_grad=True)
    lg.log_sig(torch.from_numpy(np.array(path)), 2, times=tensor, windows=(2.0, 1.5)).sum().backward()
    np.testing.assert_allclose(jax.grad(windows)(jnp.asarray(TIMES)), tensor.grad, rtol=1e-11, atol=1e-12)


def test_ends_at_points_have_derivatives_of_one_side() -> None:
    path = np.asarray(random(5, D))
    first = jax.jit(lambda ends: lg.log_sig(jnp.asarray(path), 1, times=TIMES, intervals=ends)[0, 0])
    ends = jax.grad(first)(TIMES[[1, 3]][None])
    slopes = np.diff(path[:, 0]) / np.diff(TIMES)
    np.testing.assert_allclose(ends[0], [-slopes[1], slopes[3]], rtol=1e-12)


def test_missing_values_that_are_traced_are_an_error_when_the_program_runs() -> None:
    path = np.array(random(3, 2, 4, D))
    path[1, 0, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"path: expected numbers with missing='raise', got nan at \[1, 0, 3, 1\]"):
        lg.log_sig(jnp.asarray(path), N, missing="raise")
    for transform in (lambda call: call, jax.vmap):
        for dtype in (np.float32, np.float64):
            run = jax.jit(transform(lambda x, n: lg.log_sig(x, N, missing="raise", lengths=n)))
            shorter = np.array([[4, 4], [3, 4], [4, 4]])
            expected = lg.log_sig(path.astype(dtype), N, lengths=shorter)
            np.testing.assert_array_equal(run(path.astype(dtype), shorter), expected)
            with pytest.raises(Exception, match="path: expected numbers with missing='raise', got nan"):
                jax.block_until_ready(run(path.astype(dtype), shorter + np.array([[0, 0], [1, 0], [0, 0]])))
    with pytest.raises(Exception, match="path: expected numbers with missing='raise', got nan"):
        jax.block_until_ready(jax.jit(lambda x: lg.transform_path(x, missing="raise"))(path))


def test_lists_with_times() -> None:
    lengths = (5, 3)
    options: dict[str, Any] = {"windows": [(2.0, 1.0), (1.0, 2.0)], "missing": "forward"}
    paths, times = [np.asarray(random(n, D)) for n in lengths], [TIMES[:n] for n in lengths]

    def both(*paths: Any) -> Any:
        found = lg.log_sig(list(paths), N, times=times, **options)
        forms = [2.0 * np.ones(one.shape) for one in found]
        return found, lg.log_sig_backprop(forms, list(paths), N, times=times, **options)

    for found, expected in zip(jax.jit(both)(*paths), both(*paths), strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


def test_python_threads_share_kernels() -> None:
    path = random(40, 30, D)
    expected = lg.log_sig(np.asarray(path), N)
    run = jax.jit(lambda x: lg.log_sig(x, N))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: np.asarray(run(path)), range(40)):
            np.testing.assert_array_equal(found, expected)


def test_exported_programs_run_in_a_fresh_process(tmp_path: Path, run_python: RunPython) -> None:
    path = random(2, 5, D)

    def program(x: Any) -> Any:
        return lg.log_sig(x, N, method=0), jax.grad(lambda y: (lg.log_sig(y, N) ** 2).sum())(x)

    exported = jax.export.export(jax.jit(program), disabled_checks=jax_api.EXPORT_CHECKS)(path)
    (tmp_path / "program").write_bytes(exported.serialize(vjp_order=1))
    np.savez(tmp_path / "arrays", path=path, **{f"r{k}": one for k, one in enumerate(program(path))})
    code = f"""
    import jax, numpy as np
    jax.config.update("jax_enable_x64", True)
    import logsig_codegen as lg, logsig_codegen.jax_api
    arrays = np.load({str(tmp_path / "arrays.npz")!r})
    program = jax.export.deserialize(bytearray(open({str(tmp_path / "program")!r}, "rb").read()))
    try:
        jax.block_until_ready(program.call(arrays["path"]))
    except Exception as error:
        print(str(error).splitlines()[0])
    lg.load({D}, {N}).prepare("log_sig", "log_sig_backprop")
    for found, expected in zip(program.call(arrays["path"]), (arrays["r0"], arrays["r1"]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-15)
    """
    printed = run_python(code).stdout
    assert "call logsig_codegen.load(2, 3).prepare(" in printed


def test_several_devices(run_python: RunPython) -> None:
    code = f"""
    import jax, jax.numpy as jnp, numpy as np
    jax.config.update("jax_enable_x64", True)
    import logsig_codegen as lg
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    path = np.random.default_rng(0).normal(size=(4, 5, {D}))
    before = np.random.default_rng(1).normal(size={M})
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,))

    def features(path, before):
        return lg.log_sig(path, {N}, initial=before, method=2)

    expected = features(path, before)
    sharded = jax.jit(jax.shard_map(features, mesh=mesh, in_specs=(P("x"), P()), out_specs=P("x")))
    np.testing.assert_array_equal(sharded(path, before), expected)

    def loss(path, before):
        return (sharded(path, before) ** 2).sum()

    def plain(path, before):
        return (features(path, before) ** 2).sum()

    for found, other in zip(jax.grad(loss, (0, 1))(jnp.asarray(path), jnp.asarray(before)),
                            jax.grad(plain, (0, 1))(jnp.asarray(path), jnp.asarray(before)), strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-12)

    def tangent(x):
        return jax.jvp(lambda y: lg.log_sig(y, {N}, stream=True), (x,), (x,))[1]

    stream = jax.jit(jax.shard_map(tangent, mesh=mesh, in_specs=P("x"), out_specs=P("x")))
    np.testing.assert_allclose(stream(path), tangent(jnp.asarray(path)), rtol=1e-12)
    brackets = lg.log_sig(path, {N}, method=2)
    mapped = jax.pmap(lambda x: lg.log_sig(x, {N}, method=2))(path.reshape(2, 2, 5, {D}))
    np.testing.assert_array_equal(mapped.reshape(4, -1), brackets)
    placed = jax.device_put(path, NamedSharding(mesh, P("x")))
    np.testing.assert_array_equal(jax.jit(lambda x: lg.log_sig(x, {N}, method=2))(placed), brackets)
    """
    run_python(code, env={"XLA_FLAGS": "--xla_force_host_platform_device_count=2"})


def test_a_forked_process_can_use_them(run_python: RunPython) -> None:
    """The parent has loaded handlers and kernels and has used threads of its own; JAX starts in the child."""
    code = f"""
    import os, numpy as np, logsig_codegen as lg
    import jax
    jax.config.update("jax_enable_x64", True)
    import logsig_codegen.jax_api
    path = np.random.default_rng(0).normal(size=(70, 5, {D}))
    expected = lg.log_sig(path, {N}, n_jobs=-1)
    child = os.fork()
    if not child:
        found = jax.jit(lambda x: lg.log_sig(x, {N}, n_jobs=-1))(jax.numpy.asarray(path))
        os._exit(0 if (np.asarray(found) == expected).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    """
    run_python(code, timeout=120)
