//! Memory that is mapped costs nothing before it is touched. In a binary of its own, since the
//! figures are the process's.

use vellum_sync::atomic::Ordering::Relaxed;
use vellum_sync::model::{MODE, Mode};
use vellum_sync::{AtomicArray, Huge, Region};

/// Bytes of this process that are in memory, or nothing where the system does not say.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[test]
fn mappings_become_resident_as_they_are_touched() {
    const GIB: usize = 1 << 30;
    const MIB: usize = 1 << 20;
    let Some(before) = resident().filter(|_| MODE == Mode::Std) else {
        return;
    };
    let grown_below = |bytes| resident().unwrap() < before + bytes;
    let region = Region::new(GIB, Huge::Yes).unwrap();
    let array = AtomicArray::new(GIB / 8).unwrap();
    assert_eq!((region.len(), array.len()), (GIB, GIB / 8));
    assert!(grown_below(8 * MIB));

    for index in (0..array.len()).step_by(array.len() / 4) {
        assert_eq!(array[index].fetch_add(1, Relaxed), 0);
    }
    // Four pages, at most 2 MiB each.
    assert!(grown_below(16 * MIB));
    drop((region, array));
    assert!(grown_below(8 * MIB));
}
