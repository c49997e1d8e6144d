//! Commits beside the making of an index, of either kind.

use vellum::{Database, ReadTransaction, Table};
use vellum_sync::random_u64;
use vellum_testkit::Random;

const COMMITS: usize = 3;

/// Commits some; what is to be done again is not. `check` sees each snapshot after them.
pub(crate) fn commits(
    db: &Database,
    table: &Table,
    commit: fn(&Database, &Table, &mut Random) -> vellum::Result<()>,
    check: fn(&ReadTransaction, &Table) -> bool,
) {
    let mut random = Random::new(random_u64());
    for _ in 0..COMMITS {
        match commit(db, table, &mut random) {
            Ok(()) => {}
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
        check(&db.begin_read().unwrap(), table);
    }
}
