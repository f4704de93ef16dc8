"""Chromium without a window, driven by its own protocol (Chrome DevTools Protocol) over a pair of pipes."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The program, or None where none is installed.
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

_PATIENCE = 30.0  # seconds for one answer
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root has none in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
_LOWEST_DESCRIPTOR = 10  # beyond the two that Chromium expects the pipes at


class Page:
    """A tab. problems: errors of scripts and of the content security policy, and requests to anything but files."""

    def __init__(self, commands: int, answers: int) -> None:
        """The descriptors of pipes: where commands are written, and where answers and events are read."""
        self._commands, self._answers = commands, answers
        self._received = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._loads = 0
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            if not select.select([self._answers], [], [], _PATIENCE)[0]:
                raise TimeoutError("the browser does not answer")
            if not (data := os.read(self._answers, 1 << 20)):
                raise EOFError("the browser has ended")
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        received: dict[str, Any] = json.loads(message)
        return received

    def _note(self, event: dict[str, Any]) -> None:
        details = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loads += 1
            case "Runtime.exceptionThrown":
                self.problems.append(str(details["exceptionDetails"]))
            case "Log.entryAdded" if details["entry"]["level"] in ("error", "warning"):
                self.problems.append(details["entry"]["text"])
            case "Network.requestWillBeSent" if not details["request"]["url"].startswith(("file:", "data:")):
                self.problems.append(details["request"]["url"])

    def open(self, file: Path) -> None:
        """Load a file, as a double click on it does, also once more."""
        before = self._loads
        self.call("Page.navigate", url=file.as_uri())
        while self._loads == before:
            self._note(self._receive())

    def run(self, code: str) -> Any:
        """The value of an expression of JavaScript; of a promise, what it resolves to."""
        result = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait_for(self, code: str) -> None:
        """Until the expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.run(code):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {code}")
            time.sleep(0.01)

    def show(self, width: int, height: int, density: float = 1, *, touch: bool = False, dark: bool = False) -> None:
        """Size of the window in CSS pixels, and pixels of the screen in each of them."""
        size = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str, *, shift: bool = False, hold: bool = False, code: str = "") -> None:
        """Press a key and let it go, unless it is to be held. key, code: as events of the keyboard have them."""
        event = {"key": key, "code": code or key, "modifiers": 8 if shift else 0}
        if len(key) == 1:
            event["text"] = key
        if key == "Tab":
            event["windowsVirtualKeyCode"] = 9
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        if not hold:
            self.release(key, code=code)

    def release(self, key: str, *, code: str = "") -> None:
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code or key)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """mousePressed, mouseMoved, mouseReleased or mouseWheel, in CSS pixels of the window."""
        button = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
        parameters = {**({} if kind == "mouseWheel" else button), **more}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **parameters)

    def drag(self, *places: tuple[float, float]) -> None:
        """The mouse, pressed at the first place, moved over the others and let go at the last."""
        self.mouse("mousePressed", *places[0])
        for place in places[1:]:
            self.mouse("mouseMoved", *place)
        self.mouse("mouseReleased", *places[-1])

    def touch(self, *steps: list[tuple[float, float]]) -> None:
        """Fingers on the screen: where they are at first, and at each step; then they leave it."""
        for number, places in enumerate(steps):
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            self.call("Input.dispatchTouchEvent", type="touchMove" if number else "touchStart", touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with one tab. profile: a folder for it to write to."""
    assert CHROMIUM is not None
    from_us, commands = os.pipe()
    answers, from_browser = os.pipe()
    pipes = [fcntl.fcntl(each, fcntl.F_DUPFD, _LOWEST_DESCRIPTOR) for each in (from_us, from_browser)]
    os.close(from_us)
    os.close(from_browser)
    script = f'exec "$@" 3<&{pipes[0]} 4>&{pipes[1]}'
    process = subprocess.Popen(
        ["bash", "-c", script, "browser", CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=pipes,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for each in pipes:
        os.close(each)
    page = None
    try:
        page = Page(commands, answers)
        yield page
    finally:
        if page is not None:
            page._session = None
            os.write(commands, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(answers)
