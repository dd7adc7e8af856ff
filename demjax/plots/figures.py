"""All figures by name, each drawn from the records of one run or of several."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from demjax.plots import costs, curves, group_measures, per_client
from demjax.plots.dendrograms import dendrograms
from demjax.plots.extra_measures import extra_measures
from demjax.plots.fairness import fairness
from demjax.plots.labels_by_group import held, labels_by_group
from demjax.plots.membership import membership
from demjax.plots.record import Record
from demjax.plots.settings import settings
from demjax.plots.style import COLUMN, Figure, labelled, legend_of_figure, new_figure

Drawing = Callable[[Sequence[Record], Figure], Any]

CLUSTERS_AT_MOST = 12
"""More true clusters than this cannot be told apart by colour."""


def _one(records: Sequence[Record]) -> Record:
    if len(records) > 1:
        raise ValueError(f"It shows one run, but {len(records)} were given.")
    return records[0]


def _single(draw: Callable[..., Any], width: float, height: float) -> Drawing:
    """A figure of one run that is drawn in one pair of axes."""

    def drawing(records, figure):
        one = _one(records)
        return draw(one, ax=new_figure(figure, (width, height)).add_subplot())

    return drawing


def _comparison(records: Sequence[Record], figure: Figure) -> Any:
    if len(settings(records)) < 2:
        raise ValueError("It compares settings, but there is only one.")
    return curves.comparison(records, figure=figure)


def _clients(records: Sequence[Record], figure: Figure) -> Any:
    one = _one(records)
    axes = new_figure(figure, (COLUMN, 4.4)).subplots(2, 1)
    per_client.clients(one, measure="c_spe", ax=axes[0])
    per_client.clients(one, measure="c_gen", ax=axes[1])
    axes[0].set_xlabel("")
    axes[1].get_legend().remove()


def _distribution(records: Sequence[Record], figure: Figure) -> Any:
    axes = new_figure(figure, (COLUMN, 2.0)).subplots(1, 2, sharey=True)
    per_client.distribution(records, measure="c_spe", legend=False, ax=axes[0])
    per_client.distribution(records, measure="c_gen", legend=False, ax=axes[1])
    axes[1].set_ylabel("")
    legend_of_figure(figure, labelled(axes[0]), fontsize=7)


def _kinds(records: Sequence[Record], figure: Figure) -> Any:
    one = _one(records)
    true_clusters = held(one)[2]
    found = len(np.unique(true_clusters))
    if not 2 <= found <= CLUSTERS_AT_MOST:
        raise ValueError(
            f"Its clients are of {found} true clusters; possible are 2 to {CLUSTERS_AT_MOST}, "
            "which colours tell apart."
        )
    ax = new_figure(figure, (COLUMN, 2.9)).add_subplot()
    return membership(one, true_clusters=true_clusters, ax=ax)


FIGURES: Mapping[str, Drawing] = {
    "measures": lambda records, figure: curves.measures(records, figure=figure),
    "comparison": _comparison,
    "extra": lambda records, figure: extra_measures(records, figure=figure),
    "clients": _clients,
    "distribution": _distribution,
    "fairness": lambda records, figure: fairness(records, figure=figure),
    "cost": lambda records, figure: costs.cost(records, figure=figure),
    "dendrograms": lambda records, figure: dendrograms(_one(records), figure=figure),
    "membership": _single(membership, COLUMN, 2.9),
    "membership_true_clusters": _kinds,
    "labels": _single(labels_by_group, COLUMN, 2.5),
    "group_sizes": lambda records, figure: group_measures.group_sizes(_one(records), figure=figure),
    "rand_index": lambda records, figure: group_measures.rand_index(_one(records), figure=figure),
}
"""By name: draws records into a figure, or says in a ``ValueError`` why it cannot."""
