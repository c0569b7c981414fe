//! Room for values of a type that only its functions know.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use engine_api::bevy_reflect::PartialReflect;
use engine_api::schema::Schema;
use engine_api::state::ValueFunctions;

use crate::panic::{self, PanicReport};

/// Some values of one type, of which those that were not given away are dropped with it.
pub(crate) struct Buffer {
    values: ValueFunctions,
    layout: Layout,
    stride: usize,
    at: NonNull<u8>,
    /// Which values are there.
    has: Vec<bool>,
}

impl Buffer {
    /// Room for `count` values of the type with this schema.
    pub(crate) fn new(values: ValueFunctions, schema: &Schema, count: usize) -> Self {
        let layout = schema.size.checked_mul(count).and_then(|size| {
            // As a Rust type has it.
            Layout::from_size_align(size, schema.align).ok()
        });
        let layout = layout.unwrap_or(Layout::new::<()>());
        let at = if layout.size() == 0 {
            // Nothing is read or written there.
            NonNull::without_provenance(std::num::NonZero::<usize>::MIN.saturating_mul(
                std::num::NonZero::new(schema.align).unwrap_or(std::num::NonZero::<usize>::MIN),
            ))
        } else {
            // SAFETY: the layout has at least one byte.
            NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Self {
            values,
            layout,
            stride: schema.size,
            at,
            has: vec![false; count],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.has.len()
    }

    /// How many values are there.
    pub(crate) fn count(&self) -> usize {
        self.has.iter().filter(|has| **has).count()
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        self.has.get(index) == Some(&true)
    }

    /// The place of a value.
    pub(crate) fn slot(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.has.len(), "there is no such value");
        // SAFETY: there is room for as many values.
        unsafe { self.at.add(index * self.stride) }
    }

    /// Makes a value. `false` if something is missing.
    ///
    /// # Safety
    /// The buffer was made with functions and schema of one type.
    pub(crate) unsafe fn write(&mut self, index: usize, from: &dyn PartialReflect) -> bool {
        let slot = self.slot(index);
        // SAFETY: the place is aligned and there is room for a value of the type.
        self.has[index] = unsafe { (self.values.write)(from, slot) };
        self.has[index]
    }

    /// Makes a value by copying the first one, to be changed by `change`. For types that
    /// need no drop.
    pub(crate) fn copy_first(&mut self, index: usize, change: impl FnOnce(*mut u8)) {
        if !self.has(0) || index == 0 {
            return;
        }
        let (first, slot) = (self.slot(0), self.slot(index));
        // SAFETY: two places of the buffer, with room for a value each.
        unsafe { slot.copy_from_nonoverlapping(first, self.stride) };
        change(slot.as_ptr());
        self.has[index] = true;
    }

    /// The value belongs to someone else now.
    pub(crate) fn forget(&mut self, index: usize) {
        self.has[index] = false;
    }

    /// Drops the value at a place, which may panic, and moves the first one there all the
    /// same.
    ///
    /// # Safety
    /// A value of the same type is at the place, and nobody else uses it.
    pub(crate) unsafe fn replace(&mut self, at: *mut u8) -> Option<PanicReport> {
        let place = NonNull::new(at).filter(|_| self.has(0))?;
        // SAFETY: the caller promises a value of this type, which is overwritten next.
        let dropped = panic::guard(|| unsafe { (self.values.drop)(place) });
        // SAFETY: as above; the value is forgotten here.
        unsafe { place.copy_from_nonoverlapping(self.slot(0), self.stride) };
        self.forget(0);
        dropped.err()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        for index in 0..self.has.len() {
            if self.has[index] {
                let slot = self.slot(index);
                // SAFETY: the value is there and nobody else knows of it.
                let _ = panic::guard(|| unsafe { (self.values.drop)(slot) });
            }
        }
        if self.layout.size() > 0 {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.at.as_ptr(), self.layout) };
        }
    }
}
