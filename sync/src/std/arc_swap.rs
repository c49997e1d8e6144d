//! arc-swap's place, answering a compare-and-swap with a result.

use std::sync::Arc;

use ::arc_swap::Guard;

pub(crate) struct ArcSwap<T>(::arc_swap::ArcSwap<T>);

pub(crate) type ArcSwapGuard<T> = Guard<Arc<T>>;

impl<T> ArcSwap<T> {
    #[inline]
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(::arc_swap::ArcSwap::new(value))
    }

    #[inline]
    pub(crate) fn load(&self) -> ArcSwapGuard<T> {
        self.0.load()
    }

    #[inline]
    pub(crate) fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    #[inline]
    pub(crate) fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }

    #[inline]
    pub(crate) fn compare_and_swap(&self, current: &Arc<T>, new: Arc<T>) -> Result<(), Arc<T>> {
        let stood = self.0.compare_and_swap(current, new);
        if Arc::ptr_eq(&stood, current) {
            Ok(())
        } else {
            Err(Guard::into_inner(stood))
        }
    }
}
