"""The plan: everything about one treatment that porefield computes with, as a person writes it in YAML or JSON.

Lengths are patient RAS+ millimetres, fields V/cm, voltages V. `Plan` checks all that can be known without opening the
anatomy; `scene.build_scene` checks the rest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    model_validator,
)

from .conductors import Conductor, conductors
from .errors import PlanError, one_of
from .generators import choose_generator, load_generators
from .markups import MarkupsFiles
from .model import Model, Name, Positive, problems_of, refuse, shown
from .plan_anatomy import Anatomy, GridSettings
from .plan_electrodes import (
    AvoidLimit,
    ElectrodeSettings,
    GeneratorSettings,
    Pulse,
    SolverSettings,
)
from .plan_protocols import ProtocolSettings
from .plan_tissues import SheetSettings, TissueOverride
from .trains import Train, Wiring

DEFAULT_THRESHOLDS_V_PER_CM = (400.0, 500.0, 600.0, 700.0, 800.0, 1000.0)

GeneratorChoice = Annotated[
    Annotated[Name, Tag("by_name")] | Annotated[GeneratorSettings, Tag("by_limits")],
    Discriminator(lambda value: "by_name" if isinstance(value, str) else "by_limits"),
]


MOST_OF_DEVICES = 500
"""Needles and plates of all devices: 70 hexagonal electrodes, where clinics have one."""


def _pulses_or_protocol(schema: dict[str, Any]) -> None:
    """A plan states its pulses, or a protocol."""
    schema["properties"]["pulses"].pop("default")
    schema["oneOf"] = [{"required": ["pulses"]}, {"required": ["protocol"]}]


class Plan(Model):
    """One treatment plan."""

    model_config = ConfigDict(json_schema_extra=_pulses_or_protocol)

    title: str = Field(default="", description="One line for the report.")
    description: str = Field(default="", description="Anything the reader should know.")
    anatomy: Anatomy = Field(description="What is where in the patient.")
    grid: GridSettings = Field(description="The voxels of the solve.")
    tissues: dict[Name, TissueOverride] = Field(
        default_factory=dict,
        description="Tissues over, or beside, those of the library, by name.",
    )
    sheets: tuple[SheetSettings, ...] = Field(default=(), description="Thin resistive layers between tissues.")
    electrodes: tuple[ElectrodeSettings, ...] = Field(min_length=1, description="All conductors in the patient.")
    pulses: tuple[Pulse, ...] = Field(
        default=(), min_length=1, description="Pulse trains, delivered one after another; or give a protocol."
    )
    protocol: ProtocolSettings | None = Field(default=None, description="Instead of pulses: what stands for them.")
    targets: tuple[Name, ...] = Field(
        default=(), description="Structures to cover: added shapes, labels or tissues, by name."
    )
    avoid: dict[Name, AvoidLimit] = Field(default_factory=dict, description="Structures to spare, by name.")
    generator: GeneratorChoice | None = Field(
        default=None, description="A generator of the library by name, or its limits."
    )
    thresholds_v_per_cm: tuple[Positive, ...] = Field(
        default=DEFAULT_THRESHOLDS_V_PER_CM,
        min_length=1,
        description="Fields for which volume and coverage are reported, V/cm.",
    )
    solver: SolverSettings = Field(default_factory=SolverSettings, description="Accuracy of the solve.")

    _folder: Path | None = PrivateAttr(default=None)
    _markups: tuple[dict[str, Any], ...] = PrivateAttr(default=())

    @property
    def folder(self) -> Path | None:
        """Folder of the file the plan was read from, where its relative paths start."""
        return self._folder

    @property
    def markups(self) -> tuple[dict[str, Any], ...]:
        """Provenance of the markups files that its needles came from."""
        return self._markups

    @property
    def conductors(self) -> list[Conductor]:
        """All electrodes that pulses can name, the bands of probes and the needles of devices among them."""
        return conductors(self.electrodes)

    @property
    def trains(self) -> tuple[Train, ...]:
        """Its pulse trains with the names of conductors only: the pulses, or what the protocol stands for."""
        wiring = Wiring(self.electrodes)
        if self.protocol is None:
            return tuple(wiring.spelled_out(pulse) for pulse in self.pulses)
        known = not isinstance(self.generator, str) or self.generator in load_generators()
        # a name that the library lacks is refused with the scene, as those of tissues are
        return tuple(wiring.trains(self.protocol, choose_generator(self.generator) if known else None))

    @model_validator(mode="before")
    @classmethod
    def _pulses_are_there(cls, data: Any) -> Any:
        """Without a protocol their lack is told with all else that is wrong; a plan written out has none beside one."""
        if not isinstance(data, Mapping):
            return data
        if data.get("protocol") is None:
            return data if "pulses" in data else {**data, "pulses": ()}
        return data if data.get("pulses", ()) else {k: v for k, v in data.items() if k != "pulses"}

    @model_validator(mode="after")
    def _names_agree(self) -> Plan:
        named = [(f"electrodes[{i}].name", electrode.name) for i, electrode in enumerate(self.electrodes)]
        for i, electrode in enumerate(self.electrodes):
            bands = electrode.probe.bands if electrode.probe is not None else ()
            named += [(f"electrodes[{i}].probe.bands[{j}].name", band.name) for j, band in enumerate(bands)]
        self._check_number_of_conductors()
        wiring = Wiring(self.electrodes)
        inside = {n for e in self.electrodes if e.device is not None for n in wiring.members(e.name) if n != e.name}
        taken = inside | set(wiring.groups)
        for field, name in named:
            if name in taken:
                refuse(field, "a name that no other electrode has", name)
            taken.add(name)
        if len(wiring.conductors) < 2:
            refuse("electrodes", "at least 2 of them", str(len(wiring.conductors)))
        if self.protocol is not None and self.pulses:
            refuse("protocol", "pulses or a protocol", "both")
        for i, pulse in enumerate(self.pulses):
            _check_names(pulse, f"pulses[{i}]", wiring)
        if self.protocol is not None:
            _ = self.trains  # refuses what it can't be applied to
        pairs = [frozenset(sheet.between) for sheet in self.sheets]
        for i, pair in enumerate(pairs):
            if pair in pairs[:i]:
                refuse(f"sheets[{i}].between", "two tissues that no other sheet lies between", ", ".join(sorted(pair)))
        repeated = [name for name, n in Counter(self.targets).items() if n > 1]
        if repeated:
            refuse("targets", "each name once", ", ".join(repeated))
        return self

    def _check_number_of_conductors(self) -> None:
        count = sum(len(e.device.layout.parts) for e in self.electrodes if e.device is not None)
        if count > MOST_OF_DEVICES:
            refuse("electrodes", f"at most {MOST_OF_DEVICES} needles and plates of devices", str(count))


def _check_names(pulse: Pulse, field: str, wiring: Wiring) -> None:
    """Refuse a pulse of conductors and groups that are not there, or that are in it twice."""
    seen: set[str] = set()
    for side in ("anode", "cathode"):
        for j, name in enumerate(getattr(pulse, side)):
            if name not in wiring.known:
                refuse(f"{field}.{side}[{j}]", f"an electrode, {one_of(wiring.names, name)}", name)
            members = wiring.members(name)
            if seen & set(members):
                refuse(f"{field}.{side}[{j}]", "each conductor once in a pulse, those of groups among them", name)
            seen |= set(members)


def load_plan(source: Path | str | Mapping[str, Any], *, markups: bool = True) -> Plan:
    """Read and check a plan.

    Args:
        source: path of a YAML or JSON file, its text (anything with a line break), or the table itself.
        markups: whether it may name markups files, which are read now; a plan from outside may not.

    Raises:
        PlanError: with one problem for everything found wrong.
    """
    data, folder = _read(source)
    if not isinstance(data, Mapping):
        raise PlanError.of("plan", "a table with anatomy, grid, electrodes, pulses ...", shown(data))
    files = MarkupsFiles(folder, allowed=markups)
    try:
        plan = Plan.model_validate(data, context=files)
    except ValidationError as error:
        raise PlanError(problems_of(error, data)) from None
    plan._folder, plan._markups = folder, tuple(files.read.values())
    return plan


def _read(source: Path | str | Mapping[str, Any]) -> tuple[Any, Path | None]:
    if isinstance(source, Mapping):
        return dict(source), None
    if isinstance(source, str) and "\n" in source:
        return read_table(source, "plan"), None
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError.of("plan", "a readable YAML or JSON file", f"{path}: {error}") from None
    return read_table(text, "plan"), path.resolve().parent


def read_table(text: str, field: str) -> Any:
    """YAML or JSON text as plain data; a repeated key is an error, not a silent overwrite.

    Raises:
        PlanError: naming `field`, with the line of the slip.
    """
    try:
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, field))
        return yaml.load(text, Loader=_UniqueKeys)
    except json.JSONDecodeError as json_error:
        try:
            return yaml.load(text, Loader=_UniqueKeys)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise PlanError.of(field, "valid JSON", str(json_error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none; a thousand brackets
        raise PlanError.of(field, "valid YAML or JSON", " ".join(str(error).split())) from None


def _unique(pairs: list[tuple[str, Any]], field: str) -> dict[str, Any]:
    for key, n in Counter(key for key, _ in pairs).items():
        if n > 1:
            raise PlanError.of(field, "each key once", f"the key {key!r} {n} times")
    return dict(pairs)


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice in one table."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float) and key in seen:
                raise yaml.constructor.ConstructorError(
                    "while reading a table",
                    node.start_mark,
                    f"found the key {key!r} twice",
                    key_node.start_mark,
                )
            if isinstance(key, str | int | float):
                seen.add(key)
        return super().construct_mapping(node, deep)
