"""Plans and anatomies that do not fit together: each refusal names field, expectation and what came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from porefield.meshes import (
    AnatomyError,
    GeometryError,
    PlanError,
    PorefieldError,
    ResourceError,
    Scene,
    build_scene,
    load_plan,
    memory,
)

from .conftest import asymmetric_labels, ras_affine, scan_plan

Spoil = Callable[[dict[str, Any]], Any]


def scene_of(plan: dict[str, Any], **options: Any) -> Scene:
    return build_scene(load_plan(plan), **options)


def moved(**needle: Any) -> Spoil:
    return lambda plan: plan["electrodes"][1]["needle"].update(needle)


def with_plate(centre_mm: list[float]) -> Spoil:
    plate = {"centre_mm": centre_mm, "normal": [0, 0, 1], "up": [1, 0, 0]}
    plate |= {"width_mm": 4, "height_mm": 4, "thickness_mm": 1}
    return lambda plan: plan["electrodes"].append({"name": "P", "plate": plate})


def air_above(plan: dict[str, Any]) -> None:
    plan["anatomy"]["add"].append({"tissue": "air", "box": {"from_mm": [0, 0, 7], "to_mm": [24, 20, 16]}})


def air_below(plan: dict[str, Any]) -> None:
    plan["anatomy"]["add"].append({"tissue": "air", "box": {"from_mm": [0, 0, 0], "to_mm": [24, 20, 6]}})


def rename(path: str, name: str) -> Spoil:
    def change(plan: dict[str, Any]) -> None:
        phantom, added = plan["anatomy"]["phantom"], plan["anatomy"]["add"][0]
        {"phantom": phantom, "add": added}[path]["tissue"] = name

    return change


def region(low: list[float], high: list[float]) -> Spoil:
    return lambda plan: plan["grid"].update(region={"from_mm": low, "to_mm": high})


def through_shaft(plan: dict[str, Any]) -> None:
    moved(tip_mm=[3, 10, 14], direction=[-1, 0, 0])(plan)
    plan["electrodes"][0]["needle"]["shaft_mm"] = 20


def plate_in_air(plan: dict[str, Any]) -> None:
    air_above(plan)
    for electrode in plan["electrodes"]:
        electrode["needle"]["exposed_mm"] = 2
    with_plate([12, 10, 12])(plan)


def tiny_target(plan: dict[str, Any]) -> None:
    plan["anatomy"]["add"][0]["sphere"]["radius_mm"] = 0.1


def avoid_chord(plan: dict[str, Any]) -> None:
    plan["avoid"] = {"spinal_chord": {"max_v_per_cm": 4}}


BAD: dict[str, tuple[Spoil, type[PorefieldError], str, str, str]] = {
    "tip beyond the grid": (
        moved(tip_mm=[30, 10, 4]),
        GeometryError,
        "electrodes[1].needle.tip_mm",
        "within the anatomy, from (0, 0, 0) to (24, 20, 16)",
        "(30, 10, 4)",
    ),
    "tip beyond the region": (
        region([0, 0, 0], [15, 20, 16]),
        GeometryError,
        "electrodes[1].needle.tip_mm",
        "in the solved region, from (0, 0, 0) to (15, 20, 16)",
        "(17, 10, 4)",
    ),
    "tip in air": (air_below, GeometryError, "electrodes[0].needle.tip_mm", "in the body's tissue", "in air"),
    "mostly in air": (
        air_above,
        GeometryError,
        "electrodes[0].needle.exposed_mm",
        "50% of the exposed length",
        "63% of it outside",
    ),
    "mostly beyond": (
        moved(exposed_mm=30),
        GeometryError,
        "electrodes[1].needle.exposed_mm",
        "50% of the exposed length",
        "30, 60% of it outside",
    ),
    "touching": (
        moved(tip_mm=[8.2, 10, 4]),
        GeometryError,
        "electrodes[1]",
        "between the metal of A and B",
        "they touch",
    ),
    "overlapping": (
        moved(tip_mm=[7.6, 10, 5]),
        GeometryError,
        "electrodes[1]",
        "between the metal of A and B",
        "overlap by 0.6 mm",
    ),
    "crossing": (moved(tip_mm=[3, 10, 8], direction=[-1, 0, 0]), GeometryError, "electrodes[1]", "A and B", "overlap"),
    "in a shaft": (through_shaft, GeometryError, "electrodes[1]", "beside each other", "inside the shaft"),
    "plate elsewhere": (
        with_plate([12, 10, 40]),
        GeometryError,
        "electrodes[2].plate.centre_mm",
        "within the anatomy",
        "(12, 10, 40)",
    ),
    "plate in air": (plate_in_air, GeometryError, "electrodes[2].plate.centre_mm", "touches tissue", "all in air"),
    "region elsewhere": (
        region([90, 0, 0], [95, 20, 16]),
        GeometryError,
        "grid.region",
        "meets the anatomy",
        "(90.0, 0.0, 0.0)",
    ),
    "target too small": (
        tiny_target,
        GeometryError,
        "targets[0]",
        "with voxels in the solved region",
        "tumour, which has none",
    ),
    "unknown target": (lambda p: p.update(targets=["tumor"]), PlanError, "targets[0]", "did you mean tumour", "tumor"),
    "unknown avoided": (avoid_chord, PlanError, "avoid.spinal_chord", "did you mean spinal_cord", "spinal_chord"),
    "unknown phantom tissue": (
        rename("phantom", "livr"),
        PlanError,
        "anatomy.phantom.tissue",
        "did you mean liver",
        "livr",
    ),
    "unknown added tissue": (
        rename("add", "tumor"),
        PlanError,
        "anatomy.add[0].tissue",
        "did you mean tumour",
        "tumor",
    ),
    "unknown generator": (lambda p: p.update(generator="vitae"), PlanError, "generator", "cliniporator_vitae", "vitae"),
    "voxels wider than the anatomy": (
        lambda p: p["grid"].update(spacing_mm=[1, 1e8, 1]),
        GeometryError,
        "grid.spacing_mm",
        "voxels that fit into the anatomy of 24 x 20 x 16 mm",
        "(1.0, 100000000.0, 1.0) mm",
    ),
    "too many voxels": (
        lambda p: p["grid"].update(spacing_mm=1e-4),
        ResourceError,
        "grid.spacing_mm",
        "at most 2.15e+09 voxels",
        "240000 x 200000 x 160000",
    ),
}


@pytest.mark.parametrize(("spoil", "error", "field", "expected", "got"), BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused_by_field(
    phantom_plan: dict[str, Any], spoil: Any, error: type[PorefieldError], field: str, expected: str, got: str
) -> None:
    spoil(phantom_plan)
    with pytest.raises(error) as caught:
        scene_of(phantom_plan)
    problem = caught.value.problems[0]
    assert problem.field == field
    assert expected in problem.expected
    assert got in problem.got


def test_a_solve_beyond_memory_is_refused(monkeypatch: pytest.MonkeyPatch, phantom_plan: dict[str, Any]) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    with pytest.raises(ResourceError, match=r"grid\.spacing_mm: expected a solve that fits .*got 24 x 20 x 16 voxels"):
        scene_of(phantom_plan)


BAD_SCANS = {
    "number without a name": (
        {"names": {5: "liver", 64: "vein"}},
        PlanError,
        "anatomy.label_map.names",
        "a name for every",
        "52, 79",
    ),
    "name without a tissue": (
        {"names": {5: "liver", 64: "blob", 52: "aorta", 79: "nerve"}},
        PlanError,
        "anatomy.label_map.tissue_of",
        "a tissue for the structure blob (label 64)",
        "none",
    ),
    "background": ({"background": "fatt"}, PlanError, "anatomy.label_map.background", "did you mean fat", "fatt"),
    "override of nothing": (
        {"tissue_of": {"livr": "fat"}},
        PlanError,
        "anatomy.label_map.tissue_of.livr",
        "did you mean liver",
        "livr",
    ),
    "override to nothing": (
        {"tissue_of": {"liver": "fatt"}},
        PlanError,
        "anatomy.label_map.tissue_of.liver",
        "did you mean fat",
        "fatt",
    ),
    "no map": ({"path": "elsewhere.nii.gz"}, AnatomyError, "anatomy.label_map.path", "a file", "does not exist"),
    "no body": ({"body": "elsewhere.nii.gz"}, AnatomyError, "anatomy.label_map.body", "a file", "does not exist"),
    "no table": ({"names": "elsewhere.json"}, AnatomyError, "anatomy.label_map.names", "a file", "does not exist"),
}


@pytest.mark.parametrize(("change", "error", "field", "expected", "got"), BAD_SCANS.values(), ids=BAD_SCANS.keys())
def test_label_maps_that_do_not_fit(
    tmp_path: Path, write_nifti: Callable[..., Path], change: Any, error: Any, field: str, expected: str, got: str
) -> None:
    affine = ras_affine()
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine)
    plan["targets"], plan["avoid"] = [], {}
    plan["anatomy"]["label_map"].update(change)
    with pytest.raises(error) as caught:
        scene_of(plan, base_dir=tmp_path)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert expected in problem.expected
    assert got in problem.got


def test_a_target_without_voxels_in_the_map(write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine()
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine) | {"targets": ["pancreas"]}
    with pytest.raises(GeometryError, match=r"targets\[0\]: expected a structure with voxels.*got pancreas"):
        scene_of(plan)


def test_body_mask_on_other_voxels(tmp_path: Path, write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine()
    write_nifti(asymmetric_labels(), affine + np.array([[0, 0, 0, 1.0]] + [[0.0] * 4] * 3), "body.nii.gz")
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine)
    plan["anatomy"]["label_map"]["body"] = "body.nii.gz"
    with pytest.raises(AnatomyError, match=r"anatomy\.label_map\.body: expected .* as the label map; got body\.nii"):
        scene_of(plan, base_dir=tmp_path)


@pytest.mark.parametrize("table", ['["liver"]', '{"one": "liver"}', '{"1": 7}', '"more.json"'])
def test_table_files_that_are_none(tmp_path: Path, write_nifti: Callable[..., Path], table: str) -> None:
    affine = ras_affine()
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine)
    (tmp_path / "names.json").write_text(table)
    plan["anatomy"]["label_map"]["names"] = "names.json"
    with pytest.raises(PlanError) as caught:
        scene_of(plan, base_dir=tmp_path)
    assert caught.value.problems[0].field.startswith("anatomy.label_map.names")


def test_other_image_formats(tmp_path: Path) -> None:
    path = tmp_path / "analyze.img"
    nib.save(nib.AnalyzeImage(asymmetric_labels().astype(np.int16), np.eye(4)), path)
    with pytest.raises(AnatomyError, match=r"expected a .*NIfTI"):
        scene_of(scan_plan(path, ras_affine()))
