"""The CT shows through the tissues' colours, the right way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from porefield.workers.figures import ct_words
from porefield.workers.figures_panel import draw_panel, layers_of, tissue_rgb
from porefield.workers.figures_style import ct_shade, new_figure
from porefield.workers.report_data import Result
from porefield.workers.report_planes import inside_grid, orthogonal_plane, take


def test_the_ct_shades_the_anatomy(torso: Result) -> None:
    assert ct_words(torso) == ""
    i, j, k = np.indices(torso.shape)
    hu = (10 * i + 3 * j + k - 150).astype(np.int16)
    shaded = replace(torso, dataset=torso.dataset.assign(ct_hu=(torso.dataset["tissue"].dims, hu)))
    assert ct_words(shaded) == " Shading: the CT, -160 to 240 HU."
    plane = orthogonal_plane(shaded, 2, 10)
    axes = new_figure(4, 4).add_axes((0, 0, 1, 1))
    draw_panel(axes, plane, layers_of(shaded), labels=False)
    drawn = np.asarray(axes.images[0].get_array())
    flat = tissue_rgb(shaded, take(shaded, plane, shaded.tissue), inside_grid(shaded, plane))
    expected = np.clip((hu[:, :, 10].T[::-1, ::-1] + 160) / 400, 0, 1) * 0.65 + 0.35
    np.testing.assert_allclose(drawn[..., 0] / flat[..., 0], expected, rtol=1e-6)


def test_shades_leave_tissues_apart_and_the_outside_white() -> None:
    hu = np.array([-2000, -160, 40, 240, 3000])
    assert ct_shade(hu, np.ones(5, bool)).tolist() == pytest.approx([0.35, 0.35, 0.675, 1, 1])
    assert ct_shade(hu, np.zeros(5, bool)).tolist() == [1] * 5
