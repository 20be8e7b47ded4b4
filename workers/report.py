"""One result directory made readable: report.html, a single file with everything in it, and coverage.png.

Reads result.zarr and summary.json, nothing else, so that a report can be made again from what was kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import yaml

from .figures import coverage_figure, headline
from .figures_charts import MOST_PULSES, histogram_figure, pulses_figure
from .figures_electrodes import NEAR_MM
from .figures_style import png
from .report_certificate import certificate
from .report_data import Result, read_result
from .report_devices import devices_table, protocol_table
from .report_format import Html, exact, number, table, text
from .report_page import page, picture, section
from .report_planes import is_oblique
from .report_tables import (
    avoided_table,
    currents_table,
    series_table,
    spoken,
    targets_table,
    tissues_table,
    volumes_table,
)
from .report_verdict import MOST_WARNINGS, all_warnings, banner, verdict, warnings

DISCLAIMER = "porefield computes fields from a plan. It does not advise, and it is no medical device."


def write_report(result_dir: Path, *, check: Callable[[], None] = lambda: None) -> None:
    """Write report.html and coverage.png into a result directory, each whole or not at all.

    Args:
        check: called between pictures and their panels; whatever it raises stops the writing.

    Raises:
        FileNotFoundError: the directory lacks summary.json or result.zarr.
        ValueError: what it holds is not a result.
    """
    result = read_result(result_dir)
    check()
    coverage = png(coverage_figure(result))
    check()
    _replace(result_dir / "coverage.png", coverage)
    _replace(result_dir / "report.html", report_html(result, coverage, check).encode("utf-8"))


def report_html(result: Result, coverage: bytes, check: Callable[[], None] = lambda: None) -> str:
    """The page; `coverage` is the main picture as PNG."""
    return page(
        f"{result.title or 'Electroporation field'}: report",
        (
            front(result, coverage),
            all_warnings(result),
            pictures(result, check),
            measures(result),
            section("Tissues", _TISSUE_WORDS, tissues_table(result), series_table(result) or ""),
            section("Certificate", certificate(result), _solver_words(result)),
            provenance(result),
        ),
    )


def header(result: Result) -> Html:
    """The plan's title and description, when and by what it was computed."""
    created = result.summary.get("created") or result.attributes.get("created") or ""
    words = [
        f"computed {escape(when(str(created)))}" if created else "",
        f"porefield {text(result.summary.get('porefield'))}",
    ]
    words.append("research software, not a medical device")
    dot = " \N{MIDDLE DOT} "
    description = str(result.plan.get("description") or "")
    return Html(
        f"<header><h1>{escape(result.title or 'Electroporation field and coverage')}</h1>"
        f"{f'<p class=lede>{escape(description)}</p>' if description else ''}"
        f'<p class="meta">{dot.join(w for w in words if w)}</p></header>'
    )


def front(result: Result, coverage: bytes) -> Html:
    """The first page, for whoever reads no other: covered, at risk, deliverable, in words and in one picture."""
    through = "the target's centre" if result.targets else "the electrodes"
    caption = f"Slices through {through} and in the electrodes' plane; how to read them stands under Electric field."
    alt = (
        f"Coronal, sagittal, axial and oblique slices with anatomy, electrodes and electric field. {headline(result)}."
    )
    parts = (
        banner(result),
        header(result),
        verdict(result),
        warnings(result, MOST_WARNINGS),
        picture(coverage, alt, caption, "lead"),
        disclaimer(result),
    )
    return Html(f'<div class="front">{"".join(parts)}</div>')


def pictures(result: Result, check: Callable[[], None] = lambda: None) -> Html:
    """How to read the main picture; the pulses and the histogram."""
    top = result.thresholds.scale_top_v_per_cm
    turned = " The grid is turned against the patient's axes: slices follow the grid." if is_oblique(result) else ""
    parts: list[str] = [
        Html(
            "<p>The main picture: axial and coronal slices are shown as in radiology, the patient's right on the left. "
            f"Colour: |E|, clipped above {top:g} V/cm. "
            f"Isolines: the thresholds of {text(spoken(result.thresholds.tissue))}; other tissues have their own. "
            f"Metal up to {NEAR_MM:g} mm off a slice is projected onto it, dashed; a diamond marks the tip, "
            f"white when it is off the slice.{turned}</p>"
        )
    ]
    if result.pulses:
        words = (
            "Each pulse alone, in the slice where most of the area reaches the reversible threshold; colours as above."
        )
        if len(result.pulses) > MOST_PULSES:
            words += f" The first {MOST_PULSES} of {len(result.pulses)} pulses."
        names = ", ".join(str(pulse.get("name")) for pulse in result.pulses[:MOST_PULSES])
        alt = f"Electric field of each pulse: {names}."
        parts.append(picture(png(pulses_figure(result, check)), alt, words))
    histogram = histogram_figure(result) if result.converged else None
    if histogram is not None:
        words = "Field-volume histogram: the share of the target's tissue, metal excluded, at or above each field."
        alt = "Falling curve of the target's share at or above a field, with the thresholds as vertical lines."
        parts.append(picture(png(histogram), alt, words, "half"))
    return section("Electric field", *parts)


def measures(result: Result) -> Html:
    """Currents, and what is held against thresholds and limits; withheld when there is no result to hold."""
    if not result.converged:
        words = "<p>Not given, because the solve did not converge.</p>"
        return section("Currents, volumes and structures", words)
    tables = (currents_table(result), protocol_table(result) or "", devices_table(result) or "")
    electric = section("Currents and generator", *tables, _generator(result))
    spared = section("Structures to spare", avoided_table(result)) if result.avoided else ""
    return Html(
        electric + spared + section("Volumes", targets_table(result) if result.targets else "", volumes_table(result))
    )


def _generator(result: Result) -> Html:
    generator = result.summary.get("generator")
    if not generator:
        return Html("<p>The plan names no generator, so currents are held against no limit.</p>")
    title = generator.get("title") or spoken(generator.get("name", ""))
    unsure = " <b>These limits are unverified.</b>" if generator.get("verified") is False else ""
    note = f" {text(generator.get('note'))}" if generator.get("note") else ""
    limits = f"{exact(generator.get('max_voltage_v'))} V and {exact(generator.get('max_current_a'))} A"
    units = (("max_width_us", "\N{MICRO SIGN}s"), ("max_count", "pulses"), ("max_frequency_hz", "Hz"))
    stated = generator.get("limits") or {}
    limits += "".join(f", {exact(stated[q])} {unit}" for q, unit in (*units, ("channels", "channels")) if q in stated)
    return Html(f"<p>{text(title)}: at most {limits} (source: {text(generator.get('source'))}).{unsure}{note}</p>")


_TISSUE_WORDS = Html(
    "<p>Highlighted values were not verified against their source: treat what follows from them as an assumption.</p>"
)


def _solver_words(result: Result) -> Html:
    timings = result.summary.get("timings_s") or {}
    shape, spacing = (result.summary.get("grid") or {}).get("shape") or result.shape, result.spacing_mm
    times = ", ".join(f"{spoken(k)} {number(v)} s" for k, v in timings.items())
    cross = " \N{MULTIPLICATION SIGN} "
    voxels, size = cross.join(str(n) for n in shape), cross.join(exact(float(h)) for h in spacing)
    device = text(result.summary.get("device"))
    took = f" Time: {escape(times)}." if times else ""
    return Html(f"<p>Grid {escape(voxels)} voxels of {size} mm. Device: {device}.{took}</p>")


def provenance(result: Result) -> Html:
    """What it was made from: notes, inputs with their hashes, versions, the plan."""
    warned = set(map(str, result.summary.get("warnings") or ()))
    notes = [n for n in result.summary.get("notes") or () if str(n.get("message")) not in warned]
    items = "".join(
        f"<li>{text(n.get('message'))} <small>({text(spoken(n.get('kind', '')))})</small></li>" for n in notes
    )
    origin = result.summary.get("provenance") or result.attributes.get("provenance") or {}
    versions = result.summary.get("versions") or {}
    plan = as_yaml(without_nulls(result.plan))
    return section(
        "Provenance",
        f"<p><b>Notes</b></p><ul class=list>{items}</ul>" if items else "",
        f"<p><b>Input and grid</b></p><pre>{escape(as_yaml(origin))}</pre>" if origin else "",
        table("Versions", ("Software", "version"), versions.items(), words=(0, 1)) if versions else "",
        f"<details><summary>The plan as it was run</summary><pre>{escape(plan)}</pre></details>",
    )


def without_nulls(data: Any) -> Any:
    """Nested data less the keys that are null or empty: what a plan left out needs no line."""
    if isinstance(data, Mapping):
        return {k: without_nulls(v) for k, v in data.items() if v is not None and v not in ({}, "")}
    return [without_nulls(v) for v in data] if isinstance(data, list) else data


def when(stamp: str) -> str:
    """An ISO 8601 time in UTC to the minute; anything else as it stands."""
    try:
        return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return stamp


def as_yaml(data: Any) -> str:
    """Nested data in the notation of plans."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None).strip()


def disclaimer(result: Result) -> Html:
    """What this is not."""
    stated = str(result.summary.get("disclaimer") or "")
    return Html(f'<div class="disclaimer"><p><b>{escape(DISCLAIMER)}</b> {escape(stated)}</p></div>')


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, then rename over it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
