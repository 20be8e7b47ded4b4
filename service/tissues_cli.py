"""`porefield tissues`: the tissue library, one tissue with its sources and its law, the law as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..meshes.errors import one_of

Show = Annotated[
    str | None,
    typer.Option("--show", metavar="NAME", help="One tissue or layer: values, ranges, sources, its law drawn."),
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.png", help="With --show: its conductivity law as a picture.")
]


def tissues(
    show: Show = None,
    plot: Plot = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: one JSON object on stdout.")] = False,
) -> None:
    """List the tissue library: conductivity laws, thresholds with ranges, and where each value comes from."""
    from ..meshes.layers import load_layers
    from ..meshes.tissues import load_tissues
    from .tables import print_table, tissue_as_dict, tissue_table
    from .tissue_page import layer_page, layer_table, tissue_page

    library, layers = load_tissues(), load_layers()
    known = [*library, *layers]
    if show is not None and show not in known:
        raise typer.BadParameter(f"expected {one_of(known, show)}; got {show}", param_hint="--show")
    if plot is not None:
        if show not in library:
            raise typer.BadParameter("expected a tissue named by --show", param_hint="--plot")
        _write_plot(library[show], plot)
    if as_json:
        told: dict[str, Any] = {n: tissue_as_dict(t) for n, t in library.items() if show in (None, n)}
        told |= {n: layer.as_dict() for n, layer in layers.items() if show in (None, n)}
        typer.echo(json.dumps(told, indent=2))
    elif show is None:
        print_table(tissue_table(library.values()))
        print_table(layer_table(layers.values()))
    else:
        print_table(tissue_page(library[show]) if show in library else layer_page(layers[show]))


def _write_plot(tissue: Any, path: Path) -> None:
    from ..workers.figures_tissues import tissue_png

    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"expected a name that ends in .png; got {path}", param_hint="--plot")
    try:
        path.write_bytes(tissue_png(tissue))
    except OSError as error:
        raise typer.BadParameter(
            f"expected a file that can be written; got {path}: {error}", param_hint="--plot"
        ) from None
