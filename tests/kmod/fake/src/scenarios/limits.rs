// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Limits for a user: descriptors, and the interval between snapshots.

use crate::help::{connections, loaded, open_binary, snapshot};
use crate::kernel::{self, Cred, File, Jail, Vnet, fails_with};

/// Runs with the module loaded, as a user who can take a snapshot every 50 ms.
fn paced(body: impl FnOnce()) {
    connections(3);
    kernel::clock_step(0);
    loaded(|| {
        kernel::set_sysctl("interval_min_us", 50_000);
        Cred::user(1001).assume();
        body();
    });
}

scenarios! {
    fn the_descriptors_of_a_user_are_limited() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 3);
            Cred::user(1001).assume();
            let mut files: Vec<_> = (0..3).map(|_| File::open().unwrap()).collect();
            fails_with(File::open(), "EMFILE");
            Cred::user(1002).assume();
            let other = File::open().expect("another user has a separate limit");
            Cred::new(1001, Jail::new(5, Vnet::HOST)).assume();
            let jailed = File::open().expect("the same UID in a jail is another user");
            Cred::user(1001).assume();
            files.pop();
            files.push(File::open().expect("a closed descriptor does not count"));
            fails_with(File::open(), "EMFILE");
            assert_eq!(kernel::sysctl("open"), 5);
            drop((files, other, jailed));
            assert_eq!(kernel::sysctl("open"), 0);
        });
    }

    fn no_limit_applies_to_root_of_the_host() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 0);
            kernel::set_sysctl("interval_min_us", 1_000_000);
            let files: Vec<_> = (0..100).map(|_| open_binary()).collect();
            for file in &files {
                snapshot(file);
            }
            assert_eq!(kernel::slept_ns(), 0);
            Cred::user(1001).assume();
            fails_with(File::open(), "EMFILE");
            Cred::new(0, Jail::new(5, Vnet::HOST)).assume();
            fails_with(File::open(), "EMFILE");
        });
    }

    fn a_descriptor_counts_for_the_user_who_opened_it() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 1);
            let ann = Cred::user(1001);
            ann.assume();
            let file = File::open().unwrap();
            kernel::become_root();
            drop(file);
            ann.assume();
            let file = File::open().expect("the previous descriptor is closed");
            fails_with(File::open(), "EMFILE");
            drop(file);
        });
    }

    fn more_users_than_the_table_holds_are_refused() {
        loaded(|| {
            let files: Vec<_> = (0..128)
                .map(|uid| {
                    Cred::user(1000 + uid).assume();
                    File::open().unwrap()
                })
                .collect();
            Cred::user(5000).assume();
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

    fn reopening_does_not_shorten_the_wait() {
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
            Cred::user(1002).assume();
            snapshot(&open_binary());
            assert_eq!(kernel::slept_ns(), slept);
        });
    }

    fn a_nonblocking_reader_gets_eagain() {
        paced(|| {
            let file = open_binary();
            file.nonblocking(true);
            snapshot(&file);
            for _ in 0..10 {
                fails_with(file.read(&mut [0; 100]), "EAGAIN");
            }
            assert_eq!(kernel::slept_ns(), 0);
            kernel::advance(50_000_000);
            assert_eq!(snapshot(&file).1.len(), 3, "reading too early does not extend the wait");
        });
    }

    fn reading_the_rest_of_a_snapshot_does_not_wait() {
        connections(300);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 50_000);
            Cred::user(1001).assume();
            assert_eq!(crate::help::read_to_end(&open_binary(), 1).len() % 8, 0);
            assert_eq!(kernel::slept_ns(), 0);
        });
    }

    fn an_interval_of_zero_means_no_limit() {
        connections(3);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 0);
            Cred::user(1001).assume();
            let file = open_binary();
            for _ in 0..100 {
                snapshot(&file);
            }
            assert_eq!(kernel::slept_ns(), 0);
        });
    }

    fn a_shorter_interval_takes_effect_immediately() {
        connections(3);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 4_000_000_000);
            Cred::user(1001).assume();
            let file = open_binary();
            snapshot(&file);
            kernel::set_sysctl("interval_min_us", 1000);
            snapshot(&file);
            assert!(kernel::slept_ns() < 2_000_000, "{}", kernel::slept_ns());
        });
    }
}
