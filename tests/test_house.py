"""The habits of the house: lint, format, types, import order, fences, and text that does not depend on hash order."""

from __future__ import annotations

import ast
import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import golden
import pytest

ROOT = golden.ROOT
PACKAGE = ROOT / "logsig_codegen"
MODULES = sorted(PACKAGE.rglob("*.py"))
TOOLS = {
    "lint": ("ruff", "check"),
    "format": ("ruff", "format", "--check"),
    "types": ("mypy",),
    "imports": ("lint-imports",),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_is_content(tool: str, tmp_path: Path) -> None:
    program, *arguments = TOOLS[tool]
    # A cache of its own, so that two runs at once do not disturb each other.
    command = [str(Path(sys.executable).parent / program), *arguments, "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def imports(path: Path, *, top_level_only: bool) -> Iterator[str]:
    """Names of the packages that a module imports, without what is there for type checkers only."""

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                yield from visit(child)
        elif not (top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            for child in ast.iter_child_nodes(node):
                yield from visit(child)

    return visit(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("sympy", ("symbolic",)),
        ("jinja2", ("emit/render.py",)),
        ("cffi", ("build", "runtime")),
        ("subprocess", ("build",)),
        ("cuda", ("build/nvidia.py", "runtime/cuda/driver.py")),
        ("jax", ("jax_api.py", "runtime/jax_ops")),
        ("sklearn", ("sklearn.py",)),
        ("aeon", ("aeon.py",)),
        ("sktime", ("sktime.py",)),
        ("pandas", ("sklearn.py", "sktime.py")),
        ("dask", ("_lazy.py", "_lazy_stream.py", "dask.py")),
        ("distributed", ("distributed.py",)),
        ("xarray", ("xarray.py",)),
    ],
)
def test_fence(package: str, rooms: tuple[str, ...]) -> None:
    users = [str(path.relative_to(PACKAGE)) for path in MODULES if package in imports(path, top_level_only=False)]
    assert users, f"nothing imports {package}: the fence is out of date"
    assert [user for user in users if not user.startswith(rooms)] == []


def test_torch_is_imported_at_the_top_of_its_own_modules_only() -> None:
    everywhere = [path for path in MODULES if "torch" in imports(path, top_level_only=False)]
    assert everywhere, "nothing imports torch: the fence is out of date"
    at_top = [path for path in everywhere if "torch" in imports(path, top_level_only=True)]
    # These modules exist for torch alone; the next test shows that the package does not import them by itself.
    names = {str(path.relative_to(PACKAGE)) for path in at_top}
    own = {
        "_tensor_functions.py",
        "_layers.py",
        *(
            f"runtime/cuda/{name}.py"
            for name in ("brackets", "calls", "intervals", "lengths", "maps", "paths", "transforms")
        ),
    }
    assert {name for name in names if not name.startswith("runtime/torch_ops/")} <= own


def edges() -> dict[str, dict[str, int]]:
    """Every module, with the modules of the package that it imports anywhere in its text, and the line that does it."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    graph: dict[str, dict[str, int]] = {}
    for name, path in files.items():
        found = graph[name] = {}
        for node in ast.walk(ast.parse(path.read_text())):
            targets: list[str] = []
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None, f"{name}:{node.lineno}: imports name the whole module here"
                members = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [member if member in files else node.module for member in members]
            for target in targets:
                if target in files:
                    found.setdefault(target, node.lineno)
    return graph


def cycle(graph: dict[str, dict[str, int]]) -> list[str]:
    """The modules of a shortest circle of imports, the first once more at the end; none where there is no circle."""
    shortest: list[str] = []
    for start in graph:
        ways = [[start]]
        reached: set[str] = set()
        for way in ways:  # grows: breadth first
            for target in graph[way[-1]]:
                if target == start and (not shortest or len(way) < len(shortest) - 1):
                    shortest = [*way, start]
                if target not in reached:
                    reached.add(target)
                    ways.append([*way, target])
    return shortest


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions, and those for type checkers only, count too."""
    graph = edges()
    assert sum(map(len, graph.values())) > 300, "the walk finds too few imports to be believed"
    way = cycle(graph)
    steps = [f"{one}, line {graph[one][other]}, imports {other}" for one, other in pairwise(way)]
    assert not way, "\n".join(["a circle of imports:", *steps])


def test_the_search_for_circles_finds_one() -> None:
    graph = {"a": {"b": 1}, "b": {"c": 2}, "c": {"d": 3, "b": 4}, "d": {"a": 5}}
    assert cycle(graph) in (["b", "c", "b"], ["c", "b", "c"])


def test_importing_the_package_is_silent_and_light() -> None:
    heavy = (
        "torch",
        "jax",
        "pandas",
        "sklearn",
        "dask",
        "distributed",
        "xarray",
        "sympy",
        "jinja2",
        "tqdm",
        "argparse",
    )
    code = f"import sys, logsig_codegen; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[]"
    assert done.stderr == ""


def test_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_every_dependency_has_a_lowest_version_that_is_run() -> None:
    """``.ci/run`` runs tests with what this script prints; where an extra asks for more, its word holds."""
    text = (ROOT / "pyproject.toml").read_text()
    extras = ("compiler", "cuda", "torch", "jax", "sklearn", "aeon", "sktime", "dask", "xarray", "docs")
    every = "|".join(("dependencies", *extras))
    lists = dict(re.findall(rf"^({every}) = \[(.*?)\]", text, re.MULTILINE | re.DOTALL))
    assert len(lists) == 1 + len(extras)
    for extra in extras:
        command = [sys.executable, str(ROOT / ".ci" / "floors.py"), extra]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        listed = [one for name in ("dependencies", extra) for one in re.findall(r'"([^"]+)"', lists[name])]
        pairs = [one.split(";")[0].strip().split(">=") for one in listed]
        assert printed == [f"{name}=={version}" for name, version in dict(pairs).items()]
        assert re.search(rf"^ *lowest [a-z,]*\b{extra}\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_files_stay_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_text_holds_the_marks_of_a_merge() -> None:
    folders = (".ci", "benchmarks", "docs", "examples", "logsig_codegen", "templates", "tests")
    texts = [*ROOT.glob("*.*"), *(path for name in folders for path in (ROOT / name).rglob("*"))]
    found = [
        str(path.relative_to(ROOT))
        for path in texts
        if path.suffix in (".md", ".py", ".toml", ".h", ".c", ".j2", ".csv", ".json", "")
        and path.is_file()
        and re.search(rb"^(<{7}|>{7}) ", path.read_bytes(), re.MULTILINE)
    ]
    assert found == []


def difference(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    """Which files differ, and the first lines that do; empty if none."""
    report = [f"missing: {name}" for name in expected if name not in found]
    report += [f"unexpected: {name}" for name in found if name not in expected]
    for name in expected:
        if name in found and found[name] != expected[name]:
            before, after = (content[name].decode().splitlines() for content in (expected, found))
            report += list(difflib.unified_diff(before, after, f"golden/{name}", f"written/{name}", lineterm="", n=0))[
                :8
            ]
    return "\n".join(report)


@pytest.mark.long
@pytest.mark.slow
def test_generated_text_of_many_problems() -> None:
    """Every file of every operation by its digest. After an intended change: ``python tests/refresh_golden.py``."""
    kept, found = golden.kept_digests(), golden.digests()
    assert kept.keys() == found.keys()
    for problem, files in found.items():
        assert {
            name for name in kept[problem].keys() | files.keys() if kept[problem].get(name) != files.get(name)
        } == set()


# The tree was written with the seed 0.
@pytest.mark.parametrize("hash_seed", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_golden_tree_is_what_the_compiler_writes(hash_seed: str, tmp_path: Path) -> None:
    """Byte for byte, in fresh processes. After an intended change: ``python tests/refresh_golden.py``."""
    golden.write(tmp_path, hash_seed=hash_seed)
    written, headers = golden.split(golden.read(tmp_path))
    assert difference(golden.read(golden.GOLDEN), written) == ""
    assert {name: golden.HEADERS[Path(name).name] for name in headers} == headers
    folders = {name.split(os.sep)[0] for name in written}
    assert folders == {name.split(os.sep)[0] for name in headers}
    assert folders == {f"d{d}_n{n}{suffix}" for d, n in golden.PROBLEMS for suffix in ("", "_cuda")}


def test_golden_tree_names_no_machine() -> None:
    """No folder of the machine that wrote it, and no time."""
    for name, content in golden.read(golden.GOLDEN).items():
        text = content.decode()
        for word in (str(ROOT), str(Path.home()), "/tmp/"):
            assert word not in text, f"{name} contains {word}"
        assert re.search(r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b", text) is None, f"{name} contains a time"
