"""`porefield electrodes` and `porefield protocols`: what the libraries of devices, protocols and generators hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ..meshes.errors import one_of

Show = Annotated[
    str | None, typer.Option("--show", metavar="NAME", help="One of them, with its sources.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON object on stdout.")]


def electrodes(show: Show = None, as_json: Json = False) -> None:
    """List the electrode library: devices, their dimensions, and where each number comes from; --show draws one."""
    from ..meshes.devices import load_devices
    from .library_tables import device_page, device_table
    from .tables import print_table

    library = load_devices()
    if show is not None:
        _check_known(show, library)
    if as_json:
        chosen = {show: library[show]} if show is not None else library
        _print_json({name: device.as_dict() for name, device in chosen.items()})
    else:
        print_table(device_table(library.values()) if show is None else device_page(library[show]))


def protocols(show: Show = None, as_json: Json = False) -> None:
    """List pulse protocols and generators, and where each number comes from."""
    from ..meshes.generators import load_generators
    from ..meshes.protocols import load_protocols
    from .library_tables import generator_page, protocol_page, protocol_table
    from .tables import print_table

    library, generators = load_protocols(), load_generators()
    if show is not None:
        _check_known(show, {**library, **generators})
    if as_json:
        told = {
            "protocols": {n: p.as_dict() for n, p in library.items() if show in (None, n)},
            "generators": {n: g.as_dict() for n, g in generators.items() if show in (None, n)},
        }
        _print_json(told)
    elif show is None:
        print_table(protocol_table(library.values(), generators.values()))
    else:
        print_table(protocol_page(library[show]) if show in library else generator_page(generators[show]))


def _check_known(name: str, library: Mapping[str, Any]) -> None:
    if name not in library:
        raise typer.BadParameter(f"expected {one_of(library, name)}; got {name}", param_hint="--show")


def _print_json(data: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(data, indent=2))
