//! What a write set holds after overwriting, savepoints and rolling back.

use super::*;

#[test]
fn writing_over_the_same_keys_takes_no_more_memory() {
    let mut writes = WriteSet::default();
    let table = TableId(1);
    let keys: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 1 + n as usize]).collect();
    let vector = ("v", &[1.0, 2.0][..]);
    for pass in 0..200u8 {
        for (n, key) in keys.iter().enumerate() {
            let key = HashedKey::new(0, table, key);
            match n % 10 {
                9 if pass % 2 == 1 => writes.delete(key),
                _ => writes.put(key, &[pass; 500], &[vector], 5 + 1 + 8),
            }
        }
    }
    let counted = writes.total_bytes();
    assert!(
        writes.capacity() < 4 * counted + DEAD_MIN,
        "{}",
        writes.capacity()
    );
    for (n, key) in keys.iter().enumerate() {
        let found = writes.get(table, key);
        if n % 10 == 9 {
            assert!(matches!(found, Some(Written::Body(Body::Delete))));
        } else {
            let Some(Written::Body(Body::Put { value, vectors })) = found else {
                panic!("{found:?}")
            };
            assert_eq!(value, [199; 500]);
            assert_eq!(vectors.len(), 5 + 1 + 8);
        }
    }
}

const TABLE: TableId = TableId(1);

fn hashed(key: &[u8]) -> HashedKey<'_> {
    HashedKey::new(0, TABLE, key)
}

/// A value at every size that is kept in another way.
fn value(len: usize, fill: u8) -> Vec<u8> {
    vec![fill; len]
}

/// Everything that can be seen of the writes.
type Contents = (Vec<(Vec<u8>, Option<Vec<u8>>)>, usize);

fn contents(writes: &WriteSet) -> Contents {
    let one = |(key, body): (HashedKey<'_>, Body<'_>)| {
        let value = match body {
            Body::Put { value, .. } => Some(value.to_vec()),
            Body::Large(record) => Some(record.value.to_vec()),
            Body::Delete => None,
        };
        assert!(writes.get(key.table, key.key).is_some());
        (key.key.to_vec(), value)
    };
    let all: Vec<_> = writes.iter().map(one).collect();
    let mut back: Vec<_> = writes
        .range(TABLE, Bound::Unbounded, Bound::Unbounded)
        .rev()
        .map(|(key, written)| match written {
            Written::Body(body) => one((key, body)),
            Written::Merge(operand) => (key.key.to_vec(), Some(operand.bytes.to_vec())),
        })
        .collect();
    back.reverse();
    assert_eq!(all, back);
    (all, writes.total_bytes())
}

/// Savepoints of a random walk: each is what the set was when it was made, in both forms of the order,
/// for values in the buffer and beside it, also after the buffer was compacted and after savepoints
/// were dropped.
#[test]
fn a_set_is_after_rolling_back_what_it_was() {
    let mut random = 11u64;
    let mut below = |n: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % n
    };
    let mut rolled_back = 0;
    for round in 0..60 {
        let keys = if round % 2 == 0 { 20 } else { 300 };
        let mut writes = WriteSet::default();
        let mut stack: Vec<(Savepoint, _)> = Vec::new();
        let mut gone = Vec::new();
        for _ in 0..400 {
            let key = (below(keys) as u32).to_be_bytes();
            match below(24) {
                0 | 1 => {
                    let before = contents(&writes);
                    stack.push((writes.savepoint(), before));
                }
                2 if !stack.is_empty() => {
                    let at = below(stack.len());
                    gone.extend(stack.drain(at + 1..).map(|(savepoint, _)| savepoint));
                    writes.roll_back_to(&stack[at].0).unwrap();
                    assert_eq!(contents(&writes), stack[at].1);
                    rolled_back += 1;
                }
                3 if !stack.is_empty() => drop(stack.remove(below(stack.len()))),
                4..8 => writes.delete(hashed(&key)),
                8 => writes.put(hashed(&key), &value(LARGE_BYTES, 7), &[], 0),
                n => writes.put(hashed(&key), &value(n * 200, n as u8), &[], 0),
            }
        }
        for savepoint in gone {
            let refused = writes.roll_back_to(&savepoint);
            assert_eq!(refused, Err(SavepointError::RolledBack));
        }
        while let Some((savepoint, before)) = stack.pop() {
            writes.roll_back_to(&savepoint).unwrap();
            assert_eq!(contents(&writes), before);
            writes.roll_back_to(&savepoint).unwrap();
            assert_eq!(contents(&writes), before, "it stays");
        }
        let another = WriteSet::default().savepoint();
        let refused = writes.roll_back_to(&another);
        assert_eq!(refused, Err(SavepointError::OtherTransaction));
    }
    assert!(rolled_back > 300, "{rolled_back}");
}

#[test]
fn a_savepoint_for_each_step_takes_no_more_memory() {
    let mut writes = WriteSet::default();
    writes.put(hashed(b"first"), b"1", &[], 0);
    let outer = writes.savepoint();
    let before = contents(&writes);
    for pass in 0..2_000u32 {
        let step = writes.savepoint();
        for _ in 0..3 {
            writes.put(hashed(b"first"), &value(500, pass as u8), &[], 0);
            writes.put(hashed(b"second"), &value(500, pass as u8), &[], 0);
        }
        if pass % 3 == 0 {
            writes.roll_back_to(&step).unwrap();
        }
    }
    writes.forget_dropped();
    // What the outer one needs: the first value of the one key that it has.
    assert_eq!(
        writes.marks.bytes,
        Write::counted(&writes.writes[0]) - 500 + 1
    );
    assert!(writes.capacity() < 8 * DEAD_MIN, "{}", writes.capacity());
    writes.roll_back_to(&outer).unwrap();
    assert_eq!(contents(&writes), before);
    drop(outer);
    writes.forget_dropped();
    assert_eq!(writes.marks.bytes, 0);
}

#[test]
fn nothing_is_remembered_twice_for_a_savepoint_and_nothing_without_one() {
    let mut writes = WriteSet::default();
    for pass in 0..10u8 {
        writes.put(hashed(b"k"), &[pass], &[], 0);
    }
    assert_eq!(writes.marks.bytes, 0);
    let counted = writes.total_bytes();
    let _kept = (writes.savepoint(), writes.savepoint());
    for pass in 0..10u8 {
        writes.put(hashed(b"k"), &[pass], &[], 0);
    }
    assert_eq!(writes.marks.bytes, counted);
}

#[test]
fn operands_stay_where_the_buffer_is_compacted_and_rolled_back() {
    let mut writes = WriteSet::default();
    let operator = OperatorId(3);
    let operand = |writes: &WriteSet, key: &[u8]| match writes.get(TABLE, key) {
        Some(Written::Merge(operand)) => {
            assert_eq!(operand.operator, OperatorId(3));
            operand.bytes.to_vec()
        }
        other => unreachable!("{other:?}"),
    };
    writes.merge(hashed(b"a"), operator, b"first");
    let before = writes.savepoint();
    writes.merge(hashed(b"a"), operator, b"first, second");
    writes.merge(hashed(b"b"), operator, b"kept");
    for pass in 0..500u32 {
        writes.put(hashed(b"c"), &value(900, pass as u8), &[], 0);
    }
    assert!(writes.bytes.len() < 3 * DEAD_MIN, "it was compacted");
    assert_eq!(operand(&writes, b"a"), b"first, second");
    assert_eq!(operand(&writes, b"b"), b"kept");
    let fold = |_: HashedKey<'_>, operand: Operand<'_>| {
        let large = if operand.bytes == b"kept" {
            LARGE_BYTES
        } else {
            0
        };
        Ok(Some((
            [operand.bytes, &value(large, 1)].concat(),
            Vec::new(),
        )))
    };
    let before_folding = writes.commit_bytes();
    for _ in 0..2 {
        writes.fold_merges(|_| Ok(()), fold).unwrap();
        let folded = "first, second".len() + LARGE_BYTES + "kept".len();
        assert_eq!(writes.commit_bytes() - before_folding, folded);
    }
    let folded: Vec<_> = writes.iter().map(|(_, body)| body).collect();
    assert!(matches!(
        folded[0],
        Body::Put {
            value: b"first, second",
            ..
        }
    ));
    assert!(matches!(folded[1], Body::Large(record) if record.value.len() == LARGE_BYTES + 4));
    writes.roll_back_to(&before).unwrap();
    assert_eq!(operand(&writes, b"a"), b"first");
    assert!(writes.get(TABLE, b"b").is_none());
}
