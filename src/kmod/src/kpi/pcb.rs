// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Protocol control blocks and entries of the SYN cache, as long as they are locked.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::{Credential, raw};

/// The read lock of a connection, held by the running thread.
///
/// It is not released on drop: the walk passes it to the kernel.
///
/// # Invariants
/// `inp` is the pcb of a TCP connection whose read lock this thread holds.
pub(super) struct Locked {
    inp: NonNull<raw::inpcb>,
}

impl Locked {
    /// Wraps a pcb.
    ///
    /// # Safety
    /// `inp` is the pcb of a TCP connection that this thread has locked for reading, and
    /// that nothing else unlocks.
    pub(super) const unsafe fn new(inp: NonNull<raw::inpcb>) -> Self {
        // INVARIANT: the caller promises it.
        Self { inp }
    }

    /// Returns the connection, as long as it stays locked.
    pub(super) const fn pcb(&self) -> Pcb<'_> {
        // INVARIANT: the lock is held as long as `self` is borrowed.
        Pcb { inp: self.inp, lock: PhantomData }
    }

    /// Returns the pcb for a function of the kernel that takes over the lock.
    pub(super) const fn into_raw(self) -> NonNull<raw::inpcb> {
        self.inp
    }

    /// Releases the lock.
    pub(super) fn unlock(self) {
        // SAFETY: this thread holds the lock, by the type invariant.
        unsafe { raw::siftr_cdev_pcb_unlock(self.inp.as_ptr()) }
    }
}

/// A connection whose lock is held, for reading or for writing.
///
/// # Invariants
/// `inp` is the pcb of a TCP connection, and this thread holds its lock for `'a`.
/// So it stays allocated, with its tcpcb, and members that change only under the
/// write lock do not change.
pub struct Pcb<'a> {
    inp: NonNull<raw::inpcb>,
    lock: PhantomData<&'a Locked>,
}

/// The names of a TCP stack.
#[derive(Clone, Copy)]
pub struct Stack {
    /// The congestion control algorithm.
    pub cc: [u8; 16],
    /// The stack.
    pub name: [u8; 32],
}

/// A socket.
#[derive(Clone, Copy)]
pub enum Socket {
    /// A listening socket.
    Listener(Queue),
    /// A connected socket.
    Connection(Buffers),
}

/// The connections of a listener that wait to be accepted.
#[derive(Clone, Copy)]
pub struct Queue {
    /// Established connections.
    pub qlen: u32,
    /// Connections that are not established.
    pub incqlen: u32,
    /// The maximum.
    pub qlimit: u32,
}

/// The socket buffers of a connection, in bytes.
#[derive(Clone, Copy)]
pub struct Buffers {
    /// Used by the send buffer.
    pub snd_cc: u32,
    /// The size of the send buffer.
    pub snd_hiwat: u32,
    /// Used by the receive buffer.
    pub rcv_cc: u32,
    /// The size of the receive buffer.
    pub rcv_hiwat: u32,
}

/// Defines methods that read a member of the tcpcb.
macro_rules! members {
    ($($(#[$doc:meta])* $name:ident $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> $type {
            // SAFETY: by the type invariant; any bytes are a value of the type, which is as wide as the member.
            unsafe { with_type::<_, $type>(&raw const (*self.tcpcb()).$name).read() }
        }
    )*};
}

/// Casts a pointer to a member to a type of the same size.
const fn with_type<Member, Type>(member: *const Member) -> *const Type {
    const { assert!(size_of::<Member>() == size_of::<Type>()) };
    member.cast()
}

impl Pcb<'_> {
    /// Wraps a pcb.
    ///
    /// # Safety
    /// `inp` is the pcb of a TCP connection that the running thread has locked, and keeps
    /// locked while the value exists.
    pub(super) const unsafe fn new(inp: NonNull<raw::inpcb>) -> Self {
        // INVARIANT: the caller promises it.
        Self { inp, lock: PhantomData }
    }

    /// Returns a number that no other connection has as long as this one is allocated.
    pub fn address(&self) -> u64 {
        self.as_ptr().addr() as u64
    }

    pub(super) const fn as_ptr(&self) -> *mut raw::inpcb {
        self.inp.as_ptr()
    }

    /// Returns the tcpcb that contains the inpcb: `intotcpcb()`.
    const fn tcpcb(&self) -> *mut raw::tcpcb {
        const { assert!(core::mem::offset_of!(raw::tcpcb, t_inpcb) == 0) };
        self.as_ptr().cast()
    }

    /// Returns whether the running thread may see the connection: `cr_canseeinpcb()`.
    pub fn is_visible(&self) -> bool {
        // SAFETY: the function asserts the lock, which is held by the type invariant.
        unsafe { raw::siftr_cdev_can_see(self.as_ptr()) != 0 }
    }

    /// Returns whether the owner of a credential may see the connection.
    pub fn is_visible_to(&self, credential: &Credential) -> bool {
        // SAFETY: the lock is held, by the type invariant, and the credential is valid, by its own.
        unsafe { raw::siftr_cdev_can_see_as(credential.as_ptr(), self.as_ptr()) != 0 }
    }

    /// Returns whether the connection has ended and has been removed from the tables in
    /// which the kernel looks up connections.
    pub fn is_dropped(&self) -> bool {
        // SAFETY: by the type invariant; the member changes only under the write lock.
        unsafe { (*self.as_ptr()).inp_flags }.cast_unsigned() & raw::INP_DROPPED != 0
    }

    /// Returns the error that the application gets from its next call, `SO_ERROR`, and
    /// whether closing the socket resets the connection: `SO_LINGER` with a time of 0.
    pub fn socket_end(&self) -> (i32, bool) {
        let mut does_not_linger = 0;
        // SAFETY: by the type invariant; inp_socket is cleared under the write lock before the socket is freed.
        let error = unsafe { raw::siftr_cdev_socket_end(self.as_ptr(), &raw mut does_not_linger) };
        (error, does_not_linger != 0)
    }

    /// Returns the generation count of the connection.
    pub fn gencnt(&self) -> u64 {
        // SAFETY: by the type invariant; the member changes only under the write lock.
        unsafe { (*self.as_ptr()).inp_gencnt }
    }

    /// Returns addresses, ports and routing table.
    #[inline]
    pub fn endpoints(&self) -> Endpoints {
        // SAFETY: by the type invariant; both members change only under the write lock.
        unsafe { Endpoints::new(&(*self.as_ptr()).inp_inc, (*self.as_ptr()).inp_vflag) }
    }

    /// Returns the user ID and the jail ID of the socket's creator.
    pub fn owner(&self) -> (u32, u32) {
        // SAFETY: by the type invariant the pcb is allocated.  It holds a reference to its credential, which holds one
        // to its prison; these members of both do not change.
        unsafe {
            let credential = (*self.as_ptr()).inp_cred;
            ((*credential).cr_uid, (*(*credential).cr_prison).pr_id.cast_unsigned())
        }
    }

    /// Returns the flow ID and its hash type.
    pub fn flow(&self) -> (u32, u32) {
        // SAFETY: by the type invariant.
        unsafe { ((*self.as_ptr()).inp_flowid, (*self.as_ptr()).inp_flowtype) }
    }

    /// Returns the state, `TCPS_*`.
    pub fn state(&self) -> u8 {
        // SAFETY: by the type invariant; a bit-field.
        u8::try_from(unsafe { raw::tcpcb::t_state_raw(self.tcpcb()) }).unwrap_or(u8::MAX)
    }

    /// Returns the maximum segment size.
    pub fn maxseg(&self) -> u32 {
        // SAFETY: by the type invariant; a bit-field.
        unsafe { raw::tcpcb::t_maxseg_raw(self.tcpcb()) }
    }

    members! {
        t_flags u32;
        t_flags2 u32;
        iss u32;
        irs u32;
        max_sndwnd u32;
        t_softerror u32;
        t_pacing_rate i64;
        snd_una u32;
        snd_max u32;
        snd_nxt u32;
        snd_wnd u32;
        snd_cwnd u32;
        snd_ssthresh u32;
        rcv_numsacks u32;
        rcv_nxt u32;
        rcv_adv u32;
        rcv_wnd u32;
        snd_scale u8;
        rcv_scale u8;
        t_srtt u32;
        t_rttupdated u8;
        t_rttvar u32;
        t_rttlow u32;
        t_rxtcur u32;
        t_rxtshift u32;
        t_rcvtime u32;
        t_sndtime u32;
        t_starttime u32;
        t_segqlen u32;
        t_sndzerowin u32;
        t_sndrexmitpack u32;
        t_rcvoopack u32;
        t_dupacks u32;
        t_rcep u32;
        t_scep u32;
        t_sndtlppack u32;
        t_sndtlpbyte u64;
        t_sndbytes u64;
        t_snd_rxt_bytes u64;
        t_dsack_bytes u32;
        t_dsack_pack u32;
        /// The time at which each timer fires, by `TT_*`; the maximum if it does not run.
        t_timers [i64; raw::TT_N as usize];
    }

    /// Returns the unit of the times that the stack keeps, `TCP_TMR_GRANULARITY_*`.
    pub fn granularity(&self) -> u32 {
        // SAFETY: by the type invariant.
        u32::from(unsafe { (*self.tcpcb()).t_tmr_granularity })
    }

    /// Returns the smoothed round-trip time in microseconds: `tcp_get_srtt()`.
    pub fn srtt_us(&self) -> u32 {
        // SAFETY: by the type invariant; the function reads the tcpcb only.
        unsafe { raw::tcp_get_srtt(self.tcpcb(), raw::TCP_TMR_GRANULARITY_USEC.cast_signed()) }
    }

    /// Returns whether the connection has a TCP stack.  `tcp_discardcb()` releases it
    /// under the write lock: it clears `t_cc` and drops the reference to `t_fb`.
    fn has_stack(&self) -> bool {
        // SAFETY: by the type invariant.
        unsafe { !(*self.tcpcb()).t_cc.is_null() && !(*self.tcpcb()).t_fb.is_null() }
    }

    /// Returns the names of the stack, or `None` if the stack has released the
    /// connection.
    pub fn stack(&self) -> Option<Stack> {
        if !self.has_stack() {
            return None;
        }
        let tp = self.tcpcb();
        // SAFETY: by the type invariant, and the connection holds references to both, whose names do not change.
        Some(unsafe {
            Stack {
                cc: with_type::<_, [u8; 16]>(&raw const (*(*tp).t_cc).name).read(),
                name: with_type::<_, [u8; 32]>(&raw const (*(*tp).t_fb).tfb_tcp_block_name).read(),
            }
        })
    }

    /// Returns the RFC 6675 pipe, or `None` if the stack does not compute it or has
    /// released the connection.  A stack without a function of its own uses the SACK
    /// scoreboard of the base stack, which only the base stack maintains.
    pub fn pipe(&self, is_base: bool) -> Option<u32> {
        if !self.has_stack() {
            return None;
        }
        // SAFETY: by the type invariant, and the connection holds a reference to its stack, which does not change.
        let has_own = unsafe { (*(*self.tcpcb()).t_fb).tfb_compute_pipe.is_some() };
        if !has_own && !is_base {
            return None;
        }
        // SAFETY: by the type invariant; the function reads the connection only, which has its stack.
        u32::try_from(unsafe { raw::tcp_compute_pipe(self.tcpcb()) }).ok()
    }

    /// Returns whether the stack is the base stack.
    pub fn has_base_stack(&self) -> bool {
        const NAME: u64 = u64::from_ne_bytes(*b"freebsd\0");
        // SAFETY: by the type invariant, and the connection holds a reference to its stack, whose name is longer than
        // this and does not change.
        self.has_stack()
            && unsafe { (&raw const (*(*self.tcpcb()).t_fb).tfb_tcp_block_name).cast::<u64>().read_unaligned() } == NAME
    }

    /// Returns the type of service or the traffic class of sent packets, without ECN
    /// bits.
    pub fn tos(&self) -> u8 {
        // SAFETY: by the type invariant; the options are replaced and freed under the write lock.
        unsafe { raw::siftr_cdev_tos(self.as_ptr()) }
    }

    /// Returns the port of UDP encapsulation, 0 without encapsulation.
    pub fn encapsulation_port(&self) -> u16 {
        // SAFETY: by the type invariant; a bit-field.
        u16::from_be(u16::try_from(unsafe { raw::tcpcb::t_port_raw(self.tcpcb()) }).unwrap_or(0))
    }

    /// Returns the identifier for `BBLog`, or `None` if it is not set or the kernel does
    /// not support it.
    pub fn log_id(&self) -> Option<[u8; 64]> {
        // SAFETY: the function asserts the lock, which is held by the type invariant, and writes at most
        // TCP_LOG_ID_LEN bytes.
        unsafe {
            if (*self.tcpcb()).t_lib.is_null() {
                return None;
            }
            let mut id = [0; raw::TCP_LOG_ID_LEN as usize];
            (raw::siftr_cdev_log_id(self.as_ptr(), id.as_mut_ptr().cast()) != 0).then_some(id)
        }
    }

    /// Returns the socket, or `None` if the application has closed it.
    pub fn socket(&self) -> Option<Socket> {
        // SAFETY: by the type invariant; inp_socket is cleared under the write lock before the socket is freed.  The
        // numbers are read without the socket's lock, as sysctl net.inet.tcp.pcblist reads them.
        let socket = unsafe {
            let so = (*self.as_ptr()).inp_socket;
            if so.is_null() {
                return None;
            }
            let mut socket = core::mem::zeroed();
            raw::siftr_cdev_socket_read(so, &raw mut socket);
            socket
        };
        let raw::siftr_cdev_socket { listening, snd_cc, snd_hiwat, rcv_cc, rcv_hiwat, qlen, incqlen, qlimit } = socket;
        Some(match listening {
            0 => Socket::Connection(Buffers { snd_cc, snd_hiwat, rcv_cc, rcv_hiwat }),
            _ => Socket::Listener(Queue { qlen, incqlen, qlimit }),
        })
    }
}

/// Addresses and ports of a connection.
#[derive(Clone, Copy)]
pub struct Endpoints {
    /// Whether the addresses are IPv6 addresses.
    pub is_ipv6: bool,
    /// The local address: an IPv6 address with an embedded zone, or an IPv4 address in
    /// the last four bytes (`struct in_addr_4in6`).
    pub laddr: [u8; 16],
    /// The local port.
    pub lport: u16,
    /// The foreign address, in the same form as the local address.
    pub faddr: [u8; 16],
    /// The foreign port.
    pub fport: u16,
    /// The number of the routing table.
    pub fib: u16,
}

impl Endpoints {
    #[inline]
    pub(super) fn new(inc: &raw::in_conninfo, vflag: u8) -> Self {
        let ends = &inc.inc_ie;
        // SAFETY: each member of the unions is sixteen bytes of plain data.
        let (laddr, faddr) = unsafe {
            (
                with_type::<_, [u8; 16]>(&raw const ends.ie_dependladdr).read(),
                with_type::<_, [u8; 16]>(&raw const ends.ie_dependfaddr).read(),
            )
        };
        Self {
            // An IPv6 socket that accepts IPv4 has both bits until it is connected.
            is_ipv6: u32::from(vflag) & raw::INP_IPV6 != 0,
            laddr,
            lport: u16::from_be(ends.ie_lport),
            faddr,
            fport: u16::from_be(ends.ie_fport),
            fib: inc.inc_fibnum,
        }
    }
}

/// An entry of the SYN cache: a connection in `SYN_RCVD` that has no pcb yet.
pub struct Syncache<'a>(pub(super) &'a raw::xtcpcb);

impl Syncache<'_> {
    /// Returns addresses, ports and routing table.
    pub fn endpoints(&self) -> Endpoints {
        let inpcb = &self.0.xt_inp;
        Endpoints::new(&inpcb.inp_inc, inpcb.inp_vflag)
    }
}
