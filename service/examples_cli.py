"""`porefield examples`: the case gallery, and copies of its plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..meshes.errors import one_of

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="One case; all of them without.", show_default=False)
]
Out = Annotated[Path | None, typer.Option("--out", help="Copy to this folder, as NAME.yaml.", show_default=False)]
Coarse = Annotated[bool, typer.Option("--coarse", help="Copy with large voxels: seconds in place of minutes.")]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON object on stdout.")]


def examples(name: Name = None, out: Out = None, coarse: Coarse = False, as_json: Json = False) -> None:
    """List the case gallery; with --out copy a case's plan (all of them without a name); with a name alone print it."""
    from ..meshes.gallery import load_gallery
    from .tables import plain_table, print_table

    gallery = load_gallery()
    if name is not None and name not in gallery:
        raise typer.BadParameter(f"expected {one_of(gallery, name)}; got {name}", param_hint="NAME")
    chosen = [gallery[name]] if name is not None else list(gallery.values())
    if out is not None:
        _copy({f"{case.name}.yaml": case.plan_text(coarse=coarse) for case in chosen}, out)
    elif as_json:
        typer.echo(json.dumps({case.name: case.as_dict() for case in chosen}, indent=2))
    elif name is not None:
        typer.echo(gallery[name].plan_text(coarse=coarse), nl=False)
    else:
        table = plain_table("case", "what it is", "voxels (mm)", "coarse (mm)")
        for case in chosen:
            table.add_row(case.name, case.title, f"{case.spacing_mm:g}", f"{case.coarse_spacing_mm:g}")
        print_table(table)


def _copy(texts: dict[str, str], out: Path) -> None:
    """Write them, or nothing where one is there already."""
    paths = {out / file: text for file, text in texts.items()}
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise typer.BadParameter(f"expected no file of that name yet, got {', '.join(there)}", param_hint="--out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"expected a folder that can be written to, got {error}", param_hint="--out") from None
    for path in paths:
        typer.echo(str(path))
