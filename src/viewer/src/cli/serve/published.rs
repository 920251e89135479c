// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What the sampler publishes and the server reads.

use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::View;

/// The last state of the metrics.  Neither side waits for the other: only a pointer is copied
/// while it is locked.
#[derive(Default)]
pub struct Published(Mutex<Arc<View>>);

impl Published {
    /// Publishes a state.
    pub fn publish(&self, view: View) {
        let view = Arc::new(view);
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), view);
        // Its memory is freed without the lock.
        drop(before);
    }

    /// Returns the last state.
    pub fn last(&self) -> Arc<View> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
