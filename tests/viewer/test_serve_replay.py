# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""24 hours of connections that come and go, replayed: no counter decreases, and memory does not grow."""

import os
import pathlib
import re
import subprocess
import sys
import time

import churn
from serving import Serving, total

DAY = 86_400
# As many connections as fit into a short test.  With CHURN=200,300, the test takes minutes.
ENDED, OPEN = map(int, os.environ.get("CHURN", "12,24").split(","))
COUNTER = re.compile("(_total|_bucket|_count|_sum)$")


def memory(process, key):
    """Returns a value of the memory of a process in MB."""
    return int(re.search(rf"{key}:\s+(\d+) kB", pathlib.Path(f"/proc/{process}/status").read_text())[1]) / 1024


def test_no_counter_decreases_and_memory_is_bounded_in_a_day_of_churn(tmp_path):
    line = [sys.executable, churn.__file__, *map(str, (DAY, ENDED, OPEN))]
    latest, created_times, scrapes, memories = {}, {}, 0, []
    with subprocess.Popen(line, stdout=subprocess.PIPE) as writer:
        arguments = ["-d", "-", "--by", "prefix", "--series-max", 4000]
        with Serving(tmp_path, *arguments, stdin=writer.stdout) as served:
            writer.stdout.close()
            is_over = False
            while not is_over:
                is_over = "end of the log" in served.messages()
                samples = served.samples()
                scrapes += 1
                assert len(samples) <= 4000
                for (name, labels), value in samples.items():
                    if not COUNTER.search(name):
                        continue
                    family = COUNTER.sub("", name)
                    created = samples[f"{family}_created", tuple(pair for pair in labels if pair[0] != "le")]
                    key = name, labels, created
                    assert value >= latest.get(key, 0), key
                    latest[key] = value
                    created_times.setdefault(labels, set()).add(created)
                memories.append((samples["tcpstats_snapshots_total", ()], memory(served.process.pid, "VmRSS")))
                time.sleep(0.05)
            peak = memory(served.process.pid, "VmHWM")
            samples = served.samples()
    print(f"{scrapes} scrapes, at most {peak:.1f} MB, {len(latest)} series of counters")
    assert scrapes >= 10 and samples["tcpstats_snapshots_total", ()] == DAY
    # The series of groups ended, and started again.
    assert samples["tcpstats_groups_replaced_total", ()] > 50
    assert max(map(len, created_times.values())) > 1
    # Every connection is in a group, or was in one whose series have ended.
    assert 0 < total(samples, "tcpstats_connections_opened_total") <= DAY * ENDED + (DAY // churn.LIFE + 1) * OPEN
    early = max(size for number, size in memories if number < DAY / 2)
    assert max(size for _, size in memories) < 1.25 * early + 4, memories
