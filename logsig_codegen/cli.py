"""The command ``logsig-gen``: from arguments to calls of the interface, and from results to text.

Exit status: 0 done, 1 something failed, 2 the command made no sense. Results go to the standard output; progress and
errors, one line each, go to the error stream.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen import cache_command, pack_command
from logsig_codegen.arguments import ALL, add_platform, choices, numbers, operations, positive
from logsig_codegen.build.artifact import DTYPES
from logsig_codegen.build.nvidia import ARCHITECTURES
from logsig_codegen.errors import LogSigError, ProblemTooLargeError
from logsig_codegen.operations import GROUPS, available_groups
from logsig_codegen.problem import Problem
from logsig_codegen.targets import C, folders, known, named

if TYPE_CHECKING:
    from logsig_codegen.api import GeneratedFolder

NO_GPU = "none"
FORMATS = ("text", "latex", "json", "sympy", "html")
FAILED, USAGE, INTERRUPTED = 1, 2, 130
DESCRIPTION = """\
Generate compiled kernels for log-signatures: for each dimension and degree a self-contained folder with C sources, a
header, a shared library, the formulas that were compiled, and a manifest. With --target cuda a folder with CUDA
sources and, where nvcc is found, fat binaries."""

FIRST_STEPS = """\
logsig-gen: error: the following arguments are required: --dim, --degree

logsig-gen generates compiled kernels for log-signatures. For example:

  logsig-gen --dim 5 --degree 3         write kernels of paths with 5 channels, up to degree 3, to generated/d5_n3
  logsig-gen show --dim 2 --degree 3    look at the formulas, without writing anything
  logsig-gen doctor                     see which compiler would be used on this machine
  logsig-gen --help                     all options

Nothing has to be generated to use the package in Python: logsig_codegen.load(5, 3) does it when it is needed.
"""

EXAMPLES = """\
examples:
  logsig-gen --dim 5 --degree 3                  write generated/d5_n3
  logsig-gen --dim 2-5 --degree 1-4 --out build  write twenty folders below build
  logsig-gen --dim 3 --degree 4 --march x86-64-v3 --dtype float32
                                                 for other machines, one number type
  logsig-gen --dim 4 --degree 4 --operations join,log_sig
                                                 less to compile: these groups of operations only
  logsig-gen --dim 5 --degree 3 --target torch   with an extension of torch, for C++ and Python
  logsig-gen --dim 2 --degree 3 --emit-only      sources only; needs no C compiler
  logsig-gen --dim 5 --degree 3 --target cuda --cuda-arch sm_90
                                                 write generated/d5_n3_cuda
  logsig-gen show --dim 2 --degree 3             the formulas, without writing anything
  logsig-gen show --dim 2 --degree 3 --format html
                                                 a page for browsers: formulas, brackets, plan, programs, C text
  logsig-gen show --dim 5 --degree 3 --what report --format json
                                                 plan and operation counts, for programs
  logsig-gen pack --common                       a wheel of the common problems, for machines without a compiler
  logsig-gen extensions                          what makes small calls quicker: numpy's in C, torch's in C++
  logsig-gen doctor                              what would be used on this machine, and why
  logsig-gen cache                               what the cache holds, and how it gets smaller

"logsig-gen show --help" and the like say more about these five."""


def _parser() -> argparse.ArgumentParser:
    """The command that generates."""
    parser = argparse.ArgumentParser(
        prog="logsig-gen",
        usage="logsig-gen --dim D --degree N [options]\n       logsig-gen show --dim D --degree N [options]"
        "\n       logsig-gen pack (--common | --dim D --degree N) [options]"
        "\n       logsig-gen extensions\n       logsig-gen doctor [options]"
        "\n       logsig-gen cache [list | clean | clear] [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    wanted = parser.add_argument_group("what to generate")
    wanted.add_argument(
        "--dim", type=numbers, required=True, metavar="D", help="dimension: 5, a range 2-5, a list 2,4-6"
    )
    wanted.add_argument("--degree", type=numbers, required=True, metavar="N", help="truncation degree: as --dim")
    where = parser.add_argument_group("where and how")
    where.add_argument(
        "--out", type=Path, default=Path("generated"), help="folder for the results (default: generated)"
    )
    where.add_argument(
        "--target",
        type=choices(sorted(known())),
        default=(C.name,),
        metavar="NAMES",
        help=f"what to write, one or more (default: {C.name}): "
        + "; ".join(f"{name}: {target.summary}" for name, target in known().items()),
    )
    where.add_argument(
        "--operations",
        type=operations,
        metavar="NAMES",
        help=f"groups of operations the folder holds: {ALL} (default), or some of {', '.join(GROUPS)}",
    )
    where.add_argument(
        "--dtype", type=choices(DTYPES), default=DTYPES, metavar="TYPES", help="float32, float64 or both (default)"
    )
    where.add_argument(
        "--march",
        default="native",
        metavar="CPU",
        help="processor to compile for: native (default), x86-64-v3, … as the C compiler names it",
    )
    add_platform(where)
    where.add_argument(
        "--cuda-arch",
        type=lambda text: () if text == NO_GPU else tuple(text.split(",")),
        metavar="ARCHS",
        help=f"GPUs to compile for, where there is nvcc (default: {','.join(ARCHITECTURES)}); torch: or NVRTC; "
        f"{NO_GPU}: no kernels for GPUs in the extension",
    )
    where.add_argument("--emit-only", action="store_true", help="write the sources, compile nothing")
    where.add_argument("--jobs", type=positive, metavar="J", help="compilers to run at once (default: all processors)")
    where.add_argument(
        "--max-terms", type=positive, metavar="T", help="raise or lower the limit on the size of a problem"
    )
    output = parser.add_argument_group("what to print")
    output.add_argument("--json", action="store_true", help="print manifests as JSON instead of a table")
    output.add_argument("--timings", action="store_true", help="print how long each stage of the compiler took")
    output.add_argument("--version", action="version", version=f"logsig-gen {_version()}")
    parser.set_defaults(run=_generate)
    return parser


def _show_parser() -> argparse.ArgumentParser:
    from logsig_codegen.display import SUBJECTS

    listed = "\n".join(f"  {name:12s} {subject.summary}" for name, subject in SUBJECTS.items())
    parser = argparse.ArgumentParser(
        prog="logsig-gen show",
        description="Print what the compiler derives for one problem. Nothing is written and no C compiler is needed.",
        epilog=f"what:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dim", type=positive, required=True, metavar="D", help="dimension")
    parser.add_argument("--degree", type=positive, required=True, metavar="N", help="truncation degree")
    parser.add_argument(
        "--what", choices=tuple(SUBJECTS), help="see below (default: coordinates; page with --format html)"
    )
    parser.add_argument(
        "--operations",
        type=operations,
        default=("join", "join_backprop"),
        metavar="NAMES",
        help=f"for program, source and report: groups of operations, {ALL} or some of {', '.join(GROUPS)} "
        "(default: join,join_backprop)",
    )
    parser.add_argument(
        "--target",
        choices=tuple(known()),
        default=C.name,
        metavar="NAME",
        help=f"for source: one of {', '.join(known())} (default: {C.name})",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument(
        "--max-terms", type=positive, metavar="T", help="raise or lower the limit on the problem's size"
    )
    parser.set_defaults(run=_show)
    return parser


def _doctor_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="logsig-gen doctor",
        description="Report compilers, flags, processor and cache: what would be used here, and why. The exit status "
        "is 1 if nothing can be compiled.",
        allow_abbrev=False,
    )
    parser.add_argument("--march", default="native", metavar="CPU", help="processor to ask the compiler for")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_doctor)
    return parser


def _extensions_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="logsig-gen extensions",
        description="Compile what makes small calls quicker, once for all problems, into the cache, and print where it "
        "is: calls on numpy arrays in C, which needs the headers of Python and a second, and, where torch is "
        "installed, its operators in C++, which needs ninja, a C++ compiler, and about a minute. Every process takes "
        "them from then on.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_extensions)
    return parser


def _version() -> str:
    from logsig_codegen._version import __version__

    return __version__


@dataclass(frozen=True)
class _Outcome:
    """What became of one problem of a generating command."""

    dimension: int
    degree: int
    folder: GeneratedFolder | None
    error: str = ""

    def data(self) -> dict[str, Any]:
        """It as plain data."""
        head = {"dimension": self.dimension, "degree": self.degree}
        if self.folder is None:
            return {**head, "error": self.error}
        return {
            **head,
            "path": str(self.folder.path),
            "seconds": round(self.folder.seconds, 3),
            "manifest": self.folder.manifest,
        }


def _generate(options: argparse.Namespace) -> int:
    """Write a folder per problem; a problem that fails does not keep the others from being written."""
    from tqdm import tqdm

    from logsig_codegen.api import generate
    from logsig_codegen.display import summary_text
    from logsig_codegen.stages import collect_timings

    wanted = [(d, n, target) for d in options.dim for n in options.degree for target in folders(options.target)]
    outcomes = []
    hidden = None if len(wanted) > 1 else True
    with collect_timings() as timings, tqdm(total=len(wanted), unit="problem", leave=False, disable=hidden) as bar:
        for dimension, degree, target in wanted:
            bar.set_description(f"d={dimension} N={degree}")
            try:
                folder = generate(
                    dimension,
                    degree,
                    options.out,
                    targets=(target.name,),
                    operations=options.operations,
                    dtypes=options.dtype,
                    march=options.march,
                    platform=options.platform,
                    architectures=options.cuda_arch,
                    emit_only=options.emit_only,
                    max_terms=options.max_terms,
                    jobs=options.jobs,
                )
                outcomes.append(_Outcome(dimension, degree, folder))
            except (LogSigError, OSError) as error:
                outcomes.append(_Outcome(dimension, degree, None, _message(error)))
            bar.update()
    failed = [outcome for outcome in outcomes if outcome.folder is None]
    if options.json:
        print(json.dumps([outcome.data() for outcome in outcomes], indent=2))
    elif len(outcomes) > len(failed):
        print(summary_text([outcome.folder for outcome in outcomes if outcome.folder is not None]))
    if options.timings:
        print(timings.table(), file=sys.stderr if options.json else sys.stdout)
    for outcome in failed:
        _complain(f"({outcome.dimension},{outcome.degree}): {outcome.error}")
    for remark in dict.fromkeys(line for one in outcomes if one.folder is not None for line in one.folder.remarks):
        print(f"logsig-gen: {remark}", file=sys.stderr)
    return FAILED if failed else 0


def _show(options: argparse.Namespace) -> int:
    from logsig_codegen.display import SUBJECTS, Wanted

    what = options.what or ("page" if options.format == "html" else "coordinates")
    subject = SUBJECTS[what]
    if options.format not in subject.formats:
        formats = ", ".join(subject.formats)
        _complain(f"--format: --what {what} has no {options.format}; expected one of {formats}")
        return USAGE
    problem = Problem(options.dim, options.degree)
    groups = available_groups(problem) if options.operations is None else options.operations
    wanted = Wanted(problem, groups, options.max_terms, named(options.target))
    text = subject.render(wanted, options.format)
    print(text, end="" if text.endswith("\n") else "\n")
    return 0


def _extensions(_: argparse.Namespace) -> int:
    from logsig_codegen.build.quick_calls import obtain_quick_calls
    from logsig_codegen.build.torch_operators import obtain_operators

    print(obtain_quick_calls(), flush=True)
    if find_spec("torch") is not None:
        print(obtain_operators())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from logsig_codegen.display import doctor_text
    from logsig_codegen.doctor import examine

    found = examine(options.march)
    print(json.dumps(found, indent=2) if options.json else doctor_text(found))
    return FAILED if found["problem"] else 0


def _message(error: BaseException) -> str:
    """What an error says, in the words of the command: one line, but for what a C compiler printed."""
    if isinstance(error, ProblemTooLargeError) and error.terms is not None:
        error.advice = f"Pass --max-terms {error.terms} or more to go on all the same"
    return str(error).strip() or type(error).__name__


def _complain(message: str) -> None:
    print(f"logsig-gen: error: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; by default that of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsers = {
        "show": _show_parser,
        "extensions": _extensions_parser,
        "doctor": _doctor_parser,
        "cache": cache_command.parser,
        "pack": pack_command.parser,
    }
    try:
        if not words:
            _parser().exit(USAGE, FIRST_STEPS)
        options = parsers[words[0]]().parse_args(words[1:]) if words[0] in parsers else _parser().parse_args(words)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except LogSigError as error:
        _complain(_message(error))
        return FAILED
    except (TypeError, ValueError) as error:
        _complain(_message(error))
        return USAGE
    except BrokenPipeError:
        # Whoever read the output has seen enough; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        _complain(_message(error))
        return FAILED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
