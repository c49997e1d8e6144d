//! Std's atomics under their own names.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
};

/// Exclusive access, in the form that every mode can give.
pub(crate) trait Exclusive<V> {
    fn exclusive<R>(&mut self, access: impl FnOnce(&mut V) -> R) -> R;
}

macro_rules! exclusive {
    ($($name:ident$(<$param:ident>)?: $value:ty,)*) => {$(
        impl$(<$param>)? Exclusive<$value> for $name$(<$param>)? {
            #[inline]
            fn exclusive<R>(&mut self, access: impl FnOnce(&mut $value) -> R) -> R {
                access(self.get_mut())
            }
        }
    )*};
}

exclusive!(
    AtomicBool: bool, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize, AtomicPtr<T>: *mut T,
);
