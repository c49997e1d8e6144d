//! Atomics. Any thread may call anything; `with_mut` needs exclusive access, as its type says.
//!
//! 1. The operations are those of [`std::sync::atomic`], with the same meaning.
//! 2. `new` is not `const`: a checker numbers each atomic of an execution. So there can be no
//!    statics, which the house forbids anyway.
//! 3. `compare_exchange_weak` may fail spuriously, and under shuttle it does, at random.
//! 4. loom's atomics cannot be made by zeroing memory: whoever places one in a
//!    [`Region`](crate::Region) writes it there with `ptr::write`.

use std::fmt;

use crate::mode;
use crate::mode::atomic::Exclusive;

pub use std::sync::atomic::Ordering;

/// Orders this thread's accesses on both sides of it: [`std::sync::atomic::fence`].
#[inline]
pub fn fence(order: Ordering) {
    mode::atomic::fence(order);
}

/// A full fence ([`Ordering::SeqCst`]) right after this thread has replaced a value by an operation that reads
/// and writes: where the hardware's operation was such a fence, it costs nothing more.
#[inline]
pub fn fence_after_exchange() {
    mode::atomic::fence_after_exchange();
}

/// What all atomics have: everything except arithmetic.
macro_rules! common {
    ($name:ident$(<$param:ident>)?, $value:ty, $what:expr) => {
        #[doc = concat!("An atomic ", $what, ".")]
        #[repr(transparent)]
        pub struct $name$(<$param>)?(mode::atomic::$name$(<$param>)?);

        impl$(<$param>)? $name$(<$param>)? {
            /// One that holds `value`.
            #[inline]
            #[must_use]
            pub fn new(value: $value) -> Self {
                Self(mode::atomic::$name::new(value))
            }

            /// The value.
            #[inline]
            #[must_use]
            pub fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            /// Replaces the value.
            #[inline]
            pub fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }

            /// Replaces the value and returns what it was.
            #[inline]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.0.swap(value, order)
            }

            /// Replaces `current` by `new`.
            ///
            /// # Errors
            /// With the value that stands, if that is not `current`.
            #[inline]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.0.compare_exchange(current, new, success, failure)
            }

            /// Replaces `current` by `new`; for loops, as it may fail without a reason.
            ///
            /// # Errors
            /// With the value that stands, which may be `current`.
            #[inline]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if mode::fails_spuriously() {
                    return Err(self.0.load(failure));
                }
                self.0.compare_exchange_weak(current, new, success, failure)
            }

            /// Runs `access` on the value, which nobody else can reach meanwhile.
            #[inline]
            pub fn with_mut<R>(&mut self, access: impl FnOnce(&mut $value) -> R) -> R {
                self.0.exclusive(access)
            }
        }

        impl$(<$param>)? fmt::Debug for $name$(<$param>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

macro_rules! operations {
    ($name:ident, $value:ty: $($operation:ident, $what:literal;)*) => {
        impl $name {
            $(
                #[doc = concat!($what, " and returns what the value was.")]
                #[inline]
                pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                    self.0.$operation(value, order)
                }
            )*
        }

        impl Default for $name {
            #[inline]
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }
    };
}

macro_rules! integer {
    ($name:ident, $value:ident) => {
        common!($name, $value, concat!("`", stringify!($value), "`"));
        operations!($name, $value:
            fetch_add, "Adds `value`, wrapping around,";
            fetch_sub, "Subtracts `value`, wrapping around,";
            fetch_and, "Clears the bits that are not in `value`";
            fetch_or, "Sets the bits of `value`";
            fetch_xor, "Flips the bits of `value`";
            fetch_max, "Raises the value to at least `value`";
            fetch_min, "Lowers the value to at most `value`";
        );
    };
}

integer!(AtomicU32, u32);
integer!(AtomicU64, u64);
integer!(AtomicUsize, usize);

common!(AtomicBool, bool, "`bool`");
operations!(AtomicBool, bool:
    fetch_and, "Clears the value unless `value` is set";
    fetch_or, "Sets the value if `value` is set";
    fetch_xor, "Flips the value if `value` is set";
);

common!(AtomicPtr<T>, *mut T, "pointer");

impl<T> Default for AtomicPtr<T> {
    #[inline]
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}
