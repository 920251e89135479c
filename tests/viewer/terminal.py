# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""A real terminal: a shell in tmux, its screen, and keys."""

import os
import pathlib
import re
import subprocess
import tempfile

from logger import ROOT, wait_for
from viewer import TCPSTATS

# The start of the shell's prompt; the number of the next command follows.
PROMPT = "ready-"


class Terminal:
    """A terminal of this size with a shell."""

    def __init__(self, width=80, height=24, **environment):
        self.folder = tempfile.TemporaryDirectory()
        self.socket = f"{self.folder.name}/tmux"
        # The environment of the tests must not affect the shell.
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
        self.environment = inherited | {"LANG": "C.UTF-8"} | environment
        shell = f"PS1='{PROMPT}\\#$ ' exec bash --norc --noprofile"
        self.tmux("-u", "-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, "-c", ROOT, shell)
        try:
            self.wait_for(lambda screen: PROMPT in screen, "the shell's prompt")
        except AssertionError:
            self.__exit__()
            raise

    def tmux(self, *arguments):
        line = ["tmux", "-S", self.socket, *map(str, arguments)]
        return subprocess.run(line, check=True, capture_output=True, text=True, env=self.environment).stdout

    def type(self, text):
        """Types a text literally."""
        self.tmux("send-keys", "-l", "--", text)

    def press(self, *keys):
        """Presses keys, named as in tmux."""
        self.tmux("send-keys", "--", *keys)

    def run(self, command):
        """Runs a command in the shell until it exits; returns the screen."""
        before = self.number_of_prompt()
        self.type(command)
        self.press("Enter")
        wait_for(lambda: self.number_of_prompt() > before, f"the end of {command}")
        return self.screen()

    def number_of_prompt(self):
        return max(map(int, re.findall(rf"^{PROMPT}(\d+)\$", self.screen(), re.MULTILINE)), default=0)

    def top(self, *arguments):
        """Starts top in the shell; returns its first screen."""
        quoted = " ".join(f"'{argument}'" for argument in arguments)
        self.type(f"{TCPSTATS} top {quoted}")
        self.press("Enter")
        return self.wait_for(lambda screen: screen.startswith("tcpstats "), "the screen of top")

    def screen(self):
        """Returns the screen, without spaces at the ends of lines."""
        return self.tmux("capture-pane", "-p")

    def lines(self):
        return self.screen().splitlines()

    def styled(self):
        """Returns the screen with the escape sequences for colours."""
        return self.tmux("capture-pane", "-e", "-p")

    def wait_for(self, condition, what):
        """Returns the screen once the condition is true."""

        def screen():
            text = self.screen()
            return text if condition(text) else None

        try:
            return wait_for(screen, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen is\n{self.screen()}") from None

    def resize(self, width, height):
        self.tmux("resize-window", "-x", width, "-y", height)

    def state(self):
        """Returns whether the alternate screen is active, and whether the cursor is visible."""
        return tuple(self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split())

    def settings(self):
        """Returns the settings of the terminal except its size."""
        path = pathlib.Path(self.folder.name) / "stty"
        self.run(f"stty -a > {path}")
        return re.sub(r"rows \d+; columns \d+;", "", path.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        self.folder.cleanup()


def normalised(text):
    """Returns a screen without numbers, units and repeated spaces."""
    text = re.sub(r"(?m)^(tcpstats +)\S+", r"\1HOST", text)
    text = re.sub(r"\d+(\.\d+)?(us|ms|s|k|M|G)?(?=bit/s|\b|[↑↓])[↑↓]?", "N", text)
    return "\n".join(re.sub(" +", " ", line).strip() for line in text.splitlines())
