"""The command ``logsig-gen``: what it writes, prints and returns, also when something is wrong.

Trusts the file system, ``json``, and facts that can be counted by hand (sizes, coefficients of the series).
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import logsig_codegen as lg
from logsig_codegen import cli, display, generate, pack_command
from logsig_codegen.build.cache import marks
from logsig_codegen.operations import GROUPS, OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
JOIN = ("--operations", "join")  # where it does not matter: everything takes several times as long


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "logsig_codegen", *words], env=variables, capture_output=True, text=True, check=False
    )


# ---------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", (5,)),
        ("2-4", (2, 3, 4)),
        ("2,3,5-7", (2, 3, 5, 6, 7)),
        ("3,1,3", (3, 1)),
        ("4-4", (4,)),
        (" 2 , 5 ", (2, 5)),
    ],
)
def test_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert cli.numbers(text) == expected


@pytest.mark.parametrize("text", ["", "0", "a", "2-", "-3", "5-2", "1.5", "2,,3", "1-99999", "٣"])
def test_numbers_refuse(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        cli.numbers(text)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "--dim"),
        (["--dim", "2"], "--degree"),
        (["--dim", "0", "--degree", "2"], "--dim"),
        (["--dim", "2", "--degree", "x"], "--degree"),
        (["--dim", "2", "--degree", "2", "--target", "fortran"], "'fortran'"),
        (["--dim", "2", "--degree", "2", "--dtype", "float16"], "'float16'"),
        (
            ["--dim", "2", "--degree", "2", "--operations", "log"],
            "expected one or more of join, join_backprop, combine,",
        ),
        (["--dim", "2", "--degree", "2", "--operations", ""], "--operations"),
        (["--dim", "2", "--degree", "2", "--jobs", "0"], "--jobs"),
        (["--dim", "2", "--degree", "2", "--unknown"], "--unknown"),
        (["show", "--dim", "2"], "--degree"),
        (["show", "--dim", "2", "--degree", "2", "--what", "everything"], "everything"),
        (["show", "--dim", "2", "--degree", "2", "--operations", "join,everything"], "'everything'"),
        (["show", "--dim", "2-3", "--degree", "2"], "--dim"),
        (["doctor", "now"], "now"),
        (["pack"], "--common"),
        (["pack", "--dim", "2"], "--degree"),
        (["pack", "--common", "--dim", "2"], "--common"),
    ],
)
def test_usage_errors(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""


def test_a_processor_that_cannot_be_one_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "2", "--degree", "2", "--out", str(tmp_path), "--march", "native -o x"]
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith("logsig-gen: error: march: ")


@pytest.mark.parametrize(
    "words", [["--help"], ["show", "--help"], ["doctor", "--help"], ["pack", "--help"], ["--version"]]
)
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 0
    assert "logsig-gen" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["show", "--help"], ["pack", "--help"]])
def test_help_names_the_groups(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(words)
    assert set(GROUPS) <= set(re.findall(r"\w+", capsys.readouterr().out))


def test_examples_of_the_help_are_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example parses: it reaches the function that would do the work."""
    reached = []
    for name in ("_generate", "_show", "_doctor", "_extensions"):
        monkeypatch.setattr(cli, name, lambda options, name=name: reached.append(name) or 0)
    monkeypatch.setattr(pack_command, "_pack", lambda parser, options: reached.append("_pack") or 0)
    lines = [
        re.split(r"\s{2,}", line.strip())[0].split()
        for line in (*cli.EXAMPLES.splitlines(), *pack_command.EXAMPLES.splitlines())
        if line.startswith("  logsig-gen")
    ]
    assert len(lines) >= 6
    for _, *words in lines:
        assert cli.main(words) == 0
    assert set(reached) == {"_generate", "_show", "_doctor", "_extensions", "_pack"}


# ---------------------------------------------------------------------------------------------- generating


def test_generate_writes_a_folder_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "2", "--degree", "3", "--out", str(tmp_path), "--operations", "log_sig,join,join_backprop"]
    assert cli.main(words) == 0
    header, line, empty, wrote, advice = capsys.readouterr().out.splitlines()
    assert header.split()[:6] == ["(d,N)", "size", "operations", "join", "by", "join"]
    assert header.split()[-1] == "seconds"
    assert empty == ""
    assert line.split()[:4] == ["(2,3)", "5", "3", "groups"]
    folder = tmp_path / "d2_n3"
    assert wrote == f"wrote {folder}"
    code = advice.removeprefix("  load it in Python: ")
    done = subprocess.run(
        [sys.executable, "-c", f"import logsig_codegen; print({code}.path)"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": "/nowhere", "CC": "", "LOGSIG_CODEGEN_BUILD": "never"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{folder}\n"
    manifest = json.loads((folder / "manifest.json").read_text())
    counts = manifest["operations"]
    assert line.split()[5:9] == [str(counts[n]["total"]) for n in ("join", "join_backprop", "log_sig.step")] + ["-"]
    for name in manifest["files"]:
        assert (folder / name).is_file()
    library = ctypes.CDLL(str(folder / manifest["library"]))
    assert library.logsig_d2_n3_join_f64
    assert library.logsig_d2_n3_join_backprop_f32
    assert library.logsig_d2_n3_log_sig_f32
    assert not hasattr(library, "logsig_d2_n3_combine_f64")
    assert {path.suffix for path in folder.iterdir()} >= {".c", ".h", ".so", ".json"}


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_the_summary_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    names = display.COUNTED
    manifest = {
        "dimension": 20,
        "degree": 3,
        "groups": ["join", "combine", "log_sig", "stream"],
        "plan": {"join": "log_derivative"},
        "operations": {name: {"total": 123_456_789} for name in names},
    }
    folder = lg.GeneratedFolder(Path("generated", "d20_n3"), manifest, 1234.5, (), "what is next")
    table, wrote = display.summary_text([folder, folder]).split("\n\n")
    assert max(map(len, table.splitlines())) <= min(columns, 100)
    assert [line.split()[0] for line in table.splitlines()] == ["(d,N)", "(20,3)", "(20,3)"]
    assert table.splitlines()[1].endswith("1234.5")
    assert wrote.splitlines() == [f"wrote {folder.path}", "  what is next"] * 2


def test_the_bare_command_tells_the_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    shown = [line.strip() for line in printed.err.splitlines() if line.startswith("  logsig-gen")]
    assert [re.split(r"\s{2,}", line)[0] for line in shown] == [
        "logsig-gen --dim 5 --degree 3",
        "logsig-gen show --dim 2 --degree 3",
        "logsig-gen doctor",
        "logsig-gen --help",
    ]


def test_default_folder_is_generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--dim", "1", "--degree", "2", "--emit-only"]) == 0
    assert (tmp_path / "generated" / "d1_n2" / "manifest.json").is_file()


def test_range_as_json(tmp_path: Path) -> None:
    done = command("--dim", "1-2", "--degree", "1,2", "--out", str(tmp_path), "--emit-only", "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    entries = json.loads(done.stdout)
    sizes = {(e["dimension"], e["degree"]): e["manifest"]["size"] for e in entries}
    assert sizes == {(1, 1): 1, (1, 2): 1, (2, 1): 2, (2, 2): 3}
    for entry in entries:
        assert Path(entry["path"], "manifest.json").is_file()
        assert entry["manifest"]["library"] is None


@pytest.mark.parametrize("chosen", [[], ["--operations", "all"], ["--operations", "join,all"]])
def test_all_operations(chosen: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--dim", "1", "--degree", "2", "--emit-only", "--out", str(tmp_path), *chosen]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["(1,2)", "1", "all"]
    assert json.loads((tmp_path / "d1_n2" / "manifest.json").read_text())["groups"] == list(GROUPS)


def test_a_group_one_of_the_problems_cannot_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "10,2", "--degree", "5", "--operations", "log_sig_by_signature", "--out", str(tmp_path)]
    assert cli.main([*words, "--emit-only", "--json"]) == 1
    printed = capsys.readouterr()
    large, small = json.loads(printed.out)
    assert "got log_sig_by_signature" in large["error"]
    assert small["manifest"]["groups"] == ["log_sig_by_signature"]
    assert printed.err.startswith("logsig-gen: error: (10,5): operations: ")


def test_emit_only_needs_no_compiler(tmp_path: Path) -> None:
    words = ("--dim", "2", "--degree", "2", "--out", str(tmp_path))
    assert command(*words, "--emit-only", PATH="/nowhere", CC="").returncode == 0
    done = command(*words, PATH="/nowhere", CC="")
    assert done.returncode == 1
    assert "No C compiler" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_number_type(tmp_path: Path) -> None:
    assert cli.main(["--dim", "2", "--degree", "2", "--out", str(tmp_path), "--dtype", "float32", *JOIN]) == 0
    manifest = json.loads((tmp_path / "d2_n2" / "manifest.json").read_text())
    assert manifest["dtypes"] == ["float32"]


def test_too_large_says_so_and_the_others_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "2", "--degree", "2,5", "--max-terms", "10", "--out", str(tmp_path), "--emit-only"]
    assert cli.main(words) == 1
    printed = capsys.readouterr()
    assert "(2,2)" in printed.out
    assert "(2,5)" not in printed.out
    assert printed.err.startswith("logsig-gen: error: (2,5): ")
    assert re.search(r"the limit is 10\. Pass --max-terms \d+ or more", printed.err)
    assert printed.err.count("\n") == 1
    assert (tmp_path / "d2_n2").is_dir()
    assert not (tmp_path / "d2_n5").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    assert cli.main(["--dim", "1", "--degree", "1", "--out", str(file), "--emit-only"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("logsig-gen: error: ")
    assert str(file) in error


def test_progress_goes_to_a_terminal_only(tmp_path: Path) -> None:
    words = ["--dim", "1", "--degree", "1-3", "--out", str(tmp_path), "--emit-only"]
    assert command(*words).stderr == ""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # a terminal without columns shows nothing
    with subprocess.Popen(
        [sys.executable, "-m", "logsig_codegen", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
        assert process.stdout is not None
        assert "(1,3)" in process.stdout.read()
    os.close(ours)
    assert b"d=1 N=3" in shown
    assert b"3/3" in shown or b"2/3" in shown


# ---------------------------------------------------------------------------------------------- showing


def show(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Standard output of ``logsig-gen show``."""
    assert cli.main(["show", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_show_report_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(show(capsys, "--dim", "5", "--degree", "3", "--what", "report", "--format", "json"))
    assert report["size"] == 5 + 10 + 40
    assert set(report["operations"]) >= {"join", "join_backprop"}
    for counts in report["operations"].values():
        assert counts["total"] == counts["multiply_adds"] + counts["additions"] + counts["scalings"]
    assert isinstance(report["plan"]["join"], str)
    # 2 (1,2) brackets of 60 entries, one (1,1) of 20, one sum of 10 and scaled copies of letters.
    assert 140 <= report["operations"]["join"]["total"] <= 190


def test_show_report_of_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """A line per program; plan, form and bytes are those of the operation it belongs to."""
    words = ("--dim", "2", "--degree", "3", "--what", "report", "--operations", "stream,log_sig")
    report = json.loads(show(capsys, *words, "--format", "json"))
    assert set(report["operations"]) == {"log_sig.step", "log_sig.finish", "stream.step"}
    assert set(report["plan"]) == set(report["form"]) == set(report["bytes_per_sample"]) == {"log_sig", "stream"}
    rows = [line.split() for line in show(capsys, *words).splitlines()[3:]]
    assert [row[0] for row in rows] == ["log_sig.step", "log_sig.finish", "stream.step"]
    for name, plan, form, *_, total, moved in rows:
        operation = name.split(".")[0]
        assert (plan, form) == (report["plan"][operation], "unrolled")
        assert int(total) == report["operations"][name]["total"]
        # A point of two numbers is read per step; a stream writes its five coordinates as well.
        assert int(moved) == 8 * (2 if operation == "log_sig" else 2 + 5)
    everything = json.loads(show(capsys, *words[:-1], "all", "--format", "json"))
    assert set(everything["plan"]) == set(OPERATIONS)


def test_show_all_leaves_out_what_the_problem_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = []
    subject = display.Subject("", ("text",), lambda given, form: wanted.append(given) or "")  # type: ignore[func-returns-value]
    monkeypatch.setattr(display, "SUBJECTS", {"report": subject})
    for dimension in ("2", "10"):
        words = ["show", "--dim", dimension, "--degree", "5", "--what", "report", "--operations", "all"]
        assert cli.main(words) == 0
    without = tuple(group for group in GROUPS if "by_signature" not in group)
    assert [given.groups for given in wanted] == [tuple(GROUPS), without]


def test_show_report_needs_no_compiler() -> None:
    done = command("show", "--dim", "3", "--degree", "2", "--what", "report", PATH="/nowhere", CC="")
    assert done.returncode == 0
    assert "join_backprop" in done.stdout


def test_show_series_has_the_coefficients_of_baker_campbell_hausdorff(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--dim", "2", "--degree", "4", "--what", "series")
    text = show(capsys, *words)
    for fraction in ("1/2", "1/12", "1/24"):
        assert fraction in text
    assert r"\frac{1}{12}" in show(capsys, *words, "--format", "latex")
    assert json.loads(show(capsys, *words, "--format", "json"))["degree"] == 4


def test_show_coordinates(capsys: pytest.CaptureFixture[str]) -> None:
    """Degree two is known by heart: the antisymmetric part of the product, halved."""
    text = show(capsys, "--dim", "2", "--degree", "2")
    assert "z_0 = l_0 + v_0" in text
    assert "z_01 = l_01 + 1/2*(l_0*v_1 - l_1*v_0)" in text
    entries = json.loads(show(capsys, "--dim", "2", "--degree", "2", "--format", "json"))
    assert [entry["name"] for entry in entries] == ["z_0", "z_1", "z_01"]
    assert r"\frac{1}{2}" in show(capsys, "--dim", "2", "--degree", "2", "--format", "latex")


def test_show_adjoint(capsys: pytest.CaptureFixture[str]) -> None:
    """The derivative of the formula above, by hand."""
    text = re.sub(r"\s", "", show(capsys, "--dim", "2", "--degree", "2", "--what", "adjoint"))
    for equation in ("d_l_0=g_0+1/2*g_01*v_1", "d_l_1=g_1-1/2*g_01*v_0", "d_l_01=g_01", "d_v_0=g_0-1/2*g_01*l_1"):
        assert f"{equation}#" in text


def test_show_program(capsys: pytest.CaptureFixture[str]) -> None:
    text = show(capsys, "--dim", "2", "--degree", "2", "--what", "program")
    assert "log_sig[0]" in text
    assert "displacement[1]" in text
    assert "d_log_sig[2]" in text
    data = json.loads(show(capsys, "--dim", "2", "--degree", "2", "--what", "program", "--format", "json"))
    assert set(data) >= {"join", "join_backprop"}


def test_show_program_of_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    """A program per phase; the signature's were not made from brackets."""
    words = ("--dim", "2", "--degree", "2", "--what", "program")
    text = show(capsys, *words, "--operations", "log_sig,log_sig_by_signature")
    parts = re.split(r"^# (?=log_sig)", text, flags=re.MULTILINE)[1:]
    names = [part.split(",")[0] for part in parts]
    assert names == [f"{name}.{end}" for name in ("log_sig", "log_sig_by_signature") for end in ("step", "finish")]
    assert ["in brackets" in part for part in parts] == [True, True, False, False]
    for part in parts:
        assert "in coordinates" in part
        assert ("next_state[2] = " if "step" in part.split(",")[0] else "out[2] = ") in part
    data = json.loads(show(capsys, *words, "--format", "json", "--operations", "log_sig,log_sig_by_signature"))
    assert list(data) == names
    for name, program in data.items():
        state, displacement = {"name": "state", "length": 3}, {"name": "displacement", "length": 2}
        assert program["inputs"] == ([state, displacement] if name.endswith("step") else [state])


def test_show_program_of_a_path_too_large_to_be_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--dim", "10", "--degree", "5", "--what", "program", "--operations", "log_sig")
    text = show(capsys, *words)
    assert "runs over tables" in text.split("# log_sig.finish")[0]
    assert json.loads(show(capsys, *words, "--format", "json"))["log_sig.step"] is None


def test_show_source_is_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(
            ["--dim", "2", "--degree", "2", "--out", str(tmp_path), "--emit-only", "--operations", "join,join_backprop"]
        )
        == 0
    )
    capsys.readouterr()
    sources = json.loads(show(capsys, "--dim", "2", "--degree", "2", "--what", "source", "--format", "json"))
    assert "join.c" in sources
    for name, text in sources.items():
        assert (tmp_path / "d2_n2" / name).read_text() == text
    assert sources["join.c"] in show(capsys, "--dim", "2", "--degree", "2", "--what", "source")


def test_show_sympy_is_python_with_exact_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    import sympy

    names: dict[str, dict[str, sympy.Expr]] = {}
    exec(show(capsys, "--dim", "2", "--degree", "2", "--format", "sympy"), names)
    l_0, l_1, l_01, v_0, v_1 = sympy.symbols("l_0 l_1 l_01 v_0 v_1")
    assert names["coordinates"]["z_01"] == l_01 + sympy.Rational(1, 2) * (l_0 * v_1 - l_1 * v_0)


def test_show_html_is_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    page = show(capsys, "--dim", "2", "--degree", "2", "--format", "html")
    assert page == show(capsys, "--dim", "2", "--degree", "2", "--what", "page", "--format", "html")
    assert page.startswith("<!DOCTYPE html>")
    for words in (["--what", "series", "--format", "html"], ["--what", "page"]):
        assert cli.main(["show", "--dim", "2", "--degree", "2", *words]) == 2
        assert "expected one of" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["program", "source", "report"])
def test_show_has_no_latex_of_programs(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "--dim", "2", "--degree", "2", "--what", what, "--format", "latex"]) == 2
    assert "latex" in capsys.readouterr().err


def test_show_too_large(capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("coordinates", "report"):
        assert cli.main(["show", "--dim", "40", "--degree", "7", "--what", what]) == 1
        error = capsys.readouterr().err
        assert error.startswith("logsig-gen: error: ")
        assert error.count("\n") == 1


def test_show_may_be_cut_short() -> None:
    """A reader that leaves early, such as ``head``, is not answered with a traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "logsig_codegen", "show", "--dim", "4", "--degree", "5", "--what", "program"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


# ---------------------------------------------------------------------------------------------- doctor


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "-ffp-contract=off" in text
    assert text.rstrip().endswith("all is well")
    assert cli.main(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["problem"] is None
    assert Path(data["compiler"]["path"]).is_file()


def test_doctor_says_what_the_cache_holds(tmp_path: Path) -> None:
    marks.mark_root(tmp_path, "kernels")
    folder = generate(2, 2, tmp_path / "out", operations=("join", "combine"), emit_only=True).path
    for name, manifest in {
        "d2_n2-a": (folder / "manifest.json").read_text(encoding="utf-8"),
        "d2_n2-b": "{",
    }.items():
        staging = marks.stage(tmp_path / "kernels", name)
        (staging.folder / "manifest.json").write_text(manifest)
        marks.publish(staging, tmp_path / "kernels" / name)
        staging.close()
    found = json.loads(command("doctor", "--json", LOGSIG_CODEGEN_CACHE=str(tmp_path)).stdout)
    assert found["cache"]["entries"] == {"d2_n2-a": ["join", "combine"], "d2_n2-b": []}
    text = command("doctor", LOGSIG_CODEGEN_CACHE=str(tmp_path)).stdout
    assert "  d2_n2-a  join, combine\n" in text
    assert "  d2_n2-b  damaged, or of another version\n" in text


def test_doctor_without_a_compiler() -> None:
    done = command("doctor", PATH="/nowhere", CC="")
    assert done.returncode == 1
    assert "problem: No C compiler" in done.stdout
    assert json.loads(command("doctor", "--json", PATH="/nowhere", CC="").stdout)["compiler"] is None


def test_doctor_names_a_compiler_that_is_not_one() -> None:
    done = command("doctor", CC="/no/such/compiler")
    assert done.returncode == 1
    assert "/no/such/compiler" in done.stdout


def test_doctor_reports_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    found = json.loads(command("doctor", "--json", LOGSIG_CODEGEN_CACHE=str(file / "cache")).stdout)
    assert "cannot be made" in found["cache"]["state"]


def test_doctor_about_another_processor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--march", "no-such-processor", "--json"]) == 1
    assert "no-such-processor" in json.loads(capsys.readouterr().out)["problem"]


def test_sources_for_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "2", "--degree", "1,2", "--target", "c,cuda", "--out", str(tmp_path), "--emit-only"]
    assert cli.main([*words, "--operations", "join"]) == 0
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["d2_n1", "d2_n1_cuda", "d2_n2", "d2_n2_cuda"]
    assert (tmp_path / "d2_n2_cuda" / "join.cu").is_file()
    assert not (tmp_path / "d2_n2" / "join.cu").exists()
    assert str(tmp_path / "d2_n2_cuda") in capsys.readouterr().out


def test_an_architecture_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "2", "--degree", "2", "--target", "cuda", "--cuda-arch", "hopper", "--out", str(tmp_path)]
    assert cli.main(words) == 2
    assert "expected names such as 'sm_90', got 'hopper'" in capsys.readouterr().err
