# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Which processes have sockets open."""

import collections
import contextlib
import os
import random
import re
import subprocess
import time

import pytest
from logger import wait_for
from puppets import Finder, Puppet, command_of, expected, summary
from sockets import Namespace


# Starts threads with descriptors of their own; the socket is one of the last.
MANY_THREADS = """
started = threading.Barrier(2)
def body(last):
    libc.unshare(0x400)
    if last:
        global result
        result = add(listen())
    started.wait()
    time.sleep(3600)
threading.stack_size(64 << 10)
for number in range(3000):
    threading.Thread(target=body, args=[number == 2999], daemon=True).start()
    started.wait()
"""


@pytest.fixture
def finder():
    with Finder() as finder:
        yield finder


@pytest.fixture
def puppets():
    """Returns a function that starts a puppet."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Puppet(*arguments, **options))


@pytest.fixture
def children():
    """A list of processes that are killed at the end."""
    pids = []
    yield pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def check(finder, inodes):
    """Compares the owners with those that a scan of all descriptors finds, and returns them."""
    owners = finder.find(inodes)
    assert summary(owners) == expected(inodes)
    return owners


def test_every_socket_has_the_owner_that_ss_shows(finder, puppets):
    pairs = [puppets().do("result = pairs(10)") for _ in range(5)]
    inodes = sum(pairs, [])
    owners = check(finder, inodes)
    assert len(owners) == 100
    output = subprocess.run(["ss", "-tnpe"], capture_output=True, text=True, check=True).stdout
    shown = {}
    for line in output.splitlines():
        users = re.findall(r'\("([^"]*)",pid=(\d+),fd=\d+\)', line)
        if users and (inode := re.search(r"\bino:(\d+)", line)):
            shown[int(inode[1])] = min((int(pid), command) for command, pid in users)
    assert {inode: (owner.pid, owner.command) for inode, owner in owners.items()} == {inode: shown[inode] for inode in inodes}


def test_a_socket_without_a_process_has_no_owner(finder, puppets):
    inodes = puppets().do("result = pairs(1)")
    assert finder.find([0, 4294967295, *inodes, 0]).keys() == set(inodes)
    assert finder.find([]) == {}


def test_the_command_is_the_current_one_whatever_it_contains(finder, puppets):
    puppet = puppets()
    inodes = puppet.do("result = pairs(1)")
    for command in ") S 1 (", "a b", "(((", ")) R 1 2 3 4", "sixteen bytes lo":
        puppet.do(f"open('/proc/self/comm', 'w').write({command!r})")
        assert check(finder, inodes)[inodes[0]].command == command[:15]


def test_a_child_has_the_sockets_of_its_parent_and_keeps_them(finder, puppets, children):
    puppet = puppets()
    inodes = puppet.do("result = pairs(3)")
    assert check(finder, inodes)[inodes[0]].processes == 1
    children.append(puppet.do("result = fork()"))
    assert check(finder, inodes)[inodes[0]].processes == 2
    puppet.do(f"close({inodes[0]})")
    owners = check(finder, inodes)
    assert (owners[inodes[0]].pid, owners[inodes[0]].processes) == (children[0], 1)
    puppet.kill()
    assert {owner.pid for owner in check(finder, inodes).values()} == {children[0]}


def test_the_command_changes_when_a_process_executes_another_program(finder, puppets, children):
    puppet = puppets()
    inodes = puppet.do("result = pairs(1)")
    assert check(finder, inodes)
    puppet.start(f"os.set_inheritable(mine[{inodes[0]}].fileno(), True); os.execv('/bin/sleep', ['sleep', '60'])")
    wait_for(lambda: command_of(puppet.pid) == "sleep", "another program")
    owners = check(finder, inodes)
    assert owners == {inodes[0]: owners[inodes[0]]} and owners[inodes[0]].command == "sleep"


def call_until(condition, calls):
    assert any(condition() for _ in range(calls))


def exchange(first, one, second, other):
    """Exchanges a socket of each of two puppets.  Afterwards they have as many descriptors as before."""
    first.do(f"send({one}, {second.pid})")
    second.do(f"send({other}, {first.pid})")
    first.do(f"close({one})")
    second.do(f"close({other})")
    assert (first.do("result = receive()"), second.do("result = receive()")) == (other, one)


def test_a_socket_that_was_passed_to_another_process_has_its_new_owner(finder, puppets):
    first, second = puppets(), puppets()
    inodes = first.do("result = pairs(2)")
    check(finder, inodes)
    first.do(f"send({inodes[0]}, {second.pid})")
    check(finder, inodes)
    second.do("receive()")
    assert check(finder, inodes)[inodes[0]].processes == 2
    first.do(f"close({inodes[0]})")
    assert check(finder, inodes)[inodes[0]].pid == second.pid


def test_a_socket_in_flight_has_no_owner_until_it_is_received(finder, puppets):
    first, second = puppets(), puppets()
    inodes = first.do("result = pairs(1)")
    check(finder, inodes)
    first.do(f"send({inodes[0]}, {second.pid}); close({inodes[0]})")
    for _ in range(40):
        assert check(finder, inodes).keys() == {inodes[1]}
    second.do("receive()")
    assert check(finder, inodes)[inodes[0]].pid == second.pid


def test_exchanged_sockets_have_their_new_owners(finder, puppets):
    first, second = puppets(), puppets()
    one, other = first.do("result = pairs(4)"), second.do("result = pairs(4)")
    check(finder, one + other)
    for mine, theirs in zip(one, other, strict=True):
        exchange(first, mine, second, theirs)
        # Other processes on this machine have their turns too.
        call_until(lambda: finder.find(one + other)[mine].pid == second.pid, 16)
        check(finder, one + other)


def test_an_exchange_between_processes_with_many_sockets_is_noticed_in_turn(finder, puppets):
    first, second = puppets(), puppets()
    one, other = first.do("result = pairs(500)"), second.do("result = pairs(500)")
    everything = one + other
    check(finder, everything)
    exchange(first, one[7], second, other[7])

    def is_noticed():
        # Both processes are running.
        first.do(""), second.do("")
        return finder.find(everything)[one[7]].pid == second.pid

    call_until(is_noticed, 24)
    check(finder, everything)
    # From then on, it is noticed at once.
    for at in range(20, 30):
        exchange(first, one[at], second, other[at])
        check(finder, everything)


def test_a_descriptor_that_is_used_again_is_noticed(finder, puppets):
    puppet = puppets()
    inodes = puppet.do("result = pairs(20)")
    for at in range(0, 40, 2):
        check(finder, inodes)
        # The new sockets get the numbers of the old ones.
        new = puppet.do(f"close({inodes[at]}); close({inodes[at + 1]}); result = pairs(1)")
        inodes[at : at + 2] = new
    assert len(check(finder, inodes)) == 40


def test_a_process_with_the_number_of_another_is_not_confused_with_it(finder, puppets, children):
    puppet = puppets(name="before")
    inodes = puppet.do("result = pairs(1)")
    children.append(puppet.do("result = fork()"))
    assert check(finder, inodes)[inodes[0]].command == "before"
    puppet.kill()
    for _ in range(1000):
        # The lock prevents most other processes from taking the number.
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(puppet.pid - 1))
        successor = subprocess.Popen(["sleep", "60"])
        if successor.pid == puppet.pid:
            break
        successor.kill()
        successor.wait()
    children.append(successor.pid)
    assert successor.pid == puppet.pid
    owners = check(finder, inodes)
    assert {owner.pid for owner in owners.values()} == {children[0]}
    os.kill(children[0], 9)
    time.sleep(0.1)
    assert finder.find(inodes) == {}
    successor.kill()
    successor.wait()


THREAD = """
def run():
    if {unshares}:
        assert libc.unshare(0x400) == 0
    global inodes
    inodes = pairs(2)
    ready.set()
    time.sleep(3600)

ready = threading.Event()
threading.Thread(target=run, daemon=True).start()
ready.wait()
result = inodes
"""


def test_the_sockets_of_a_thread_with_its_own_descriptors_are_found(finder, puppets):
    puppet = puppets()
    shared = puppet.do("result = pairs(2)")
    check(finder, shared)
    own = puppet.do(THREAD.format(unshares=True))
    assert not any(os.path.exists(f"/proc/{puppet.pid}/fd/{inode}") for inode in own)
    finder.find(shared + own)
    owners = finder.find(shared + own)
    assert {owners[inode].pid for inode in own + shared} == {puppet.pid}
    assert {owners[inode].processes for inode in own + shared} == {1}


def test_sockets_are_found_after_the_first_thread_has_exited(finder, puppets):
    puppet = puppets()
    inodes = puppet.do(THREAD.format(unshares=False))
    check(finder, inodes)
    puppet.start("libc.syscall(60, 0)" if os.uname().machine == "x86_64" else "libc.syscall(93, 0)")
    time.sleep(0.2)
    assert os.listdir(f"/proc/{puppet.pid}/fd") == []
    finder.find(inodes)
    owners = finder.find(inodes)
    assert {owner.pid for owner in owners.values()} == {puppet.pid} and len(owners) == 4
    with Finder() as other:
        assert other.find(inodes) == owners


def test_a_process_with_many_threads_is_not_counted_more_than_once(finder, puppets):
    puppet = puppets()
    inodes = puppet.do("for _ in range(20): threading.Thread(target=time.sleep, args=[3600], daemon=True).start()\nresult = pairs(2)")
    for _ in range(3):
        assert {owner.processes for owner in check(finder, inodes).values()} == {1}
        inodes += puppet.do("result = pairs(1)")


def test_thousands_of_threads_with_their_own_descriptors_do_not_delay_others(finder, puppets):
    puppet, other = puppets(), puppets()
    own = puppet.do(MANY_THREADS)
    inodes = other.do("result = pairs(1)")
    begin = time.monotonic()
    found = finder.find([own, *inodes])
    # With 3,000 threads, comparing each with all others takes more than 7 s.
    assert time.monotonic() - begin < 4
    assert {owner.pid for owner in found.values()} == {puppet.pid, other.pid} and len(found) == 3


def test_without_privileges_only_the_sockets_of_the_user_have_owners(puppets):
    enter = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    of_root, of_user = puppets(), puppets(enter=enter)
    theirs, own = of_root.do("result = pairs(2)"), of_user.do("result = pairs(2)")
    with Finder(enter=enter) as finder:
        for _ in range(5):
            assert finder.find(theirs + own).keys() == set(own)
        # A process that drops its privileges and executes a program becomes visible.
        of_root.start(
            f"[os.set_inheritable(mine[inode].fileno(), True) for inode in {theirs}]; os.setgroups([]);"
            "os.setgid(65534); os.setuid(65534); os.execv('/bin/sleep', ['sleep', '60'])"
        )
        wait_for(lambda: command_of(of_root.pid) == "sleep", "another program")
        assert finder.find(theirs + own).keys() == set(theirs + own)


def test_owners_are_found_in_another_root_directory(puppets, tmp_path):
    inodes = puppets().do("result = pairs(2)")
    with Finder(tmp_path) as finder:
        check(finder, inodes)
        inodes += puppets().do("result = pairs(2)")
        assert len(check(finder, inodes)) == 8


def test_the_container_is_reported(finder, puppets):
    identifier = "3f4e8a0c5b7d" + "9e1f" * 13
    hierarchies = [path for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.exists(f"{path}/cgroup.procs")]
    if not hierarchies or not os.access(hierarchies[0], os.W_OK):
        pytest.skip("no control groups of version 2")
    puppet = puppets()
    group = f"{hierarchies[0]}/docker-{identifier}.scope"
    os.mkdir(group)
    try:
        with open(f"{group}/cgroup.procs", "w") as members:
            members.write(str(puppet.pid))
        inodes = puppet.do("result = pairs(1)")
        assert {owner.container for owner in finder.find(inodes).values()} == {identifier[:12]}
    finally:
        puppet.kill()
        os.rmdir(group)


class Crowd:
    """Processes in several namespaces, to which things happen at random."""

    def __init__(self, stack, namespaces, processes, pairs, seed):
        self.stack = stack
        self.random = random.Random(seed)
        self.namespaces = [stack.enter_context(Namespace()) for _ in range(namespaces)]
        self.puppets, self.children, self.inodes = [], [], {}
        self.pairs = pairs
        for at in range(processes):
            self.add(self.namespaces[at % namespaces])
        stack.callback(self.kill_children)

    def add(self, namespace):
        puppet = self.stack.enter_context(Puppet(enter=namespace.enter))
        puppet.namespace = namespace
        self.puppets.append(puppet)
        self.inodes[puppet] = puppet.do(f"result = pairs({self.pairs})")

    def kill_children(self):
        for pid in self.children:
            os.kill(pid, 9)

    def all(self):
        return sum(self.inodes.values(), [])

    def exit(self):
        puppet = self.puppets.pop(self.random.randrange(len(self.puppets)))
        # Its children may keep its sockets.
        kept = self.inodes.pop(puppet)
        self.inodes.setdefault(None, []).extend(kept)
        puppet.kill()
        self.add(puppet.namespace)

    def fork(self):
        self.children.append(self.random.choice(self.puppets).do("result = fork()"))

    def execute(self):
        """Lets a new child execute a program that keeps one socket."""
        puppet = self.random.choice(self.puppets)
        keep = self.random.choice(self.inodes[puppet])
        code = f"pid = os.fork()\nif pid == 0: os.set_inheritable(mine[{keep}].fileno(), True); os.execv('/bin/sleep', ['sleep', '300'])\nresult = pid"
        pid = puppet.do(code)
        self.children.append(pid)
        wait_for(lambda: command_of(pid) == "sleep", "another program")

    def give(self):
        first, second = self.random.sample(self.puppets, 2)
        inode = self.random.choice(self.inodes[first])
        first.do(f"send({inode}, {second.pid}); close({inode})")
        second.do("receive()")
        self.inodes[first].remove(inode)
        self.inodes[second].append(inode)

    def swap(self):
        first, second = self.random.sample(self.puppets, 2)
        one, other = (self.random.choice(self.inodes[puppet]) for puppet in (first, second))
        exchange(first, one, second, other)
        for puppet, old, new in (first, one, other), (second, other, one):
            self.inodes[puppet].remove(old)
            self.inodes[puppet].append(new)

    def replace(self):
        puppet = self.random.choice(self.puppets)
        old = self.random.choice(self.inodes[puppet])
        new = puppet.do(f"close({old}); result = pairs(1)")
        self.inodes[puppet].remove(old)
        self.inodes[puppet] += new

    def run(self):
        """All processes run, but nothing changes."""
        for puppet in self.puppets:
            puppet.start("")
        for puppet in self.puppets:
            puppet.finish()

    def act(self, count):
        weights = {self.give: 4, self.swap: 4, self.replace: 4, self.fork: 1, self.execute: 1, self.exit: 1}
        for action in self.random.choices(list(weights), list(weights.values()), k=count):
            action()


def test_owners_among_many_processes_in_many_namespaces(finder):
    full = bool(os.environ.get("E2E_FULL"))
    processes, pairs, rounds = (50, 100, 40) if full else (50, 100, 12)
    known, results = collections.Counter(), collections.Counter()
    with contextlib.ExitStack() as stack:
        crowd = Crowd(stack, namespaces=20, processes=processes, pairs=pairs, seed=7)
        for _ in range(rounds):
            inodes = crowd.all()
            found, right = summary(finder.find(inodes)), expected(inodes)
            for inode in right.keys() | found.keys():
                if known[inode] >= 2:
                    is_same = found.get(inode) == right.get(inode)
                    results["right" if is_same else "absent" if inode not in found else "wrong"] += 1
            known = collections.Counter({inode: known[inode] + 1 for inode in right})
            crowd.act(20)
            crowd.run()
    print(dict(results))
    assert results["wrong"] == 0 and results["absent"] <= results["right"] / 1000
