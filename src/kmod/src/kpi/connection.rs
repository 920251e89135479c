// SPDX-License-Identifier: BSD-2-Clause

//! Connections: the iterator over protocol control blocks, and what is in one.
//!
//! The kernel's `inp_next()` hands over one locked pcb at a time.  A [`Pcb`]
//! stands for that lock: it exists only while the visitor is called, and as long
//! as it does the thread must not sleep.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;

use super::raw;
use crate::units::{Granularity, without_zone};

/// The bytes of an address as a record has it.
type Address = [u8; 16];

/// A connection whose read lock is held.
pub struct Pcb<'a> {
    pub(super) inp: *mut raw::inpcb,
    pub(super) lock: PhantomData<&'a raw::inpcb>,
}

/// Of a TCP stack, what the record shows.
#[derive(Clone, Copy)]
pub struct Stack {
    pub cc: [u8; 16],
    pub name: [u8; 32],
}

/// Of a socket, what the record shows.
#[derive(Clone, Copy)]
pub enum Socket {
    Listener(Queue),
    Connection(Buffers),
}

/// Of a listener, connections that wait to be accepted.
#[derive(Clone, Copy)]
pub struct Queue {
    pub qlen: u32,
    pub incqlen: u32,
    pub qlimit: u32,
}

/// Of a connection, bytes in its buffers and the most that these hold.
#[derive(Clone, Copy)]
pub struct Buffers {
    pub snd_cc: u32,
    pub snd_hiwat: u32,
    pub rcv_cc: u32,
    pub rcv_hiwat: u32,
}

/// Methods that read a member of the tcpcb.
macro_rules! members {
    ($($(#[$doc:meta])* $name:ident $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> $type {
            // SAFETY: the tcpcb begins with the inpcb, and the lock is held that its writers need; any bytes
            // are a value of the type, which is as wide as the member.
            unsafe { as_wide::<_, $type>(&raw const (*self.tcpcb()).$name).read() }
        }
    )*};
}

/// A member as a type of another sign; its width must be the same.
const fn as_wide<Member, Type>(member: *const Member) -> *const Type {
    const { assert!(size_of::<Member>() == size_of::<Type>()) };
    member.cast()
}

impl Pcb<'_> {
    pub(super) fn as_ptr(&self) -> *mut raw::inpcb {
        self.inp
    }

    /// The tcpcb around the inpcb: `intotcpcb()`.
    fn tcpcb(&self) -> *mut raw::tcpcb {
        const { assert!(core::mem::offset_of!(raw::tcpcb, t_inpcb) == 0) };
        self.inp.cast()
    }

    /// Whether the running thread may see it: `cr_canseeinpcb()`.
    pub fn is_visible(&self) -> bool {
        // SAFETY: the lock that it asserts is held.
        unsafe { raw::siftr_cdev_can_see(self.inp) != 0 }
    }

    /// Number of the connection.
    pub fn gencnt(&self) -> u64 {
        // SAFETY: inp_gencnt does not change while the lock is held.
        unsafe { (*self.inp).inp_gencnt }
    }

    /// Addresses, ports and routing table.
    pub fn endpoints(&self) -> Endpoints {
        // SAFETY: both are plain data that do not change while the lock is held.
        unsafe { Endpoints::new(&(*self.inp).inp_inc, (*self.inp).inp_vflag) }
    }

    /// User and jail of the socket's creator.
    pub fn owner(&self) -> (u32, u32) {
        // SAFETY: a pcb holds a reference to its credential for life, and that one to its prison; these
        // numbers of theirs do not change.
        unsafe {
            let credential = (*self.inp).inp_cred;
            ((*credential).cr_uid, (*(*credential).cr_prison).pr_id.cast_unsigned())
        }
    }

    /// Flow id and how it was computed.
    pub fn flow(&self) -> (u32, u32) {
        // SAFETY: plain data protected by the lock.
        unsafe { ((*self.inp).inp_flowid, (*self.inp).inp_flowtype) }
    }

    /// `TCPS_*`
    pub fn state(&self) -> u8 {
        // SAFETY: a bit-field protected by the lock.
        u8::try_from(unsafe { raw::tcpcb::t_state_raw(self.tcpcb()) }).unwrap_or(u8::MAX)
    }

    /// Maximum segment size.
    pub fn maxseg(&self) -> u32 {
        // SAFETY: a bit-field protected by the lock.
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
        /// By `TT_*`: when the timer fires, or the greatest number.
        t_timers [i64; raw::TT_N as usize];
    }

    /// The unit of the stack's times.
    pub fn granularity(&self) -> Granularity {
        // SAFETY: plain data protected by the lock.
        match u32::from(unsafe { (*self.tcpcb()).t_tmr_granularity }) {
            raw::TCP_TMR_GRANULARITY_USEC => Granularity::Microseconds,
            _ => Granularity::Ticks,
        }
    }

    /// Smoothed round-trip time in microseconds: `tcp_get_srtt()`.
    pub fn srtt_us(&self) -> u32 {
        // SAFETY: the lock is held; the function reads the tcpcb only.
        unsafe { raw::tcp_get_srtt(self.tcpcb(), raw::TCP_TMR_GRANULARITY_USEC.cast_signed()) }
    }

    /// Whether the stack still holds the connection: `tcp_discardcb()` clears
    /// `t_cc` and gives up the reference to `t_fb` under the lock.
    fn is_held(&self) -> bool {
        // SAFETY: two pointers protected by the lock.
        unsafe { !(*self.tcpcb()).t_cc.is_null() && !(*self.tcpcb()).t_fb.is_null() }
    }

    /// The stack, none once it has let go of the connection.
    pub fn stack(&self) -> Option<Stack> {
        if !self.is_held() {
            return None;
        }
        let tp = self.tcpcb();
        // SAFETY: the connection holds references to both, and their names do not change.
        Some(unsafe {
            Stack {
                cc: (&raw const (*(*tp).t_cc).name).cast::<[u8; 16]>().read(),
                name: (&raw const (*(*tp).t_fb).tfb_tcp_block_name).cast::<[u8; 32]>().read(),
            }
        })
    }

    /// RFC 6675 pipe: `None` where the stack has none, and once the stack has let
    /// go of the connection.  A stack without a function of its own uses the SACK
    /// scoreboard of the base stack, which only the base stack maintains.
    pub fn pipe(&self, is_base: bool) -> Option<u32> {
        if !self.is_held() {
            return None;
        }
        // SAFETY: the connection holds a reference to its stack, which does not change.
        let has_own = unsafe { (*(*self.tcpcb()).t_fb).tfb_compute_pipe.is_some() };
        if !has_own && !is_base {
            return None;
        }
        // SAFETY: the function reads what belongs to the connection, which is locked and has its stack.
        u32::try_from(unsafe { raw::tcp_compute_pipe(self.tcpcb()) }).ok()
    }

    /// Whether the stack is the base stack.
    pub fn has_base_stack(&self) -> bool {
        const NAME: u64 = u64::from_ne_bytes(*b"freebsd\0");
        // SAFETY: the connection holds a reference to its stack, whose name is longer and does not change.
        self.is_held()
            && unsafe { (&raw const (*(*self.tcpcb()).t_fb).tfb_tcp_block_name).cast::<u64>().read_unaligned() } == NAME
    }

    /// Type of service or traffic class of the packets sent, without ECN bits.
    pub fn tos(&self) -> u8 {
        // SAFETY: the lock is held that who replaces or frees the options takes.
        unsafe { raw::siftr_cdev_tos(self.inp) }
    }

    /// Port of UDP encapsulation, 0 without.
    pub fn encapsulation_port(&self) -> u16 {
        // SAFETY: a bit-field protected by the lock.
        u16::from_be(u16::try_from(unsafe { raw::tcpcb::t_port_raw(self.tcpcb()) }).unwrap_or(0))
    }

    /// The identifier for `BBLog`, `None` where none was set or the kernel has none.
    pub fn log_id(&self) -> Option<[u8; 64]> {
        // SAFETY: the lock that the function asserts is held, and it writes at most that many bytes.
        unsafe {
            if (*self.tcpcb()).t_lib.is_null() {
                return None;
            }
            let mut id = [0; 64];
            const { assert!(raw::TCP_LOG_ID_LEN == 64) };
            (raw::siftr_cdev_log_id(self.inp, id.as_mut_ptr().cast()) != 0).then_some(id)
        }
    }

    /// The socket, none once the application is gone.
    pub fn socket(&self) -> Option<Socket> {
        // SAFETY: inp_socket is cleared under the lock before the socket goes; its numbers are read as
        // sysctl net.inet.tcp.pcblist reads them.
        let socket = unsafe {
            let so = (*self.inp).inp_socket;
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
    pub ipver: u8,
    pub laddr: Address,
    pub lport: u16,
    pub faddr: Address,
    pub fport: u16,
    /// Index of the interface that the addresses are scoped to.
    pub zone: Option<u32>,
    pub fib: u16,
}

impl Endpoints {
    #[inline]
    fn new(inc: &raw::in_conninfo, vflag: u8) -> Self {
        let ends = &inc.inc_ie;
        // An IPv6 socket that takes IPv4 too has both bits until it is connected.
        let is_ipv6 = u32::from(vflag) & raw::INP_IPV6 != 0;
        // SAFETY: both members of each union are sixteen bytes of plain data.
        let (local, foreign): (u128, u128) = unsafe {
            (
                (&raw const ends.ie_dependladdr).cast::<u128>().read_unaligned(),
                (&raw const ends.ie_dependfaddr).cast::<u128>().read_unaligned(),
            )
        };
        let (laddr, faddr, zone) =
            if is_ipv6 { without_zones(local, foreign) } else { (as_mapped(local), as_mapped(foreign), None) };
        Self {
            ipver: if is_ipv6 { 6 } else { 4 },
            laddr,
            lport: u16::from_be(ends.ie_lport),
            faddr,
            fport: u16::from_be(ends.ie_fport),
            zone,
            fib: inc.inc_fibnum,
        }
    }
}

/// IPv6 addresses as a record has them, and their zone.  A function of its own,
/// so that IPv4 does without one.
#[inline(never)]
fn without_zones(local: u128, foreign: u128) -> (Address, Address, Option<u32>) {
    let (laddr, local_zone) = without_zone(local.to_ne_bytes());
    let (faddr, foreign_zone) = without_zone(foreign.to_ne_bytes());
    (laddr, faddr, local_zone.or(foreign_zone))
}

/// An IPv4 address as a record has it.  The kernel keeps it in the last four of
/// sixteen bytes: `struct in_addr_4in6`.  Words, since bytes would be copied one
/// by one.
fn as_mapped(address: u128) -> Address {
    const MAPPED: u128 = u128::from_ne_bytes(tcpstats::ipv4([0; 4]));
    const LAST_FOUR: u128 = u128::from_ne_bytes(tcpstats::ipv4([0xff; 4])) & !MAPPED;
    (address & LAST_FOUR | MAPPED).to_ne_bytes()
}

/// What the records of a network stack need to know of it.
pub use raw::siftr_cdev_vnet as NetworkStack;

/// The current network stack, `None` while the module does not know it yet.
/// `wrap_ns` is the time after which ticks wrap.
pub fn network_stack(wrap_ns: u64) -> Option<NetworkStack> {
    let mut stack = NetworkStack { id: 0, recent_gencnt: 0 };
    // SAFETY: a current network stack is set, since this is called inside `each_vnet`; no pcb is locked.
    let is_known = unsafe { raw::siftr_cdev_this_vnet(wrap_ns, &raw mut stack) } != 0;
    is_known.then_some(stack)
}

/// The name of the interface with that index, `None` if there is no such interface
/// or the running thread is not in the network stack with that number.  Takes the
/// module's mutex.
pub fn interface_name(stack_id: u64, index: u32) -> Option<[u8; 16]> {
    let mut name = [0; 16];
    // SAFETY: the function writes at most 16 bytes.
    let is_known = unsafe { raw::siftr_cdev_interface_name(stack_id, index, name.as_mut_ptr().cast()) } != 0;
    is_known.then_some(name)
}

/// An entry of the SYN cache: a connection in `SYN_RCVD` that has no pcb yet.
pub struct Syncache<'a>(&'a raw::xtcpcb);

impl Syncache<'_> {
    /// Addresses, ports and routing table.
    pub fn endpoints(&self) -> Endpoints {
        let inpcb = &self.0.xt_inp;
        Endpoints::new(&inpcb.inp_inc, inpcb.inp_vflag)
    }
}

/// Calls `visit` with every entry of the SYN cache of the current network stack
/// that the running thread may see, with the lock of its bucket held: nothing
/// may sleep.
pub fn each_half_open<F: FnMut(&Syncache<'_>)>(mut visit: F) {
    unsafe extern "C" fn put<F: FnMut(&Syncache<'_>)>(
        request: *mut raw::sysctl_req,
        entry: *const c_void,
        len: usize,
    ) -> c_int {
        if len < size_of::<raw::xtcpcb>() || entry.is_null() {
            return raw::EINVAL.cast_signed();
        }
        // SAFETY: the argument is the `visit` below, which outlives the walk; the entry is a whole xtcpcb.
        unsafe {
            let visit = &mut *raw::siftr_cdev_syncache_arg(request).cast::<F>();
            visit(&Syncache(&*entry.cast()));
        }
        0
    }
    // SAFETY: `put` is called only during the call, on this thread.
    unsafe { raw::siftr_cdev_syncache(Some(put::<F>), (&raw mut visit).cast()) }
}

/// How many connections the current network stack has about now.
pub fn count() -> usize {
    // SAFETY: a current network stack is set, since this is called inside `each_vnet`.
    unsafe { raw::siftr_cdev_tcb_count() as usize }
}

/// Calls `visit` in the network stack of the running thread, or in each of
/// them, with the list of network stacks locked by an sx lock then.
pub fn each_vnet<F: FnMut()>(all: bool, mut visit: F) {
    unsafe extern "C" fn call<F: FnMut()>(visit: *mut c_void) {
        // SAFETY: the argument is the `visit` below, which outlives the walk.
        unsafe { (*visit.cast::<F>())() }
    }
    // SAFETY: `call` is called only during the call, on this thread.
    unsafe { raw::siftr_cdev_each_vnet(all.into(), Some(call::<F>), (&raw mut visit).cast()) }
}
