// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Constants of `netinet/tcp.h` and `netinet/tcp_var.h`.

pub use super::raw::{
    TCP_MAX_WINSHIFT, TCP_MAXWIN, TCP_RTTVAR_SHIFT, TCP_TMR_GRANULARITY_USEC, TF_FASTOPEN, TF_RCVD_SCALE,
    TF_RCVD_TSTMP, TF_REQ_SCALE, TF_REQ_TSTMP, TF_SACK_PERMIT, TF_SENTFIN, TF_TOE, TF2_ACE_PERMIT, TF2_ECN_PERMIT,
    TT_2MSL, TT_DELACK, TT_KEEP, TT_PERSIST, TT_REXMT,
};
