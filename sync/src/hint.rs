//! What to do between two looks at a word that another thread will change.

use crate::mode;

/// Tells the processor that this is a spin loop; under the checkers, lets another thread run, as
/// the loop would never end otherwise.
#[inline]
pub fn spin_loop() {
    mode::spin_loop();
}
