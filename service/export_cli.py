"""The commands that hand results and plans to other programs: `porefield export` and `porefield markups`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from .exit_codes import ExitCode

VOLUME_ENDINGS = (".nii.gz", ".nii", ".nrrd")
SURFACE_ENDINGS = (".stl", ".ply")


class FrameChoice(StrEnum):
    """Whose voxels."""

    SCAN = "scan"
    GRID = "grid"


class SpaceChoice(StrEnum):
    """Which patient axes."""

    LPS = "lps"
    RAS = "ras"


class ZoneChoice(StrEnum):
    """Which zone."""

    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]
Space = Annotated[
    SpaceChoice | None,
    typer.Option("--space", help="Patient axes of the coordinates, which the file states; LPS by default."),
]


def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result directory, or its store.")],
    to: Annotated[
        Path,
        typer.Option("--to", help="File to write: a map as .nii.gz, .nii or .nrrd, a surface as .stl or .ply."),
    ],
    map_name: Annotated[
        str | None,
        typer.Option("--map", help="Which map: field_max_v_per_cm (the default), zone, coverage_reversible ..."),
    ] = None,
    pulse: Annotated[int | None, typer.Option("--pulse", min=0, help="The field of one pulse alone, from 0.")] = None,
    frame: Annotated[
        FrameChoice | None,
        typer.Option("--frame", help="Voxels of a map: those of the scan's file (the default), or the solve's."),
    ] = None,
    above: Annotated[
        float | None, typer.Option("--above", min=0, help="Surface round all that sees this field, V/cm.")
    ] = None,
    zone: Annotated[ZoneChoice | None, typer.Option("--zone", help="Surface of a zone.")] = None,
    structure: Annotated[
        str | None, typer.Option("--structure", help="Surface of a target or avoided structure.")
    ] = None,
    space: Space = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a map of a result on the scan's own voxels, or a surface in patient millimetres.

    A result that did not converge is written, says so itself, and ends with code 4.
    """
    given = {"--map": map_name, "--frame": frame, "--above": above, "--zone": zone, "--structure": structure}
    given |= {"--pulse": pulse, "--space": space}
    surface = _check_options(to, {name for name, value in given.items() if value is not None})
    store = result if result.name.endswith(".zarr") else result / "result.zarr"
    if not (store / "zarr.json").is_file():
        raise typer.BadParameter(f"expected a directory made by 'porefield run', got {result}", param_hint="RESULT")
    from ..workers import export as maps
    from ..workers import surfaces
    from .outcomes import told_errors

    with told_errors(as_json=False):
        converged = maps.is_converged(store)
        if not surface:
            name = map_name or "field_max_v_per_cm"
            content = maps.volume_bytes(store, to.name, name, pulse, None if frame is None else frame.value)
        else:
            if above is not None:
                found, what = surfaces.field_surface(store, above, pulse), f"|E| from {above:g} V/cm"
            elif zone is not None:
                found, what = surfaces.zone_surface(store, zone.value), f"{zone.value} zone"
            else:
                found, what = surfaces.structure_surface(store, str(structure)), str(structure)
            content = surfaces.surface_bytes(found, to.name, _space(space), maps.described(what, converged))
        _write(to, content, overwrite=overwrite)
    if not converged:
        typer.secho("the result did not converge: do not rely on this file", err=True, fg=typer.colors.RED)
        raise typer.Exit(ExitCode.NOT_CONVERGED)


def _check_options(to: Path, given: set[str]) -> bool:
    """Whether a surface is asked for; options that play no part in what is asked for are refused."""
    surface = to.name.lower().endswith(SURFACE_ENDINGS)
    if not surface and not to.name.lower().endswith(VOLUME_ENDINGS):
        expected = ", ".join((*VOLUME_ENDINGS, *SURFACE_ENDINGS))
        raise typer.BadParameter(f"expected a file that ends with one of {expected}, got {to.name}", param_hint="--to")
    chosen = given & {"--above", "--zone", "--structure"}
    if surface and len(chosen) != 1:
        got = " and ".join(sorted(chosen)) or "none of them"
        raise typer.BadParameter(f"expected one of --above, --zone and --structure, got {got}", param_hint="--to")
    idle = {"--map", "--frame"} if surface else {"--above", "--zone", "--structure", "--space"}
    idle |= {"--pulse"} if surface and "--above" not in given else set()
    if given & idle:
        raise typer.BadParameter(f"has no part in writing {to.name}", param_hint=sorted(given & idle)[0])
    return surface


def _space(space: SpaceChoice | None) -> Literal["LPS", "RAS"]:
    return "RAS" if space is SpaceChoice.RAS else "LPS"


def markups(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file, YAML or JSON.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Markups file (.mrk.json) to write.", show_default=False)],
    space: Space = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a plan's electrodes as markups of 3D Slicer: needles as lines that a plan can name in turn."""
    from ..meshes.electrode_markups import electrode_markups
    from ..meshes.plan import load_plan
    from .outcomes import told_errors

    with told_errors(as_json=False):
        contents = electrode_markups(load_plan(plan).electrodes, _space(space))
        _write(out, (json.dumps(contents, indent=1) + "\n").encode(), overwrite=overwrite)


def _write(path: Path, content: bytes, *, overwrite: bool) -> None:
    """The file, whole or not at all."""
    from ..workers.publish import OutputExistsError
    from ..workers.store.files import write_atomic

    if path.exists() and not overwrite:
        raise OutputExistsError.of("to", "a file that does not exist yet, or --overwrite", f"{path}, which exists")
    write_atomic(path, content)
    typer.echo(str(path))
