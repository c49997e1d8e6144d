//! loom's cell, and witnesses made of empty ones.

#![expect(unsafe_code, reason = "a witness is shared so that loom can judge how")]

pub(crate) use loom::cell::UnsafeCell;

#[derive(Default)]
pub(crate) struct Witness(UnsafeCell<()>);

// SAFETY: there is no data in the cell to race for; loom fails the model where there would be one.
unsafe impl Sync for Witness {}

impl Witness {
    pub(crate) fn read(&self) {
        self.0.with(|_| ());
    }

    pub(crate) fn write(&self) {
        self.0.with_mut(|_| ());
    }
}
