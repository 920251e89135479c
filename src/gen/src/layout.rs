// SPDX-License-Identifier: BSD-2-Clause

//! The same list of structure members for two compilers: a test compares
//! bindgen's offsets with clang's.

use std::fmt::Write;

/// The members that the module reads, by structure.
const MEMBERS: [(&str, &[&str]); 8] = [
    (
        "tcpcb",
        &[
            "t_inpcb",
            "t_fb",
            "t_timers",
            "t_flags",
            "t_flags2",
            "snd_una",
            "snd_max",
            "snd_nxt",
            "snd_wnd",
            "snd_cwnd",
            "rcv_numsacks",
            "rcv_nxt",
            "rcv_adv",
            "rcv_wnd",
            "t_rttvar",
            "snd_scale",
            "rcv_scale",
            "t_rcvtime",
            "t_segqlen",
            "snd_ssthresh",
            "t_sndtime",
            "t_rxtcur",
            "t_rxtshift",
            "t_starttime",
            "t_sndzerowin",
            "t_rttlow",
            "t_sndrexmitpack",
            "t_rcvoopack",
            "t_cc",
            "t_dupacks",
            "t_rcep",
            "t_scep",
            "t_sndtlppack",
            "t_sndtlpbyte",
            "t_sndbytes",
            "t_snd_rxt_bytes",
            "t_dsack_bytes",
            "t_dsack_pack",
            "t_tmr_granularity",
        ],
    ),
    ("inpcb", &["inp_cred", "inp_flowid", "inp_flowtype", "inp_gencnt", "inp_inc", "inp_socket", "inp_vflag"]),
    ("inpcb_iterator", &["ipi", "inp"]),
    ("cc_algo", &["name"]),
    ("ucred", &["cr_uid", "cr_prison"]),
    ("prison", &["pr_id"]),
    ("uio", &["uio_offset", "uio_resid"]),
    ("xtcpcb", &["xt_len", "xt_inp", "t_state"]),
];

fn sizes_and_members() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    MEMBERS.into_iter().flat_map(|(of, members)| {
        std::iter::once((of, None)).chain(members.iter().map(move |member| (of, Some(*member))))
    })
}

fn count() -> usize {
    sizes_and_members().count()
}

/// Returns a crate whose `LAYOUT` has the sizes and offsets in Rust.
pub fn rust() -> String {
    let mut text = format!(
        "#![no_std]\n#![allow(warnings)]\nmod raw {{ include!(env!(\"BINDINGS\")); }}\n\
         #[unsafe(no_mangle)]\npub static LAYOUT: [u32; {}] = [\n",
        count()
    );
    for (of, member) in sizes_and_members() {
        _ = match member {
            None => writeln!(text, "core::mem::size_of::<raw::{of}>() as u32,"),
            Some(member) => writeln!(text, "core::mem::offset_of!(raw::{of}, {member}) as u32,"),
        };
    }
    text + "];\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }\n"
}

/// Returns a C file whose `LAYOUT` has the same sizes and offsets in C.
pub fn c() -> String {
    let mut text = format!("#include \"bindings.h\"\nconst uint32_t LAYOUT[{}] = {{\n", count());
    for (of, member) in sizes_and_members() {
        _ = match member {
            None => writeln!(text, "sizeof(struct {of}),"),
            Some(member) => writeln!(text, "__offsetof(struct {of}, {member}),"),
        };
    }
    text + "};\n"
}
