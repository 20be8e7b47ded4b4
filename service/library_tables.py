"""What `porefield electrodes` and `porefield protocols` print for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..meshes.devices import Device
from ..meshes.generators import Generator
from ..meshes.library import Value
from ..meshes.parameters import Parameter
from ..meshes.protocols import Protocol
from .electrode_drawing import drawing

PAIRS = {
    "sides": "the two sides of each device, or two electrodes",
    "neighbours": "neighbours in each device",
    "all": "every conductor with every other one",
}


def device_table(devices: Iterable[Device]) -> RenderableType:
    """The electrode library."""
    table = _table("device", "what it is", "conductors", "numbers", "verified")
    for device in devices:
        names = [part.name for part in device.layout({}).parts]
        conductors = f"{names[0]} to {names[-1]} ({len(names)})" if len(names) > 2 else ", ".join(filter(None, names))
        verified = "yes" if device.verified else "some are not"
        table.add_row(device.name, escape(device.title), conductors or "1", _numbers(device.parameters), verified)
    return Group(table, Text("porefield electrodes --show NAME: sources, and a drawing", style="dim"))


def device_page(device: Device) -> RenderableType:
    """One device, with a drawing."""
    layout = device.layout({})
    names = ", ".join(f"NAME.{part.name}" if part.name else "NAME" for part in layout.parts)
    groups = "; ".join(f"NAME.{group}: {', '.join(parts)}" for group, parts in layout.groups.items())
    lines = [device.use, f"conductors: {names}", *([f"groups: {groups}"] if groups else [])]
    lines += [device.note] if device.note else []
    head = [Text(f"{device.name}: {device.title}", style="bold"), *(Text(line) for line in lines), Text()]
    return Group(*head, *(Text(f"  {line}") for line in drawing(layout)), Text(), parameter_table(device.parameters))


def protocol_table(protocols: Iterable[Protocol], generators: Iterable[Generator]) -> RenderableType:
    """The protocols, and the generators by their limits."""
    table = _table("protocol", "what it is", "pairs", "numbers", "verified")
    for protocol in protocols:
        verified = "yes" if protocol.verified else "some are not"
        row = (escape(protocol.title), PAIRS[protocol.pairs], _numbers(protocol.parameters), verified)
        table.add_row(protocol.name, *row)
    limits = _table("generator", "what it is", "limits", "verified")
    for generator in generators:
        stated = ", ".join(_number(value) for value in generator.values)
        limits.add_row(generator.name, escape(generator.title), stated, "yes" if generator.verified else "no")
    hint = Text("porefield protocols --show NAME: sources", style="dim")
    return Group(table, Text(), limits, hint)


def protocol_page(protocol: Protocol) -> RenderableType:
    """One protocol."""
    lines = [protocol.use, f"pairs: {PAIRS[protocol.pairs]}"]
    if protocol.spacing_mm is not None:
        lines.append(f"for spacings of {protocol.spacing_mm[0]:g} to {protocol.spacing_mm[1]:g} mm")
    head = [Text(f"{protocol.name}: {protocol.title}", style="bold"), *(Text(line) for line in lines), Text()]
    return Group(*head, parameter_table(protocol.parameters))


def generator_page(generator: Generator) -> RenderableType:
    """One generator."""
    table = _table("limit", "value", "", "source")
    for value in generator.values:
        table.add_row(value.quantity, f"{value.value:g} {value.unit}", _status(value), escape(_source(value)))
    head = [Text(f"{generator.name}: {generator.title}", style="bold"), Text(generator.note), Text()]
    return Group(*head, table)


def parameter_table(parameters: Mapping[str, Parameter]) -> RenderableType:
    """Numbers with their provenance."""
    table = _table("number", "default", "sizes or range", "", "source")
    for quantity, parameter in parameters.items():
        value = parameter.value
        bounds = f"{parameter.lowest:g} to {parameter.highest:g}"
        sizes = ", ".join(f"{size:g}" for size in parameter.sizes) or bounds
        default = "" if value.value is None else f"{value.value:g} {value.unit}".rstrip()
        table.add_row(quantity, default, sizes, _status(value), escape(_source(value)))
    return table


def _source(value: Value) -> str:
    return f"{value.source} ({value.note})" if value.note else value.source


def _status(value: Value) -> str:
    words = f"{value.status.value.replace('_', ' ')}, {value.confidence.value}"
    return f"{words}" if value.verified else f"[yellow]unverified[/] ({words})"


def _numbers(parameters: Mapping[str, Parameter]) -> str:
    return ", ".join(_number(parameter.value) for parameter in parameters.values())


def _number(value: Value) -> str:
    return f"{value.quantity} {value.value:g}"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
