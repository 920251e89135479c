// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The byte counters are those of the application, whatever the counters of the
//! stack.

use tcpstats::{Record, key};

use crate::help::{connection, loaded, records};
use crate::kernel::{self, Pcb};

const MSS: u64 = 1448;

/// A sender with the counters of the base stack, and the correct counters.
struct Sender {
    pcb: Pcb,
    iss: u64,
    syn_acked: bool,
    fin: bool,
    /// Counters of the stack: `t_sndbytes`, `t_snd_rxt_bytes`, `t_sndrexmitpack`.
    counted_as_new: u64,
    counted_as_rexmit: u64,
    rexmit_segments: u64,
    /// Correct counters.
    sent: u64,
    acked: u64,
    rexmit: u64,
}

impl Sender {
    fn new(iss: u32) -> Self {
        let pcb = connection(80).set("t_maxseg", MSS).set("irs", 7).set("rcv_nxt", 8);
        Self {
            pcb,
            iss: iss.into(),
            syn_acked: true,
            fin: false,
            counted_as_new: 0,
            counted_as_rexmit: 0,
            rexmit_segments: 0,
            sent: 0,
            acked: 0,
            rexmit: 0,
        }
    }

    fn send(&mut self, bytes: u64) {
        self.counted_as_new += bytes;
        self.sent += bytes;
    }

    fn ack_all(&mut self) {
        self.acked = self.sent;
    }

    /// Retransmits after a timeout: `snd_nxt` goes back, and the stack counts the
    /// bytes as retransmitted.  Segments may be long.
    fn rexmit_after_timeout(&mut self, bytes: u64, segment: u64) {
        self.counted_as_rexmit += bytes;
        self.rexmit_segments += bytes.div_ceil(segment);
        self.rexmit += bytes;
    }

    /// Retransmits data that SACK reports missing: `snd_nxt` does not change, and
    /// the stack counts the bytes as new.
    fn rexmit_by_sack(&mut self, bytes: u64, segment: u64) {
        self.counted_as_new += bytes;
        self.rexmit_segments += bytes.div_ceil(segment);
        self.rexmit += bytes;
    }

    fn record(&self) -> Record {
        let wrapped = |number: u64| number & 0xffff_ffff;
        let max = self.iss + 1 + self.sent + u64::from(self.fin);
        let una = if self.syn_acked { self.iss + 1 + self.acked } else { self.iss };
        self.pcb
            .set("iss", self.iss)
            .set("snd_una", wrapped(una))
            .set("snd_nxt", wrapped(max))
            .set("snd_max", wrapped(max))
            .set("t_flags", if self.fin { kernel::constant("TF_SENTFIN") } else { 0 })
            .set("t_sndbytes", self.counted_as_new)
            .set("t_snd_rxt_bytes", self.counted_as_rexmit)
            .set("t_sndrexmitpack", wrapped(self.rexmit_segments));
        records().remove(0)
    }

    #[track_caller]
    fn check(&self) {
        let record = self.record();
        let counters = [key::sent_bytes, key::acked_bytes, key::rexmit_bytes].map(|key| record.get(key));
        assert_eq!(
            counters,
            [Some(self.sent), Some(self.acked), Some(self.rexmit)],
            "sent, acknowledged, retransmitted"
        );
        let outstanding = u32::try_from(self.sent - self.acked).expect("less than a window");
        assert_eq!(record.get(key::inflight), Some(outstanding));
    }
}

scenarios! {
    fn retransmissions_by_sack_in_the_base_stack_are_not_new_bytes() {
        let mut sender = Sender::new(1000);
        loaded(|| {
            sender.check();
            sender.send(100 * MSS);
            sender.check();
            sender.rexmit_by_sack(10 * MSS, MSS);
            sender.check();
            sender.rexmit_by_sack(17, MSS);
            sender.ack_all();
            sender.check();
        });
    }

    fn retransmissions_after_a_timeout_are_counted_once() {
        let mut sender = Sender::new(0xffff_fff0);
        loaded(|| {
            sender.send(100 * MSS);
            sender.rexmit_after_timeout(40 * MSS, MSS);
            sender.check();
            sender.rexmit_by_sack(3 * MSS, MSS);
            sender.rexmit_after_timeout(10 * MSS, 65_160);
            sender.check();
        });
    }

    fn bytes_are_counted_across_wraps_of_sequence_numbers() {
        for iss in [0, 1, 0x7fff_ffff, u32::MAX] {
            let mut sender = Sender::new(iss);
            loaded(|| {
                // 1.5 GB each: nine wraps, and more than 2 GB by SACK alone.
                for _ in 0..26 {
                    sender.send(1_500_000_000);
                    sender.check();
                    sender.rexmit_by_sack(120_000_000, MSS);
                    sender.rexmit_after_timeout(20_000_000, MSS);
                    sender.check();
                    sender.ack_all();
                    sender.check();
                }
                assert!(sender.sent > 9 << 32 && sender.rexmit > 1 << 31);
            });
            assert!(sender.pcb.free());
        }
    }

    fn retransmissions_of_short_and_long_segments_are_counted_correctly() {
        let mut sender = Sender::new(5);
        loaded(|| {
            sender.send(5_000_000_000);
            sender.ack_all();
            // The module assumes full segments.
            sender.rexmit_by_sack(10_000_000, 10);
            sender.check();
            // Segments of 64 KB.
            sender.rexmit_after_timeout(1_800_000_000, 65_160);
            sender.check();
            sender.rexmit_by_sack(1_500_000_000, MSS);
            sender.check();
        });
    }

    fn neither_a_syn_nor_a_fin_counts_as_a_byte() {
        let mut sender = Sender::new(u32::MAX);
        loaded(|| {
            sender.syn_acked = false;
            sender.pcb.set("t_state", 2);
            sender.check();
            sender.pcb.set("t_state", 3);
            sender.check();
            sender.syn_acked = true;
            sender.pcb.set("t_state", 4);
            sender.check();
            sender.send(900);
            sender.check();
            sender.fin = true;
            sender.pcb.set("t_state", 6);
            sender.check();
            sender.acked = 500;
            sender.check();
            sender.rexmit_after_timeout(400, MSS);
            sender.check();
            // The FIN is acknowledged too.
            sender.ack_all();
            sender.check();
            sender.record();
            sender.pcb.set("snd_una", 901).set("snd_max", 901).set("snd_nxt", 901).set("t_state", 9);
            let record = records().remove(0);
            assert_eq!((record.get(key::acked_bytes), record.get(key::inflight)), (Some(900), Some(0)));
        });
    }

    fn an_unsent_syn_does_not_count_as_a_byte() {
        let pcb = connection(80).set("t_state", 2).set("iss", 77).set("snd_una", 77).set("snd_max", 77).set("snd_nxt", 77);
        loaded(|| {
            let record = records().remove(0);
            let counters = [key::sent_bytes, key::acked_bytes, key::rexmit_bytes].map(|key| record.get(key));
            assert_eq!(counters, [Some(0); 3]);
            assert_eq!(record.get(key::inflight), Some(0));
            pcb.set("t_state", 0);
            assert_eq!(records()[0].get(key::sent_bytes), None, "a socket that never connected has sent nothing");
        });
    }

    fn data_on_a_syn_counts_as_sent_before_the_syn_is_acknowledged() {
        let mut sender = Sender::new(3);
        loaded(|| {
            for state in [2, 3] {
                sender.pcb.set("t_state", state);
                sender.syn_acked = false;
                sender.send(512);
                sender.check();
            }
            sender.syn_acked = true;
            sender.pcb.set("t_state", 4);
            sender.check();
            // The peer accepts only the SYN.
            sender.rexmit_after_timeout(1024, MSS);
            sender.check();
        });
    }

    fn exact_counters_of_a_stack_are_reported_unchanged() {
        for stack in ["rack", "bbr"] {
            let mut sender = Sender::new(0x8000_0000);
            sender.pcb.stack(stack, "cubic");
            loaded(|| {
                for _ in 0..10 {
                    sender.send(2_000_000_000);
                    // Also after SACK, and in segments of any length.
                    sender.rexmit_after_timeout(50_000_000, 1000);
                    sender.check();
                    sender.ack_all();
                }
            });
            assert!(sender.pcb.free());
        }
    }

    fn a_dropped_connection_keeps_its_byte_counters() {
        let mut sender = Sender::new(42);
        sender.send(3_000_000_000);
        sender.ack_all();
        sender.send(5000);
        sender.rexmit_by_sack(2896, MSS);
        loaded(|| {
            sender.check();
            sender.pcb.dropped();
            sender.check();
        });
    }
}
