// SPDX-License-Identifier: BSD-2-Clause

//! What a user may have: descriptors, and snapshots in a time.

use crate::help::{connections, loaded, open_binary, snapshot};
use crate::kernel::{self, Cred, File, Jail, Vnet, fails_with};

/// Runs with the module loaded, as a user who may have a snapshot every 50 ms.
fn paced(body: impl FnOnce()) {
    connections(3);
    kernel::clock_step(0);
    loaded(|| {
        kernel::set_sysctl("interval_min_us", 50_000);
        Cred::user(1001).become_it();
        body();
    });
}

scenarios! {
    fn a_user_has_so_many_descriptors_and_no_more() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 3);
            Cred::user(1001).become_it();
            let mut files: Vec<_> = (0..3).map(|_| File::open().unwrap()).collect();
            fails_with(File::open(), "EMFILE");
            Cred::user(1002).become_it();
            let other = File::open().expect("another user has their own");
            Cred::new(1001, Jail::new(5, Vnet::HOST)).become_it();
            let jailed = File::open().expect("the same number in a jail is another user");
            Cred::user(1001).become_it();
            files.pop();
            files.push(File::open().expect("a closed one can be opened again"));
            fails_with(File::open(), "EMFILE");
            assert_eq!(kernel::sysctl("open"), 5);
            drop((files, other, jailed));
            assert_eq!(kernel::sysctl("open"), 0);
        });
    }

    fn no_limit_binds_root_of_the_host() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 0);
            kernel::set_sysctl("interval_min_us", 1_000_000);
            let files: Vec<_> = (0..100).map(|_| open_binary()).collect();
            for file in &files {
                snapshot(file);
            }
            assert_eq!(kernel::slept_ns(), 0);
            Cred::user(1001).become_it();
            fails_with(File::open(), "EMFILE");
            Cred::new(0, Jail::new(5, Vnet::HOST)).become_it();
            fails_with(File::open(), "EMFILE");
        });
    }

    fn a_descriptor_is_its_openers_whoever_closes_it() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 1);
            let ann = Cred::user(1001);
            ann.become_it();
            let file = File::open().unwrap();
            kernel::become_root();
            drop(file);
            ann.become_it();
            let file = File::open().expect("the one before is closed");
            fails_with(File::open(), "EMFILE");
            drop(file);
        });
    }

    fn more_users_than_are_remembered_are_refused() {
        loaded(|| {
            let files: Vec<_> = (0..128)
                .map(|uid| {
                    Cred::user(1000 + uid).become_it();
                    File::open().unwrap()
                })
                .collect();
            Cred::user(5000).become_it();
            fails_with(File::open(), "ENFILE");
            drop(files);
            drop(File::open().unwrap());
        });
    }

    fn a_user_waits_between_two_snapshots() {
        paced(|| {
            let file = open_binary();
            let times: Vec<_> = (0..4).map(|_| snapshot(&file).0.mono_ns).collect();
            assert!(times.windows(2).all(|two| two[1] - two[0] >= 50_000_000), "{times:?}");
            assert!((150_000_000..151_000_000).contains(&kernel::slept_ns()), "{}", kernel::slept_ns());
        });
    }

    fn opening_again_does_not_shorten_the_wait() {
        paced(|| {
            let start = kernel::now();
            for _ in 0..5 {
                snapshot(&open_binary());
            }
            assert!(kernel::now() - start >= 4 * 50_000_000);
        });
    }

    fn two_descriptors_of_a_user_share_the_interval_and_two_users_do_not() {
        paced(|| {
            let (one, other) = (open_binary(), open_binary());
            snapshot(&one);
            snapshot(&other);
            let slept = kernel::slept_ns();
            assert!(slept >= 50_000_000);
            Cred::user(1002).become_it();
            snapshot(&open_binary());
            assert_eq!(kernel::slept_ns(), slept);
        });
    }

    fn a_reader_that_does_not_block_is_told_to_come_again() {
        paced(|| {
            let file = open_binary();
            file.nonblocking(true);
            snapshot(&file);
            for _ in 0..10 {
                fails_with(file.read(&mut [0; 100]), "EAGAIN");
            }
            assert_eq!(kernel::slept_ns(), 0);
            kernel::advance(50_000_000);
            assert_eq!(snapshot(&file).1.len(), 3, "asking too early did not make it later");
        });
    }

    fn reading_on_in_a_snapshot_waits_for_nothing() {
        connections(300);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 50_000);
            Cred::user(1001).become_it();
            assert_eq!(crate::help::read_to_end(&open_binary(), 1).len() % 8, 0);
            assert_eq!(kernel::slept_ns(), 0);
        });
    }

    fn an_interval_of_nothing_is_no_limit() {
        connections(3);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 0);
            Cred::user(1001).become_it();
            let file = open_binary();
            for _ in 0..100 {
                snapshot(&file);
            }
            assert_eq!(kernel::slept_ns(), 0);
        });
    }

    fn an_interval_made_shorter_holds_at_once() {
        connections(3);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 4_000_000_000);
            Cred::user(1001).become_it();
            let file = open_binary();
            snapshot(&file);
            kernel::set_sysctl("interval_min_us", 1000);
            snapshot(&file);
            assert!(kernel::slept_ns() < 2_000_000, "{}", kernel::slept_ns());
        });
    }
}
