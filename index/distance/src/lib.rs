//! SIMD distance kernels with run-time dispatch.
//!
//! Depends on nothing. Plugins and the engine call it; a user of the store need not know it.
//!
//! | file | what |
//! |---|---|
//! | `kernels.rs` | [`Kernels`]: the path picked for this processor, and the rules of every kernel |
//! | `range.rs` | what `f32` sums cannot hold: the same distances in `f64` |
//! | `arch.rs` | the paths: scalar, AVX2, AVX-512, NEON; the only `unsafe` |

mod arch;
mod kernels;
mod range;

pub use kernels::{Distance, Kernels};
