//! Hermitage: each schedule of reads and writes in all modes of `sessions`. What it shows is in the
//! table of `docs/guarantees.md`.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;
mod sessions;

use common::put;
use sessions::{Mode, Players, Session};
use vellum_testkit::schedules::{Act, End, SCHEDULES, Schedule, schedule};

fn numbers(records: Vec<(String, String)>) -> Vec<(String, u64)> {
    let number = |(key, value): (String, String)| (key, value.parse().unwrap());
    records.into_iter().map(number).collect()
}

/// Does one step and compares what comes of it.
fn step(session: &mut Session, act: &Act, what: &str) {
    match act {
        Act::Begin { read_only: true } => session.begin_read(),
        Act::Begin { read_only: false } => session.begin(),
        Act::Read { key, value } => {
            let found = session.get(key).map(|found| found.parse().unwrap());
            assert_eq!(found, *value, "{what}: {act:?}");
        }
        Act::Scan { predicate, found } => {
            let mut all = numbers(session.records(""));
            all.retain(|(_, value)| predicate.holds(*value));
            assert_eq!(all, *found, "{what}: {act:?}");
        }
        Act::Write {
            key,
            value: Some(value),
        } => session.insert(key, &value.to_string()),
        Act::Write { key, value: None } => {
            let table = session.table.clone();
            session.txn().remove(&table, key).unwrap();
        }
        Act::Commit(ends) => {
            let end = ends[session.mode.level()];
            assert_eq!(session.commit(), end, "{what}: {act:?}");
        }
        Act::Rollback => session.rollback(),
    }
}

/// Plays a schedule in all modes.
fn play(name: &str) {
    let schedule = schedule(name);
    for mode in Mode::all() {
        let what = format!("{name}, {}, {mode:?}", schedule.what);
        let steps = schedule.steps();
        let count = steps.iter().map(|(number, _)| number + 1).max().unwrap();
        let mut players = Players::new(mode, count, |db, table| {
            put(db, table, "1", "10");
            put(db, table, "2", "20");
        });
        for (number, act) in steps {
            let what = what.clone();
            players.step(number, move |session| step(session, &act, &what));
        }
        assert_eq!(
            numbers(players.end()),
            schedule.end(mode.level() == 1),
            "{what}"
        );
    }
}

macro_rules! schedules {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                play($name);
            }
        )*

        #[test]
        fn every_schedule_is_played() {
            let played = [$($name),*];
            let all = SCHEDULES.iter().map(|one| one.name);
            assert!(all.eq(played), "in the order of the table");
        }
    };
}

schedules! {
    h1_dirty_write: "H1";
    h2_aborted_read: "H2";
    h3_intermediate_read: "H3";
    h4_circular_information_flow: "H4";
    h5_observed_transaction_vanishes: "H5";
    h5b_observed_transaction_vanishes_later: "H5b";
    h6_predicate_many_preceders: "H6";
    h7_predicate_many_preceders_write: "H7";
    h8_lost_update: "H8";
    h9_read_skew: "H9";
    h10_read_skew_by_predicate: "H10";
    h10b_read_skew_by_predicate_and_insert: "H10b";
    h11_read_skew_write_predicate: "H11";
    h12_read_skew_write_predicate_given_up: "H12";
    h13_write_skew: "H13";
    h14_write_skew_by_predicates: "H14";
    h14b_write_skew_by_different_predicates: "H14b";
    h15_two_edges_and_an_observer: "H15";
    h15b_two_edges_without_observer: "H15b";
    h16_long_fork: "H16";
    h17_own_writes_are_read: "H17";
    h17b_deleted_and_inserted_again: "H17b";
    h18_refused_commit_leaves_nothing: "H18";
}

/// What the document says of a schedule at either level, from how many commits are refused there:
/// what goes through in snapshot isolation and not in the other is what the schedule would show.
fn cells(schedule: &Schedule) -> [&'static str; 2] {
    let refused = |level: usize| {
        let steps = schedule.steps().into_iter();
        let refused =
            steps.filter(|(_, act)| matches!(act, Act::Commit(ends) if ends[level] != End::Ok));
        refused.count()
    };
    let strict = refused(1);
    [refused(0), strict].map(|refused| match (schedule.name, refused) {
        ("H4", 0) => "prevented; both commit, a write skew",
        ("H4", 1) => "prevented; one commits",
        ("H15b", 0) => "both commit",
        ("H15b", 1) => "one is refused",
        ("H17", 0) => "they are",
        ("H17b", 1) => "a conflict",
        ("H18", 1) => "it does not",
        _ if refused < strict => "**allowed**",
        _ => "prevented",
    })
}

#[test]
fn the_document_has_a_row_for_each() {
    let document = include_str!("../../docs/guarantees.md");
    for schedule in SCHEDULES {
        let (name, what, [snapshot, serializable]) =
            (schedule.name, schedule.what, cells(schedule));
        let row = format!("| {name} | {what} | {snapshot} | {serializable} |\n");
        assert_eq!(document.matches(&row).count(), 1, "{row}");
    }
}
