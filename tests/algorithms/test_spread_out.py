"""Every registered algorithm on 8 devices, and on 2 processes of 4 devices each, as on one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def elsewhere(folder):
    """What comes out on 8 devices of one process, and on 4 devices of each of two."""
    eight, two, port = folder / "eight.npz", folder / "two.npz", free_port()
    processes = [
        begun(eight, 8),
        *(begun(two, 4, port, 2, number) for number in range(2)),
    ]
    try:
        for process in processes:
            said, _ = process.communicate(timeout=1500)
            assert process.returncode == 0, said
    finally:  # what one that failed leaves behind is not to fail other tests
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    return {"8 devices": np.load(eight), "2 processes of 4 devices": np.load(two)}


def test_every_algorithm_has_the_outcome_of_one_device(tmp_path):
    """In one test, for what comes out elsewhere is computed once for all of them."""
    here = spread_out.outcomes()[0]
    for where, found in elsewhere(tmp_path).items():
        assert {name for name in found.files if not name.startswith(spread_out.ROWS)} == set(here)
        for setting, *_ in spread_out.settings():
            names = [name for name in here if name.startswith(f"{setting}:")]
            assert len(names) >= 3, setting
            for name in names:
                said = f"{where}, {name}"
                np.testing.assert_allclose(found[name], here[name], atol=1e-5, err_msg=said)
            rows = found[spread_out.ROWS + setting]
            assert rows in (2, 0), f"{where}, {setting}: {rows} of 15 clients on a device"
