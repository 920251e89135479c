#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
"""Introduces each of these bugs into the module, and checks that a scenario detects it.

    mutants.py HEADERS CORE GEN TESTS

HEADERS, CORE and GEN are for src/kmod/cross.sh, and TESTS is for build.sh.  Run by `make kmod-mutants`.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]

# The bug; the file, the text to replace and its replacement; the scenario that must fail, and its message; the release,
# if it is not that of HEADERS.
MUTANTS = [
    ("leave a connection locked after a signal", "src/kpi/walk.rs",
     "            locked.unlock();\n        }\n    }\n}", "            _ = locked;\n        }\n    }\n}",
     "a_signal_interrupts_a_walk_at_any_connection", '"tcpinp" held'),
    ("check for signals with a connection locked", "src/kpi/thread.rs",
     "unsafe { raw::siftr_cdev_signal_pending() != 0 }", "unsafe { raw::sig_intr() != 0 }",
     "a_signal_interrupts_a_walk_at_any_connection", r'sig_intr\(\) with "tcpinp" held'),
    ("do not free the data of a descriptor", "src/kpi/memory.rs",
     "            self.0.drop_in_place();\n            raw::siftr_cdev_free(self.0.as_ptr().cast());",
     "            self.0.drop_in_place();", "the_module_loads_and_unloads_many_times", "leak: "),
    ("do not free the memory of a snapshot", "src/storage.rs",
     "        self.reclaim_idle();\n        self.shrink(0);", "",
     "bytes_and_records_are_counted", "left == right"),
    ("do not destroy the lock of a descriptor", "kpi.c", "\tsx_destroy(sx);", "\t(void)sx;",
     "the_module_loads_and_unloads_many_times", "locks are left"),
    ("follow the stack of a dropped connection", "src/kpi/pcb.rs",
     "unsafe { !(*self.tcpcb()).t_cc.is_null() && !(*self.tcpcb()).t_fb.is_null() }", "true",
     "a_dropped_connection_is_reported_without_the_fields_of_its_stack", "page fault"),
    ("lose the bytes that a short read did not copy", "src/device.rs", "cursor.take(taken);",
     "cursor.take(bytes.len());", "a_binary_snapshot_is_the_same_for_reads_of_any_size", ""),
    ("keep the records of an interrupted walk", "src/storage.rs", "(self.full, self.at, self.is_starved) = (0, 0, false);",
     "self.is_starved = false;",
     "a_signal_that_does_not_interrupt_the_call_causes_a_second_walk_and_loses_no_record", ""),
    ("keep the fields of a connection in the record of a SYN cache entry", "src/fill.rs", "    record.clear();\n", "    record.forget();\n",
     "records_contain_no_bytes_of_earlier_records", "is absent but not zero"),
    ("report connections that the reader may not see", "src/snapshot.rs", "if pcb.is_visible() {", "if true {",
     "connections_of_other_users_are_hidden_according_to_the_policy", "left == right"),
    ("do not check who reads all network stacks", "src/device.rs",
     "if self.all_vnets && !kpi::is_host_root() {", "if false {",
     "a_descriptor_passed_on_by_root_returns_nothing_from_other_network_stacks", "expected EPERM"),
    ("let root of a jail request all network stacks", "kpi.c", "!jailed(curthread->td_ucred) &&", "",
     "nobody_else_can_request_all_network_stacks", "expected EPERM"),
    ("leave the current network stack set", "vnet.c",
     "\t\tvisit(arg);\n\t\tCURVNET_RESTORE();\n\t\treturn;", "\t\tvisit(arg);\n\t\t(void)saved_vnet;\n\t\treturn;",
     "a_snapshot_without_connections_is_complete", "a current network stack"),
    ("request srtt in ticks", "src/kpi/pcb.rs", "raw::TCP_TMR_GRANULARITY_USEC.cast_signed()", "0",
     "times_of_the_base_stack_are_converted_from_ticks", "the record is in microseconds"),
    ("create the device without checking its name", "siftr_cdev.c", "MAKEDEV_CHECKNAME | MAKEDEV_WAITOK",
     "MAKEDEV_WAITOK", "loading_fails_and_leaves_nothing_if_another_driver_has_the_device", "panic: make_dev_sv"),
    ("unload while a descriptor is open", "src/limits.rs", "        self.open == 0\n    }", "        true\n    }",
     "an_open_descriptor_prevents_unloading_even_by_force", "expected EBUSY"),
    ("restart the interval when a descriptor is closed", "src/limits.rs", "            user.open -= 1;",
     "            user.open -= 1;\n            (user.started_ns, user.next_ns) = (None, 0);", "reopening_does_not_shorten_the_wait", ""),
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
     "a_reader_makes_progress_if_a_signal_arrives_during_every_walk", "no progress"),
    ("count records without memory as written", "src/snapshot.rs", "self.header.missed += 1;",
     "self.header.written += 1;", "records_without_memory_are_counted_and_flagged", ""),
    ("let a snapshot be larger than its limit", "src/storage.rs", "self.blocks.len() >= self.most ||", "",
     "a_lower_limit_applies_to_open_descriptors", "left == right"),
    ("keep a statistic of the previous record", "src/fill.rs",
     "record.set_if(key::age, since(pcb.t_starttime(), phase.started && recent));",
     "if let Some(age) = since(pcb.t_starttime(), phase.started && recent) { record.set(key::age, age) }",
     "records_contain_no_bytes_of_earlier_records", "age is absent but not zero"),
    ("fill the record before applying the filter", "src/snapshot.rs",
     "        if verdict == Verdict::NoMatch {\n            return probe_skip(source.pcb(), Skip::Filtered);\n        }\n", "",
     "a_filter_by_identity_avoids_filling_the_rest_of_the_record", ""),
    ("read past the argument of an ioctl", "src/kpi/entry.rs", "c_ulong::from(raw::IOCPARM_MASK)) as usize;",
     "c_ulong::from(raw::IOCPARM_MASK)) as usize + 16;", "a_filter_with_a_byte_that_no_parser_produces_is_refused", ""),
    ("keep the identifier of the previous connection", "src/fill.rs", "if had_log_id || log_id.is_some() {",
     "if log_id.is_some() {", "the_identifier_for_bblog_is_present_if_the_application_has_set_it",
     "the identifier of another connection", "14"),
    ("trust the stack's counter of new bytes", "src/fill.rs", "let sent = lifted(sequence, estimate);",
     "let (sent, _) = (pcb.t_sndbytes(), lifted(sequence, estimate));", "retransmissions_by_sack_in_the_base_stack_are_not_new_bytes",
     "sent, acknowledged, retransmitted"),
    ("trust the stack's counter for wraps of sequence numbers", "src/fill.rs", "segments.max(pcb.t_snd_rxt_bytes())",
     "pcb.t_snd_rxt_bytes().max(segments & 0)", "bytes_are_counted_across_wraps_of_sequence_numbers",
     "sent, acknowledged, retransmitted"),
    ("leave the zone in the address", "src/address.rs", "    embedded.fill(0);\n", "",
     "a_zone_is_a_separate_field_and_not_part_of_the_address", "fe80:1::1"),
    ("report counters of RFC 3168 as those of AccECN", "src/fill.rs", "pcb.t_flags2() & both == both",
     "pcb.t_flags2() & both != 0", "ce_marks_are_counted_only_with_accecn_and_starting_from_five", "AccECN, a handshake"),
    ("report the fields of a connection for a listener", "src/fill.rs", "state >= State::SYN_SENT.0 ||",
     "state >= State::LISTEN.0 ||", "a_record_has_exactly_the_fields_that_are_known_in_its_state", "LISTEN"),
    ("report the tcpcb of an offloaded connection", "src/fill.rs", "let started = !is_offloaded &&",
     "let started = (!is_offloaded || true) &&", "a_record_has_exactly_the_fields_that_are_known_in_its_state",
     "ESTABLISHED, TOE"),
    ("use the base stack's scoreboard for BBR", "src/kpi/pcb.rs", "if !has_own && !is_base {", "if false {",
     "bytes_in_the_network_are_the_estimate_of_the_stack_or_absent", "BBR has none"),
    ("report ages that have wrapped", "vnet.c", "now < wrap_ns ? 0 : UINT64_MAX", "0",
     "a_connection_that_may_be_older_than_a_wrap_of_ticks_has_no_age", "left == right"),
    ("use a mark that is too old", "vnet.c", "now - stack->marks[i].at_ns < wrap_ns)", "true)",
     "infrequent_snapshots_cause_no_wrong_age", "left == right"),
    ("use addresses as numbers of network stacks", "vnet.c",
     "MAX(siftr_cdev_uptime_ns(),\n\t\t    siftr_cdev_last_stack + 1)", "(uintptr_t)curvnet",
     "the_number_of_a_removed_network_stack_is_never_reused", "a number is reused"),
    ("keep a removed network stack in the list", "vnet.c", "\t\tLIST_REMOVE(stack, link);", "\t\t(void)0;",
     "a_network_stack_can_be_removed_before_during_and_after_the_module_is_loaded", "page fault"),
    ("do not free the data of a network stack", "vnet.c", "\tfree(stack, M_SIFTR_CDEV);\n", "",
     "a_network_stack_can_be_removed_before_during_and_after_the_module_is_loaded", "leak: "),
    ("do not restore the functions of a TCP stack", "stacks.c",
     "\t\tSTORE(stack->block->tfb_tcp_timer_stop_all,\n\t\t    siftr_cdev_or_nothing((uintptr_t)stack->stop_all));\n", "",
     "the_functions_of_all_stacks_are_replaced_while_a_reader_exists", "left == right"),
    ("do not wait for threads that are about to report an end", "src/kpi/endings.rs",
     "vnet.each_connection(Selected::ALL, sleepable, &mut Tireless(&mut *visitor));",
     "_ = (vnet, sleepable, Selected::ALL, Tireless(&mut *visitor));",
     "turning_the_ledger_off_waits_for_threads_that_are_about_to_end_a_connection", "can still call the module"),
    ("do not drop the references to TCP stacks", "stacks.c",
     "\t\trefcount_release(&siftr_cdev_tcp_stacks[i].block->tfb_refcnt);", "\t\tcontinue;",
     "the_functions_of_all_stacks_are_replaced_while_a_reader_exists", "left == right"),
    ("do not call the stack's own function", "stacks.c", "\t\tstack->fini(tp, is_gone);", "\t\t(void)is_gone;",
     "a_stacks_own_functions_are_called_as_before", "left == right"),
    ("ignore stacks that are loaded later", "siftr_cdev.c", "\tsiftr_cdev_find_new_stacks();", "\t(void)0;",
     "a_stack_that_is_loaded_later_is_covered", "left == right"),
    ("ignore stacks that have not been reported as loaded", "stacks.c",
     "\t\t/* The other stack may have been registered just now. */\n\t\tsiftr_cdev_find_new_stacks();\n", "",
     "a_stack_that_is_loaded_later_is_covered", "left == right"),
    ("keep what was replaced if there are too many stacks", "src/kpi/endings.rs",
     ".inspect_err(|_| self.stop(visitor, sleepable))", ".inspect_err(|_| _ = (visitor, sleepable))",
     "too_many_stacks_are_refused_and_nothing_is_replaced", "left == right"),
    ("report a change of the stack as an end", "src/ledger.rs", "                entry.readers = 0;\n", "",
     "a_change_of_the_stack_is_not_an_end_and_a_later_end_is", "left == right"),
    ("report ends after the start of the walk", "src/snapshot.rs", "ledger.next(self.ended_until, record)",
     "ledger.next(u64::MAX.max(self.ended_until), record)",
     "a_connection_that_ends_during_a_walk_is_in_the_next_snapshot", ""),
    ("report connections that were not established", "src/ledger.rs", "pcb.t_starttime() != 0 &&", "true &&",
     "connections_that_were_not_established_and_listeners_have_none", "left == right"),
    ("report connections that have ended before", "src/ledger.rs", "!pcb.is_dropped() &&", "",
     "a_connection_that_ended_before_the_ledger_was_on_has_none", "left == right"),
    ("show final records to everybody", "src/ledger.rs", "&& pcb.is_visible_to(&self.credential)", "",
     "final_records_are_visible_to_those_who_could_see_the_connection", "left == right"),
    ("show final records of other network stacks", "src/ledger.rs", "(self.vnet.is_none() || self.vnet == vnet)", "(true || self.vnet == vnet)",
     "final_records_are_visible_to_those_who_could_see_the_connection", "left == right"),
    ("keep records that were judged for another credential", "src/ledger.rs",
     "if is_same { Ok(()) } else {", "if is_same || !self.is_new { Ok(()) } else {",
     "records_that_were_judged_for_another_credential_are_lost", "left == right"),
    ("do not count records that were judged for another credential", "src/ledger.rs", "if !is_new {", "if is_new {",
     "records_that_were_judged_for_another_credential_are_lost", "left == right"),
    ("do not count overwritten records", "src/seats.rs", "                seat.lost += 1;\n", "",
     "records_that_are_overwritten_are_counted_for_each_reader", "left == right"),
    ("count overwritten records that were read", "src/seats.rs", "&& seat.position <= overwritten_number", "&& overwritten_number < u64::MAX",
     "records_that_are_overwritten_are_counted_for_each_reader", "left == right"),
    ("do not count records that were not read", "src/device.rs", "            ledger.abandon(header.ended, header.ended_lost);\n",
     "            ledger.abandon(0 * header.ended, header.ended_lost);\n",
     "final_records_of_a_snapshot_that_is_not_read_are_counted_as_lost", "left == right"),
    ("do not drop a reference to a credential", "src/kpi/thread.rs",
     "unsafe { raw::siftr_cdev_cred_free(self.0.as_ptr()) }", "unsafe { _ = raw::siftr_cdev_cred_is_own(self.0.as_ptr()) }",
     "a_connection_that_ends_has_one_final_record", "references to credentials"),
    ("do not refund the memory of the ledger", "src/ledger.rs", "    refund_shared(len as u64);\n", "    _ = len;\n",
     "the_functions_of_all_stacks_are_replaced_while_a_reader_exists", "left == right"),
    ("let a user take all places in the ledger", "src/seats.rs", "if count(&|other| other == who) >= READERS_OF_A_USER {", "if false {",
     "a_user_cannot_take_all_places_and_root_always_finds_one", "EMFILE"),
    ("leave the ledger on when a descriptor is closed", "src/device.rs",
     "            ledger.stop(sleepable);\n        }\n    }\n", "            _ = (ledger, sleepable);\n        }\n    }\n",
     "the_functions_of_all_stacks_are_replaced_while_a_reader_exists", "left == right"),
    ("lock a connection whose timer could be lost", "kpi.c", "if (__predict_false(must_wait(inp))) {", "if (false && must_wait(inp)) {",
     "a_timer_that_is_about_to_fire_finds_its_connection_unlocked", "left == right"),
    ("do not wait until timers have fired", "src/kpi/walk.rs", "while *pauses < MAX_PAUSES &&", "while *pauses > MAX_PAUSES &&",
     "a_timer_that_is_about_to_fire_finds_its_connection_unlocked", "in the same tick"),
    ("wait for each connection", "src/kpi/walk.rs", "        let mut pauses = 0;\n        while let Some(inp) = self.take() {\n",
     "        while let Some(inp) = self.take() {\n            let mut pauses = 0;\n",
     "a_timer_that_does_not_fire_delays_a_walk_for_a_few_ticks_only", "for all connections together"),
    ("wait for timers that have stopped", "kpi.c", "\t    !callout_pending(timer))", "\t    timer->c_time == 0)",
     "a_timer_that_is_about_to_fire_finds_its_connection_unlocked", "in the same tick"),
    ("wait for timers that are not lost", "kpi.c", "timer->c_precision < SBT_MAX / 2", "timer->c_precision < 0",
     "timers_that_are_not_lost_do_not_delay_a_walk", "left == right"),
    ("visit a connection again at the end", "kpi.c", "if (selection->deferred_count != 0 &&\n\t    inp->inp_gencnt >= selection->deferred_gencnt) {", "if (false) {",
     "connections_are_reported_once_if_the_walk_goes_back", "left == right"),
    ("visit a connection that was freed", "src/kpi/walk.rs", "let step = if is_in_list {", "let step = if is_in_list || pauses > 0 {",
     "a_connection_that_its_timer_ends_is_not_visited", ""),
    ("do not drop the references of a walk that ends early", "src/kpi/walk.rs",
     "            unsafe { raw::siftr_cdev_pcb_release(inp.as_ptr()) };\n        }\n    }\n}\n\n/// Waits", "            _ = inp;\n        }\n    }\n}\n\n/// Waits",
     "a_walk_that_ends_early_drops_its_references", "references to connections are left"),
    ("start a walk only once", "src/kpi/walk.rs", "&& tries < MAX_STARTS {", "&& tries < 1 {",
     "the_first_connection_is_reported_if_one_before_it_ends_while_the_walk_waits_for_it", "left == right", "14"),
    ("make no room for final records", "src/snapshot.rs", "make_room(likely + ended, expected + ended,", "make_room(likely + ended, expected,",
     "final_records_of_many_connections_are_in_one_snapshot", "left == right"),
    ("leave out a connection that the stack has locked", "kpi.c",
     "TF_TOE)) != 0 ||\n\t    RW_READ_VALUE(&inp->inp_lock) != RW_UNLOCKED)", "TF_TOE)) != 0)",
     "a_connection_that_is_locked_is_visited", "left == right"),
    ("leave out what changed in the tick of the last snapshot", "src/changes.rs", "started.wrapping_sub(1)", "started.wrapping_add(1)",
     "every_way_of_changing_is_seen", "in the tick of the last snapshot"),
    ("forget restless connections", "src/snapshot.rs", "            restless.insert(pcb);\n", "            restless.clear();\n",
     "a_connection_with_data_in_a_buffer_is_visited_until_the_buffer_is_empty", "left == right"),
    ("leave out connections that close(2) can change", "src/changes.rs", "pcb.t_flags() & tcp::TF_CLOSED == 0;", "pcb.t_flags() & tcp::TF_CLOSED > u32::MAX;",
     "a_half_closed_connection_is_visited_until_the_application_closes_it", "left == right"),
    ("do not end an SMR section", "kpi.c", "#define\tSMR_SECTION\t64", "#define\tSMR_SECTION\t64000",
     "long_runs_of_quiet_connections_are_interrupted", "are locked"),
    ("report quiet connections that end an SMR section", "src/kpi/walk.rs", "if is_new && !self.selection.is_rest() {", "if is_new {",
     "long_runs_of_quiet_connections_are_interrupted", "left == right"),
    ("leave out connections after a truncated snapshot", "src/snapshot.rs", "Some(changes) if is_complete => changes.forget(),", "Some(changes) if is_complete => changes.complete(self.started_ticks),",
     "a_truncated_snapshot_is_followed_by_a_complete_one", "left == right"),
    ("leave out connections that another user has seen", "src/changes.rs", "if !self.credential.as_ref().is_some_and(Credential::is_of_thread) {", "if self.credential.is_none() {",
     "other_settings_and_other_users_start_with_all_connections", "assertion failed"),
    ("leave out connections that no longer match", "src/snapshot.rs", "Some(filter) if is_of_changes && ", "Some(filter) if false && ",
     "a_connection_that_no_longer_matches_is_reported_unless_constants_exclude_it", "left == right"),
    ("do not refund the memory for changes", "src/changes.rs", "        refund(self.owner, MEMORY);\n    }\n}", "    }\n}",
     "memory_for_changes_is_charged_and_limited", "left == right"),
    ("lock connections that the filter excludes", "kpi.c", "if (selection->excludes != NULL)", "if (false)",
     "excluded_connections_are_neither_locked_nor_counted", "left == right"),
    ("exclude a connection that is locked", "kpi.c", "\tif (RW_READ_VALUE(&inp->inp_lock) != RW_UNLOCKED)\n\t\treturn (false);\n", "",
     "a_connection_that_is_locked_is_judged_when_it_is_unlocked", "left == right"),
    ("exclude a connection that has changed meanwhile", "kpi.c", "memcmp(&inc, &inp->inp_inc, sizeof(inc)) != 0 ||", "false ||",
     "a_connection_is_not_excluded_by_values_that_it_never_had_together", "after .* walks"),
    ("do not end an SMR section of excluded connections", "kpi.c", "if (is_rest && !ends_section(selection))", "if (is_rest)",
     "long_runs_of_excluded_connections_are_interrupted", "left == right"),
    ("count many connections that are left out as one", "src/snapshot.rs", "const SKIPPED: u64 = 4;", "const SKIPPED: u64 = 1;",
     "long_runs_of_excluded_connections_are_interrupted", "yields: the clock is read"),
    ("let the state exclude from changes", "src/prefilter.rs", "(field.is_constant() || !is_of_changes)", "(true || !is_of_changes)",
     "only_fields_that_never_change_exclude_from_changes", "left == right"),
    ("exclude connections that other fields can select", "src/prefilter.rs", "== Verdict::NoMatch", "!= Verdict::Match",
     "a_connection_that_other_fields_can_select_is_locked", "left == right"),
    ("exclude by addresses that were not read", "src/prefilter.rs", "if self.compares_addresses {", "if self.compares_addresses && false {",
     "excluded_connections_are_neither_locked_nor_counted", "left == right"),
    ("report a connection that has changed before it was locked", "src/snapshot.rs", "Some(filter) => filter.verdict_by_identity(record),", "Some(_) => Verdict::Match,",
     "a_connection_that_changes_before_it_is_locked_is_judged_again", "left == right"),
]  # fmt: skip


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace", **more)


def judge(scenario, message, broken, folder, headers, core, gen, tests):
    """Returns what is wrong with the scenario, or `None` if it detects the bug."""
    release = pathlib.Path(headers).name
    out = folder / f"{release}-amd64"
    environment = {**os.environ, "GEN": gen, "CORE": core}
    built = run("sh", broken / "src/kmod/cross.sh", release, "amd64", headers, out, env=environment)
    if built.returncode == 0:
        built = run("sh", ROOT / "tests/kmod/fake/build.sh", out, tests, out / "run")
    if built.returncode != 0:
        return "build failed:\n" + built.stderr[-2000:]
    result = run(out / "run", scenario, timeout=120)
    if result.returncode != -6:
        return f"{scenario} exited with {result.returncode}"
    if not re.search(message, result.stderr):
        return f"{scenario} failed with another message:\n{result.stderr[-2000:]}"
    return None


def main(headers, core, gen, tests):
    failures = 0
    for what, path, old, new, scenario, message, *release in MUTANTS:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            broken = folder / "broken"
            for part in ("freebsd", "src/kmod", "src/tcpstats"):
                shutil.copytree(ROOT / part, broken / part)
            shutil.copy(ROOT / "Cargo.toml", broken)
            file = broken / "src/kmod" / path
            text = file.read_text()
            if text.count(old) != 1:
                wrong = f"{path} contains the text to replace {text.count(old)} times"
            else:
                file.write_text(text.replace(old, new))
                own_headers = pathlib.Path(headers).with_name(*release) if release else headers
                wrong = judge(scenario, message, broken, folder, own_headers, core, gen, tests)
        failures += wrong is not None
        print(f"{'NOT DETECTED' if wrong else 'detected'}: {what}", flush=True)
        if wrong:
            print(f"    {wrong}", flush=True)
    print(f"{len(MUTANTS) - failures} of {len(MUTANTS)} detected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*(os.path.abspath(path) for path in sys.argv[1:])))
