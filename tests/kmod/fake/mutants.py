#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Breaks the module on purpose, once in each of these ways, and looks whether the scenarios notice.

    mutants.py HEADERS CORE GEN TESTS

HEADERS, CORE and GEN as src/kmod/cross.sh knows them, TESTS as build.sh.  Run by `make kmod-mutants`.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]

# What is broken; the file, what is replaced in it and by what; the scenario that must fail, and what it must say.
MUTANTS = [
    ("leave a connection locked when a signal comes", "src/kpi/walk.rs",
     "            locked.unlock();\n        }\n    }\n}", "            _ = locked;\n        }\n    }\n}",
     "a_signal_ends_the_walk_wherever_it_comes", '"tcpinp" held'),
    ("look for a signal with a connection locked", "src/kpi/thread.rs",
     "unsafe { raw::siftr_cdev_signal_pending() != 0 }", "unsafe { raw::sig_intr() != 0 }",
     "a_signal_ends_the_walk_wherever_it_comes", r'sig_intr\(\) with "tcpinp" held'),
    ("do not free what a descriptor has", "src/kpi/memory.rs",
     "            self.0.drop_in_place();\n            raw::siftr_cdev_free(self.0.as_ptr().cast());",
     "            self.0.drop_in_place();", "the_module_loads_and_unloads_many_times", "leak: "),
    ("do not give back the bytes of a snapshot", "src/storage.rs",
     "        self.reclaim_idle();\n        self.shrink(0);", "",
     "bytes_and_records_are_counted", "left == right"),
    ("do not destroy the lock of a descriptor", "kpi.c", "\tsx_destroy(sx);", "\t(void)sx;",
     "the_module_loads_and_unloads_many_times", "locks are left"),
    ("follow the stack of a dropped connection", "src/kpi/pcb.rs",
     "unsafe { !(*self.tcpcb()).t_cc.is_null() && !(*self.tcpcb()).t_fb.is_null() }", "true",
     "a_dropped_connection_is_shown_without_what_the_stack_took_with_it", "page fault"),
    ("forget the bytes that a short read did not take", "src/device.rs", "cursor.take(taken);",
     "cursor.take(bytes.len());", "a_binary_snapshot_is_the_same_at_every_size_of_read", ""),
    ("keep the records of a walk that was interrupted", "src/storage.rs", "(self.full, self.at, self.is_starved) = (0, 0, false);",
     "self.is_starved = false;",
     "a_signal_that_ends_no_call_costs_a_second_walk_and_no_record", ""),
    ("leave in an entry's record what a connection had", "src/fill.rs", "    record.clear();\n", "    record.forget();\n",
     "records_carry_no_bytes_of_records_that_were_there_before", "is absent and not zero"),
    ("look at what the reader may not see", "src/snapshot.rs", "if pcb.is_visible() {", "if true {",
     "other_users_connections_are_hidden_where_the_system_says_so", "left == right"),
    ("do not ask again who reads all network stacks", "src/device.rs",
     "if self.all_vnets && !kpi::is_host_root() {", "if false {",
     "a_descriptor_that_root_passes_on_gives_nothing_of_other_network_stacks", "EPERM was expected"),
    ("let root of a jail ask for all network stacks", "kpi.c", "!jailed(curthread->td_ucred) &&", "",
     "nobody_else_can_ask_for_all_network_stacks", "EPERM was expected"),
    ("leave the current network stack set", "vnet.c",
     "\t\tvisit(arg);\n\t\tCURVNET_RESTORE();\n\t\treturn;", "\t\tvisit(arg);\n\t\t(void)saved_vnet;\n\t\treturn;",
     "no_connections_are_a_whole_snapshot_too", "a current network stack left"),
    ("take srtt in ticks", "src/kpi/pcb.rs", "raw::TCP_TMR_GRANULARITY_USEC.cast_signed()", "0",
     "times_of_the_base_stack_are_ticks_and_their_fractions", "the record is in microseconds"),
    ("make the device without looking at its name", "siftr_cdev.c", "MAKEDEV_CHECKNAME | MAKEDEV_WAITOK",
     "MAKEDEV_WAITOK", "a_device_of_another_driver_makes_the_load_fail_and_leaves_nothing", "panic: make_dev_sv"),
    ("unload while a descriptor is open", "src/limits.rs", "        self.open == 0\n    }", "        true\n    }",
     "an_open_descriptor_refuses_the_unload_with_or_without_force", "EBUSY was expected"),
    ("begin the interval anew when a descriptor is closed", "src/limits.rs", "            user.open -= 1;",
     "            user.open -= 1;\n            (user.started_ns, user.next_ns) = (None, 0);", "opening_again_does_not_shorten_the_wait", ""),
    ("start a walk after the wait without counting it", "src/device.rs", "Err(wait) => sleepable.pause_ns(wait)?,",
     "Err(wait) => return sleepable.pause_ns(wait),", "a_user_waits_between_two_snapshots", ""),
    ("yield without a reference to the connection", "kpi.c", "\tin_pcbref(inp);\n", "",
     "the_connection_at_which_a_walk_yields_can_be_freed", "page fault"),
    ("continue a walk from a connection that was removed", "kpi.c", "return (inp->inp_socket != NULL);",
     "return (1);", "the_connection_at_which_a_walk_yields_can_be_freed", "that is not in the list"),
    ("visit connections again after a yield", "src/kpi/walk.rs", "if self.is_catching_up && gencnt >= self.last {",
     "if false {", "every_second_connection_can_be_freed_at_each_yield", "once, in order"),
    ("do not drop a reference", "src/kpi/walk.rs", "if let Some(inp) = self.inp {", "if let (Some(inp), true) = (self.inp, false) {",
     "a_walk_yields_if_another_thread_wants_the_cpu", "references to connections are left"),
    ("refuse the unload after sdt(9)", "siftr_cdev.c", "*error = siftr_cdev_entry.prepare_unload();", "(void)0;",
     "probes_still_fire_after_a_refused_unload", "left == right"),
    ("retry a failed allocation", "src/storage.rs", "!self.is_starved && ", "",
     "a_walk_does_not_retry_a_failed_allocation", "one failure"),
    ("reserve no memory for root", "src/limits.rs", "most.total.saturating_sub(most.reserved)", "most.total",
     "an_unprivileged_reader_does_not_make_roots_logger_miss_connections", "left == right"),
    ("do not implement poll", "siftr_cdev.c", "\tsiftr_cdev_cdevsw.d_poll = siftr_cdev_entry.poll;\n", "",
     "a_user_is_woken_when_the_next_snapshot_is_allowed", "left == right"),
    ("interrupt every walk", "src/device.rs", "stops_on_signal: !self.was_interrupted,", "stops_on_signal: true,",
     "a_reader_makes_progress_if_signals_arrive_faster_than_a_walk_takes", "no progress"),
    ("count memory that is missing as written", "src/snapshot.rs", "self.header.missed += 1;",
     "self.header.written += 1;", "what_finds_no_memory_is_counted_and_flagged", ""),
    ("let a snapshot be larger than its limit", "src/storage.rs", "self.blocks.len() >= self.most ||", "",
     "a_limit_made_smaller_holds_for_descriptors_that_are_open", "left == right"),
    ("keep a statistic of the record before", "src/fill.rs",
     "record.set_if(key::age, since(pcb.t_starttime(), phase.started && recent));",
     "if let Some(age) = since(pcb.t_starttime(), phase.started && recent) { record.set(key::age, age) }",
     "records_carry_no_bytes_of_records_that_were_there_before", "age is absent and not zero"),
    ("fill the whole record before the filter is asked", "src/snapshot.rs",
     "        if verdict == Verdict::NoMatch {\n            return probe_skip(source.pcb(), Skip::Filtered);\n        }\n", "",
     "a_filter_on_identity_spares_the_rest_of_the_record", ""),
    ("read behind what an ioctl came with", "src/kpi/entry.rs", "c_ulong::from(raw::IOCPARM_MASK)) as usize;",
     "c_ulong::from(raw::IOCPARM_MASK)) as usize + 16;", "a_filter_is_refused_for_every_byte_that_no_parser_gives", ""),
    ("keep the identifier of the connection before", "src/fill.rs", "if had_log_id || log_id.is_some() {",
     "if log_id.is_some() {", "the_identifier_for_bblog_is_there_where_the_application_set_one",
     "the identifier of another connection"),
    ("take the stack's word for what is new", "src/fill.rs", "let sent = lifted(sequence, estimate);",
     "let (sent, _) = (pcb.t_sndbytes(), lifted(sequence, estimate));", "what_sack_makes_the_base_stack_send_again_is_not_new",
     "sent, acknowledged, again"),
    ("take the stack's word for the round of sequence numbers", "src/fill.rs", "segments.max(pcb.t_snd_rxt_bytes())",
     "pcb.t_snd_rxt_bytes().max(segments & 0)", "bytes_are_counted_past_every_wrap_of_sequence_numbers",
     "sent, acknowledged, again"),
    ("leave the zone in the address", "src/address.rs", "    embedded.fill(0);\n", "",
     "a_zone_is_a_field_of_its_own_and_not_in_the_address", "fe80:1::1"),
    ("give counters of RFC 3168 as those of AccECN", "src/fill.rs", "pcb.t_flags2() & both == both",
     "pcb.t_flags2() & both != 0", "marks_are_counted_with_accecn_only_and_from_five", "AccECN, a handshake"),
    ("show of a listener what a connection has", "src/fill.rs", "state >= State::SYN_SENT.0 ||",
     "state >= State::LISTEN.0 ||", "a_record_has_what_is_known_in_the_connections_state_and_nothing_else", "LISTEN"),
    ("show of an offloaded connection what its tcpcb has", "src/fill.rs", "let started = !is_offloaded &&",
     "let started = (!is_offloaded || true) &&", "a_record_has_what_is_known_in_the_connections_state_and_nothing_else",
     "ESTABLISHED, TOE"),
    ("ask the base stack's scoreboard of BBR", "src/kpi/pcb.rs", "if !has_own && !is_base {", "if false {",
     "what_is_in_the_network_is_the_stacks_own_estimate_or_absent", "BBR has none"),
    ("give ages that have wrapped", "vnet.c", "now < wrap_ns ? 0 : UINT64_MAX", "0",
     "a_connection_that_may_be_older_than_ticks_last_has_no_age", "left == right"),
    ("vouch by a mark that is too old", "vnet.c", "now - stack->marks[i].at_ns < wrap_ns)", "true)",
     "snapshots_that_are_far_between_vouch_for_no_age_that_is_wrong", "left == right"),
    ("tell network stacks apart by their address", "vnet.c",
     "MAX(siftr_cdev_uptime_ns(),\n\t\t    siftr_cdev_last_stack + 1)", "(uintptr_t)curvnet",
     "the_number_of_a_network_stack_that_is_gone_is_never_given_again", "a number that was there before"),
    ("keep a network stack that is gone in the list", "vnet.c", "\t\tLIST_REMOVE(stack, link);", "\t\t(void)0;",
     "a_network_stack_may_go_before_during_and_after_the_module", "page fault"),
    ("do not free what is known of a network stack", "vnet.c", "\tfree(stack, M_SIFTR_CDEV);\n", "",
     "a_network_stack_may_go_before_during_and_after_the_module", "leak: "),
]  # fmt: skip


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace", **more)


def judge(scenario, says, broken, folder, headers, core, gen, tests):
    """What is wrong with the scenario, or nothing where it notices that the module is broken."""
    out = folder / "14-amd64"
    environment = {**os.environ, "GEN": gen, "CORE": core}
    built = run("sh", broken / "src/kmod/cross.sh", "14", "amd64", headers, out, env=environment)
    if built.returncode == 0:
        built = run("sh", ROOT / "tests/kmod/fake/build.sh", out, tests, out / "run")
    if built.returncode != 0:
        return "it does not build:\n" + built.stderr[-2000:]
    result = run(out / "run", scenario, timeout=120)
    if result.returncode != -6:
        return f"{scenario} ends with {result.returncode}"
    if not re.search(says, result.stderr):
        return f"{scenario} says something else:\n{result.stderr[-2000:]}"
    return None


def main(headers, core, gen, tests):
    failures = 0
    for what, path, old, new, scenario, says in MUTANTS:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            broken = folder / "broken"
            for part in ("freebsd", "src/kmod", "src/tcpstats"):
                shutil.copytree(ROOT / part, broken / part)
            shutil.copy(ROOT / "Cargo.toml", broken)
            file = broken / "src/kmod" / path
            text = file.read_text()
            if text.count(old) != 1:
                wrong = f"{path} has {text.count(old)} times what is to be replaced"
            else:
                file.write_text(text.replace(old, new))
                wrong = judge(scenario, says, broken, folder, headers, core, gen, tests)
        failures += wrong is not None
        print(f"{'NOT NOTICED' if wrong else 'noticed'}: {what}", flush=True)
        if wrong:
            print(f"    {wrong}", flush=True)
    print(f"{len(MUTANTS) - failures} of {len(MUTANTS)} are noticed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*(os.path.abspath(path) for path in sys.argv[1:])))
