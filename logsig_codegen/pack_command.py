"""The command ``logsig-gen pack``: compiled kernels as a wheel, for machines without a compiler."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from logsig_codegen.arguments import ALL, add_platform, choices, numbers, operations, positive, readable_size
from logsig_codegen.build import packs, platforms
from logsig_codegen.build.artifact import DTYPES
from logsig_codegen.operations import GROUPS, available_groups, groups_to_prepare
from logsig_codegen.problem import Problem
from logsig_codegen.text_table import table

if TYPE_CHECKING:
    from logsig_codegen.packing import PackSpec, WrittenPack

EXAMPLES = f"""\
examples:
  logsig-gen pack --common --out dist            the common problems, as {packs.COMMON_NAME}
  logsig-gen pack --dim 2-10 --degree 2-3        dist/logsig_kernels_d2_10_n2_3-….whl
  logsig-gen pack --dim 6 --degree 4 --march x86-64-v3 --operations all
                                                 one problem, one kind of processor, everything
  logsig-gen pack --common --platform linux-aarch64
                                                 for other machines, compiled by Zig
  pip install dist/logsig_kernels_common-*.whl   then load() finds its kernels"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command; the options have the function that carries them out as ``run``."""
    top = argparse.ArgumentParser(
        prog="logsig-gen pack",
        usage="logsig-gen pack (--common | --dim D --degree N) [options]",
        description="Write a wheel of compiled kernels. Where it is installed, load() finds them without a compiler, "
        "SymPy and Jinja2; the libraries need nothing but the C library.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    known = platforms.host().levels
    default = f" (default: {','.join(known)})" if known else ""
    top.add_argument("--common", action="store_true", help=f"the common problems: {_listed(packs.COMMON)}")
    top.add_argument("--dim", type=numbers, metavar="D", help="dimension: 5, a range 2-5, a list 2,4-6")
    top.add_argument("--degree", type=numbers, metavar="N", help="truncation degree: as --dim")
    top.add_argument(
        "--march",
        type=lambda text: tuple(dict.fromkeys(text.split(","))),
        metavar="CPUS",
        help="kinds of processors, as the C compiler names them; load() takes the best that the processor runs"
        + default,
    )
    add_platform(top)
    top.add_argument(
        "--operations",
        type=operations,
        default=(),
        metavar="NAMES",
        help=f"groups of operations: {ALL}, or some of {', '.join(GROUPS)} (default: what prepare_log_sig prepares; "
        "with --common also streams, windows and conversions)",
    )
    top.add_argument(
        "--dtype", type=choices(DTYPES), default=DTYPES, metavar="TYPES", help="float32, float64 or both (default)"
    )
    top.add_argument("--name", help="name of the distribution (default: after the problems)")
    top.add_argument("--out", type=Path, default=Path("dist"), help="folder for the wheel (default: dist)")
    top.add_argument("--jobs", type=positive, metavar="J", help="compilers to run at once (default: all processors)")
    top.add_argument("--max-terms", type=positive, metavar="T", help="raise or lower the limit on a problem's size")
    top.add_argument("--json", action="store_true", help="print JSON instead of a table")
    top.set_defaults(run=lambda options: _pack(top, options))
    return top


def _pack(top: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from logsig_codegen.packing import write_pack

    spec = _spec(top, options)
    libraries = len(spec.problems) * len(spec.marches)
    with tqdm(total=libraries, unit="library", leave=False, disable=None if libraries > 1 else True) as bar:

        def done(name: str) -> None:
            bar.set_description(name)
            bar.update()

        written = write_pack(options.out, spec, done)
    _report(written, options)
    return 0


def _spec(top: argparse.ArgumentParser, options: argparse.Namespace) -> PackSpec:
    from logsig_codegen.packing import PackSpec, chosen_groups, common_groups, pack_name

    named = options.dim is not None and options.degree is not None
    if options.common == named or (options.common and (options.dim or options.degree)):
        top.error("expected --common, or --dim and --degree")
    if options.common:
        problems, name, groups = packs.COMMON, packs.COMMON_NAME, common_groups
    else:
        problems = tuple(Problem(dimension, degree) for degree in options.degree for dimension in options.dim)
        name, groups = pack_name(options.dim, options.degree), groups_to_prepare
    platform = platforms.named(options.platform)
    march = options.march or platform.levels
    if not march:
        top.error("the following arguments are required: --march")
    return PackSpec(
        options.name or name,
        problems,
        march,
        groups if options.operations == () else chosen_groups(options.operations),
        options.dtype,
        platform,
        options.max_terms,
        options.jobs,
    )


def _report(written: WrittenPack, options: argparse.Namespace) -> None:
    size = written.path.stat().st_size
    if options.json:
        kernels = [
            {
                "dimension": one.problem.dimension,
                "degree": one.problem.degree,
                "march": one.march,
                "groups": list(one.groups),
                "size": one.size,
            }
            for one in written.kernels
        ]
        print(json.dumps({"path": str(written.path), "size": size, "kernels": kernels}, indent=2))
        return
    rows, marches = [], tuple(dict.fromkeys(one.march for one in written.kernels))
    for problem in dict.fromkeys(one.problem for one in written.kernels):
        mine = [one for one in written.kernels if one.problem == problem]
        groups = ALL if mine[0].groups == available_groups(problem) else ",".join(mine[0].groups)
        sizes = {one.march: readable_size(one.size) for one in mine}
        rows.append((f"({problem.dimension},{problem.degree})", *(sizes[march] for march in marches), groups))
    print(table(("(d,N)", *marches, "operations"), rows, texts=frozenset((0, len(marches) + 1))))
    print(f"{written.path}: {len(rows)} {'problem' if len(rows) == 1 else 'problems'}, {readable_size(size)}")


def _listed(problems: tuple[Problem, ...]) -> str:
    degrees = dict.fromkeys(one.degree for one in problems)
    dimensions = {n: [one.dimension for one in problems if one.degree == n] for n in degrees}
    return "; ".join(f"degree {n}, dimensions {min(found)}-{max(found)}" for n, found in dimensions.items())
