"""Whether uncertainties for the voxels' size hold the true errors, and what is said where there is none."""

from __future__ import annotations

import copy
import json
import threading
from typing import Any

import numpy as np
import pytest

from porefield.kernels.cases.radial import Coaxial
from porefield.meshes import PlanError, load_plan
from porefield.meshes.edges import structure_at_edge, structure_at_steps
from porefield.meshes.scene import SceneBuilder, build_scene
from porefield.workers import RunCancelled, RunProgress, RunSummary, run_plan
from porefield.workers.grid_numbers import (
    AT_BOUND,
    AT_EDGE,
    AT_STEPS,
    NONE_THERE,
    NOT_FOUND,
    grid_number,
    grid_uncertainty,
    pointer,
    unescaped,
)

from .linear_field import LinearFieldSolver
from .test_coaxial import INNER_MM, LAWS, OUTER_MM, THICK_MM, THRESHOLD_V_PER_CM, coaxial_plan

NEEDLES = {
    "C1": {"gap_mm": 10.0, "diameter_mm": 1.2, "voltage_v": 1000.0},
    "C2": {"gap_mm": 15.0, "diameter_mm": 1.2, "voltage_v": 1500.0},
    "C3": {"gap_mm": 20.0, "diameter_mm": 1.8, "voltage_v": 1500.0},
}
"""Cases of fem_cases.json: two needles of 30 mm along z in a block of 60 mm."""


def needles_plan(case: dict[str, Any], name: str, spacing_mm: float) -> dict[str, Any]:
    """A finite-element case as a plan; in C3 the tumour is the target."""
    inputs, gap = case["inputs"], NEEDLES[name]
    tissues = {
        "liver" if key == "tissue" else key: {
            "conductivity": {"law": "constant", "conductivity_s_per_m": m["s0"]}
            if m["s0"] == m["s1"]
            else {
                "law": "logistic",
                "baseline_s_per_m": m["s0"],
                "permeabilised_s_per_m": m["s1"],
                "midpoint_v_per_cm": m["Ec_Vpm"] / 100,
                "width_v_per_cm": m["w_Vpm"] / 100,
            },
            "reversible_v_per_cm": 400,
            "irreversible_v_per_cm": 600,
        }
        for key, m in inputs["materials"].items()
    }
    regions = [
        {"tissue": r["name"], "sphere": {"centre_mm": r["centre"], "radius_mm": r["radius"]}} for r in inputs["regions"]
    ]
    electrodes = [
        {
            "name": letter,
            "needle": {
                "tip_mm": [30 + side * gap["gap_mm"] / 2, 30, 45],
                "direction": [0, 0, 1],
                "diameter_mm": gap["diameter_mm"],
                "exposed_mm": 30,
            },
        }
        for letter, side in (("A", -1), ("B", 1))
    ]
    return {
        "anatomy": {"phantom": {"size_mm": [60, 60, 60], "tissue": "liver"}, "add": regions},
        "grid": {"spacing_mm": spacing_mm},
        "tissues": tissues,
        "electrodes": electrodes,
        "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": gap["voltage_v"]}],
        "targets": [r["name"] for r in inputs["regions"]],
        "thresholds_v_per_cm": [400, 600, 800, 1000],
    }


def checked(plan: dict[str, Any]) -> RunSummary:
    report = RunSummary.model_validate(run_plan(load_plan(plan), check_grid=True).summary)
    assert report.grid_check is not None
    assert report.grid_check.done
    return report


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDLES)
def test_finite_elements_lie_within_the_uncertainty(shared_data: Any, name: str) -> None:
    """Current, volumes and, in C3, coverage at four spacings, each of which puts the needles elsewhere between the
    voxels. 97 % of 115 such numbers held (docs/certificate.md); here all must but one in ten."""
    case = json.loads(shared_data("reference/fem_cases.json").read_text())["cases"][name]
    exact = {"/pulses/0/generator_current_a": case["results"]["current_A"]}
    for key, volume in case["results"]["volume_mm3_ge_kVpm"].items():
        exact[f"/volumes_mm3/above_v_per_cm/{float(key) * 10:g}"] = volume
    for key, share in case["results"].get("tumour_fraction_ge_kVpm", {}).items():
        exact[f"/targets/tumour/coverage/above_v_per_cm/{float(key) * 10:g}"] = share
    held = []
    for voxels in (40, 48, 54, 60):
        check = checked(needles_plan(case, name, 60 / voxels)).grid_check
        assert check is not None
        for where, value in exact.items():
            number = check.numbers[where]
            assert number.uncertainty is not None
            held.append(abs(number.value - value) <= number.uncertainty)
            assert number.uncertainty < 0.5 * value  # one that says nothing holds everything
    assert np.mean(held) >= 0.9, held


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_the_closed_form_lies_within_the_uncertainty(law: str) -> None:
    """A coaxial chamber at 1 and 0.5 mm: current, and the share of the tissue above a threshold."""
    for spacing_mm in (1.0, 0.5):
        plan = load_plan(coaxial_plan(LAWS[law], spacing_mm))
        report = run_plan(plan, check_grid=True).report
        exact = Coaxial(INNER_MM * 1e-3, OUTER_MM * 1e-3, build_scene(plan).tissues[0].law, 500.0)
        contour_mm = 1e3 * exact.contour_m(1e2 * THRESHOLD_V_PER_CM)
        share = (contour_mm**2 - INNER_MM**2) / (OUTER_MM**2 - INNER_MM**2)
        check = report.grid_check
        assert check is not None
        current = check.numbers["/pulses/0/generator_current_a"]
        covered = check.numbers["/targets/tumour/coverage/reversible"]
        assert abs(current.value - exact.current_a() * 1e-3 * THICK_MM) <= (current.uncertainty or 0)
        assert abs(covered.value - share) <= (covered.uncertainty or 0)


def test_the_larger_of_two_extrapolations_times_three() -> None:
    """3 |f - f_2| / (2^2 - 1) = 0.3 and 3 |f - f_1.5| / (1.5^2 - 1) = 0.48, by hand."""
    assert grid_uncertainty(10.0, [10.3, 9.8], [2.0, 1.5]) == pytest.approx(0.48)
    assert grid_uncertainty(10.0, [10.6, 9.8], [2.0, 1.5]) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("where", "own", "coarser", "reason"),
    [
        ("/targets/t/coverage/reversible", 1.0, [1.0, 1.0], AT_BOUND),
        ("/targets/t/coverage/reversible", 1.0, [0.99, 1.0], ""),
        ("/targets/t/coverage/reversible", 0.5, [None, 0.5], NOT_FOUND),
        ("/targets/t/field_v_per_cm/q01", 400.0, [390.0, 395.0], AT_STEPS),
        ("/targets/e/field_v_per_cm/max", 900.0, [800.0, 850.0], AT_EDGE),
        ("/targets/e/field_v_per_cm/q01", 400.0, [390.0, 395.0], ""),
        ("/avoid/e/volume_above_limit_mm3", 0.0, [0.0, 0.0], NONE_THERE),
    ],
)
def test_what_has_no_uncertainty_says_why(where: str, own: float, coarser: list[float | None], reason: str) -> None:
    number = grid_number(where, own, coarser, [2.0, 1.5], {"t": AT_STEPS, "e": AT_EDGE})
    assert number.reason == reason
    assert (number.uncertainty is None) is bool(reason)


def test_pointers_escape_what_rfc_6901_reserves() -> None:
    assert pointer("targets", "a/b~c", 0) == "/targets/a~1b~0c/0"
    assert unescaped("a~1b~0c") == "a/b~c"


def test_larger_voxels_fill_the_same_box_and_electrodes_stay(tiny_plan: dict[str, Any]) -> None:
    builder = SceneBuilder(load_plan(tiny_plan))
    own, other = builder.build(load_plan(tiny_plan)), builder.build_coarser(1.5)
    assert other.grid.shape == (11, 8, 8)
    np.testing.assert_allclose(other.grid.size_mm, own.grid.size_mm)
    np.testing.assert_array_equal(other.grid.corner_mm, own.grid.corner_mm)
    assert other.electrodes == own.electrodes


def test_a_structure_that_vanishes_is_told_and_has_no_uncertainty(
    tiny_plan: dict[str, Any], linear_field: LinearFieldSolver
) -> None:
    box = {"from_mm": [7.2, 6.2, 6.2], "to_mm": [7.8, 6.8, 6.8]}  # the centre of one voxel of 1 mm, of none of 2 mm
    tiny_plan["anatomy"]["add"].append({"tissue": "lump", "name": "speck", "box": box})
    tiny_plan["targets"] = ["speck"]
    check = run_plan(load_plan(tiny_plan), check_grid=True).report.grid_check
    assert check is not None
    assert check.done
    assert any(note.startswith("speck has no voxels at 2 x 2 x 2 mm") for note in check.notes)
    number = check.numbers["/targets/speck/coverage/reversible"]
    assert (number.uncertainty, number.reason) == (None, NOT_FOUND)


def test_extremes_at_metal_and_at_steps_have_no_uncertainty(
    tiny_plan: dict[str, Any], linear_field: LinearFieldSolver
) -> None:
    report = checked(tiny_plan)
    assert report.grid_check is not None
    numbers = report.grid_check.numbers
    assert numbers["/avoid/block/max_v_per_cm"].reason == AT_EDGE
    assert numbers["/targets/lump/field_v_per_cm/min"].reason == AT_STEPS
    assert numbers["/targets/lump/field_v_per_cm/median"].uncertainty is not None


def test_edges_and_steps_are_where_metal_and_tissues_end(tiny_plan: dict[str, Any]) -> None:
    scene = build_scene(load_plan(tiny_plan))
    assert structure_at_edge(scene, "block")
    assert not structure_at_edge(scene, "lump")
    assert structure_at_steps(scene, "lump")
    tiny_plan["tissues"]["lump"]["conductivity"] = tiny_plan["tissues"]["block"]["conductivity"]
    assert not structure_at_steps(build_scene(load_plan(tiny_plan)), "lump")


def test_a_current_at_the_limit_is_undecided(tiny_plan: dict[str, Any]) -> None:
    tiny_plan["grid"]["spacing_mm"] = 1.0
    tiny_plan["generator"] = None
    current = checked(tiny_plan).grid_check
    assert current is not None
    number = current.numbers["/pulses/0/generator_current_a"]
    assert number.uncertainty is not None
    for limit_a, undecided in (
        (number.value + 0.5 * number.uncertainty, True),
        (number.value - 0.5 * number.uncertainty, True),
        (number.value + 2 * number.uncertainty, False),
    ):
        tiny_plan["generator"] = {"name": "g", "max_voltage_v": 2000, "max_current_a": limit_a}
        report = checked(copy.deepcopy(tiny_plan))
        assert report.grid_check is not None
        questions = [u.question for u in report.grid_check.undecided]
        assert ("pulse A-B: within the generator's current" in questions) is undecided
        told = [w for w in report.warnings if "undecided at this spacing; solve with grid.spacing_mm of about" in w]
        assert bool([w for w in told if w.startswith("pulse A-B")]) is undecided


def test_a_plan_that_larger_voxels_do_not_resolve_is_told(
    tiny_plan: dict[str, Any], linear_field: LinearFieldSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SceneBuilder, ratio: float) -> None:
        raise PlanError.of("electrodes[0].tube.outer_diameter_mm", "a tube at least a voxel thick", "0.6 voxels")

    monkeypatch.setattr(SceneBuilder, "build_coarser", refuse)
    report = run_plan(load_plan(tiny_plan), check_grid=True).report
    assert report.grid_check is not None
    assert not report.grid_check.done
    assert "at least a voxel thick" in report.grid_check.notes[0]
    assert report.warnings[-1].startswith("no grid check was made")


def test_progress_and_cancelling(tiny_plan: dict[str, Any], linear_field: LinearFieldSolver) -> None:
    tiny_plan["generator"], tiny_plan["solver"] = None, {"check_grid": True}
    seen: list[RunProgress] = []
    result = run_plan(load_plan(tiny_plan), on_progress=seen.append)
    assert json.loads(json.dumps(result.summary, allow_nan=False))["grid_check"]["done"]
    stages = list(dict.fromkeys(p.stage for p in seen))
    assert stages == ["prepare", "solve", "sample", "measure", "check_grid"]
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.95
    stop = threading.Event()
    with pytest.raises(RunCancelled):
        run_plan(
            load_plan(tiny_plan), cancelled=stop, on_progress=lambda p: stop.set() if p.stage == "check_grid" else None
        )


def test_without_it_nothing_is_claimed(tiny_plan: dict[str, Any], linear_field: LinearFieldSolver) -> None:
    assert run_plan(load_plan(tiny_plan)).summary["grid_check"] is None
