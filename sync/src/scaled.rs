//! Capacities that shrink so that a model can fill them.

/// `normal`, or `under_loom` where loom explores every execution. Structures take their capacities
/// through this, so that models reach the full, the wrapped and the recycled state in a few steps.
/// Shuttle, which takes larger scenarios, gets `normal`.
#[inline]
#[must_use]
pub const fn scaled<T: Copy>(normal: T, under_loom: T) -> T {
    if cfg!(vellum_loom) {
        under_loom
    } else {
        normal
    }
}
