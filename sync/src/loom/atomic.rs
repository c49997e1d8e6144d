//! loom's atomics under their own names.

use std::sync::atomic::Ordering;

pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
};

/// What the exchange did is no fence in the language's model.
pub(crate) fn fence_after_exchange() {
    fence(Ordering::SeqCst);
}

/// Exclusive access, in the form that every mode can give.
pub(crate) trait Exclusive<V> {
    fn exclusive<R>(&mut self, access: impl FnOnce(&mut V) -> R) -> R;
}

macro_rules! exclusive {
    ($($name:ident$(<$param:ident>)?: $value:ty,)*) => {$(
        impl$(<$param>)? Exclusive<$value> for $name$(<$param>)? {
            fn exclusive<R>(&mut self, access: impl FnOnce(&mut $value) -> R) -> R {
                self.with_mut(access)
            }
        }
    )*};
}

exclusive!(AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize, AtomicPtr<T>: *mut T,);

impl Exclusive<bool> for AtomicBool {
    /// loom lends no reference to a `bool`; to whoever has exclusive access, two relaxed accesses
    /// are the same.
    fn exclusive<R>(&mut self, access: impl FnOnce(&mut bool) -> R) -> R {
        let mut value = self.load(Ordering::Relaxed);
        let result = access(&mut value);
        self.store(value, Ordering::Relaxed);
        result
    }
}
