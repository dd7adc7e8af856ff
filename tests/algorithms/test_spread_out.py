"""Every registered algorithm on 8 devices, and on 2 processes of 4 devices each, as on one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spread_out

SUPPORT = Path(spread_out.__file__).parent


def begun(out, *arguments):
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, SUPPORT / "spread_out.py", out, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """What comes out on 8 devices of one process, and on 4 devices of each of two."""
    folder = tmp_path_factory.mktemp("spread out")
    eight, two, port = folder / "eight.npz", folder / "two.npz", free_port()
    processes = [
        begun(eight, 8),
        *(begun(two, 4, port, 2, number) for number in range(2)),
    ]
    for process in processes:
        said, _ = process.communicate(timeout=1500)
        assert process.returncode == 0, said
    return {"8 devices": np.load(eight), "2 processes of 4 devices": np.load(two)}


@pytest.fixture(scope="module")
def here():
    return spread_out.outcomes()[0]


@pytest.mark.parametrize("where", ["8 devices", "2 processes of 4 devices"])
@pytest.mark.parametrize("setting", [name for name, *_ in spread_out.settings()])
def test_it_is_the_outcome_of_one_device(setting, where, here, elsewhere):
    found = elsewhere[where]
    names = [name for name in here if name.startswith(setting)]
    assert len(names) >= 3
    assert {name for name in found.files if not name.startswith(spread_out.ROWS)} == set(here)
    for name in names:
        np.testing.assert_allclose(found[name], here[name], atol=1e-5, err_msg=name)
    assert found[spread_out.ROWS + setting] in (2, 0), "of 15 or 16 clients on 8 devices"
