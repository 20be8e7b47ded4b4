"""The conductivity laws: values by hand, slopes by differences, and the refusal of laws without a unique field."""

import jax
import numpy as np
import pytest

from porefield.kernels.conductivity import (
    ConductivityLaw,
    LawKind,
    check_monotonic,
    conductivity,
    law_kinds,
    law_table,
    sigma_and_slope,
)

RAMP = ConductivityLaw.ramp(0.08, 0.32, 35e3, 70e3)
LAWS = {
    "constant": ConductivityLaw.constant(0.2),
    "ramp": RAMP,
    "smoothed step": ConductivityLaw.smoothed_step(0.08, 0.32, 35e3, 70e3),
    "logistic": ConductivityLaw.logistic(0.1, 0.4, 58e3, 6e3),
    "sel": ConductivityLaw.sel(0.08, 0.32, 35e3, 70e3),
    "gompertz": ConductivityLaw.gompertz(0.08, 0.32, 3.053, 0.00233e-2),
}


@pytest.mark.parametrize(
    ("law", "field", "expected"),
    [
        ("constant", 5e4, 0.2),
        ("ramp", 30e3, 0.08),
        ("ramp", 52.5e3, 0.20),
        ("ramp", 90e3, 0.32),
        ("smoothed step", 52.5e3, 0.20),
        ("smoothed step", 43.75e3, 0.08 + 0.24 * (0.5 - 15 / 32 + 5 / 64 - 3 / 512)),
        ("logistic", 58e3, 0.25),
        # half height lies at A + B ln 10, one eleventh of the way at A
        ("sel", 52.5e3 + 35e3 / 8 * np.log(10), 0.20),
        ("sel", 52.5e3, 0.08 + 0.24 / 11),
        ("gompertz", 0.0, 0.08 + 0.24 * np.exp(-3.053)),
    ],
)
def test_values_by_hand(law, field, expected):
    assert conductivity(LAWS[law], field) == pytest.approx(expected, rel=1e-12)


def test_one_table_serves_tissues_of_different_laws():
    """The kernel's gathered evaluation equals each law on its own, and its slope the difference quotient."""
    laws = tuple(LAWS.values())
    e = np.linspace(1e3, 1.2e5, 301)
    with jax.enable_x64(True):
        table = law_table(laws)
        for i, law in enumerate(laws):
            tissue = np.full(e.shape, i, np.uint8)
            q, own, rows = (jax.device_put(a) for a in (e**2, tissue, table))
            sigma, slope = sigma_and_slope(q, own, rows, law_kinds(laws))
            np.testing.assert_allclose(sigma, conductivity(law, e), rtol=1e-9)
            step = 1e-2
            numeric = (conductivity(law, e + step) - conductivity(law, e - step)) / (2 * step) / (2 * e)
            smooth = np.abs(e - law.a) > 1 if law.kind is LawKind.RAMP else np.full(e.shape, True)
            smooth &= np.abs(e - law.b) > 1
            np.testing.assert_allclose(np.asarray(slope)[smooth], numeric[smooth], rtol=1e-4, atol=1e-16)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_library_shapes_are_accepted(law):
    check_monotonic(law)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (ConductivityLaw.ramp(0.4, 0.1, 40e3, 60e3), "to increase with E"),
        (ConductivityLaw.logistic(0.5, 0.1, 50e3, 1e3), "to increase with E"),
        (ConductivityLaw.ramp(-0.1, 0.4, 40e3, 60e3), "more than 0 S/m"),
        (ConductivityLaw.ramp(0.1, 0.4, 60e3, 40e3), "0 <= start < end"),
        (ConductivityLaw.logistic(0.1, 0.4, 60e3, 0.0), "more than 0"),
        (ConductivityLaw.constant(float("nan")), "finite"),
    ],
)
def test_laws_without_a_unique_field_are_refused(law, message):
    with pytest.raises(ValueError, match=message):
        check_monotonic(law)


def test_a_mildly_falling_law_with_rising_current_density_is_accepted():
    check_monotonic(ConductivityLaw.ramp(0.4, 0.35, 20e3, 80e3))
