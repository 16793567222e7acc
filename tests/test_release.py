"""What a release consists of, and the workflows that build it; trusts git, ``build``, ``twine``, pip and PyYAML."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shared
from test_packs import ANSWER, WITHOUT, environment, tiny

from logsig_codegen import pack_command
from logsig_codegen.build import policy
from logsig_codegen.build.cache import package_fingerprint
from logsig_codegen.build.platforms import CROSS

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
JOIN = """
import logsig_codegen as lg, numpy as np
kernel = lg.load(2, 2)
print(*kernel.join(np.array([[1.0, 2.0, 3.0]]), np.array([[5.0, 7.0]]))[0], lg.__file__)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("build", "hatchling", "twine"))), reason="needs build, hatchling and twine: the extra test"
)
def test_the_wheel_serves_with_a_pack_and_the_sdist_has_everything(tmp_path: Path) -> None:
    """Nothing is fetched. The wheel is built from the sdist, and used without SymPy, Jinja2 and a compiler."""
    checkout, dist = tmp_path / "checkout", tmp_path / "dist"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    if not files:
        pytest.skip("this is no checkout of git, which says what belongs to it")
    for name in files:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    run = [sys.executable, "-m"]
    subprocess.run([*run, "build", "--no-isolation", "--outdir", str(dist), str(checkout)], check=True)
    (wheel,), (sdist,) = dist.glob("*-py3-none-any.whl"), dist.glob("*.tar.gz")
    subprocess.run([*run, "twine", "check", "--strict", str(wheel), str(sdist)], check=True)
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert names == {*files, "PKG-INFO"}

    (pack,) = shared.once(f"pack-{package_fingerprint()[:16]}", tiny).glob("*.whl")
    python, packages = environment(tmp_path / "environment", checkout=False)
    pip = [*run, "pip", "--python", str(python), "install", "--no-index", "--no-deps", str(wheel), str(pack)]
    subprocess.run(pip, check=True)
    variables = {policy.VARIABLE: policy.NEVER, "PATH": "/nowhere", "LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache")}
    printed = subprocess.run(
        [python, "-c", WITHOUT + JOIN], env=variables, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    np.testing.assert_allclose([float(one) for one in printed[:3]], ANSWER)
    assert Path(printed[3]).is_relative_to(packages)


def steps(workflow: Path) -> list[str]:
    """The commands of a workflow, each choice of its matrix filled in."""
    found = []
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        matrix: dict[str, list[Any]] = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            texts = step.get("run", "").splitlines()
            for name, values in matrix.items():
                place = f"${{{{ matrix.{name} }}}}"
                texts = [text.replace(place, value) for text in texts for value in (values if place in text else [""])]
            found += texts
    return found


def test_workflows_are_started_by_people_and_fetch_no_credentials() -> None:
    assert [path.name for path in WORKFLOWS] == ["release.yml", "tests.yml"]
    for path in WORKFLOWS:
        content = yaml.safe_load(path.read_text())
        assert content[True] == {"workflow_dispatch": None}  # YAML 1.1 reads the key `on` as true
        assert content["permissions"] == {"contents": "read"}
        assert "secrets." not in path.read_text()
        for job in content["jobs"].values():
            assert all(set(step) & {"run", "uses"} for step in job["steps"])
            assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_commands_of_workflows_exist() -> None:
    """Programs and their options, files, extras, systems, platforms and Pythons are those that there are."""
    project = (ROOT / "pyproject.toml").read_text()
    for command in [one for path in WORKFLOWS for one in steps(path)]:
        words = shlex.split(command)
        assert words[0] in ("pip", "pytest", "python", "bash", "twine", "logsig-gen"), command
        for extra in re.findall(r"\[([a-z,]+)\]", command):
            assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extra.split(",")), command
        if words[0] == "bash":
            assert (ROOT / words[1]).is_file()
        if words[0] == "logsig-gen":
            assert words[1] == "pack"
            options = pack_command.parser().parse_args(words[2:])
            assert (options.common, options.platform in CROSS) == (True, True)
    release, tests = (yaml.safe_load(path.read_text())["jobs"] for path in WORKFLOWS)
    assert release["packs"]["strategy"]["matrix"]["platform"] == list(CROSS)
    matrix = tests["tests"]["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "ubuntu", "macos", "windows"]
    assert matrix["python"] == [f"3.{minor}" for minor in range(10, 15)]
    assert 'requires-python = ">=3.10"' in project


def test_the_release_page_names_the_commands_of_the_workflow() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("## Releasing\n")[2]
    for command in ("python -m build", "twine check --strict dist/*", "logsig-gen pack --common --platform"):
        assert command in page
        assert any(command in step for step in steps(ROOT / ".github" / "workflows" / "release.yml"))
