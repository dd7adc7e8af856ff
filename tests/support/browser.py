"""A headless Chromium, driven through the pipe of its DevTools protocol: no further package."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

WIRE = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 60) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the pipes where the browser looks for them, as the files 3 and 4, and becomes it."""


def executable():
    """The browser of this machine, or ``None``; some systems have a name that only says no."""
    for found in filter(None, map(shutil.which, NAMES)):
        if not subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
            return found
    return None


class Page:
    """One page of a browser: opens files, runs scripts, presses keys, clicks."""

    def __init__(self, to_browser, from_browser):
        self._to, self._from = to_browser, from_browser
        self._number, self._buffer, self._session = 0, b"", None
        self.said = []  # the page's complaints
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        """One command of the protocol, and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _message(self, seconds=60):
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, end - time.monotonic()))
            part = os.read(self._from, 1 << 20) if ready else b""
            assert part, "the browser does not answer"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        method, what = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.said.append(what["exceptionDetails"].get("exception", {}).get("description"))
        elif method == "Log.entryAdded":
            self.said.append(what["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = what["request"]["url"]
            if not url.startswith(("file:", "data:")):
                self.said.append(f"asked the network for {url}")
        return message

    def open(self, path: Path):
        """Open a file and wait until it has been read."""
        self.do("Page.navigate", url=path.absolute().as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def ask(self, script):
        """The value of a JavaScript expression."""
        answer = self.do("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, seconds=30):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.ask(script):
            assert time.monotonic() < end, f"never came true: {script}"
            time.sleep(0.02)

    def click(self, selector):
        """Click into the middle of the first element of a CSS selector."""
        box = self.ask(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const box = one.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, **at)

    def press(self, key):
        """Press and release a key, such as ``ArrowLeft``, ``Enter`` or ``Tab``."""
        code = {"Tab": 9, "Enter": 13, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38}
        code |= {"ArrowRight": 39, "ArrowDown": 40, "End": 35}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code[key]}
        if key == "Enter":
            about["text"] = "\r"
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, **about)

    def image(self, path: Path, *, width=1200, height=None, dark=False):
        """Write what the page looks like into a ``.png`` file."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.do("Emulation.setEmulatedMedia", features=scheme)
        size = {"width": width, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", height=height or 800, **size)
        if height is None:
            height = self.ask("document.documentElement.scrollHeight")
            self.do("Emulation.setDeviceMetricsOverride", height=height, **size)
        time.sleep(0.5)
        data = self.do("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def opened(name: str, profile: Path):
    """A page of a new browser ``name``, whose files go into the folder ``profile``."""
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += ["--no-first-run", "--disable-background-networking", "--disable-extensions"]
    options += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", WIRE, str(read_commands), str(write_answers), name, *options],
        pass_fds=(read_commands, write_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_answers)
    try:
        page = Page(write_commands, read_answers)
        yield page
        page._session = None
        page.do("Browser.close")
    finally:
        for end in (write_commands, read_answers):
            os.close(end)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
