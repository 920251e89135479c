# SPDX-License-Identifier: BSD-2-Clause
"""Pages in headless Chromium."""

import json

from selenium import webdriver

# Without a word to anybody's servers.
QUIET = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --window-size=1200,1000"""


class Browser:
    """A browser that remembers what a page asked for and complained of."""

    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for option in [*QUIET.split(), f"--user-data-dir={profile}"]:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))

    def open(self, path, theme="light"):
        """Opens a file; gives the addresses that were asked for because of it."""
        # The page that a browser starts with asks for much.
        self.driver.get("about:blank")
        self.requests()
        theme = {"name": "prefers-color-scheme", "value": theme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        self.driver.get(path.as_uri())
        return self.requests()

    def requests(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [request["request"]["url"] for request in sent]

    def complaints(self):
        return self.driver.get_log("browser")

    def ask(self, script, *arguments):
        """What a function of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
