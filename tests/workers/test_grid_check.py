"""Whether uncertainties for the voxels' size hold the true errors, and what is said where there is none."""

from __future__ import annotations

import copy
import itertools
import json
import threading
from typing import Any

import numpy as np
import pytest

from porefield.kernels.cases.radial import Coaxial
from porefield.meshes import PlanError, load_plan
from porefield.meshes.edges import structure_at_edge, structure_at_steps
from porefield.meshes.scene import SceneBuilder, build_scene
from porefield.workers import RunCancelled, RunProgress, RunSummary, run_plan, run_scene
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
from porefield.workers.summary import GridNumber
from porefield.workers.verdicts import undecided_verdicts

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
    held, sizes = [], []
    for voxels in (40, 48, 54, 60):
        check = checked(needles_plan(case, name, 60 / voxels)).grid_check
        assert check is not None
        for where, value in exact.items():
            number = check.numbers[where]
            held.append(holds(number, value))
            sizes.append((number.uncertainty or 0) / value)
    assert np.mean(held) >= 0.9, held
    assert np.median(sizes) < 0.15, sizes  # one that says nothing holds everything


@pytest.mark.slow
def test_the_closed_form_lies_within_the_uncertainty() -> None:
    """A coaxial chamber, two laws, three spacings, three places of its axis: 18 of 18 currents held (off by 0.14
    to 0.86 %, +- 0.46 to 2.8 %) and 15 of 18 covered shares; those at 0.5 mm with a logistic law are off by 0.25 % of
    the tissue, +- 0.13 to 0.22 %, for the contour's error falls slower than second order there (test_coaxial.py)."""
    currents, shares = [], []
    for law, spacing_mm, shift_mm in itertools.product(LAWS, (1.0, 2 / 3, 0.5), ((0, 0), (0.27, 0.44), (-0.38, 0.11))):
        result = run_plan(load_plan(shifted(coaxial_plan(LAWS[law], spacing_mm), *shift_mm)), check_grid=True)
        assert result.report.grid_check is not None
        numbers = result.report.grid_check.numbers
        exact = Coaxial(INNER_MM * 1e-3, OUTER_MM * 1e-3, result.scene.tissues[0].law, 500.0)
        contour_mm = 1e3 * exact.contour_m(1e2 * THRESHOLD_V_PER_CM)
        share = (contour_mm**2 - INNER_MM**2) / (OUTER_MM**2 - INNER_MM**2)
        current_a = exact.current_a() * 1e-3 * THICK_MM
        currents.append(holds(numbers["/pulses/0/generator_current_a"], current_a))
        shares.append(holds(numbers["/targets/tumour/coverage/reversible"], share))
    assert all(currents), currents
    assert np.mean(shares) >= 0.8, shares


@pytest.mark.slow
def test_the_voltage_found_for_a_current_has_an_uncertainty_that_holds_too() -> None:
    """The chamber with the current that 500 V drive prescribed."""
    plan = coaxial_plan(LAWS["logistic"], 1.0)
    law = build_scene(load_plan(plan)).tissues[0].law
    current_a = Coaxial(INNER_MM * 1e-3, OUTER_MM * 1e-3, law, 500.0).current_a() * 1e-3 * THICK_MM
    plan["pulses"] = [{"anode": ["inner"], "cathode": ["outer"], "current_a": current_a}]
    grid_check = checked(plan).grid_check
    assert grid_check is not None
    assert "/pulses/0/generator_current_a" not in grid_check.numbers
    number = grid_check.numbers["/pulses/0/voltage_v"]
    assert holds(number, 500.0)
    assert number.uncertainty is not None
    assert number.uncertainty < 25


def shifted(plan: dict[str, Any], x_mm: float, y_mm: float) -> dict[str, Any]:
    """A coaxial plan with its axis elsewhere between the voxels."""
    plan = copy.deepcopy(plan)
    places = [shape["cylinder"][end] for shape in plan["anatomy"]["add"] for end in ("from_mm", "to_mm")]
    places += [electrode["tube"]["centre_mm"] for electrode in plan["electrodes"]]
    for place in places:
        place[0], place[1] = place[0] + x_mm, place[1] + y_mm
    return plan


def holds(number: GridNumber, exact: float) -> bool:
    assert number.uncertainty is not None
    return abs(number.value - exact) <= number.uncertainty


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


@pytest.mark.parametrize(
    ("changes", "questions"),
    [
        ({"/targets/lump/coverage/reversible": (0.99, 0.02, "")}, ["lump: covered whole"]),
        ({"/targets/lump/coverage/reversible": (0.96, 0.02, "")}, []),
        (
            {
                "/targets/lump/coverage/reversible": (1.0, None, AT_BOUND),
                "/targets/lump/field_v_per_cm/q01": (630.0, 40.0, ""),
            },
            ["lump: covered whole"],
        ),
        (
            {
                "/targets/lump/coverage/reversible": (1.0, None, AT_BOUND),
                "/targets/lump/field_v_per_cm/q01": (650.0, 40.0, ""),
            },
            [],
        ),
        ({"/avoid/block/max_v_per_cm": (1480.0, 30.0, "")}, ["block: spared"]),
        ({"/avoid/block/max_v_per_cm": (1460.0, 30.0, "")}, []),
        ({"/avoid/block/max_v_per_cm": (900.0, None, AT_EDGE)}, ["block: spared"]),
        ({"/avoid/block/max_v_per_cm": (900.0, None, AT_STEPS)}, []),
        ({"/pulses/1/generator_current_a": (4.02, 0.03, "")}, ["pulse A-C: within the generator's current"]),
        ({"/pulses/1/generator_current_a": (4.02, 0.01, "")}, []),
        # 1000 V are more than the generator has, whatever the current
        ({"/pulses/0/generator_current_a": (4.02, 0.03, "")}, []),
    ],
)
def test_a_verdict_within_the_uncertainty_is_undecided(
    tiny_plan: dict[str, Any],
    linear_field: LinearFieldSolver,
    changes: dict[str, tuple[float, float | None, str]],
    questions: list[str],
) -> None:
    """The tumour's threshold is 600 V/cm, the block's limit 1500 V/cm, the generator's 4 A."""
    scene = build_scene(load_plan(tiny_plan))
    report = run_scene(scene).report
    spared = {"block": report.avoid["block"].model_copy(update={"exceeded": False})}
    numbers = {
        where: GridNumber(value=value, coarser=[value, value], uncertainty=u, reason=why)
        for where, (value, u, why) in changes.items()
    }
    found = undecided_verdicts(scene, report.model_copy(update={"avoid": spared}), numbers)
    assert [u.question for u in found] == questions


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
