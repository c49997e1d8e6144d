//! What may be sent to and shared between threads: checked by the compiler.

use vellum::{
    BulkLoad, CommitHandle, Database, Error, Hits, Options, Range, ReadTransaction, Stats, Table,
    Transaction,
};

fn is_send<T: Send>() {}
fn is_shared<T: Send + Sync>() {}
fn outlives_everything<T: 'static>() {}

#[test]
fn handles_and_snapshots_are_send_and_sync() {
    is_shared::<Database>();
    is_shared::<Table>();
    is_shared::<ReadTransaction>();
    is_shared::<CommitHandle>();
    is_shared::<Options>();
    is_shared::<Error>();
    is_shared::<Stats>();
}

#[test]
fn transactions_and_what_they_return_may_be_sent() {
    is_send::<BulkLoad>();
    is_send::<Transaction>();
    is_send::<Range<'_>>();
    is_send::<Hits<'_>>();
}

#[test]
fn transactions_keep_what_they_need() {
    outlives_everything::<ReadTransaction>();
    outlives_everything::<BulkLoad>();
    outlives_everything::<Transaction>();
    outlives_everything::<CommitHandle>();
}

#[test]
fn an_error_is_small_enough_to_return_often() {
    assert!(size_of::<Error>() <= 96, "{}", size_of::<Error>());
}
