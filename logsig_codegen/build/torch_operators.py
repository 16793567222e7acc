"""The operators of torch in C++, for every problem: an extension without kernels, compiled once and kept in the cache.

It is compiled when somebody asks for it, or by a process in the background for a program that makes many calls with
gradients; both take a minute. From then on it is found by every process with the same versions of torch and of this
package; where there is none, the operators are registered from Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from logsig_codegen.build import cache
from logsig_codegen.build.extension import compile_cpp, search_path
from logsig_codegen.build.libraries import file_name, kept_library, obtain_library
from logsig_codegen.build.policy import interprets
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerNotFoundError, LogSigError

WHAT = "the extension of torch for all problems"
_SHELL = "/bin/sh"
_DETACHED = 'nice -n 10 "$@" </dev/null >/dev/null 2>&1 &'
_BUILD = "from logsig_codegen.build.torch_operators import build_once; build_once()"


def library_name() -> str:
    """File name of the extension, which tells versions of this package and of torch, and kinds of machines, apart.

    Raises
    ------
    CompilerNotFoundError
        If torch is not installed.
    """
    try:
        torch = version("torch")
    except PackageNotFoundError as error:
        raise CompilerNotFoundError(f"{WHAT}: torch is not installed") from error
    return file_name("logsig_torch", torch, cache.package_fingerprint())


def built_operators() -> Path | None:
    """The extension if it has been built; nothing is compiled.

    ``None`` also where kernels may have to be interpreted, there being no C compiler: the extension calls compiled
    functions only.
    """
    try:
        if interprets():
            find_compiler()
        return kept_library(library_name())
    except (CompilerNotFoundError, ValueError):  # a variable without sense is an error where it is used
        return None


def obtain_operators() -> Path:
    """The extension, compiled if it is not there yet.

    Raises
    ------
    CompilerNotFoundError
        If torch, ninja or a C compiler is missing.
    BuildForbiddenError
        If it would have to be compiled, and that is forbidden.
    CompilerError
        With what the compiler printed.
    CacheError
        If neither the cache nor a temporary folder can be written.
    """
    from logsig_codegen.emit.torch import SOURCE, sources_without_problem

    def make(target: Path) -> None:
        folder = target.parent
        texts = sources_without_problem()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        compile_cpp(folder, SOURCE, target.name, WHAT)
        for name in texts:
            (folder / name).unlink()

    return obtain_library(library_name(), (), make, None, "Operators of torch in C++ are compiled for all problems.")


def build_in_background() -> bool:
    """Start a process that builds the extension, of low priority, and do not wait; whether it was started.

    It prints nothing, holds none of this process's files, is no child of it, and goes on when it ends. It is not
    started where it could do nothing: without ninja, compilers, or a cache that lasts; while another one is at it; and
    after one that failed, until the versions change or somebody builds it by command.
    """
    try:
        entry = Path(library_name()).stem
        place = cache.place()
        find_compiler()
    except (LogSigError, ValueError):
        return False
    compiler = os.environ.get("CXX", "").strip().split(" ")[0] or "c++"
    if any(shutil.which(one, path=search_path()) is None for one in ("ninja", compiler)):
        return False
    if not os.path.exists(_SHELL) or place.refused or cache.is_kept(entry) or cache.is_being_kept(entry):
        return False
    environment = {**os.environ, cache.VARIABLE: str(cache.cache_dir())}
    command = (_SHELL, "-c", _DETACHED, _SHELL, sys.executable, "-c", _BUILD)
    package = Path(__file__).parents[2]  # where Python looks first: the same package is found there
    try:
        done = subprocess.run(command, env=environment, cwd=package, start_new_session=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def build_once() -> None:
    """Build the extension, for :func:`build_in_background`; a failure leaves an entry in the cache that says why."""
    try:
        obtain_operators()
    except LogSigError as error:
        text = str(error)

        def tell(folder: Path) -> None:
            (folder / "failure.txt").write_text(text + "\n", encoding="utf-8")

        cache.keep(Path(library_name()).stem, tell)
