// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The one table of fields.
//!
//! A row defines everything about a statistic: the layout of the record, the CSV
//! header, the JSON keys, the names in filters and the field list of the manual
//! page are derived from it.
//!
//! The table has two parts.  The module's part contains the statistics that the
//! kernel module can send; the other part contains those that it does not send,
//! because only Linux has them or because the programs find them elsewhere.  Each part of a record has its own bytes and presence bits (see
//! [`crate::frame`]), so a new row is appended to its part and no existing field
//! moves.

use crate::field::{Field, Group, Key, Kind, Part, Unit, layout};
use crate::mask::PREAMBLE_LEN;
use crate::state::State;

/// The Rust type of the value of a kind.
macro_rules! value_type {
    (U8) => {
        u8
    };
    (U16) => {
        u16
    };
    (U32) => {
        u32
    };
    (U64) => {
        u64
    };
    (Hex32) => {
        u32
    };
    (Address) => {
        [u8; 16]
    };
    (State) => {
        State
    };
    (Options) => {
        u16
    };
    (Name16) => {
        [u8; 16]
    };
    (Name32) => {
        [u8; 32]
    };
    (Name64) => {
        [u8; 64]
    };
}

macro_rules! table {
    ($($part:ident {$($name:ident $kind:ident $unit:ident $group:ident $shown:ident
        $meaning:literal $freebsd:literal $linux:literal;)*})*) => {
        #[allow(non_camel_case_types)]
        enum Row { $($($name,)*)* Count }

        const ROWS: [Field; Row::Count as usize] = layout([$($(Field {
            name: stringify!($name),
            kind: Kind::$kind,
            unit: Unit::$unit,
            group: Group::$group,
            part: Part::$part,
            basic: table!(@ $shown),
            meaning: $meaning,
            freebsd: $freebsd,
            linux: $linux,
            index: Row::$name as usize,
            bit: 0,
            offset: 0,
        },)*)*]);

        /// A typed key for every field, with the name of the field.
        pub mod key {
            #![allow(non_upper_case_globals, reason = "a key has the name of its field")]
            #![allow(clippy::doc_markdown, reason = "the meanings are prose")]
            use super::{Key, ROWS, Row, State};
            $($(
                #[doc = $meaning]
                pub const $name: Key<value_type!($kind)> = Key::new(&ROWS[Row::$name as usize]);
            )*)*
        }
    };
    (@ basic) => { true };
    (@ more) => { false };
}

// name         kind    unit         group     shown  meaning / FreeBSD / Linux
table! {
Module {
    gencnt       U64     None         Identity  basic
        "Number of the connection, unique in its network stack until the host reboots"
        "inp_gencnt" "idiag_cookie";
    laddr        Address None         Identity  basic
        "Local address"
        "inp_laddr, in6p_laddr" "idiag_src";
    lport        U16     None         Identity  basic
        "Local port"
        "inp_lport" "idiag_sport";
    faddr        Address None         Identity  basic
        "Foreign address"
        "inp_faddr, in6p_faddr" "idiag_dst";
    fport        U16     None         Identity  basic
        "Foreign port"
        "inp_fport" "idiag_dport";
    ipver        U8      None         Identity  more
        "IP version of the connection's packets, 4 or 6"
        "inp_vflag" "idiag_family; 4 for an IPv4-mapped address";
    state        State   None         Identity  basic
        "State of the TCP state machine"
        "t_state" "idiag_state";
    fib          U16     None         Identity  more
        "Routing table (FIB) of the connection"
        "inp_inc.inc_fibnum" "";
    uid          U32     None         Identity  basic
        "User ID of the socket's creator"
        "inp_cred->cr_uid" "idiag_uid; see CAVEATS";
    jid          U32     None         Identity  more
        "Jail ID of the socket's creator; 0 for the host"
        "inp_cred->cr_prison->pr_id" "";
    flowid       U32     None         Identity  basic
        "Flow ID assigned by the network interface or the stack"
        "inp_flowid" "";
    flowtype     U32     None         Identity  basic
        "Hash type of the flow ID, M_HASHTYPE_* in sys/mbuf.h"
        "inp_flowtype" "";
    cc           Name16  None         Identity  basic
        "Congestion control algorithm"
        "t_cc->name" "INET_DIAG_CONG";
    stack        Name32  None         Identity  basic
        "TCP stack (function block)"
        "t_fb->tfb_tcp_block_name" "";

    t_flags      Hex32   None         Flags     basic
        "Flags of the connection, TF_* in netinet/tcp_var.h"
        "t_flags" "";
    t_flags2     Hex32   None         Flags     basic
        "More flags of the connection, TF2_* in netinet/tcp_var.h"
        "t_flags2" "";
    options      Options None         Flags     basic
        "TCP options in use: ts, sack, wscale, ecn, accecn, tfo, toe"
        "t_flags, t_flags2" "tcpi_options";
    snd_scale    U8      None         Window    basic
        "Window scale of the send window, as a shift"
        "snd_scale" "tcpi_snd_wscale";
    rcv_scale    U8      None         Window    basic
        "Window scale of the receive window, as a shift"
        "rcv_scale" "tcpi_rcv_wscale";
    snd_cwnd     U32     Bytes        Window    basic
        "Congestion window"
        "snd_cwnd" "tcpi_snd_cwnd * tcpi_snd_mss";
    snd_ssthresh U32     Bytes        Window    basic
        "Slow start threshold; 1073725440 until a loss sets it"
        "snd_ssthresh" "tcpi_snd_ssthresh * tcpi_snd_mss";
    snd_wnd      U32     Bytes        Window    basic
        "Send window offered by the peer"
        "snd_wnd" "tcpi_snd_wnd";
    rcv_wnd      U32     Bytes        Window    basic
        "Receive window offered to the peer"
        "rcv_wnd" "tcpi_rcv_wnd";
    maxseg       U32     Bytes        Window    basic
        "Maximum segment size for sending"
        "t_maxseg" "tcpi_snd_mss";

    srtt         U32     Microseconds Time      basic
        "Smoothed round-trip time"
        "tcp_get_srtt()" "tcpi_rtt";
    rttvar       U32     Microseconds Time      basic
        "Variation of the round-trip time"
        "t_rttvar" "tcpi_rttvar";
    rttmin       U32     Microseconds Time      basic
        "Minimum round-trip time"
        "t_rttlow" "tcpi_min_rtt";
    rto          U32     Microseconds Time      basic
        "Retransmission timeout"
        "t_rxtcur" "tcpi_rto";
    age          U64     Microseconds Time      more
        "Time since the connection was established"
        "t_starttime" "";
    idle_snd     U64     Microseconds Time      more
        "Time since data was last sent"
        "t_sndtime" "tcpi_last_data_sent";
    idle_rcv     U64     Microseconds Time      more
        "Time since a segment was last received (Linux: data)"
        "t_rcvtime" "tcpi_last_data_recv";

    snd_una      U32     None         Sequence  more
        "Oldest sequence number sent but not acknowledged"
        "snd_una" "";
    snd_nxt      U32     None         Sequence  more
        "Next sequence number to send"
        "snd_nxt" "";
    snd_max      U32     None         Sequence  more
        "Highest sequence number sent"
        "snd_max" "";
    rcv_nxt      U32     None         Sequence  basic
        "Next sequence number expected"
        "rcv_nxt" "";
    rcv_adv      U32     None         Sequence  more
        "Highest sequence number that the peer is allowed to send"
        "rcv_adv" "";
    inflight     U32     Bytes        Sequence  basic
        "Payload sent but not acknowledged"
        "snd_max - snd_una, without SYN and FIN" "idiag_wqueue - tcpi_notsent_bytes";
    pipe         U32     Bytes        Sequence  basic
        "Estimate of the data in the network (RFC 6675 pipe)"
        "tcp_compute_pipe()"
        "(tcpi_unacked - tcpi_sacked - tcpi_lost + tcpi_retrans) * tcpi_snd_mss";
    segq_len     U32     Count        Sequence  basic
        "Segments in the reassembly queue"
        "t_segqlen" "";

    sent_bytes   U64     Bytes        Totals    basic
        "Payload sent, without retransmissions"
        "t_sndbytes, corrected with snd_max - iss" "tcpi_bytes_sent - tcpi_bytes_retrans";
    acked_bytes  U64     Bytes        Totals    basic
        "Payload sent and acknowledged (RFC 4898 ThruOctetsAcked)"
        "sent_bytes - inflight" "tcpi_bytes_acked";
    rexmit_bytes U64     Bytes        Totals    basic
        "Payload retransmitted"
        "t_sndbytes + t_snd_rxt_bytes - sent_bytes" "tcpi_bytes_retrans";
    dsack_bytes  U64     Bytes        Totals    more
        "Payload that the peer reported as received twice (D-SACK)"
        "t_dsack_bytes" "";
    tlp_bytes    U64     Bytes        Totals    more
        "Payload sent in tail loss probes"
        "t_sndtlpbyte" "";
    rexmit_packs U32     Count        Totals    basic
        "Segments retransmitted"
        "t_sndrexmitpack" "tcpi_total_retrans";
    ooo_packs    U32     Count        Totals    more
        "Segments received out of order"
        "t_rcvoopack" "tcpi_rcv_ooopack";
    zerowin      U32     Count        Totals    more
        "Zero windows sent to the peer"
        "t_sndzerowin" "";
    dupacks      U32     Count        Totals    more
        "Consecutive duplicate acknowledgements received"
        "t_dupacks" "";
    sack_blocks  U32     Count        Totals    more
        "SACK blocks currently reported to the peer"
        "rcv_numsacks" "";
    dsack_packs  U32     Count        Totals    more
        "D-SACKs received"
        "t_dsack_pack" "tcpi_dsack_dups";
    tlp_packs    U32     Count        Totals    more
        "Tail loss probes sent"
        "t_sndtlppack" "";
    delivered_ce U32     Count        Totals    more
        "Segments delivered with a CE mark, as the peer reports"
        "t_scep - 5" "tcpi_delivered_ce";
    received_ce  U32     Count        Totals    more
        "Segments received with a CE mark"
        "t_rcep - 5" "tcpi_received_ce";

    snd_cc       U32     Bytes        Buffers   basic
        "Data in the send buffer"
        "sbused(so_snd)" "idiag_wqueue";
    snd_hiwat    U32     Bytes        Buffers   basic
        "Size of the send buffer"
        "so_snd.sb_hiwat" "SK_MEMINFO_SNDBUF";
    rcv_cc       U32     Bytes        Buffers   basic
        "Data in the receive buffer"
        "sbused(so_rcv)" "idiag_rqueue";
    rcv_hiwat    U32     Bytes        Buffers   basic
        "Size of the receive buffer"
        "so_rcv.sb_hiwat" "SK_MEMINFO_RCVBUF";
    qlen         U32     Count        Buffers   more
        "Listener: connections waiting for accept(2)"
        "sol_qlen" "idiag_rqueue";
    qlimit       U32     Count        Buffers   more
        "Listener: maximum of qlen"
        "sol_qlimit" "idiag_wqueue";

    rxtshift     U32     Count        Timers    more
        "Exponential backoff of the retransmission timer, as a shift"
        "t_rxtshift" "tcpi_backoff";
    tt_rexmt     U64     Microseconds Timers    more
        "Time left on the retransmission timer"
        "t_timers[TT_REXMT]" "idiag_expires, idiag_timer 1";
    tt_persist   U64     Microseconds Timers    more
        "Time left on the persist timer"
        "t_timers[TT_PERSIST]" "idiag_expires, idiag_timer 4";
    tt_keep      U64     Microseconds Timers    more
        "Time left on the keepalive timer"
        "t_timers[TT_KEEP]" "idiag_expires, idiag_timer 2";
    tt_2msl      U64     Microseconds Timers    more
        "Time left on the 2MSL timer"
        "t_timers[TT_2MSL]" "idiag_expires, idiag_timer 3";
    tt_delack    U64     Microseconds Timers    more
        "Time left on the delayed acknowledgement timer"
        "t_timers[TT_DELACK]" "";

    vnet         U64     None         Identity  basic
        "Network stack (VNET): 0 for the host's, otherwise unique until the host reboots"
        "curvnet" "";
    pacing_rate  U64     BytesPerSecond Window  more
        "Rate at which sending is paced; absent if it is not limited"
        "t_pacing_rate" "tcpi_pacing_rate";
    zone         U32     None         Identity  basic
        "Zone of a link-local or interface-local IPv6 address, an interface index"
        "bytes 2 and 3 of in6p_laddr or in6p_faddr" "idiag_if";
    iss          U32     None         Sequence  more
        "Initial sequence number for sending"
        "iss" "";
    irs          U32     None         Sequence  basic
        "Initial sequence number of the peer"
        "irs" "";
    max_sndwnd   U32     Bytes        Window    more
        "Largest window offered by the peer"
        "max_sndwnd" "";
    softerror    U32     None         Flags     more
        "Pending error that has not been reported yet, an errno value; 0 if none"
        "t_softerror" "";
    incqlen      U32     Count        Buffers   more
        "Listener: connections whose handshake is incomplete"
        "sol_incqlen" "";
    encaps_port  U16     None         Identity  more
        "Remote port of UDP encapsulation; 0 without encapsulation"
        "t_port" "";
    tos          U8      None         Flags     more
        "IPv4 type of service or IPv6 traffic class of sent packets"
        "inp_ip_tos, ip6po_tclass" "INET_DIAG_TOS, INET_DIAG_TCLASS";
    log_id       Name64  None         Identity  more
        "BBLog identifier set by the application (TCP_LOGID)"
        "t_lib->tlb_id" "";
    duration     U64     Microseconds Time      basic
        "Final record: time from the establishment of the connection to its last segment"
        "t_starttime, t_rcvtime, t_sndtime" "tcpi_last_data_sent or tcpi_last_data_recv if no data was sent or received";
    ending       Name16  None         Identity  basic
        "Final record: how the connection ended"
        "t_state, so_error" "";
}

Other {
    received_bytes  U64 Bytes          Totals basic
        "Payload received in order (RFC 4898 ThruOctetsReceived)"
        "" "tcpi_bytes_received";
    delivery_rate   U64 BytesPerSecond Window more
        "Most recent rate at which data was delivered"
        "" "tcpi_delivery_rate";
    max_pacing_rate U64 BytesPerSecond Window more
        "Limit on the pacing rate (SO_MAX_PACING_RATE)"
        "" "tcpi_max_pacing_rate";
    busy_time       U64 Microseconds   Time more
        "Time spent with data to send"
        "" "tcpi_busy_time";
    rwnd_limited    U64 Microseconds   Time more
        "Time during which the peer's window limited sending"
        "" "tcpi_rwnd_limited";
    sndbuf_limited  U64 Microseconds   Time more
        "Time during which the send buffer limited sending"
        "" "tcpi_sndbuf_limited";
    idle_ack        U64 Microseconds   Time more
        "Time since an acknowledgement was last received"
        "" "tcpi_last_ack_recv";
    total_rto_time  U64 Microseconds   Time more
        "Time spent in recovery from retransmission timeouts"
        "" "tcpi_total_rto_time";
    cgroup          U64 None           Identity more
        "ID of the socket's control group"
        "" "INET_DIAG_CGROUP_ID";
    segs_out        U32 Count          Totals more
        "Segments sent (RFC 4898 SegsOut)"
        "" "tcpi_segs_out";
    segs_in         U32 Count          Totals more
        "Segments received (RFC 4898 SegsIn)"
        "" "tcpi_segs_in";
    data_segs_out   U32 Count          Totals more
        "Data segments sent"
        "" "tcpi_data_segs_out";
    data_segs_in    U32 Count          Totals more
        "Data segments received"
        "" "tcpi_data_segs_in";
    delivered       U32 Count          Totals more
        "Segments delivered to the peer, retransmissions included"
        "" "tcpi_delivered";
    notsent_bytes   U32 Bytes          Buffers more
        "Data in the send buffer that has not been sent yet"
        "" "tcpi_notsent_bytes";
    unacked         U32 Count          Sequence more
        "Segments sent but not acknowledged"
        "" "tcpi_unacked";
    sacked          U32 Count          Sequence more
        "Segments acknowledged by SACK only"
        "" "tcpi_sacked";
    lost            U32 Count          Sequence more
        "Segments assumed to be lost"
        "" "tcpi_lost";
    retrans         U32 Count          Sequence more
        "Retransmitted segments not yet acknowledged"
        "" "tcpi_retrans";
    reordering      U32 Count          Window more
        "Reordering tolerated before a loss is inferred, in segments"
        "" "tcpi_reordering";
    reord_seen      U32 Count          Totals more
        "Reordering events seen"
        "" "tcpi_reord_seen";
    advmss          U32 Bytes          Window more
        "Maximum segment size advertised to the peer"
        "" "tcpi_advmss";
    rcv_mss         U32 Bytes          Window more
        "Estimated size of received segments"
        "" "tcpi_rcv_mss";
    pmtu            U32 Bytes          Window more
        "Path MTU"
        "" "tcpi_pmtu";
    rcv_rtt         U32 Microseconds   Time more
        "Round-trip time estimated by the receiver"
        "" "tcpi_rcv_rtt";
    rcv_ssthresh    U32 Bytes          Window more
        "Current limit of the receive window"
        "" "tcpi_rcv_ssthresh";
    rcv_space       U32 Bytes          Window more
        "Receive buffer space that the application drains per round trip"
        "" "tcpi_rcv_space";
    ato             U32 Microseconds   Timers more
        "Delayed acknowledgement timeout"
        "" "tcpi_ato";
    rehash          U32 Count          Totals more
        "Number of times the flow hash was changed to find another path"
        "" "tcpi_rehash";
    total_rto       U32 Count          Totals more
        "Retransmission timeouts"
        "" "tcpi_total_rto";
    total_rto_recoveries U32 Count     Totals more
        "Recoveries started by a retransmission timeout"
        "" "tcpi_total_rto_recoveries";
    delivered_e1_bytes U32 Bytes       Totals more
        "AccECN: bytes delivered with ECT(1), as the peer reports"
        "" "tcpi_delivered_e1_bytes";
    delivered_e0_bytes U32 Bytes       Totals more
        "AccECN: bytes delivered with ECT(0), as the peer reports"
        "" "tcpi_delivered_e0_bytes";
    delivered_ce_bytes U32 Bytes       Totals more
        "AccECN: bytes delivered with CE, as the peer reports"
        "" "tcpi_delivered_ce_bytes";
    received_e1_bytes  U32 Bytes       Totals more
        "AccECN: bytes received with ECT(1)"
        "" "tcpi_received_e1_bytes";
    received_e0_bytes  U32 Bytes       Totals more
        "AccECN: bytes received with ECT(0)"
        "" "tcpi_received_e0_bytes";
    received_ce_bytes  U32 Bytes       Totals more
        "AccECN: bytes received with CE"
        "" "tcpi_received_ce_bytes";
    rmem_alloc      U32 Bytes          Buffers more
        "Memory used by the receive queue"
        "" "SK_MEMINFO_RMEM_ALLOC";
    wmem_alloc      U32 Bytes          Buffers more
        "Memory used by data that was handed to the network layer"
        "" "SK_MEMINFO_WMEM_ALLOC";
    fwd_alloc       U32 Bytes          Buffers more
        "Memory reserved but not used yet"
        "" "SK_MEMINFO_FWD_ALLOC";
    wmem_queued     U32 Bytes          Buffers more
        "Memory used by the send queue"
        "" "SK_MEMINFO_WMEM_QUEUED";
    optmem          U32 Bytes          Buffers more
        "Memory used by socket options"
        "" "SK_MEMINFO_OPTMEM";
    backlog         U32 Bytes          Buffers more
        "Memory used by segments that wait for the socket lock"
        "" "SK_MEMINFO_BACKLOG";
    drops           U32 Count          Totals more
        "Segments dropped at the socket"
        "" "SK_MEMINFO_DROPS";
    inode           U32 None           Identity more
        "Inode of the socket; absent after the process has closed it"
        "" "idiag_inode";
    mark            Hex32 None         Identity more
        "Firewall mark (SO_MARK); requires CAP_NET_ADMIN"
        "" "INET_DIAG_MARK";
    ifindex         U32 None           Identity more
        "Index of the interface to which the socket is bound"
        "" "idiag_if";
    ca_state        U8  None           Flags more
        "Congestion state: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss"
        "" "tcpi_ca_state";
    retransmits     U8  Count          Timers more
        "Consecutive unanswered retransmission timeouts"
        "" "tcpi_retransmits";
    probes          U8  Count          Timers more
        "Unanswered window or keepalive probes"
        "" "tcpi_probes";
    app_limited     U8  None           Flags more
        "1 if delivery_rate was limited by the application"
        "" "tcpi_delivery_rate_app_limited";
    fastopen_client_fail U8 None       Flags more
        "Reason why TCP Fast Open failed on the client; 0 if unknown"
        "" "tcpi_fastopen_client_fail";
    shutdown        U8  None           Flags more
        "Directions that are shut down: 1 receive, 2 send, 3 both"
        "" "INET_DIAG_SHUTDOWN";
    dctcp_enabled   U8  None           Flags more
        "DCTCP: 1 if it is in use, 0 if it fell back to Reno because ECN is missing"
        "" "dctcp_enabled of INET_DIAG_DCTCPINFO";
    dctcp_ce_state  U8  None           Flags more
        "DCTCP: 1 if the last received segment had a CE mark"
        "" "dctcp_ce_state of INET_DIAG_DCTCPINFO";
    vegas_enabled   U8  None           Flags more
        "Vegas family: 1 while the delay controls the window"
        "" "tcpv_enabled of INET_DIAG_VEGASINFO";
    sockopt         Hex32 None         Flags more
        "Socket options, the bits of struct inet_diag_sockopt in linux/inet_diag.h"
        "" "INET_DIAG_SOCKOPT";
    class_id        Hex32 None         Identity more
        "Class of the socket's packets: net_cls class or socket priority"
        "" "INET_DIAG_CLASS_ID";
    ulp             Name16 None        Identity more
        "Upper layer protocol in the kernel, for example tls or mptcp"
        "" "INET_ULP_INFO_NAME";
    bbr_bw          U64 BytesPerSecond Window more
        "BBR: estimated bottleneck bandwidth"
        "" "bbr_bw of INET_DIAG_BBRINFO";
    bbr_min_rtt     U32 Microseconds   Time more
        "BBR: recent minimum of the round-trip time"
        "" "bbr_min_rtt of INET_DIAG_BBRINFO";
    bbr_pacing_gain U32 None           Window more
        "BBR: gain of the pacing rate, in units of 1/256"
        "" "bbr_pacing_gain of INET_DIAG_BBRINFO";
    bbr_cwnd_gain   U32 None           Window more
        "BBR: gain of the congestion window, in units of 1/256"
        "" "bbr_cwnd_gain of INET_DIAG_BBRINFO";
    dctcp_alpha     U32 None           Window more
        "DCTCP: estimated fraction of marked data, in units of 1/1024"
        "" "dctcp_alpha of INET_DIAG_DCTCPINFO";
    dctcp_ab_ecn    U32 Bytes          Window more
        "DCTCP: bytes acknowledged with a mark in this observation window"
        "" "dctcp_ab_ecn of INET_DIAG_DCTCPINFO";
    dctcp_ab_tot    U32 Bytes          Window more
        "DCTCP: bytes acknowledged in this observation window"
        "" "dctcp_ab_tot of INET_DIAG_DCTCPINFO";
    vegas_rttcnt    U32 Count          Time more
        "Vegas family: round trips measured in this window"
        "" "tcpv_rttcnt of INET_DIAG_VEGASINFO";
    vegas_rtt       U32 Microseconds   Time more
        "Vegas family: measured round-trip time"
        "" "tcpv_rtt of INET_DIAG_VEGASINFO";
    vegas_minrtt    U32 Microseconds   Time more
        "Vegas family: minimum round-trip time"
        "" "tcpv_minrtt of INET_DIAG_VEGASINFO";
    pid             U32 None           Identity more
        "Process that has the socket open: the one with the lowest ID"
        "kern.file" "/proc/pid/fd";
    processes       U32 Count          Identity more
        "Number of processes that have the socket open"
        "kern.file" "/proc/pid/fd";
    command         Name16 None        Identity more
        "Name of the process, without its path and arguments"
        "ki_comm of kern.proc" "/proc/pid/comm";
    container       Name64 None        Identity more
        "Container of the process: its short ID, or the end of the cgroup's path"
        "" "/proc/pid/cgroup";
    jail            Name64 None        Identity more
        "Name of the jail of the socket's creator"
        "jail_get()" "";
    netns           Name64 None        Identity more
        "Network namespace: its name in /run/netns, or its inode number"
        "" "/run/netns, or the inode of /proc/pid/ns/net; with --netns only";
}
}

/// The table of fields, in the order of the record and of the columns.
pub static FIELDS: [Field; Row::Count as usize] = ROWS;

/// Number of fields in the table.
pub const FIELD_COUNT: usize = ROWS.len();

/// Number of rows in the module's part; those of the other part follow.
const MODULE_FIELDS: usize = {
    let mut count = 0;
    while count < FIELD_COUNT && matches!(ROWS[count].part, Part::Module) {
        count += 1;
    }
    count
};

impl Part {
    /// Returns the rows of the part, in order.
    pub(crate) const fn fields(self) -> &'static [Field] {
        let (module, other) = FIELDS.split_at(MODULE_FIELDS);
        match self {
            Self::Module => module,
            Self::Other => other,
        }
    }
}

const fn end_of(field: &Field) -> usize {
    (field.offset + field.kind.size()).next_multiple_of(8)
}

/// Bytes of the fields in a record, a multiple of eight.
pub const BODY_LEN: usize = end_of(&ROWS[FIELD_COUNT - 1]);

/// Bytes of the fields in a record without those that are joined, which are the last (see
/// [`Field::is_joined`]): a multiple of eight.
pub const BODY_LEN_UNJOINED: usize = end_of(&ROWS[Row::pid as usize - 1]);

/// Bytes of the fields in the module's part of a record, a multiple of eight.
pub const MODULE_BODY_LEN: usize = end_of(&ROWS[MODULE_FIELDS - 1]);

/// Bytes of a record as the kernel module sends it: without the other part.
pub const MODULE_RECORD_LEN: usize = PREAMBLE_LEN + MODULE_BODY_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_naturally_aligned_and_do_not_overlap() {
        let mut end = 0;
        for field in &FIELDS {
            assert!(field.offset >= end && field.offset < end + 8, "{} is not where it belongs", field.name);
            assert_eq!(field.offset % field.kind.align(), 0, "{} is not aligned", field.name);
            end = field.offset + field.kind.size();
        }
        assert!(BODY_LEN - end < 8);
    }

    #[test]
    fn names_are_unique_lower_case_identifiers() {
        for (i, field) in FIELDS.iter().enumerate() {
            assert_eq!(field.index, i);
            assert!(
                field.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                field.name
            );
            assert!(FIELDS[..i].iter().all(|other| other.name != field.name), "{} occurs twice", field.name);
        }
    }

    #[test]
    fn every_row_has_a_meaning_and_a_source() {
        for field in &FIELDS {
            assert!(!field.meaning.is_empty(), "{}", field.name);
            assert!(!field.freebsd.is_empty() || !field.linux.is_empty(), "{}", field.name);
        }
    }

    #[test]
    fn each_part_has_the_rows_of_its_sources_and_room_for_40_more() {
        for (part, first_bit) in [(Part::Module, 0), (Part::Other, 128)] {
            let fields = part.fields();
            assert!(fields.iter().all(|field| field.part == part));
            assert!(fields.iter().all(|field| field.is_joined() || field.freebsd.is_empty() == (part == Part::Other)));
            assert!(fields.iter().enumerate().all(|(i, field)| field.bit == first_bit + i));
            assert!(fields.len() + 40 <= 128, "{} rows", fields.len());
        }
        assert_eq!(Part::Module.fields().len() + Part::Other.fields().len(), FIELD_COUNT);
    }

    #[test]
    fn released_rows_keep_their_bits_and_offsets() {
        let at = |name: &str| Field::by_name(name).map(|field| (field.bit, field.offset));
        assert_eq!(at("tt_delack"), Some((64, 352)));
        assert_eq!(at("log_id"), Some((75, 403)));
        assert_eq!(at("received_bytes"), Some((128, MODULE_BODY_LEN)));
        assert_eq!(at("fastopen_client_fail").map(|(bit, _)| bit), Some(179));
        assert_eq!(at("pid"), Some((197, MODULE_BODY_LEN + 308)));
    }
}
