// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Parsers of files and links in /proc/PID.

/// What /proc/PID/stat contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The command, padded with zeros.
    pub command: [u8; 16],
    /// Whether it is a thread of the kernel, which has no descriptors.
    pub is_kernel_thread: bool,
    /// The number of threads.
    pub threads: u32,
    /// The time at which the process was started, in clock ticks since boot.
    pub start: u64,
}

/// What /proc/PID/schedstat contains.  It changes whenever the thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The time on a CPU, in nanoseconds.
    run_ns: u64,
    /// How often the thread was scheduled.
    slices: u64,
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns text in an array, padded with zeros, and truncated if it is longer.
fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let len = text.len().min(N);
    array[..len].copy_from_slice(&text[..len]);
    array
}

impl Stat {
    /// Parses the text of /proc/PID/stat.
    pub fn parse(text: &[u8]) -> Option<Self> {
        /// `PF_KTHREAD` of linux/sched.h, which has not changed since Linux 2.6.
        const KERNEL_THREAD: u32 = 0x0020_0000;
        let start = text.iter().position(|byte| *byte == b'(')?;
        // The command may contain anything, and the text after it no parentheses.
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let command = text.get(start + 1..end)?;
        // From the third field, the state, on.
        let mut fields = text.get(end + 2..)?.split(|byte| *byte == b' ');
        let flags: u32 = number(fields.nth(6)?)?;
        let threads = number(fields.nth(10)?)?;
        let start = number(fields.nth(1)?)?;
        Some(Self { command: padded(command), is_kernel_thread: flags & KERNEL_THREAD != 0, threads, start })
    }
}

impl Activity {
    /// Parses the text of schedstat.  Returns `None` if the kernel does not count.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.trim_ascii_end().split(|byte| *byte == b' ');
        let run_ns = number(fields.next()?)?;
        let slices = number(fields.nth(1)?)?;
        (run_ns != 0 && slices != 0).then_some(Self { run_ns, slices })
    }
}

/// Returns the inode number in the link of a descriptor, `None` if it is not a socket.
pub fn socket_inode(link: &[u8]) -> Option<u32> {
    number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// Returns the container in the text of /proc/PID/cgroup, padded with zeros: the first 12
/// digits of the container's id or its name in LXC, and otherwise the control group or the end
/// of it.  Returns `None` for the root of the hierarchy.
pub fn container(text: &[u8]) -> Option<[u8; 64]> {
    let groups = || text.split(|byte| *byte == b'\n').filter_map(ControlGroup::parse);
    if let Some(id) = groups().find_map(|group| container_id(group.path)) {
        return Some(padded(id));
    }
    // Version 2, then systemd's own hierarchy, then any.
    let ranks: [fn(&ControlGroup) -> bool; 3] =
        [|group| group.controllers.is_empty(), |group| group.controllers == b"name=systemd", |_| true];
    let group = ranks.iter().find_map(|has_rank| groups().find(|group| has_rank(group) && group.path != b"/"))?;
    Some(padded(end_of(group.path)))
}

/// A line of /proc/PID/cgroup.
struct ControlGroup<'a> {
    /// The controllers of the hierarchy, empty for version 2.
    controllers: &'a [u8],
    path: &'a [u8],
}

impl<'a> ControlGroup<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        path.starts_with(b"/").then_some(Self { controllers, path })
    }
}

/// Returns the id or the name of the innermost container in the path of a control group.
fn container_id(path: &[u8]) -> Option<&[u8]> {
    let mut components = path.split(|byte| *byte == b'/').rev().peekable();
    while let Some(component) = components.next() {
        if let Some(id) = id_in(component) {
            return Some(id);
        }
        if let Some(name) = component.strip_prefix(b"lxc.payload.").filter(|name| !name.is_empty()) {
            return Some(&name[..name.len().min(64)]);
        }
        let is_in_lxc = matches!(components.peek(), Some(&b"lxc" | &b"lxc.payload"));
        if is_in_lxc && !component.is_empty() {
            return Some(&component[..component.len().min(64)]);
        }
    }
    None
}

/// Returns the first 12 digits of an id of exactly 64 hexadecimal digits.
fn id_in(component: &[u8]) -> Option<&[u8]> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut start = 0;
    for run in component.split(|byte| !is_digit(byte)) {
        // The monitor of a container is not in it.
        if run.len() == 64 && !component[..start].ends_with(b"conmon-") {
            return run.get(..12);
        }
        start += run.len() + 1;
    }
    None
}

/// Returns the end of a path that has at most 64 bytes, from a slash on if possible.
fn end_of(path: &[u8]) -> &[u8] {
    let earliest = path.len().saturating_sub(64);
    let starts_here = |at: &usize| path[*at] == b'/';
    // A continuation byte of UTF-8 does not start a character.
    let starts_character = |at: &usize| path[*at] & 0xc0 != 0x80;
    let mut places = earliest..path.len();
    let start = places.clone().find(starts_here).or_else(|| places.find(starts_character));
    &path[start.unwrap_or(earliest)..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3f4e8a0c5b7d9e1f3f4e8a0c5b7d9e1f3f4e8a0c5b7d9e1f3f4e8a0c5b7d9e1f";

    fn stat_of(command: &[u8], threads: u32, start: u64) -> Vec<u8> {
        let rest = format!(" S 1 2 3 0 -1 4194368 20 0 0 0 0 0 0 0 20 0 {threads} 0 {start} 2400256 114\n");
        [b"4711 (", command, b")", rest.as_bytes()].concat()
    }

    fn text(array: &[u8]) -> String {
        String::from_utf8_lossy(array).trim_end_matches('\0').to_owned()
    }

    #[test]
    fn a_kernel_thread_is_recognized() {
        let text = b"9 (kworker/0:0-mm_percpu_wq) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 20 0 1 0 55 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.is_kernel_thread, &stat.command, stat.start), (true, b"kworker/0:0-mm_p", 55));
        assert!(!Stat::parse(&stat_of(b"sh", 1, 5)).unwrap().is_kernel_thread);
    }

    #[test]
    fn activity_is_absent_if_the_kernel_does_not_count() {
        assert_eq!(Activity::parse(b"606074 10716773 2\n"), Some(Activity { run_ns: 606_074, slices: 2 }));
        assert_eq!(Activity::parse(b"0 0 0\n"), None);
        assert_eq!(Activity::parse(b""), None);
    }

    #[test]
    fn only_the_link_of_a_socket_has_an_inode() {
        assert_eq!(socket_inode(b"socket:[4294967295]"), Some(u32::MAX));
        for other in [&b"pipe:[7]"[..], b"/tmp/socket:[7]", b"socket:[7] (deleted)", b"socket:[]", b"socket:[-7]", b""]
        {
            assert_eq!(socket_inode(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn a_container_is_named_by_its_id_and_another_group_by_its_path() {
        let long = format!("/user.slice/{}", "/application.slice".repeat(5));
        let cases = [
            (format!("0::/system.slice/docker-{ID}.scope\n"), "3f4e8a0c5b7d"),
            (format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/\n"), "3f4e8a0c5b7d"),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"), "3f4e8a0c5b7d"),
            (format!("0::/kubepods/besteffort/pod0f/{ID}"), "3f4e8a0c5b7d"),
            (format!("0::/machine.slice/libpod-{ID}.scope/container"), "3f4e8a0c5b7d"),
            (format!("0::/docker/{}/docker/{ID}", "0".repeat(64)), "3f4e8a0c5b7d"),
            ("3:cpu:/lxc/web\n".into(), "web"),
            ("0::/lxc.payload.web/init.scope".into(), "web"),
            ("0::/lxc.payload/web/system.slice/a.service".into(), "web"),
            ("0::/system.slice/ssh.service\n".into(), "/system.slice/ssh.service"),
            ("4:memory:/other\n1:name=systemd:/system.slice/a.service\n0::/\n".into(), "/system.slice/a.service"),
            ("4:memory:/other\n1:name=systemd:/\n0::/\n".into(), "/other"),
            (format!("0::{long}"), "/application.slice/application.slice/application.slice"),
            ("0::/a:b/c:d".into(), "/a:b/c:d"),
        ];
        for (group, expected) in cases {
            assert_eq!(text(&container(group.as_bytes()).unwrap()), expected, "{group}");
        }
    }

    #[test]
    fn what_is_not_in_a_container_is_not_given_its_id() {
        let monitor = container(format!("0::/machine.slice/libpod-conmon-{ID}.scope").as_bytes()).unwrap();
        assert!(text(&monitor).ends_with("5b7d9e1f.scope"));
        let longer = format!("0::/{ID}0");
        assert!(!text(&container(longer.as_bytes()).unwrap()).starts_with("3f4e8a0c5b7d9e1f3f4e8a0c5b7d9e1f/"));
        for root in ["0::/\n", "", "9:name=systemd:/\n8:pids:/\n0::/\n"] {
            assert_eq!(container(root.as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn any_command_is_separated_from_the_fields(
            command in prop::collection::vec(1_u8.., 0..16), threads in 0_u32.., start in 0_u64..
        ) {
            let stat = Stat::parse(&stat_of(&command, threads, start)).unwrap();
            prop_assert_eq!(&stat.command[..command.len()], &command[..]);
            prop_assert_eq!((stat.threads, stat.start), (threads, start));
            prop_assert!(stat.command[command.len()..].iter().all(|byte| *byte == 0));
        }

        #[test]
        fn arbitrary_bytes_are_parsed_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            _ = Stat::parse(&bytes);
            _ = Activity::parse(&bytes);
            _ = socket_inode(&bytes);
            _ = container(&bytes);
        }

        #[test]
        fn a_container_is_text_if_the_path_is(path in "(/[a-fé0-9.-]{0,80}){1,4}") {
            let line = format!("0::{path}\n");
            if let Some(name) = container(line.as_bytes()) {
                let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                prop_assert!(std::str::from_utf8(&name[..len]).is_ok());
            }
        }

        #[test]
        fn a_truncated_stat_is_parsed_or_rejected(len in 0_usize..90) {
            let complete = stat_of(b"a) b", 1, 99);
            _ = Stat::parse(&complete[..len.min(complete.len())]);
        }
    }
}
