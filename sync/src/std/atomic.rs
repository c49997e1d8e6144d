//! Std's atomics under their own names.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
};

/// A full fence, right after an exchange by the same thread. On x86-64 the exchange was one already (a locked instruction), and a second would double the cost; so only the compiler is held.
#[inline]
pub(crate) fn fence_after_exchange() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fence(std::sync::atomic::Ordering::SeqCst);
}

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
