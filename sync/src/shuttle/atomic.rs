//! Shuttle's atomics under their own names.

pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
};

/// What the exchange did is no fence in the language's model.
pub(crate) fn fence_after_exchange() {
    fence(std::sync::atomic::Ordering::SeqCst);
}

/// Exclusive access, in the form that every mode can give.
pub(crate) trait Exclusive<V> {
    fn exclusive<R>(&mut self, access: impl FnOnce(&mut V) -> R) -> R;
}

macro_rules! exclusive {
    ($($name:ident$(<$param:ident>)?: $value:ty,)*) => {$(
        impl$(<$param>)? Exclusive<$value> for $name$(<$param>)? {
            fn exclusive<R>(&mut self, access: impl FnOnce(&mut $value) -> R) -> R {
                access(self.get_mut())
            }
        }
    )*};
}

exclusive!(
    AtomicBool: bool, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize, AtomicPtr<T>: *mut T,
);
