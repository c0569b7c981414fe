//! The last picture on its way from the frame thread to the telemetry thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use engine_api::viewport::Viewport;

use crate::convert;
use crate::link::FromHost;
use crate::outbox::Outbox;

/// Where the frame thread leaves the last picture for the telemetry thread to send:
/// converting and waking the other side cost more than drawing it.
#[derive(Default)]
pub(crate) struct Easel {
    picture: Mutex<(Viewport, u64)>,
    sent: Mutex<Option<Viewport>>,
    fresh: AtomicBool,
}

impl Easel {
    /// Leaves a picture, unless the last one has not been taken yet. Copies the cells
    /// and allocates only when the size changes.
    pub(crate) fn show(&self, viewport: &Viewport, frame: u64) {
        if self.fresh.load(Ordering::Acquire) {
            return;
        }
        if let Ok(mut picture) = self.picture.try_lock() {
            picture.0.clone_from(viewport);
            picture.1 = frame;
            self.fresh.store(true, Ordering::Release);
        }
    }

    /// Sends the picture if there is a new one that differs from the last.
    pub(crate) fn send(&self, to: &Outbox) {
        if !self.fresh.load(Ordering::Acquire) {
            return;
        }
        let picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.as_ref() != Some(&picture.0) {
            to.offer(FromHost::Viewport(convert::picture(&picture.0, picture.1)));
            *sent = Some(picture.0.clone());
        }
        drop(picture);
        self.fresh.store(false, Ordering::Release);
    }
}
