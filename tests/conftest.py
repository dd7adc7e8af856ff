"""What several test files share: float64, ragged client data, and trees of groups as lists."""

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ["DEMJAX_CACHE"] = ""  # tests that keep data say where

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from demjax import use_cores
from demjax.base import ClientData

# Nearly all of the suite's time is compiling small programs, each run once or twice. Of flags
# given twice the last counts, so that XLA_FLAGS can ask for any of this to be as it is for users.
cheap = ["--xla_backend_optimization_level=0"]
if jaxlib.version.__version_info__ < (0, 12):  # XLA stops at a flag that a later one may not know
    cheap += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
os.environ["XLA_FLAGS"] = " ".join([*cheap, os.environ.get("XLA_FLAGS", "")])
jax.config.update("jax_traceback_in_locations_limit", 0)
# Many tests compile the same programs, and rerun them: each is compiled once in a run of the suite.
if "DEMJAX_TEST_PROGRAMS" not in os.environ:  # made by the first process, passed on to all others
    os.environ["DEMJAX_TEST_PROGRAMS"] = tempfile.mkdtemp(prefix="demjax-tests-")
    atexit.register(shutil.rmtree, os.environ["DEMJAX_TEST_PROGRAMS"], ignore_errors=True)
KEPT = Path(os.environ["DEMJAX_TEST_PROGRAMS"])
jax.config.update("jax_compilation_cache_dir", str(KEPT / "programs"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
gc.set_threshold(50_000, 20, 100)  # tracing makes many small objects, most of which stay

use_cores(2)  # what is not in the context of spread_over uses the first
assert len(jax.devices("cpu")) == 2  # now nobody can ask for others


def pytest_collection_finish():
    """What has been imported stays: it is not looked through again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _kept_programs():
    """The command line keeps its programs, as by default, and in the folder of the suite."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("demjax.cli.run.default_folder", lambda: KEPT)
        patch.setattr("demjax.runs.compare_systems.default_folder", lambda: KEPT)
        yield


@pytest.fixture
def compiled_anew():
    """Nothing in the test is found in a cache: for what is said of the compiler itself."""
    jax.config.update("jax_enable_compilation_cache", False)
    reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    reset_cache()


@pytest.fixture
def float64():
    """Everything in the test is computed in double precision."""
    with jax.enable_x64(True):
        yield


def _ragged_clients(x, y, train, test, train_width=None, test_width=None, padding=0):
    """Client data from lists of example numbers; ``padding`` fills the rows up."""

    def rows(ragged, width):
        width = width or max([1, *map(len, ragged)])
        table = np.full((len(ragged), width), padding, np.int32)
        for row, mine in zip(table, ragged, strict=True):
            row[: len(mine)] = mine
        return jnp.asarray(table), jnp.asarray([len(mine) for mine in ragged], jnp.int32)

    return ClientData(
        jnp.asarray(x), jnp.asarray(y), *rows(train, train_width), *rows(test, test_width)
    )


@pytest.fixture(scope="session")
def ragged_clients():
    """A function that makes client data from lists of example numbers."""
    return _ragged_clients


def _full_precision(compiled, *args):
    """Number of matrix products in a program, all of which must ask for full precision."""
    program = compiled.lower(*args).as_text()
    products = [line for line in program.splitlines() if "stablehlo.dot_general" in line]
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)
    return len(products)


@pytest.fixture(scope="session")
def full_precision():
    """A function that counts the products of a jitted function and checks their precision."""
    return _full_precision


class Group(NamedTuple):
    """A group of a tree: its slot on its level, subgroups, and clients with no group below."""

    level: int
    slot: int
    groups: list
    clients: list

    @property
    def members(self):
        """All clients in the group, directly or through its subgroups."""
        return sorted(self.clients + [n for group in self.groups for n in group.members])

    def walk(self):
        """The group and all groups below it."""
        yield self
        for group in self.groups:
            yield from group.walk()


def _split_tree(merges, levels):
    """Split a dendrogram from the top, ``levels`` times, by recursion over SciPy's matrix."""
    count = len(merges) + 1

    def leaves(node):
        if node < count:
            return [node]
        left, right = merges[node - count][:2].astype(int)
        return leaves(left) + leaves(right)

    def group(node, level, slot):
        if level == 0 or node < count:
            return Group(level, slot, [], leaves(node))
        children = merges[node - count][:2].astype(int)
        return Group(
            level,
            slot,
            [
                group(child, level - 1, 2 * slot + side)
                for side, child in enumerate(children)
                if child >= count
            ],
            [child for child in children if child < count],
        )

    return group(2 * count - 2, levels, 0)


@pytest.fixture(scope="session")
def split_tree():
    """A function that cuts SciPy's linkage matrix into a tree of groups, by recursion."""
    return _split_tree


def _groups_of(tree, count):
    """The group of each client on each level as rows of numbers, -1 where it has none."""
    rows = np.full((tree.level + 1, count), -1)
    for group in tree.walk():
        rows[group.level, group.members] = group.slot
    return rows


@pytest.fixture(scope="session")
def groups_of():
    """A function that writes a tree of groups as the array of each client's groups."""
    return _groups_of
