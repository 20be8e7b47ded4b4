"""The page says what the summary says, needs nothing but itself, and never makes a failed solve look like a result."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from porefield.workers import report_tables
from porefield.workers.figures import coverage_figure, headline, main_planes
from porefield.workers.figures_charts import crossing_axis, fullest_slice, histogram_figure, pulses_figure
from porefield.workers.figures_labels import clearest_point, in_short
from porefield.workers.figures_style import field_rgba, plain, tissue_colours
from porefield.workers.report import header, measures, pictures, provenance, write_report
from porefield.workers.report_data import Result, read_result
from porefield.workers.report_format import Html, badge, cubic_cm, exact, number, percent, table, text
from porefield.workers.report_verdict import banner, verdict, warnings

from .torso import straight_affine, write_torso

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Checks that tags nest, and collects images, headings and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def changed(result: Result, **parts: Any) -> Result:
    """The result with other parts of its summary."""
    summary = json.loads(json.dumps(result.summary)) | parts
    return Result(summary, result.dataset, result.affine, result.electrodes, result.attributes)


@pytest.mark.usefixtures("small_pictures")
def test_the_report_is_one_file_with_everything_in_it(tmp_path: Path) -> None:
    directory = write_torso(tmp_path / "result")
    write_report(directory)
    assert {p.name for p in directory.iterdir()} == {"result.zarr", "summary.json", "report.html", "coverage.png"}
    html = (directory / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert "<script" not in html
    assert not re.search(r"https?:|url\(|@import", html)
    pictures = page.all("img")
    assert len(pictures) == 3
    for attributes in pictures:
        assert attributes["alt"]
        data = (attributes["src"] or "").removeprefix("data:image/png;base64,")
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.size == (int(attributes["width"] or 0), int(attributes["height"] or 0))
    first = base64.b64decode((pictures[0]["src"] or "").partition(",")[2])
    assert first == (directory / "coverage.png").read_bytes()
    for words in (
        "covered:",
        "A-B",
        "exceeds limits",
        "spinal cord",
        "unverified",
        "not a medical device",
        "0123456789abcdef",
    ):
        assert words in page.text.replace("no medical device", "not a medical device")
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    order = ["Warnings", "Electric field", "Currents and generator", "Structures to spare", "Volumes", "Tissues"]
    assert headings == [*order, "Certificate", "Provenance"]


@pytest.mark.usefixtures("small_pictures")
def test_a_failed_solve_is_a_banner_first_and_no_verdict(tmp_path: Path) -> None:
    def fail(summary: dict[str, Any], _: dict[str, Any]) -> None:
        summary["status"] = "stagnated"
        summary["pulses"][1]["solver"]["status"] = "stagnated"
        for target in summary["targets"].values():
            target["coverage"] = {"reversible": None, "irreversible": None, "above_v_per_cm": {}}
            target["field_v_per_cm"] = dict.fromkeys(target["field_v_per_cm"])
            target["histogram"]["fraction_at_or_above"] = [math.nan] * 101

    directory = write_torso(tmp_path / "failed", edit=fail)
    store = xr.open_zarr(directory / "result.zarr")
    broken = store[["field_max_v_per_m", "field_v_per_m"]].load() * np.float32(np.nan)
    store.close()
    broken.to_zarr(directory / "result.zarr", mode="r+", consolidated=True)
    write_report(directory)
    page = Page((directory / "report.html").read_text(encoding="utf-8"))
    assert page.text.partition("report")[2].strip().startswith("The solve did not converge: no verdict.")
    assert "covered:" not in page.text
    assert "within its limit" not in page.text
    failed = read_result(directory)
    assert headline(failed).startswith("NOT CONVERGED")
    assert all(
        "NOT CONVERGED" in [t.get_text() for t in axes.texts]
        for figure, panels in ((coverage_figure(failed), 4), (pulses_figure(failed), 3))
        for axes in figure.axes[:panels]
    )


@pytest.mark.usefixtures("small_pictures")
def test_names_from_a_plan_are_text_and_nothing_else(tmp_path: Path) -> None:
    """Markup, formulas and rare characters in names end up as characters, in the page and in the pictures."""
    evil = "<script>alert(1)</script> $\\frac{$ \u4e2d\x07 & \"'"

    def edit(summary: dict[str, Any], attributes: dict[str, Any]) -> None:
        attributes["electrodes"][0]["name"] = evil
        attributes["plan"] = json.dumps({"title": evil, "description": evil})
        summary["pulses"][0] |= {"name": evil, "anodes": [evil]}
        summary["warnings"] = [evil]
        summary["notes"] = [{"kind": evil, "message": evil}]
        summary["targets"][evil] = summary["targets"]["tumour"]
        summary["generator"]["name"] = summary["device"] = evil

    directory = write_torso(tmp_path / "evil", edit=edit)
    write_report(directory)
    html = (directory / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert evil.replace("\x07", "")[:30] in Page(html).text


def test_a_directory_that_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"summary\.json"):
        write_report(tmp_path)
    directory = write_torso(tmp_path / "result")

    def lose(_: dict[str, Any], attributes: dict[str, Any]) -> None:
        del attributes["affine"]

    write_torso(directory, edit=lose)
    with pytest.raises(ValueError, match="affine"):
        write_report(directory)
    assert not (directory / "report.html").exists()


@pytest.mark.usefixtures("small_pictures")
def test_a_single_electrode_without_target_still_makes_a_report(tmp_path: Path) -> None:
    def edit(summary: dict[str, Any], attributes: dict[str, Any]) -> None:
        attributes["electrodes"] = attributes["electrodes"][:1]
        summary["targets"], summary["avoid"], summary["generator"] = {}, {}, None
        summary["tissues"] = []
        for pulse in summary["pulses"]:
            pulse |= {"within_generator_limits": None, "currents_a": {"A": 0.0}}

    directory = write_torso(tmp_path / "single", edit=edit)
    result = read_result(directory)
    assert main_planes(result).oblique is None
    said = " ".join(t.get_text() for t in coverage_figure(result).texts)
    assert "No oblique slice" in said
    assert histogram_figure(result) is None
    write_report(directory)
    assert "The plan names no target" in Page((directory / "report.html").read_text(encoding="utf-8")).text


def test_a_flat_grid_of_one_voxel_layer_can_be_drawn(tmp_path: Path) -> None:
    affine = straight_affine()
    affine[2, 3] = 2.0
    result = read_result(write_torso(tmp_path / "flat", affine, (34, 28, 1)))
    assert coverage_figure(result).axes
    assert pulses_figure(result).axes


def test_of_very_many_pulses_the_first_are_shown(torso: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them would make a picture with more dots than a PNG of matplotlib's may have."""
    monkeypatch.setattr("porefield.workers.figures_charts.MOST_PULSES", 2)
    monkeypatch.setattr("porefield.workers.report.MOST_PULSES", 2)
    pulses = pulses_figure(torso)
    assert len(torso.pulses) > len(pulses.axes) == 2
    monkeypatch.setattr("porefield.workers.report.png", lambda figure: b"")
    shown = Page(pictures(torso)).text
    assert f"The first 2 of {len(torso.pulses)} pulses." in shown


@pytest.mark.usefixtures("small_pictures")
def test_a_report_stops_between_panels(tmp_path: Path) -> None:
    directory = write_torso(tmp_path / "result")
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) == 4:  # before a picture, after it, and at its second panel
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        write_report(directory, check=check)
    assert not (directory / "report.html").exists()


def test_the_verdict_is_plain(torso: Result) -> None:
    target = dict(torso.targets["tumour"])
    target["coverage"] = {"reversible": 0.99249, "irreversible": 0.5, "above_v_per_cm": {}}
    said = Page(verdict(changed(torso, targets={"tumour": target}))).text.replace("\xa0", " ")
    assert "Target: tumour covered: 99.2 % of its" in said
    assert "exceeded by B-C" in said
    assert "all within their limits" in said
    avoid = {"spinal_cord": dict(torso.avoided["spinal_cord"]) | {"exceeded": True}}
    assert "above the limit: spinal cord" in Page(verdict(changed(torso, avoid=avoid))).text
    assert not banner(torso)


def test_nothing_to_warn_of_is_said(torso: Result) -> None:
    assert "None." in warnings(changed(torso, warnings=[]))


def test_tables_tell_currents_limits_and_doubts(torso: Result) -> None:
    currents = Page(report_tables.currents_table(torso)).text
    assert "\N{MINUS SIGN}12.30" in currents
    assert "about 1210 V would fit" in currents
    tissues = report_tables.tissues_table(torso)
    assert tissues.count('class="badge doubt"') == 1
    assert re.search(r'<tr class="doubt"><th scope="row"></th><td>conductivity, permeabilised</td>', tissues)
    many = changed(torso, pulses=[{**torso.pulses[0], "currents_a": {f"N{i}": 1.0 for i in range(24)}}])
    many = Result(many.summary, many.dataset, many.affine, (), many.attributes)
    assert "<td>N0\N{NO-BREAK SPACE}1.00, N1\N{NO-BREAK SPACE}1.00" in report_tables.currents_table(
        many
    )  # no number, so that it wraps
    assert "not given" in Page(measures(changed(torso, status="stagnated"))).text.lower()


def test_header_and_provenance_name_their_sources(torso: Result) -> None:
    assert "A synthetic torso" in Page(header(torso)).text
    said = Page(provenance(torso)).text
    assert "labels.nii.gz" in said
    assert "targets: [tumour]" in said


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (1.0, "100 %"),
        (0.99999, "> 99.9 %"),
        (0.9989, "99.8 %"),
        (0.992, "99.2 %"),
        (0.0004, "< 0.1 %"),
        (0.0, "0.0 %"),
        (None, "\N{EM DASH}"),
        (math.nan, "\N{EM DASH}"),
    ],
)
def test_shares_are_never_rounded_up(fraction: float | None, shown: str) -> None:
    assert percent(fraction).replace("\xa0", " ") == shown


def test_numbers() -> None:
    shown = [number(v) for v in (0, 12.345, 0.0012345, 1234.5, 54321.0, True, None, 1e-12)]
    assert shown == ["0", "12.3", "0.00123", "1234", "54\u202f321", "\N{EM DASH}", "\N{EM DASH}", "1.00e-12"]
    assert (exact(50.0), exact(0.35), exact(None)) == ("50", "0.35", "\N{EM DASH}")
    assert cubic_cm(4188.8) == "4.19"


def test_cells_are_escaped_unless_they_are_markup() -> None:
    html = table("a <b>", ("x", "y"), [("<i>", badge("<", "good"))], words=(0, -1), classes=("bad",))
    assert "<i>" not in html
    assert "&lt;i&gt;" in html
    assert '<span class="badge good">&lt;</span>' in html
    assert 'class="n"' not in html
    assert text(Html("")) == ""
    assert text("") == "\N{EM DASH}"


def test_pictures_print_text_as_it_stands() -> None:
    assert plain("a $x$ \n\u4e2d 5\xa0%") == "a \\$x\\$ \N{WHITE SQUARE}\N{WHITE SQUARE} 5 %"


def test_tissue_colours_are_all_different() -> None:
    names = ["liver", "liver metastasis", "tumour", "blood", "vessel", "fat", *(f"other {i}" for i in range(9))]
    assert len(set(tissue_colours(names))) == len(names)


def test_the_field_is_clear_when_weak_and_covers_when_strong() -> None:
    rgba = field_rgba(np.array([0.0, 10.0, 400.0, 5000.0, np.nan]), top=1400.0, full=400.0)
    assert rgba[:2, 3].tolist() == [0, 0]
    assert rgba[2, 3] == pytest.approx(0.86)
    assert rgba[4, 3] == 0
    np.testing.assert_allclose(rgba[3], field_rgba(np.array([1400.0]), 1400.0, 400.0)[0])


def test_many_needles_of_a_device_share_a_name() -> None:
    assert in_short(["rows.a1", "rows.a2", "rows.a3", "N1"]) == "rows.a, N1"
    assert in_short(["hex.1", "hex.6", "hex.centre"]) == "hex"
    assert in_short(["N1", "N2", "N3", "rows.a1", "rows.b1"]) == "N1, N2, N3, rows.a1, rows.b1"


def test_labels_of_isolines_keep_clear_of_what_is_there() -> None:
    circle = np.array([[math.cos(a), math.sin(a)] for a in np.linspace(0, math.tau, 40, endpoint=False)])
    place = clearest_point([circle], np.array([[1.0, 0.0]]), (-5, 5, -5, 5))
    assert place is not None
    np.testing.assert_allclose(place, [-1, 0], atol=1e-9)
    assert clearest_point([], np.empty((0, 2)), (0, 1, 0, 1)) is None


def test_pulses_are_shown_where_they_reach_most(torso: Result) -> None:
    assert crossing_axis(torso) == 2
    field = np.zeros((3, 4, 5), np.float32)
    field[1, 1, 2] = field[1, 2, 2] = 500
    field[0, 0, 4] = 9000
    assert fullest_slice(field, 400, 2, 0) == 2
    assert fullest_slice(np.zeros((3, 4, 5), np.float32), 400, 2, 1) == 1
