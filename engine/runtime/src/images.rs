//! Where the code of versions lies in memory, for whoever has an address and nothing else: the
//! panic hook and the handler of fatal signals. A place in code is told to the outside by the
//! content of its image and the offset within it, which mean the same in every process.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::link::CodeAddress;

/// Images that are known, the newest ones.
const IMAGES: usize = 256;

/// One image; free while its end is 0.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    content: AtomicU64,
}

static SLOTS: [Slot; IMAGES] = [const {
    Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        content: AtomicU64::new(0),
    }
}; IMAGES];

/// Images that were ever added. The lock is for those who add.
static ADDED: AtomicUsize = AtomicUsize::new(0);
static ADDING: Mutex<()> = Mutex::new(());

/// Adds an image with the content hash of its file. It forgets the oldest when there is no
/// room; an image that is gone stays known until then, behind whatever has come to its place.
pub fn add(range: Range<usize>, content: u64) {
    let _turn = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
    let count = ADDED.load(Ordering::Relaxed);
    let slot = &SLOTS[count % IMAGES];
    // Whoever looks meanwhile must not see half of it.
    slot.end.store(0, Ordering::SeqCst);
    slot.start.store(range.start, Ordering::SeqCst);
    slot.content.store(content, Ordering::SeqCst);
    slot.end.store(range.end, Ordering::SeqCst);
    ADDED.store(count + 1, Ordering::SeqCst);
}

/// The image that an address lies in, the newest first. Reads numbers only, so it may be asked
/// in a signal handler.
pub fn find(address: usize) -> Option<CodeAddress> {
    let count = ADDED.load(Ordering::SeqCst);
    (count.saturating_sub(IMAGES)..count)
        .rev()
        .find_map(|index| {
            let slot = &SLOTS[index % IMAGES];
            let (start, end) = (
                slot.start.load(Ordering::SeqCst),
                slot.end.load(Ordering::SeqCst),
            );
            (start..end).contains(&address).then(|| CodeAddress {
                content: slot.content.load(Ordering::SeqCst),
                offset: (address - start) as u64,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_at_a_place_is_the_one_that_is_there() {
        let at = |offset| CodeAddress { content: 7, offset };
        // Addresses that no image of this process has.
        add(0x100..0x200, 5);
        add(0x100..0x180, 7);
        assert_eq!(find(0x100), Some(at(0)));
        assert_eq!(find(0x17f), Some(at(0x7f)));
        assert_eq!(find(0x180).map(|found| found.content), Some(5));
        assert_eq!(find(0x200), None);
        for _ in 0..IMAGES {
            add(0x300..0x301, 1);
        }
        assert_eq!((find(0x100), find(0x300).is_some()), (None, true));
    }
}
