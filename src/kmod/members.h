/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * The structure members that the Rust part reads, as MEMBER(structure, member).
 * A test compares the offsets of bindgen with those of clang, and the fake
 * kernel of the tests sets the members by name.
 */

MEMBER(tcpcb, irs)
MEMBER(tcpcb, iss)
MEMBER(tcpcb, max_sndwnd)
MEMBER(tcpcb, rcv_adv)
MEMBER(tcpcb, rcv_numsacks)
MEMBER(tcpcb, rcv_nxt)
MEMBER(tcpcb, rcv_scale)
MEMBER(tcpcb, rcv_wnd)
MEMBER(tcpcb, snd_cwnd)
MEMBER(tcpcb, snd_max)
MEMBER(tcpcb, snd_nxt)
MEMBER(tcpcb, snd_scale)
MEMBER(tcpcb, snd_ssthresh)
MEMBER(tcpcb, snd_una)
MEMBER(tcpcb, snd_wnd)
MEMBER(tcpcb, t_cc)
MEMBER(tcpcb, t_dsack_bytes)
MEMBER(tcpcb, t_dsack_pack)
MEMBER(tcpcb, t_dupacks)
MEMBER(tcpcb, t_fb)
MEMBER(tcpcb, t_flags)
MEMBER(tcpcb, t_flags2)
MEMBER(tcpcb, t_inpcb)
MEMBER(tcpcb, t_lib)
MEMBER(tcpcb, t_pacing_rate)
MEMBER(tcpcb, t_rcep)
MEMBER(tcpcb, t_rcvoopack)
MEMBER(tcpcb, t_rcvtime)
MEMBER(tcpcb, t_rttlow)
MEMBER(tcpcb, t_rttupdated)
MEMBER(tcpcb, t_rttvar)
MEMBER(tcpcb, t_rxtcur)
MEMBER(tcpcb, t_rxtshift)
MEMBER(tcpcb, t_scep)
MEMBER(tcpcb, t_segqlen)
MEMBER(tcpcb, t_snd_rxt_bytes)
MEMBER(tcpcb, t_sndbytes)
MEMBER(tcpcb, t_sndrexmitpack)
MEMBER(tcpcb, t_sndtime)
MEMBER(tcpcb, t_sndtlpbyte)
MEMBER(tcpcb, t_sndtlppack)
MEMBER(tcpcb, t_sndzerowin)
MEMBER(tcpcb, t_softerror)
MEMBER(tcpcb, t_srtt)
MEMBER(tcpcb, t_starttime)
MEMBER(tcpcb, t_timers)
MEMBER(tcpcb, t_tmr_granularity)

MEMBER(inpcb, inp_cred)
MEMBER(inpcb, inp_flowid)
MEMBER(inpcb, inp_flowtype)
MEMBER(inpcb, inp_gencnt)
MEMBER(inpcb, inp_inc)
MEMBER(inpcb, inp_socket)
MEMBER(inpcb, inp_vflag)

MEMBER(cc_algo, name)

MEMBER(in_conninfo, inc_fibnum)
MEMBER(in_conninfo, inc_ie)

MEMBER(in_endpoints, ie_dependfaddr)
MEMBER(in_endpoints, ie_dependladdr)
MEMBER(in_endpoints, ie_fport)
MEMBER(in_endpoints, ie_lport)

MEMBER(inpcb_iterator, inp)
MEMBER(inpcb_iterator, ipi)

MEMBER(prison, pr_id)

MEMBER(tcp_function_block, tfb_compute_pipe)
MEMBER(tcp_function_block, tfb_tcp_block_name)

MEMBER(ucred, cr_prison)
MEMBER(ucred, cr_uid)

MEMBER(uio, uio_offset)
MEMBER(uio, uio_resid)

MEMBER(xinpcb, inp_inc)
MEMBER(xinpcb, inp_vflag)

MEMBER(xtcpcb, t_state)
MEMBER(xtcpcb, xt_inp)
MEMBER(xtcpcb, xt_len)
