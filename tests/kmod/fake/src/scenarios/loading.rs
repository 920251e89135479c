// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Loading, unloading, and the device.

use crate::help::{connections, loaded, open, open_binary, read_to_end, snapshot};
use crate::kernel::{self, File, fails_with};

scenarios! {
    fn the_module_loads_and_unloads_many_times() {
        connections(3);
        for _ in 0..200 {
            loaded(|| assert_eq!(snapshot(&open_binary()).1.len(), 3));
        }
    }

    fn reloading_the_module_resets_its_state() {
        connections(3);
        loaded(|| {
            read_to_end(&open(), 4096);
            assert_eq!(kernel::sysctl("snapshots"), 1);
            kernel::set_sysctl("interval_min_us", 5);
        });
        loaded(|| {
            assert_eq!(kernel::sysctl("snapshots"), 0);
            assert_eq!(kernel::sysctl("interval_min_us"), 1000);
        });
    }

    fn the_device_belongs_to_root_and_wheel_who_can_read_it() {
        loaded(|| assert_eq!(kernel::device("tcpstats"), Some((0, 0, 0o440))));
        assert_eq!(kernel::device("tcpstats"), None);
    }

    fn tunables_set_group_and_permissions_and_no_other_mode_bits() {
        kernel::tunable(c"net.inet.siftr_cdev.mode", c"0106444");
        kernel::tunable(c"net.inet.siftr_cdev.gid", c"4242");
        loaded(|| assert_eq!(kernel::device("tcpstats"), Some((0, 4242, 0o444))));
    }

    fn loading_fails_and_leaves_nothing_if_another_driver_has_the_device() {
        kernel::other_device("tcpstats").unwrap();
        fails_with(kernel::load(), "ENOEXEC");
        fails_with(kernel::sysctl_bytes("snapshots"), "ENOENT");
        kernel::other_device_gone();
        loaded(|| assert_eq!(snapshot(&open_binary()).1.len(), 0));
    }

    fn a_kernel_of_another_release_refuses_the_module() {
        let (here, exactly) = (kernel::release(), u32::try_from(kernel::constant("__FreeBSD_version")).unwrap());
        for (osreldate, fits) in [
            (here * 100_000, false),
            (here * 100_000 - 1, false),
            (exactly - 1, false),
            (exactly, true),
            // Structures can change with a minor release.
            (exactly + 1, false),
            ((here + 1) * 100_000, false),
        ] {
            let result = kernel::load_into(i32::try_from(osreldate).unwrap());
            if fits {
                result.unwrap();
                kernel::unload().unwrap();
            } else {
                fails_with(result, "ENOEXEC");
            }
        }
    }

    fn an_open_descriptor_prevents_unloading_even_by_force() {
        connections(2);
        kernel::load().unwrap();
        let file = open_binary();
        fails_with(kernel::unload(), "EBUSY");
        fails_with(kernel::unload_by_force(), "EBUSY");
        assert_eq!(snapshot(&file).1.len(), 2, "the descriptor still works");
        let another = File::open().expect("the device can be opened after a refused unload");
        drop(file);
        fails_with(kernel::unload(), "EBUSY");
        drop(another);
        kernel::unload().unwrap();
    }

    fn a_descriptor_in_the_middle_of_a_snapshot_prevents_unloading() {
        connections(300);
        kernel::load().unwrap();
        let file = open_binary();
        file.read(&mut [0; 100]).unwrap();
        fails_with(kernel::unload(), "EBUSY");
        drop(file);
        kernel::unload().unwrap();
    }

    fn probes_still_fire_after_a_refused_unload() {
        connections(2);
        kernel::load().unwrap();
        let file = open_binary();
        fails_with(kernel::unload(), "EBUSY");
        fails_with(kernel::unload_by_force(), "EBUSY");
        let mut fired = 0;
        kernel::with_probes(|_, _| fired += 1, || snapshot(&file));
        assert_eq!(fired, 2);
        drop(file);
        kernel::unload().unwrap();
    }

    fn the_device_can_be_opened_after_another_handler_refused_the_unload() {
        connections(2);
        kernel::load().unwrap();
        kernel::refuse_unload(true);
        fails_with(kernel::unload(), "EBUSY");
        let file = open_binary();
        let mut fired = 0;
        kernel::with_probes(|_, _| fired += 1, || snapshot(&file));
        assert_eq!(fired, 2);
        drop(file);
        kernel::refuse_unload(false);
        kernel::unload().unwrap();
    }

    fn the_unload_of_another_module_is_not_refused() {
        loaded(|| {
            let file = open();
            kernel::unload_another();
            drop(file);
            kernel::unload_another();
            drop(open());
        });
    }

    fn a_revoked_descriptor_prevents_the_unload_until_it_is_closed() {
        connections(300);
        kernel::load().unwrap();
        let (revoked, file) = (open_binary(), open_binary());
        revoked.read(&mut [0; 100]).unwrap();
        revoked.revoke();
        drop(file);
        fails_with(kernel::unload(), "EBUSY");
        assert_eq!(kernel::calls("quiesce_all_cpus"), 0);
        drop(revoked);
        // destroy_dev() does not wait for the thread that closed it, which may still be in the module.
        kernel::signal("EINTR");
        fails_with(kernel::unload(), "EBUSY");
        kernel::signal_gone();
        assert_eq!(kernel::calls("quiesce_all_cpus"), 1);
        drop(File::open().expect("the device can be opened after a refused unload"));
        kernel::unload().unwrap();
        assert_eq!(kernel::calls("quiesce_all_cpus"), 2);
        loaded(|| drop(open()));
        assert_eq!(kernel::calls("quiesce_all_cpus"), 2, "destroy_dev() waits for ordinary closes");
    }

    fn unknown_module_events_are_refused() {
        loaded(|| {
            for event in [-1, 4, 99, i32::MAX] {
                fails_with(kernel::modevent(event), "EOPNOTSUPP");
            }
            kernel::modevent(i32::try_from(kernel::constant("MOD_SHUTDOWN")).unwrap()).unwrap();
            assert!(read_to_end(&open(), 4096).starts_with(b"time,"), "a shutdown changes nothing");
        });
    }

    fn not_even_root_can_open_the_device_for_writing() {
        loaded(|| {
            fails_with(File::open_for("FWRITE"), "EPERM");
            assert_eq!(kernel::sysctl("open"), 0);
        });
    }

    fn the_device_cannot_be_opened_after_unloading() {
        kernel::load().unwrap();
        kernel::unload().unwrap();
        fails_with(File::open(), "ENOENT");
    }

    fn the_version_is_that_of_the_package() {
        loaded(|| assert_eq!(kernel::sysctl_text("version"), env!("CARGO_PKG_VERSION")));
    }
}
