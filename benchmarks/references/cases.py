"""Problems for `finite_elements.py`, in millimetres, volts and S/m: needles with tips, shafts and bands.

A needle: tip (foremost point), direction of insertion, diameter, bare intervals as distances behind the tip, the
shaft's whole length, and its tip: flat, conical of a length, or rounded (a half ball). Only the part of a box named
by `keep` is meshed; `mirror` says how often it fits into the whole. On the plane `middle` the potential is the mean
of both electrodes'.
"""

from __future__ import annotations

from typing import Any

LINEAR = {"s0": 0.2, "s1": 0.2, "ec_v_per_m": 58_000.0, "w_v_per_m": 6_000.0}
LOGISTIC = {"s0": 0.1, "s1": 0.4, "ec_v_per_m": 58_000.0, "w_v_per_m": 6_000.0}

Case = dict[str, Any]


def pair(
    size: float, apart: float, tip_z: float, diameter: float, bare: float, shaft: float, tip: str, tip_length: float
) -> Case:
    """Two equal needles along -z in the middle of a cube, a quarter of it meshed."""
    middle = 0.5 * size
    needles = [
        {
            "tip_mm": [middle + side * 0.5 * apart, middle, tip_z],
            "direction": [0.0, 0.0, -1.0],
            "diameter_mm": diameter,
            "tip": tip,
            "tip_length_mm": tip_length,
            "length_mm": bare + shaft,
            "bands": [{"from_mm": 0.0, "to_mm": bare, "share_of_voltage": share}],
        }
        for side, share in ((-1, 1.0), (1, 0.0))
    ]
    keep = [[0.0, middle], [middle, size], [0.0, size]]
    return {
        "box_mm": [size, size, size],
        "needles": needles,
        "keep_mm": keep,
        "middle": {"axis": 0, "at_mm": middle},
        "mirror": 2,
        # where metal ends on a shaft the field is steeper than at a rim
        "edge_mm": 0.02 if shaft > 0 else 0.05,
    }


def probe(size: float, height: float) -> Case:
    """A shaft with a conical tip and two bands, from the top of a box; a quarter meshed."""
    middle = 0.5 * size
    needle = {
        "tip_mm": [middle, middle, 9.0],
        "direction": [0.0, 0.0, -1.0],
        "diameter_mm": 1.65,
        "tip": "conical",
        "tip_length_mm": 2.5,
        "length_mm": height,
        "bands": [
            {"from_mm": 0.0, "to_mm": 7.0, "share_of_voltage": 1.0},
            {"from_mm": 12.0, "to_mm": 19.0, "share_of_voltage": 0.0},
        ],
    }
    keep = [[middle, size], [middle, size], [0.0, height]]
    return {
        "box_mm": [size, size, height],
        "needles": [needle],
        "keep_mm": keep,
        "middle": None,
        "mirror": 4,
        "edge_mm": 0.025,
    }


def ball(diameter: float) -> Case:
    """Two bare needles in the middle of a ball of tissue: the same current however they are turned and moved."""
    case = pair(32.0, 8.0, 11.0, diameter, 10.0, 0.0, "flat", 0.0)
    return {**case, "ball_mm": {"centre_mm": [16.0, 16.0, 16.0], "radius_mm": 15.0}}


def cases() -> dict[str, Case]:
    """All problems by name."""
    conical = pair(32.0, 9.4, 10.2, 1.2, 12.0, 0.0, "conical", 2.4)
    rounded = pair(32.0, 9.4, 10.2, 1.8, 12.0, 0.0, "rounded", 0.9)
    shafts = pair(32.0, 9.4, 10.2, 1.2, 10.0, 30.0, "flat", 0.0)
    bipolar = probe(32.0, 40.0)
    out: dict[str, Case] = {}
    for name, case, volts in (
        ("conical", conical, 900.0),
        ("rounded", rounded, 900.0),
        ("shafts", shafts, 900.0),
        ("bipolar", bipolar, 1200.0),
    ):
        out[f"{name}_linear"] = {**case, "voltage_v": volts, "law": LINEAR}
        out[f"{name}_logistic"] = {**case, "voltage_v": volts, "law": LOGISTIC}
    for diameter in (0.7, 1.2, 1.8):
        out[f"ball_{diameter:g}"] = {**ball(diameter), "voltage_v": 1000.0, "law": LINEAR}
    for apart in (2.0, 3.0, 4.0):
        case = pair(32.0, apart, 11.0, 1.2, 10.0, 0.0, "flat", 0.0)
        out[f"close_{apart:g}"] = {**case, "voltage_v": 400.0, "law": LINEAR}
    return out
