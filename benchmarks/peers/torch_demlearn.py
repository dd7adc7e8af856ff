"""DemLearn as a plain PyTorch loop: client after client, model after model.

Every client's model is tested on every client's test set in turn, every group's model likewise;
its score on its members' test sets is read off the same answers, so that nothing is done twice.
Distances are PyTorch's, on all its threads; linkage is SciPy's, which has the dendrogram walked
down from its root, ``LEVELS`` times.

Source: Nguyen et al., arXiv 2007.03278.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.cluster.hierarchy import ClusterNode, linkage, to_tree
from side import LEVELS, MIX, PROX
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch_loop import Examples, train_client


class Group(NamedTuple):
    """A group of the tree."""

    level: int  # LEVELS is the root's
    parent: int  # its place in the list of groups; the root's is its own
    members: list[int]


class DemLearn:
    """Everybody's models, the tree, and one round."""

    def __init__(
        self, clients: list[nn.Sequential], root: nn.Sequential, make: Callable[[], nn.Module]
    ):
        self.clients, self.make = clients, make
        self.groups = [Group(LEVELS, 0, list(range(len(clients))))]
        self.models: list[nn.Module] = [root]
        self.rounds = 0

    def one_round(self, train: list[Examples], batch_size: int) -> None:
        """Train, cluster, average bottom-up, mix top-down."""
        prox = PROX if self.rounds else 0.0
        lowest = self.lowest()
        for n, (model, data) in enumerate(zip(self.clients, train, strict=True)):
            anchor = [p.detach() for p in self.models[lowest[n]].parameters()]
            train_client(model, data, prox, anchor, batch_size)
        own = torch.stack([parameters_to_vector(model.parameters()) for model in self.clients])
        self.aggregate(own.detach())
        self.rounds += 1

    def aggregate(self, own: Tensor) -> None:
        """Make the tree anew and set the groups' and the clients' models."""
        self.groups = cut(linkage(torch.pdist(own).numpy(), "average"))
        while len(self.models) < len(self.groups):
            self.models.append(self.make())
        mixed: list[Tensor] = []
        for group in self.groups:  # the root first
            mean = own[group.members].mean(0)
            mixed.append(mean.lerp(mixed[group.parent], MIX) if mixed else mean)
        lowest = self.lowest()
        for model, vector in zip(self.models, mixed, strict=False):
            vector_to_parameters(vector, model.parameters())
        for n, model in enumerate(self.clients):
            vector_to_parameters(own[n].lerp(mixed[lowest[n]], MIX), model.parameters())

    def lowest(self) -> list[int]:
        """The lowest group that holds each client, by its place in the list."""
        found = [0] * len(self.clients)
        for place, group in enumerate(self.groups):  # higher levels first
            for n in group.members:
                found[n] = place
        return found


def cut(merges) -> list[Group]:
    """Split from the top; who is split off alone hangs directly under what was split."""
    root = to_tree(merges)
    nodes: list[ClusterNode] = [root]
    groups = [Group(LEVELS, 0, root.pre_order())]
    for place, node in enumerate(nodes):  # which grows meanwhile
        level = groups[place].level
        for child in (node.left, node.right) if level else ():
            if not child.is_leaf():
                nodes.append(child)
                groups.append(Group(level - 1, place, child.pre_order()))
    return groups


@torch.inference_mode()
def right_answers(model: nn.Module, batches: list[Examples], sizes: Tensor) -> Tensor:
    """How many of each client's test examples the model labels rightly."""
    model.eval()
    right = torch.cat([model(x).argmax(1) == y for x, y in batches])
    return torch.stack([mine.sum() for mine in right.split(sizes.tolist())])


def measures(system: DemLearn, test: list[Examples], batches: list[Examples]) -> dict:
    """C-SPE, C-GEN, G-SPE, G-GEN (a number for each level, the lowest first) and Global.

    The batches are the test sets themselves, or their pool.
    """
    sizes = torch.tensor([len(data.y) for data in test])
    total = int(sizes.sum())
    client = torch.stack([right_answers(model, batches, sizes) for model in system.clients])
    spe = torch.zeros(LEVELS + 1)
    gen, weight = torch.zeros_like(spe), torch.zeros_like(spe)
    score = 0.0
    for group, model in zip(system.groups, system.models, strict=False):
        right, members = right_answers(model, batches, sizes), group.members
        everybody = int(right.sum()) / total
        spe[group.level] += len(members) * right[members].sum() / sizes[members].sum()
        gen[group.level] += len(members) * everybody
        weight[group.level] += len(members)
        score = everybody if group.level == LEVELS else score
    return {
        "c_spe": int(client.diagonal().sum()) / total,
        "c_gen": int(client.sum()) / total / len(test),
        "g_spe": (spe / weight).tolist(),
        "g_gen": (gen / weight).tolist(),
        "global": score,
    }
