"""Building the torch extension of a problem: torch's own build, in a process of its own, for it imports torch."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from logsig_codegen.build.cache import failures
from logsig_codegen.build.processes import run
from logsig_codegen.build.toolchain import absolute_command
from logsig_codegen.errors import CompilerError, CompilerNotFoundError
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage

MISSING = 3  # exit status of the script where something has to be installed
_SCRIPT = f"""
import sys
try:
    from torch.utils import cpp_extension
except ImportError as error:
    print("torch is needed to build an extension of it:", error, file=sys.stderr)
    sys.exit({MISSING})
if not cpp_extension.is_ninja_available():
    print("ninja is needed to build an extension of torch; pip install ninja", file=sys.stderr)
    sys.exit({MISSING})
name, source, folder, library, build, *definitions = sys.argv[1:]
cpp_extension.load(
    name=name,
    sources=[source],
    extra_cflags=["-O2", "-I" + folder, *definitions],
    extra_ldflags=["-L" + folder, "-l:" + library, "-Wl,-rpath,'$$ORIGIN'"] if library else [],
    build_directory=build,
    is_python_module=False,
    with_cuda=False,
)
"""


def extension_name(problem: Problem) -> str:
    """File name of the extension, which lies beside the library of the C target and needs it there."""
    return f"liblogsig_{problem.name}_torch.so"


def build_extension(folder: Path, problem: Problem, source: str, library: str, *, cuda: bool) -> None:
    """Compile ``folder/source`` into the extension, link it with ``folder/library``, load it once.

    ``cuda``: there are kernels for GPUs in the folder, and the file that puts them into the extension.

    Raises
    ------
    CompilerNotFoundError
        If torch or ninja is missing.
    CompilerError
        If it does not compile, or not load.
    """
    what, definitions = f"the torch extension of {problem.name}", ["-DLOGSIG_TORCH_CUDA"] if cuda else []
    compile_cpp(folder, source, extension_name(problem), what, library=library, definitions=definitions)


@stage("compile torch")
def compile_cpp(
    folder: Path, source: str, name: str, what: str, *, library: str = "", definitions: Sequence[str] = ()
) -> None:
    """Compile ``folder/source`` into the extension ``folder/name``, linked with ``folder/library`` if there is one.

    ``what``: its name in messages. Raises as :func:`build_extension`.
    """
    module = name.removesuffix(".so").removeprefix("lib")
    folder = folder.resolve()
    with tempfile.TemporaryDirectory(prefix=".torch-", dir=folder) as build:
        arguments = [module, str(folder / source), str(folder), library, build, *definitions]
        command = (sys.executable, "-c", _SCRIPT, *arguments)
        done = run(command, Path(build), environment=_environment(folder))
        if done.status != 0:
            if done.status == MISSING:
                raise CompilerNotFoundError(f"{what}: {done.stderr.strip()}")
            kept = failures.keep(folder, command, done.stdout + done.stderr)
            raise CompilerError(
                f"{done.failure(what)}\nsource: {kept}\n{(done.stderr or done.stdout).strip()}",
                command=command,
                stderr=done.stderr,
                source=kept,
            )
        shutil.move(Path(build, f"{module}.so"), folder / name)


def search_path() -> str:
    """Where programs are looked for: those of this Python's environment come first (ninja)."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _environment(folder: Path) -> dict[str, str]:
    """The library is found before it is moved."""
    libraries = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    compiler = os.environ.get("CXX", "").strip()
    return {
        **os.environ,
        **({"CXX": shlex.join(absolute_command("$CXX", compiler))} if compiler else {}),
        "PATH": search_path(),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
    }
