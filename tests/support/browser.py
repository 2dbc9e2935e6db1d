"""Pages in a real headless Chromium, and its complaints about them."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

from tests.support.processes import PROJECT, eventually
from tests.support.servers import require_program

AXE = PROJECT / "build" / "axe" / "axe_playwright_python" / "axe.min.js"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--renderer-process-limit=1",  # a process for each page would take a quarter more
)
WAIT_SECONDS = 60.0
_WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Chromium:
    """A running Chromium, for use in a `with`. `Browser` opens its pages."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="fasthits-chromium-", ignore_cleanup_errors=True)
        # It takes half the time of all of Chromium. The driver expects a page, which it does not open itself.
        shell = Path(self._profile.name, "shell")
        shell.write_text(f'#!/bin/sh\nexec {require_program("chromium-headless-shell")} "$@" about:blank\n')
        shell.chmod(0o755)
        options = webdriver.ChromeOptions()
        options.binary_location = str(shell)
        for flag in (*FLAGS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._driver = webdriver.Chrome(options, Service(require_program("chromedriver")))
        self._first = self._shown = self._driver.current_window_handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.quit()
        self._profile.cleanup()

    def open(self) -> str:
        """Return a new window."""
        driver = self.at(self._first)
        driver.switch_to.new_window("window")
        driver.get_log("browser")  # complaints about other pages
        self._shown = driver.current_window_handle
        return self._shown

    def close(self, window: str) -> None:
        """Close a window, and delete the data that its page has stored."""
        driver = self.at(window)
        if (origin := driver.execute_script("return location.origin")).startswith("http"):
            driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        driver.close()

    def at(self, window: str) -> webdriver.Chrome:
        """Return the driver of Chromium, with a window in front."""
        if window != self._shown:
            self._driver.switch_to.window(window)
            self._shown = window
        return self._driver


class Browser:
    """A page of some size and theme, without cookies and data of another page."""

    def __init__(
        self, chromium: Chromium, width: int = 1280, height: int = 900, *, dark: bool = False, still: bool = True
    ) -> None:
        self._chromium = chromium
        self._window = self._chromium.open()
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", screen)
        features = {"prefers-color-scheme": "dark" if dark else "light"} | (
            {"prefers-reduced-motion": "reduce"} if still else {}
        )
        self.command(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": name, "value": value} for name, value in features.items()]},
        )
        self.command("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH_POLICY})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._chromium.close(self._window)

    @property
    def driver(self) -> webdriver.Chrome:
        """The driver of the page."""
        return self._chromium.at(self._window)

    def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page; `return` gives the answer."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """Return the first element."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Return the text of an element, shown or not."""
        return str(self.find(selector).get_property("textContent") or "")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements, in their order."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        return list(self.run(script, selector))

    def until(self, check: Callable[[], object], what: str = "") -> None:
        """Wait until *check* is true. A failure says what the page shows."""
        eventually(lambda: bool(check()), WAIT_SECONDS, lambda: f"{what}; the page shows {self.text('body')[:2000]!r}")

    def complaints(self) -> list[str]:
        """Return the messages of the console so far, and each violation of the page's policy."""
        log: list[dict[str, str]] = self.driver.get_log("browser")
        return [f"{each['level']} {each['message']}" for each in log] + list(self.run("return window.violations"))

    def faults(self) -> list[str]:
        """Return the faults that axe-core finds, of any impact."""
        if not AXE.exists():
            if os.environ.get("FASTHITS_REQUIRE_SERVERS") == "1":
                pytest.fail(f"{AXE} is not there: make test installs it")
            pytest.skip("axe-core is not installed")
        self.command("Runtime.evaluate", {"expression": AXE.read_text()})
        self.driver.set_script_timeout(60)
        found = self.driver.execute_async_script("const done = arguments[0]; axe.run().then(done, (e) => done(`${e}`))")
        assert isinstance(found, dict), found
        return [
            f"{fault['id']} ({fault['impact']}): {json.dumps([node['html'] for node in fault['nodes']])[:600]}"
            for fault in found["violations"]
        ]
