"""From a target and what is wanted to a folder, or to an entry of the cache."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from logsig_codegen._version import ABI_VERSION, __version__
from logsig_codegen.build import background, cache, policy, progress
from logsig_codegen.build.artifact import FORMAT, Artifact, describe_file, write_manifest
from logsig_codegen.errors import ArtifactError, CompilerNotFoundError, ProblemTooLargeError
from logsig_codegen.targets.base import BuildSpec, Emitted, Target

Used = TypeVar("Used")


def emit(target: Target, spec: BuildSpec, tools: Any = None) -> tuple[dict[str, Any], Emitted]:
    """The report of a compiled problem, and the texts that a target makes of it.

    Raises
    ------
    ProblemTooLargeError, GenerationError
    """
    # The compiler proper and Jinja2 are imported here and nowhere on the way to a cached library.
    from logsig_codegen.compiler import compile_problem
    from logsig_codegen.cost import DEFAULT_MAX_TERMS

    limit = DEFAULT_MAX_TERMS if spec.max_terms is None else spec.max_terms
    with nullcontext() if background.inside() else collector_paused():
        compiled = compile_problem(spec.problem, groups=spec.groups, max_terms=limit)
        return compiled.report(), target.emit(compiled, spec, tools)


def source_texts(target: Target, spec: BuildSpec) -> dict[str, str]:
    """File name to text of the sources, generated anew."""
    _, emitted = emit(target, spec, target.tools(spec))
    return emitted.texts


def build_into(
    folder: Path, target: Target, spec: BuildSpec, tools: Any, request: cache.Request | None = None
) -> dict[str, Any]:
    """Fill an empty folder with sources, what is compiled of them and, last, the manifest, which is also returned.

    Parameters
    ----------
    tools
        What compiles, as :meth:`Target.tools` gives it.
    request
        The request of the cache that the folder answers, if any.

    Raises
    ------
    ProblemTooLargeError, GenerationError, CompilerError, OSError
    """
    with progress.building(f"{spec.problem.name}, {target.name}: {' '.join(spec.groups)}"):
        with background.meanwhile(lambda: target.get_ready(spec, tools)):
            written = emit(target, spec, tools)
        return compile_into(folder, target, spec, tools, written, request)


def compile_into(
    folder: Path,
    target: Target,
    spec: BuildSpec,
    tools: Any,
    written: tuple[dict[str, Any], Emitted],
    request: cache.Request | None = None,
) -> dict[str, Any]:
    """The same from what :func:`emit` has returned."""
    report, emitted = written
    texts = emitted.texts
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    built = target.compile(folder, emitted, spec, tools)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "abi_version": ABI_VERSION,
        "package_version": __version__,
        "key": "" if request is None else request.key,
        **report,
        "target": target.root.name,
        "groups": list(spec.groups),
        "dtypes": list(spec.dtypes),
        **built.fields,
        "sources": [unit.name for unit in emitted.units],
        "library": built.library,
        "files": {name: describe_file(folder / name) for name in (*texts, *built.files)},
    }
    if request is not None:
        manifest["request"] = request.ingredients
    write_manifest(folder, manifest)
    return manifest


def make_request(target: Target, spec: BuildSpec, tools: Any, version: str = __version__) -> cache.Request:
    """What is asked of the cache, with everything that decides the result; runs nothing."""
    ingredients = {
        "target": target.name,
        "format": FORMAT,
        "abi_version": ABI_VERSION,
        "dimension": spec.problem.dimension,
        "degree": spec.problem.degree,
        "package": [version, cache.package_fingerprint()],
        "groups": list(spec.groups),
        "dtypes": list(spec.dtypes),
        **target.identity(spec, tools),
    }
    return cache.Request(spec.problem, ingredients, target.check)


def cached(
    target: Target,
    spec: BuildSpec,
    find_tools: Callable[[], Any],
    use: Callable[[Artifact], Used] = cache.itself,
) -> Used:
    """What ``use`` makes of the entry of the cache for a target, built if there is none: by default the entry.

    Where ``find_tools`` raises ``CompilerNotFoundError`` an entry that somebody else's compiler made will do. An entry
    for which ``use`` raises ``ArtifactError`` is built again, once.

    Raises
    ------
    BuildForbiddenError
        If there is none, and nothing may be compiled; any compiler's entry will do then as well.
    CompilerNotFoundError, CompilerError, ProblemTooLargeError, GenerationError, CacheError
    """
    tools, missing = None, _refusal(target, spec)
    if missing is None:
        try:
            tools = find_tools()
        except CompilerNotFoundError as error:
            missing = error
    request = make_request(target, spec, tools)
    found = cache.lookup(request)
    if found is not None:
        try:
            return use(found)
        except ArtifactError as error:
            missing = missing and type(missing)(f"{error}. To build it again: {missing}")
    if missing is not None:
        raise missing
    try:
        return cache.obtain(request, lambda folder: build_into(folder, target, spec, tools, request), use)
    except ProblemTooLargeError as error:
        if error.terms is not None:  # whatever was called needs a kernel, and may have no such argument
            arguments = f"{spec.problem.dimension}, {spec.problem.degree}, max_terms={error.terms}"
            error.advice = f"Call logsig_codegen.load({arguments}) to build it all the same"
        raise


def _refusal(target: Target, spec: BuildSpec) -> CompilerNotFoundError | None:
    """The error where nothing may be compiled."""
    problem, groups = spec.problem, ",".join(spec.groups)
    what = f"No compiled kernels for {groups} of (dimension={problem.dimension}, degree={problem.degree}) were found"
    return policy.refusal(what, lambda: target.advice(spec))


def import_generator() -> None:
    """Import what building kernels in C takes; the rest of this module does so when it is needed."""
    import logsig_codegen.build.compile
    import logsig_codegen.compiler
    import logsig_codegen.emit.c  # noqa: F401


@contextmanager
def collector_paused() -> Iterator[None]:
    """Large problems are millions of tuples without a cycle: looking for one takes longer than making them."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
