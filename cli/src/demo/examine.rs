//! Comparing what a reopened store holds with what was acknowledged.
//!
//! Rules, for each batch, all read from one snapshot:
//!
//! 1. Its line in the ledger and each of its packages are there, or none of them: no halves.
//! 2. If they are, all of them have the same version, and are what was to be written, vectors to the
//!    bit: no mixtures.
//! 3. If it was acknowledged, it is there, and the version is the timestamp that was acknowledged.

use vellum::{ReadTransaction, Timestamp};

use super::load::Acknowledged;
use super::sample::Sample;
use super::store::{COLUMN, DemoStore, batches, ledger_key, ledger_line, rows};
use crate::failure::Result;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Batches that are there, whole.
    pub(super) whole: usize,
    /// Acknowledged batches that are not there, or of another version.
    pub(super) lost: Vec<usize>,
    /// Batches of which only a part is there, or something else.
    pub(super) torn: Vec<usize>,
}

/// A batch as it was found.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Absent,
    Whole(Timestamp),
    Torn,
}

/// Examines all batches.
pub(super) fn examine(
    store: &DemoStore,
    sample: &Sample,
    acknowledged: &[Acknowledged],
) -> Result<Findings> {
    let read = store.db.begin_read()?;
    let mut promised = vec![None; batches(sample)];
    for one in acknowledged {
        promised[one.batch] = Some(one.at);
    }
    let mut findings = Findings::default();
    for (batch, promised) in promised.into_iter().enumerate() {
        let state = state(store, &read, sample, batch)?;
        match state {
            State::Whole(_) => findings.whole += 1,
            State::Torn => findings.torn.push(batch),
            State::Absent => {}
        }
        if promised.is_some_and(|at| state != State::Whole(at)) {
            findings.lost.push(batch);
        }
    }
    Ok(findings)
}

fn state(
    store: &DemoStore,
    read: &ReadTransaction,
    sample: &Sample,
    batch: usize,
) -> Result<State> {
    let line = read.get_versioned(&store.ledger, ledger_key(batch))?;
    let mut versions = vec![line.as_ref().and_then(|line| line.version())];
    let mut is_right = line.is_none_or(|line| line.value() == *ledger_line(sample, batch));
    for row in rows(sample, batch) {
        let package = &sample.packages[row];
        let record = read.get_record(&store.packages, package.name)?;
        versions.push(record.as_ref().and_then(|record| record.version()));
        is_right &= record.is_none_or(|record| {
            let vector = record.vector(COLUMN).map(|vector| vector.to_vec());
            record.value() == *package.description
                && vector.as_deref() == Some(sample.vectors.get(row))
        });
    }
    let same = versions.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(match versions[0] {
        Some(at) if same && is_right => State::Whole(at),
        None if same => State::Absent,
        _ => State::Torn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum::Durability;

    fn store(sample: &Sample) -> (tempfile::TempDir, DemoStore, Vec<Acknowledged>) {
        let place = tempfile::tempdir().unwrap();
        let store = DemoStore::open(place.path(), sample.vectors.dimension()).unwrap();
        let mut acknowledged = Vec::new();
        for batch in 0..3 {
            let at = store
                .write_batch(sample, batch, Durability::Buffered)
                .unwrap()
                .timestamp();
            acknowledged.push(Acknowledged { batch, at });
        }
        store.db.sync().unwrap();
        (place, store, acknowledged)
    }

    fn change(store: &DemoStore, change: impl Fn(&mut vellum::Transaction) -> vellum::Result<()>) {
        store.db.transact(change).unwrap();
    }

    #[test]
    fn whole_batches_are_found_whole() {
        let sample = Sample::load(20).unwrap();
        let (_place, store, acknowledged) = store(&sample);
        let findings = examine(&store, &sample, &acknowledged[..2]).unwrap();
        assert_eq!(
            findings,
            Findings {
                whole: 3,
                lost: vec![],
                torn: vec![]
            }
        );
    }

    #[test]
    fn what_is_gone_is_lost_and_halves_are_torn() {
        let sample = Sample::load(20).unwrap();
        let (_place, store, acknowledged) = store(&sample);
        change(&store, |txn| txn.remove(&store.ledger, ledger_key(0)));
        change(&store, |txn| {
            txn.remove(&store.packages, sample.packages[5].name)
        });
        let findings = examine(&store, &sample, &acknowledged).unwrap();
        assert_eq!(
            findings,
            Findings {
                whole: 1,
                lost: vec![0, 1],
                torn: vec![0, 1]
            }
        );
    }

    #[test]
    fn what_is_gone_without_a_trace_is_lost() {
        let sample = Sample::load(20).unwrap();
        let (_place, store, acknowledged) = store(&sample);
        change(&store, |txn| {
            let mut names = rows(&sample, 1).map(|row| sample.packages[row].name);
            names.try_for_each(|name| txn.remove(&store.packages, name))?;
            txn.remove(&store.ledger, ledger_key(1))
        });
        let findings = examine(&store, &sample, &acknowledged).unwrap();
        assert_eq!(
            findings,
            Findings {
                whole: 2,
                lost: vec![1],
                torn: vec![]
            }
        );
    }

    #[test]
    fn other_content_and_other_versions_are_torn() {
        let sample = Sample::load(20).unwrap();
        let (_place, store, acknowledged) = store(&sample);
        let (first, last) = (&sample.packages[0], &sample.packages[11]);
        let wrong = sample.vectors.get(0);
        change(&store, |txn| {
            store.write(txn, first.name, first.description, wrong)
        });
        change(&store, |txn| {
            store.write(txn, last.name, last.description, wrong)
        });
        let findings = examine(&store, &sample, &acknowledged).unwrap();
        assert_eq!(
            findings,
            Findings {
                whole: 1,
                lost: vec![0, 2],
                torn: vec![0, 2]
            }
        );
        let again = Acknowledged {
            batch: 1,
            at: Timestamp(1 << 40),
        };
        assert_eq!(examine(&store, &sample, &[again]).unwrap().lost, [1]);
    }
}
