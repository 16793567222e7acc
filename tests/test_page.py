"""The page of a problem, and the documents in a generated folder.

Trusts Python's parser of HTML, a small reader of MathML written here, the tensor algebra over fractions, matplotlib's
reader of LaTeX, and Chromium, where there is one.
"""

from __future__ import annotations

import html
import random
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from documents import blocks
from matplotlib import mathtext

import logsig_codegen as lg
from logsig_codegen.algebra.tensor import join_oracle, join_vjp_oracle
from logsig_codegen.emit import page as emitted
from logsig_codegen.symbolic.formulas import LEGEND

VOID = {"meta", "br", "line", "rect"}  # the latter two end themselves


class Page(HTMLParser):
    """Elements of a page: names and attributes; a tag that is not closed where it has to be is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def page() -> str:
    return lg.formulas(2, 3).html()


def test_the_page_is_whole_and_needs_nothing_else(page: str) -> None:
    found = Page(page)
    names = {name for name, _ in found.elements}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "form"})
    assert {"math", "svg", "details", "style", "table", "nav"} <= names
    assert not re.search(r"@import|url\(|https?://|javascript:", page)
    assert len(found.ids) == len(set(found.ids))
    targets = [attributes["href"] for name, attributes in found.elements if name == "a"]
    assert len(targets) >= 9
    assert {str(target) for target in targets} <= {f"#{one}" for one in found.ids}


@pytest.mark.parametrize(
    ("dimension", "degree"), [(2, 3), (1, 2), (11, 1), pytest.param(12, 2, marks=pytest.mark.slow)]
)
def test_every_coordinate_has_its_bracket_and_equations(dimension: int, degree: int) -> None:
    text = lg.formulas(dimension, degree).html()
    ids, problem = Page(text).ids, lg.Problem(dimension, degree)
    assert len([one for one in ids if f"{problem.name}-z_" in one]) == problem.size
    for position, (card_id, card, equations) in enumerate(cards(text)):
        assert len(equations) == (3 if position < dimension else 2)
        word = card_id.partition("-z_")[2]
        letters = word.split("_") if dimension > 10 else list(word)
        assert card.count('<g class="input">') == len(letters)
        assert card.count('<g class="step">') == len(letters) - 1


def cards(text: str) -> Iterator[tuple[str, str, list[list[ElementTree.Element]]]]:
    """The id of each card, its text, and its equations: the elements of their ``<math>``, one after the other."""
    for match in re.finditer(r'<section class="card" id="([^"]+)">(.*?)</section>', text, re.DOTALL):
        equations = re.findall(r'<p class="equation">(.*?)</p>', match[2], re.DOTALL)
        rows = [[part for math in ElementTree.fromstring(f"<p>{one}</p>") for part in math] for one in equations]
        yield match[1], match[2], rows


class Reader:
    """Evaluates the row of a presentation of ``name = polynomial``, given the numbers of the symbols."""

    def __init__(self, row: list[ElementTree.Element], values: dict[str, Fraction]) -> None:
        self.row, self.values, self.position = row, values, 0
        self.name = self.symbol(self.next())
        assert self.operator() == "="
        self.position += 1
        self.value = self.sum()
        assert self.position == len(row)

    def next(self) -> ElementTree.Element:
        self.position += 1
        return self.row[self.position - 1]

    def operator(self) -> str | None:
        here = self.row[self.position] if self.position < len(self.row) else None
        return here.text if here is not None and here.tag == "mo" else None

    def sum(self) -> Fraction:
        total, sign = Fraction(0), 1
        if self.operator() == "−":
            self.position, sign = self.position + 1, -1
        while True:
            total += sign * self.product()
            if self.operator() not in ("+", "−"):
                return total
            sign = 1 if self.next().text == "+" else -1

    def product(self) -> Fraction:
        value = self.factor()
        while self.operator() == "\u2062":
            self.position += 1
            value *= self.factor()
        return value

    def factor(self) -> Fraction:
        if self.operator() == "(":
            self.position += 1
            value = self.sum()
            assert self.next().text == ")"
            return value
        return self.atom(self.next())

    def atom(self, element: ElementTree.Element) -> Fraction:
        parts = list(element)
        if element.tag == "mn":
            return Fraction(str(element.text))
        if element.tag == "mfrac":
            return self.atom(parts[0]) / self.atom(parts[1])
        if element.tag == "msup":
            return self.atom(parts[0]) ** int(str(parts[1].text))
        return self.values[self.symbol(element)]

    @staticmethod
    def symbol(element: ElementTree.Element) -> str:
        assert element.tag == "msub"
        base, index = element
        bar = base.tag == "mover"
        letter = base[0].text if bar else base.text
        return f"{'d_' if bar else ''}{letter}_{str(index.text).replace(',', '_')}"


@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), pytest.param(12, 2, marks=pytest.mark.slow)])
def test_mathml_of_coordinates_and_adjoints_is_true(dimension: int, degree: int) -> None:
    text, problem = lg.formulas(dimension, degree).html(), lg.Problem(dimension, degree)
    names = [card_id.partition("-z_")[2] for card_id, *_ in cards(text)]
    source, sizes = random.Random(7), (problem.size, problem.size, dimension)
    g, before, step = ([Fraction(source.randint(-9, 9), source.randint(1, 6)) for _ in range(n)] for n in sizes)
    values = {f"{p}_{n}": x for p, row in zip("gl", (g, before), strict=True) for n, x in zip(names, row, strict=True)}
    values |= {f"v_{name}": x for name, x in zip(names, step, strict=False)}
    exact = join_oracle(dimension, degree, before, step)
    d_before, d_step = join_vjp_oracle(dimension, degree, g, before, step)
    for position, (*_, equations) in enumerate(cards(text)):
        read = {one.name: one.value for one in (Reader(row, values) for row in equations)}
        name = names[position]
        expected = {f"z_{name}": exact[position], f"d_l_{name}": d_before[position]}
        assert read == expected | ({f"d_v_{name}": d_step[position]} if position < dimension else {})


def test_drawings_of_programs_have_every_value_and_the_counts(page: str) -> None:
    report = lg.formulas(2, 3)
    text = page.split('id="d2_n3-join"')[1].split('id="d2_n3-join_backprop"')[0]
    drawing = text.split("The program")[1].split("</svg>")[0]
    counts = [int(number) for number in re.findall(r"· (\d+)</text>", drawing)]
    table = [int(number) for number in re.findall(r"<td>([\d,]+)</td>", text)]
    assert sum(table[:3]) == table[3] == sum(counts)
    assert len(re.findall('class="input"', drawing)) == report.problem.size + report.problem.dimension
    assert len(re.findall('class="result"', drawing)) == report.problem.size
    assert "<pre>/*" in text
    assert "&lt;stddef.h&gt;" in text or "&#34;logsig_rows.h&#34;" in text


def test_a_notebook_gets_one_element_and_a_problem_that_is_too_large_none() -> None:
    shown = lg.formulas(2, 2)._repr_html_()
    assert shown is not None
    assert Page(shown).elements[0] == ("article", {"class": "logsig-page", "id": "d2_n2-page"})
    assert lg.formulas(40, 7)._repr_html_() is None
    with pytest.raises(lg.ProblemTooLargeError):
        lg.formulas(40, 7).html()
    assert str(lg.formulas(2, 2)) == str(lg.formulas(2, 2).coordinates) == lg.formulas(2, 2).show("coordinates")


def test_equations_that_are_too_long_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitted, "_EQUATION_CHARACTERS", 700)
    monkeypatch.setattr(emitted, "_LINES", 5)
    text = lg.formulas(2, 3).html()
    assert re.findall(r"Left out for their length: (.*)\.</p>", text)[0] == "d_l_0, d_v_0"
    assert "All equations: logsig-gen show --dim 2 --degree 3 --what coordinates or --what adjoint" in text
    assert re.search(r"A part of \d+ lines\. All of them: logsig-gen show --dim 2 --degree 3 --what source", text)


@pytest.mark.slow
def test_a_large_problem_has_a_page_of_bounded_size() -> None:
    formulas = lg.formulas(10, 4)
    text = formulas.html()
    assert len(text.encode()) < 2_000_000
    ids = Page(text).ids
    assert len(ids) == len(set(ids))
    left_out = formulas.problem.size - len([one for one in ids if "-z_" in one])
    assert left_out > 0
    assert f"The last {left_out:,} of {formulas.problem.size:,} coordinates are left out" in text
    assert "are too many to be drawn" in text
    assert "All of them: logsig-gen show --dim" in text


MEASURE = """<script>
const boxes = [...document.querySelectorAll("math")].map(one => one.getBoundingClientRect());
window.parent.document.title = JSON.stringify([
  boxes.length, boxes.filter(box => box.width > 4 && box.height > 4).length,
  document.documentElement.scrollWidth, [...document.querySelectorAll(".equation")].filter(
  one => one.scrollWidth > one.clientWidth).length, [...document.querySelectorAll("svg text")].filter(
  one => one.getBBox().width > 0).length, document.querySelectorAll("svg text").length]);
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_a_browser_shows_it(page: str, width: int, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser (Debian's package chromium)")
    inside = html.escape(page.replace("</body>", MEASURE))
    file = tmp_path / "page.html"
    frame = f'<iframe srcdoc="{inside}" style="width: {width}px; height: 900px; border: 0"></iframe>'
    file.write_text(f"<!DOCTYPE html><title>not measured</title>{frame}", encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--window-size=1400,900", "--dump-dom", str(file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    numbers = re.search(r"<title>\[([\d,]+)\]</title>", done.stdout)
    assert numbers is not None, done.stdout[:500]
    maths, visible, page_width, too_wide, drawn, labels = map(int, numbers[1].split(","))
    assert maths == visible > 30
    assert page_width <= width
    assert too_wide == 0
    assert drawn == labels > 30


# ---------------------------------------------------------------------------------------------- documents of a folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lg.generate(2, 3, tmp_path_factory.mktemp("documents"), operations=("join",), emit_only=True).path


def test_text_is_narrow_and_its_symbols_are_defined(folder: Path) -> None:
    text = (folder / "formulas.txt").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    lines = text.split("series\n======")[1].splitlines()
    equations = " ".join(line.partition("#")[0] for line in lines)
    used = {re.sub(r"^(omega|Omega|l)_\d$", r"\1_k", name) for name in re.findall(r"[A-Za-z]\w*", equations)}
    bases = {name if name.endswith("_k") else name.rpartition("_")[0] or name for name in used}
    defined = {one for symbols, _ in LEGEND for one in symbols.split(", ")}
    assert {"l", "v", "z", "g", "d_l", "omega_k"} <= bases - {"coordinates", "adjoint"} <= defined
    for symbols, meaning in LEGEND:
        assert re.search(rf"^{re.escape(symbols)} +{re.escape(meaning)}$", text, re.MULTILINE)


@pytest.mark.slow
def test_latex_is_a_document(folder: Path) -> None:
    """Without LaTeX: what it consists of, braces and environments that match, and each formula by itself."""
    text = re.sub(r"(?<!\\)%.*", "", (folder / "formulas.tex").read_text(encoding="utf-8"))
    assert text.split(maxsplit=1)[0] == r"\documentclass[a4paper]{article}"
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        *(("begin", "document"), ("begin", "description"), ("end", "description"), ("end", "document"))
    ]
    known = (
        "documentclass usepackage setlength parindent renewcommand par smallskip hangindent raggedright displaystyle"
    )
    known += " begin end section item texttt detokenize frac bigl bigr bar omega Omega"
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= set(known.split())
    formulas = re.findall(r"^\\\[ (.*) \\\]", text, re.MULTILINE)
    assert len(formulas) == 3 + 3 * 3 + 5 + 7
    parser = mathtext.MathTextParser("path")
    for formula in formulas:
        parser.parse("${}$".format(re.sub(r"\\big[lr]", "", formula)))


def test_the_folder_says_how_it_is_used(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"^\| `(logsig_\w+\.h|manifest\.json)`", text, re.MULTILINE):
        assert (folder / name).is_file()
    code = next(block.text for block in blocks(text) if block.language == "python")
    assert "logsig_codegen.load(2, 3, artifacts=" in textwrap.dedent(code)
