"""Calls of everything public with arguments that make sense and arguments that do not.

What is public is read from ``__all__`` of the fronts, and how it is called from signatures: a new function is tried
without being named here. The outcome is a result, a ``TypeError``, a ``ValueError`` or a ``LogSigError``; a few
functions, in ``DOCUMENTED``, promise something else.

As a program, ``python arguments.py CALLS SEED FOLDER [thorough]`` makes random calls and prints JSON: how many calls of
what came out how, and the first finding of each kind. `thorough`: more problems, transforms, functions that remove
kernels from the cache, and ordinary calls in C.
"""

from __future__ import annotations

import contextlib
import copy
import enum
import faulthandler
import inspect
import io
import json
import os
import pickle
import random
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.garbage import ARRAYS, NUMBERS, THINGS
from native import unoptimised

import logsig_codegen as lg
from logsig_codegen import api, cli, functional, nn, torch_api
from logsig_codegen.build import quick_calls
from logsig_codegen.runtime import quick

FRONTS = {"numpy": lg, "functional": functional, "api": api, "torch": torch_api, "nn": nn}
ALLOWED = (TypeError, ValueError, lg.LogSigError)
DOCUMENTED: dict[str, tuple[type[BaseException], ...]] = {
    "LogSigStream.sig": (IndexError,),
    "LogSigStream.sig_batch": (IndexError,),
    "LogODE": (RuntimeError,),
}
RARE = {"generate": 400, "main": 40, "clear_cache": 40, "set_cache_dir": 10, "formulas": 20, "load": 5}
"""Of so many choices of such a function, one is made: they take long, or make others take long."""
PROBLEM = "--dim 2 --degree 1"
WORDS: tuple[str, ...] = (
    "--dim", "2", "--degree", "1", "1-2", "show", "doctor", "cache", "--json", "--format", "latex", "--what", "report",
    "plan", "--operations", "join", "all", "--target", "cuda", "c", "--dtype", "float32", "--march", "native", "--jobs",
    "-1", "--max-terms", "--version", "--help", "0", "--timings", "--cuda-arch", "none", "", "\0", "é", "2" * 40,
)  # fmt: skip
"""Of the command; those of a sensible one, in no order, and others."""
SECONDS = 300
"""A call that takes longer hangs."""


class Kind(enum.Enum):
    """What came of a call."""

    RESULT = "result"
    REFUSED = "refused"
    FINDING = "finding"


@dataclass(frozen=True)
class Call:
    """One call, ready to be made."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        words = [*map(_shown, self.args), *(f"{name}={_shown(value)}" for name, value in self.kwargs.items())]
        return f"{self.name}({', '.join(words)})"


@dataclass(frozen=True)
class Outcome:
    """A kind, the name of the exception if there was one, and of a finding the traceback."""

    kind: Kind
    error: str = ""
    trace: str = ""


Choose = Callable[[Sequence[Any]], Any]
"""Chooses one of several values: at random, or as hypothesis would have it."""


@dataclass
class Generator:
    """Makes calls.

    Attributes
    ----------
    choose
        The source of all chance.
    scratch : Path
        Where folders may be written.
    thorough : bool
        As for the program.
    """

    choose: Choose
    scratch: Path
    thorough: bool = False
    functions: dict[str, Callable[..., Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.functions = dict(public())

    def call(self) -> Call:
        """The next call."""
        name = self.choose(tuple(self.functions))
        while self.choose(range(RARE.get(name.rpartition(":")[2], 1))):
            name = self.choose(tuple(self.functions))
        function = self.functions[name]
        context = _Context(self)
        if isinstance(function, type) and self.choose((True, True, False)):
            return self._method(name, function, context)
        return Call(name, function, *context.arguments(function))

    def _method(self, name: str, made_by: type, context: _Context) -> Call:
        """A method of an object that makes sense, or what Python does with objects."""
        instance = context.instance(made_by)
        names = [one for one in dir(made_by) if not one.startswith("_") and _is_ours(made_by, one)]
        chosen = self.choose((*names, "repr", "copy", "deepcopy", "pickle", "hash", "equal"))
        whole = f"{name}.{chosen}"
        general: dict[str, Callable[..., Any]] = {
            "repr": repr, "copy": copy.copy, "deepcopy": copy.deepcopy, "hash": hash, "equal": lambda x: x == x,
            "pickle": lambda x: pickle.loads(pickle.dumps(x)),
        }  # fmt: skip
        if chosen in general:
            return Call(whole, general[chosen], (instance,), {})
        if not callable(inspect.getattr_static(made_by, chosen)):
            return Call(whole, getattr, (instance, chosen), {})
        method = instance if chosen == "forward" else getattr(instance, chosen)
        return Call(whole, method, *context.arguments(getattr(instance, chosen)))


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and class of every front, by ``front:name``, and the command."""
    for front, module in FRONTS.items():
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not (isinstance(value, type) and issubclass(value, Exception)):
                yield f"{front}:{name}", value
    yield "command:main", cli.main


def _is_ours(made_by: type, name: str) -> bool:
    owner = next(one for one in made_by.__mro__ if name in vars(one))
    return owner.__module__.startswith("logsig_codegen")


class _Context:
    """What the arguments of one call have in common, so that they fit together unless one of them is garbage."""

    def __init__(self, generator: Generator) -> None:
        choose = self.choose = generator.choose
        self.generator = generator
        thorough = generator.thorough
        self.dimension = choose((2, 2, 3, 1) if thorough else (2,))
        self.degree = choose((1, 2, 3) if thorough else (1, 2))
        self.front = choose(("numpy", "torch"))
        self.dtype = choose(("float64", "float32"))
        self.batch = choose(((), (3,), (2, 3), (0,), (1,), (19,)))
        self.length = choose((4, 1, 2, 0, 9))
        self.method = choose((1, 0, 2, 3))
        self.flag = thorough and choose((False, False, False, True))
        self.size = lg.log_sig_length(self.dimension, self.degree)
        self.words = lg.sig_length(self.dimension, self.degree)
        self.badly = choose((0, 0, 1, 1, 2, 5))  # how likely garbage is, in tenths

    def arguments(self, function: Callable[..., Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments for the parameters of a function."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        by_position = True
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                args += [self.argument(parameter.name) for _ in range(self.choose((0, 1, 2)))] if by_position else []
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            if parameter.default is not parameter.empty and self.choose((True, True, False)):
                by_position = False
                continue
            value = self.argument(parameter.name)
            if parameter.kind is parameter.KEYWORD_ONLY or not by_position:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        if self.choose(range(60)) == 59:
            kwargs[self.choose(("nonsense", "out", "dim", "self"))] = self.garbage()
        if args and self.choose(range(60)) == 59:
            args.pop()
        return tuple(args), kwargs

    def argument(self, name: str) -> Any:
        """A value for a parameter: one that fits, mostly."""
        if self.choose(range(10)) < self.badly:
            return self.garbage()
        make = getattr(self, f"_{name}", None)
        if make is not None:
            return make()
        if name in WIDTHS:
            return self.array((*self.batch, self.choose([getattr(self, width) for width in WIDTHS[name]])))
        return self.garbage()

    def garbage(self) -> Any:
        """Something."""
        return self.choose(self.choose((NUMBERS, THINGS, ARRAYS)))()

    def array(self, shape: tuple[int, ...]) -> Any:
        """An array or a tensor, in one of several layouts."""
        made: Any = np.linspace(-1, 1, int(np.prod(shape)), dtype=self.dtype).reshape(shape)
        layout = self.choose(("C", "C", "F", "back", "gaps", "one", "read"))
        if layout == "F":
            made = np.asfortranarray(made)
        elif layout == "back":
            made = made[..., ::-1] if shape else made
        elif layout == "gaps":
            made = np.repeat(made, 2, axis=-1)[..., ::2] if shape else made
        elif layout == "one" and shape:
            made = np.broadcast_to(made[..., :1], shape)
        if self.front == "numpy":
            if layout == "read":
                made.flags.writeable = False
            return made
        tensor = torch.from_numpy(np.array(made))
        if layout == "F":
            tensor = tensor.T.contiguous().T if tensor.ndim == 2 else tensor
        return tensor.requires_grad_() if layout == "read" else tensor

    def instance(self, made_by: type) -> Any:
        """An object of a class."""
        d, n = self.dimension, self.degree
        if made_by is lg.LogSigKernel:
            return lg.load(d, n)
        if made_by is lg.Report:
            return lg.load(d, n).report
        if made_by is lg.GeneratedFolder:
            return lg.GeneratedFolder(self.generator.scratch, {}, 0.0)
        if made_by is nn.LogODE:
            return nn.LogODE(d, 1, hidden=2, out_features=1, window=2)
        extra = (2,) if made_by is lg.LogSigWindowStream else ()
        made = made_by(d, n, *extra)
        if isinstance(made, (lg.LogSigStream, lg.LogSigWindowStream)) and self.choose((True, True, False)):
            made.push_batch(self.array((*self.batch, 5, d)))
        return made

    # Values by the names of parameters; arrays whose last axis is all there is to say are in WIDTHS.

    def _dimension(self) -> Any:
        return self.dimension

    def _degree(self) -> Any:
        return self.degree

    _alphabet_size = _dimension
    _length = _max_length = _degree

    def _path(self) -> Any:
        if self.choose((True, True, True, False)):
            return self.array((*self.batch, self.length, self.dimension))
        return [self.array((k, self.dimension)) for k in (self.length, 2, 5)]

    _points = _path

    def _point(self) -> Any:
        return self.array((*self.batch, self.dimension))

    def _derivs(self) -> Any:
        width = self.choose((self.size, self.words, self.dimension))
        return self.array((*self.batch, *self.choose(((), (self.length,))), width))

    def _d_out(self) -> Any:
        rows = self.choose(((), (), (max(self.length - 1, 0),)))
        return self.array((*self.batch, *rows, self.choose((self.size, self.words))))

    def _out(self) -> Any:
        if self.choose(range(6)) == 5:
            return self.generator.scratch / "out"
        one = self._d_out()
        return self.choose((None, one, (one, self._d_out())))

    def _initial(self) -> Any:
        return self.choose((None, self.array((self.size,)), self.array((*self.batch, self.size))))

    def _lengths(self) -> Any:
        count = int(np.prod(self.batch))
        numbers = np.array([self.choose((0, self.length)) for _ in range(count)], int).reshape(self.batch)
        return self.choose((None, numbers, numbers.tolist(), torch.from_numpy(numbers)))

    def _method(self) -> Any:
        return self.method

    _source = _target_method = _method

    def _target(self) -> Any:
        return self.choose((0, 1, 2, "c", "cuda"))

    def _flag(self) -> Any:
        return self.choose((False, True)) if self.generator.thorough else False

    _stream = _scalar_term = _prepend = _gradients = lambda self: self.choose((False, True))
    _time_aug = _lead_lag = _flag

    def _use_disk(self) -> Any:
        return self.generator.thorough and self.choose(range(50)) == 49

    def _emit_only(self) -> Any:
        return True

    def _end_time(self) -> Any:
        return self.choose((1.0, 0.5, -1.0, 0.0))

    def _n_jobs(self) -> Any:
        return self.choose((1, -1, 2))

    def _windows(self) -> Any:
        return self.choose((None, (2, 1), (3, 5), (1, 1), [2, 2]))

    def _window(self) -> Any:
        return self.choose((1, 2, 5))

    _stride = _window_size = _keep = _hidden = _out_features = _width = _jobs = _window
    _start = _end = _batch_size = _window

    def _intervals(self) -> Any:
        return self.choose(([(0, 2)], [(0, 4), (1, 1)], [], [(2, 1)]))

    def _state(self) -> Any:
        return self.choose((None, "log_derivative", "signature"))

    def _correction(self) -> Any:
        return None

    def _device(self) -> Any:
        return self.choose(("cpu", "both", "cuda"))

    def _word(self) -> Any:
        return self.choose(((0,), (0, 1), (1, 0, 1), ()))

    def _idx(self) -> Any:
        return self.choose((0, 1, 5, 100))

    def _dir(self) -> Any:
        return self.generator.scratch if self.generator.thorough else self.generator.scratch / "missing"

    def _artifacts(self) -> Any:
        return self.choose((None, self.generator.scratch, [self.generator.scratch]))

    def _march(self) -> Any:
        return self.choose((None, "native", "native", "no-such-processor"))

    def _max_terms(self) -> Any:
        return self.choose((None, 1, 1000))

    def _group(self) -> Any:
        return self.choose(("join", "combine"))

    _groups = _group

    def _targets(self) -> Any:
        return self.choose((("c",), ("cuda",)))

    def _operations(self) -> Any:
        return self.choose((("join",), ["combine"], None))

    def _dtypes(self) -> Any:
        return self.choose((("float32",), ("float64", "float32")))

    def _architectures(self) -> Any:
        return self.choose((None, (), ("sm_90",)))

    def _arguments(self) -> Any:
        """Words of the command, which writes sources only."""
        out = str(self.generator.scratch / "command")
        sane = ([*PROBLEM.split(), "--out", out, "--emit-only"], ["show", *PROBLEM.split()], ["doctor"])
        words = [*self.choose(sane), *(self.choose(WORDS) for _ in range(self.choose((0, 1, 2, 4))))]
        if self.choose((True, False)):
            words[self.choose(range(len(words)))] = self.choose(WORDS)
        return [*words, *([] if words[0] in ("show", "doctor", "cache") else ["--emit-only", "--out", out])]


WIDTHS = {
    "log_sig": ("size", "size", "words"), "log_sig1": ("size",), "log_sig2": ("size",), "displacement": ("dimension",),
    "displacements": ("dimension",),
    "sig": ("words",), "sig_derivs": ("words",), "log_sig_derivs": ("size", "words"),
}  # fmt: skip


def attempt(call: Call) -> Outcome:
    """Make a call."""
    allowed = (*ALLOWED, *DOCUMENTED.get(call.name.rpartition(":")[2], ()))
    quiet = io.StringIO()
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            result = call.function(*call.args, **call.kwargs)
            if call.name == "command:main" and result not in (0, 1, 2):
                raise AssertionError(f"exit status {result!r}")
        return Outcome(Kind.RESULT)
    except allowed as error:
        return Outcome(Kind.REFUSED, type(error).__name__)
    except SystemExit as error:
        if call.name == "command:main" and error.code in (0, 2):
            return Outcome(Kind.REFUSED, "SystemExit")
        return Outcome(Kind.FINDING, "SystemExit", traceback.format_exc(limit=-6))
    except BaseException as error:
        return Outcome(Kind.FINDING, type(error).__name__, traceback.format_exc(limit=-6))
    finally:
        signal.alarm(0)


def confine(folder: Path) -> Path:
    """Make ``folder`` the place for whatever this process writes, bound its memory, and time its calls."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    os.chdir(scratch)
    faulthandler.enable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (6 << 30), resource.RLIM_INFINITY))

    def hang(*_: object) -> None:
        raise TimeoutError(f"a call takes more than {SECONDS} s")

    signal.signal(signal.SIGALRM, hang)
    return scratch


def _shown(value: Any) -> str:
    if isinstance(value, (np.ndarray, torch.Tensor)):
        shape = () if getattr(value, "is_nested", False) else tuple(value.shape)
        return f"{type(value).__name__}{shape}:{value.dtype}"
    try:
        return repr(value)[:120]
    except Exception:
        return type(value).__name__


def main(words: Sequence[str]) -> int:
    """The program; see above."""
    count, seed, folder = int(words[0]), int(words[1]), Path(words[2])
    source = random.Random(seed)
    generator = Generator(source.choice, confine(folder), "thorough" in words[3:])
    if generator.thorough:
        with contextlib.suppress(lg.CompilerNotFoundError):  # where Python's headers are missing
            quick_calls.compile_quick_calls(folder / "logsig_quick.so")
            quick.load(folder / "logsig_quick.so")
    log = folder / f"last-{seed}"
    counted: Counter[str] = Counter()
    names: Counter[str] = Counter()
    findings: dict[str, str] = {}
    for _ in range(count):
        call = generator.call()
        text = str(call)
        log.write_text(text, encoding="utf-8", errors="replace")  # what a crash is to be blamed on
        outcome = attempt(call)
        counted[outcome.kind.value] += 1
        names[call.name] += 1
        if outcome.kind is Kind.FINDING:
            last = outcome.trace.strip().splitlines()
            place = next((line.strip() for line in reversed(last) if line.lstrip().startswith("File")), "")
            findings.setdefault(f"{call.name.rpartition(':')[2]} {outcome.error} {place}", f"{text}\n{outcome.trace}")
    print(json.dumps({"counted": counted, "names": names, "findings": findings}))
    return 0


if __name__ == "__main__":
    unoptimised(pytest.MonkeyPatch())
    sys.exit(main(sys.argv[1:]))
