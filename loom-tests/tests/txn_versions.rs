//! Models of a generation: version chains, the hash index, and the keys in order.

#![cfg(vellum_loom)]

use vellum_base::{TableId, Timestamp};
use vellum_loom_tests::Model;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{Arc, thread};
use vellum_txn::{Body, EntryAt, Generation, GenerationOptions, Install, Room, VersionAt};

const TABLE: TableId = TableId(1);

fn generation() -> Arc<Generation> {
    let options = GenerationOptions {
        bytes: 4096,
        buckets: 1,
        seed: 7,
    };
    Arc::new(Generation::new(1, options).unwrap())
}

/// Enters, lists and tries to install one version.
fn install(
    generation: &Generation,
    room: &mut Room,
    key: &[u8],
    value: &[u8],
    snapshot: Timestamp,
) -> Result<(EntryAt, VersionAt), Option<Timestamp>> {
    let entry = generation
        .entry_or_insert(generation.hashed(TABLE, key), room)
        .unwrap();
    assert!(generation.list(entry, 0, room));
    let body = Body::Put {
        value,
        vectors: &[],
    };
    let version = generation.place_version(room, None, body).unwrap();
    // One retry: the head can change under the attempt once for each other writer.
    for _ in 0..2 {
        match generation.try_install(entry, version, snapshot) {
            Install::Done => return Ok((entry, version)),
            Install::Conflict(winner) => return Err(winner),
            Install::Retry => {}
        }
    }
    Err(None)
}

fn value_at(generation: &Generation, key: &[u8], at: Timestamp) -> Option<Vec<u8>> {
    let seen = generation.range(at, TABLE).find(|(found, _)| *found == key);
    let by_range = seen.and_then(|(_, version)| Some(version?.value().to_vec()));
    let entry = generation.find(generation.hashed(TABLE, key));
    let by_hash = entry
        .and_then(|entry| generation.version_at(entry, at))
        .map(|(_, at)| at);
    assert_eq!(by_range.is_some(), by_hash.is_some());
    by_range
}

/// Of two that install over the same head, exactly one wins; nobody overwrites what it has not
/// seen.
#[test]
fn install_has_one_winner() {
    Model::new("txn_versions::install_has_one_winner")
        .preemptions(3)
        .check(|| {
            let generation = generation();
            let mut room = generation.claim(512).unwrap();
            let (_, base) = install(&generation, &mut room, b"k", b"base", Timestamp(0)).unwrap();
            generation.commit_version(base, Timestamp(1));
            let clock = Arc::new(AtomicU64::new(1));
            let writers: Vec<_> = [b"a", b"b"]
                .into_iter()
                .map(|value| {
                    let (generation, clock) = (Arc::clone(&generation), Arc::clone(&clock));
                    thread::spawn(move || {
                        let mut room = generation.claim(512).unwrap();
                        let won = install(&generation, &mut room, b"k", value, Timestamp(1));
                        won.is_ok_and(|(_, version)| {
                            let at = clock.fetch_add(1, Ordering::AcqRel) + 1;
                            generation.commit_version(version, Timestamp(at));
                            true
                        })
                    })
                })
                .collect();
            let won: Vec<bool> = writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect();
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
            let expected = if won[0] { b"a" } else { b"b" };
            assert_eq!(
                value_at(&generation, b"k", Timestamp(9)).as_deref(),
                Some(&expected[..])
            );
            assert_eq!(
                value_at(&generation, b"k", Timestamp(1)).as_deref(),
                Some(&b"base"[..])
            );
        });
}

/// Taking back restores the chain, also under a reader that holds the pending head; what is
/// pending is nobody's; and the next writer gets through.
#[test]
fn taking_back_restores_the_head() {
    Model::new("txn_versions::taking_back_restores_the_head")
        .preemptions(3)
        .check(|| {
            let generation = generation();
            let mut room = generation.claim(512).unwrap();
            let (_, base) = install(&generation, &mut room, b"k", b"base", Timestamp(0)).unwrap();
            generation.commit_version(base, Timestamp(1));
            let other = Arc::clone(&generation);
            let aborting = thread::spawn(move || {
                let mut room = other.claim(512).unwrap();
                let pending = install(&other, &mut room, b"k", b"gone", Timestamp(1));
                if let Ok((entry, version)) = pending {
                    other.take_back(entry, version);
                }
            });
            let other = Arc::clone(&generation);
            let committing = thread::spawn(move || {
                let mut room = other.claim(512).unwrap();
                let won = install(&other, &mut room, b"k", b"new", Timestamp(1));
                if let Ok((_, version)) = won {
                    other.commit_version(version, Timestamp(2));
                }
                won.is_ok()
            });
            let other = Arc::clone(&generation);
            let reading = thread::spawn(move || {
                let entry = other.find(other.hashed(TABLE, b"k")).unwrap();
                let seen = other.version_at(entry, Timestamp(1));
                assert_eq!(seen.map(|(_, at)| at), Some(Timestamp(1)));
            });
            reading.join().unwrap();
            aborting.join().unwrap();
            let won = committing.join().unwrap();
            let expected = if won { &b"new"[..] } else { b"base" };
            assert_eq!(
                value_at(&generation, b"k", Timestamp(9)).as_deref(),
                Some(expected)
            );
            let mut room = generation.claim(512).unwrap();
            assert!(install(&generation, &mut room, b"k", b"last", Timestamp(5)).is_ok());
        });
}

/// Two that insert the same new key get one entry, and no key is lost from a bucket.
#[test]
fn a_key_has_one_entry() {
    Model::new("txn_versions::a_key_has_one_entry")
        .preemptions(3)
        .check(|| {
            let generation = generation();
            let writers: Vec<_> = [[b"k", b"a"], [b"b", b"k"]]
                .into_iter()
                .map(|keys| {
                    let generation = Arc::clone(&generation);
                    thread::spawn(move || {
                        let mut room = generation.claim(512).unwrap();
                        keys.map(|key| {
                            let hashed = generation.hashed(TABLE, key);
                            generation.entry_or_insert(hashed, &mut room).unwrap()
                        })
                    })
                })
                .collect();
            let entries: Vec<_> = writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect();
            assert!(
                entries[0][0] == entries[1][1],
                "the same key, the same entry"
            );
            for key in [b"k", b"a", b"b"] {
                assert!(generation.find(generation.hashed(TABLE, key)).is_some());
            }
        });
}

/// Whatever is committed at or before a reader's timestamp is in its range: also when the creator
/// of the key's entry has not yet listed it, and somebody else commits to it.
#[test]
fn no_range_misses_a_committed_key() {
    Model::new("txn_versions::no_range_misses_a_committed_key")
        .preemptions(2)
        .check(|| {
            let generation = generation();
            let visible = Arc::new(AtomicU64::new(0));
            let other = Arc::clone(&generation);
            let creator = thread::spawn(move || {
                // Creates the entry, is slow to list it, and never commits.
                let mut room = other.claim(512).unwrap();
                let hashed = other.hashed(TABLE, b"k");
                let entry = other.entry_or_insert(hashed, &mut room).unwrap();
                assert!(other.list(entry, 0, &mut room));
            });
            let (other, clock) = (Arc::clone(&generation), Arc::clone(&visible));
            let committer = thread::spawn(move || {
                let mut room = other.claim(512).unwrap();
                let (_, version) = install(&other, &mut room, b"k", b"v", Timestamp(0)).unwrap();
                other.commit_version(version, Timestamp(1));
                clock.store(1, Ordering::Release);
            });
            let other = Arc::clone(&generation);
            let reader = thread::spawn(move || {
                let at = Timestamp(visible.load(Ordering::Acquire));
                let seen = other.range(at, TABLE).count() as u64;
                assert_eq!(seen, at.0, "the key is in the range from its commit on");
            });
            reader.join().unwrap();
            creator.join().unwrap();
            committer.join().unwrap();
            assert_eq!(
                generation.range(Timestamp(1), TABLE).count(),
                1,
                "once, also when listed twice"
            );
        });
}

/// Two readers that drain at once both get everything that was listed before, in order, once.
#[test]
fn draining_is_idempotent() {
    Model::new("txn_versions::draining_is_idempotent")
        .preemptions(3)
        .check(|| {
            let generation = generation();
            let mut room = generation.claim(1024).unwrap();
            for key in [b"b", b"a"] {
                let (_, version) =
                    install(&generation, &mut room, key, b"v", Timestamp(0)).unwrap();
                generation.commit_version(version, Timestamp(1));
            }
            let readers = [(); 2].map(|()| {
                let generation = Arc::clone(&generation);
                thread::spawn(move || {
                    let seen = generation.range(Timestamp(1), TABLE);
                    seen.map(|(key, _)| key[0]).collect::<Vec<_>>()
                })
            });
            for reader in readers {
                assert_eq!(reader.join().unwrap(), [b'a', b'b']);
            }
            assert_eq!(generation.range(Timestamp(1), TABLE).count(), 2);
        });
}

/// A key that is pushed while somebody drains is in a later range, whoever wins the swap.
#[test]
fn a_key_pushed_during_a_drain_is_kept() {
    Model::new("txn_versions::a_key_pushed_during_a_drain_is_kept")
        .preemptions(3)
        .check(|| {
            let generation = generation();
            let mut room = generation.claim(1024).unwrap();
            let (_, version) = install(&generation, &mut room, b"a", b"v", Timestamp(0)).unwrap();
            generation.commit_version(version, Timestamp(1));
            let other = Arc::clone(&generation);
            let writer = thread::spawn(move || {
                let (_, version) = install(&other, &mut room, b"b", b"v", Timestamp(1)).unwrap();
                other.commit_version(version, Timestamp(2));
            });
            let other = Arc::clone(&generation);
            let reader = thread::spawn(move || other.range(Timestamp(1), TABLE).count());
            assert_eq!(reader.join().unwrap(), 1);
            writer.join().unwrap();
            assert_eq!(generation.range(Timestamp(2), TABLE).count(), 2);
        });
}
