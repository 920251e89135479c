# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Pages in headless Chromium."""

import json

from selenium import webdriver

# Options that prevent requests to servers.
QUIET = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --window-size=1200,1000"""


class Browser:
    """A browser that records the requests and the errors of a page."""

    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for option in [*QUIET.split(), f"--user-data-dir={profile}"]:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))

    def open(self, path, theme="light"):
        """Opens a file; returns the addresses that it requested."""
        return self.visit(path.as_uri(), theme)

    def visit(self, address, theme="light", width=1200):
        """Opens a page; returns the addresses that it requested."""
        # The start page of the browser makes requests.
        self.driver.get("about:blank")
        self.requests()
        self.errors()
        theme = {"name": "prefers-color-scheme", "value": theme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(address)
        return self.requests()

    def requests(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [request["request"]["url"] for request in sent]

    def errors(self):
        # Pages of the browser itself, such as that of a new tab, have messages of their own.
        return [entry for entry in self.driver.get_log("browser") if not entry["message"].startswith("chrome://")]

    def evaluate(self, script, *arguments):
        """Returns the result of a function in JavaScript."""
        return self.driver.execute_script(script, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
