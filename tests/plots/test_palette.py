"""More colours are as light as no other, and no lighter than lines on white may be."""

import numpy as np
import pytest

from demjax.plots.palette import LIGHTEST, lightness, more_colours
from demjax.plots.style import BLACK, BLUE, GREEN, VERMILLION

TAKEN = [BLUE, VERMILLION, GREEN, BLACK]


@pytest.mark.parametrize("count", [0, 1, 5, 24])
def test_each_is_about_as_far_in_grey_from_all_others_as_so_many_can_be(count):
    found = more_colours(count, TAKEN)
    assert len(set(found)) == count
    greys = np.sort([*map(lightness, TAKEN), *map(lightness, found)])
    assert max(map(lightness, found), default=0) < LIGHTEST
    taken_apart = np.diff(np.sort([*map(lightness, TAKEN)])).min()
    even = LIGHTEST / (count + len(TAKEN))
    assert np.diff(greys).min() > min(taken_apart, 0.7 * even) - 0.004  # of 256 levels


def test_one_more_stands_in_the_middle_of_the_widest_gap():
    (found,) = more_colours(1, ["#000000", "#1A1A1A", "#BFBFBF"])  # 0, .10 and .75
    assert lightness(found) == pytest.approx((0.102 + 0.749) / 2, abs=5e-3)
