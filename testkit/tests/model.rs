//! The model database keeps its own rules.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use vellum_testkit::{Conflict, Model, ModelTransaction, Record};

fn writing(model: &Model, writes: &[(&str, Option<&str>)]) -> ModelTransaction {
    let mut transaction = model.begin();
    for (key, value) in writes {
        match value {
            Some(value) => transaction.insert("t", key.as_bytes(), Record::new(*value)),
            None => transaction.remove("t", key.as_bytes()),
        }
    }
    transaction
}

fn keys(model: &Model, at: u64) -> Vec<(String, u64)> {
    let all = model.range_at(at, "t", ..);
    all.map(|(key, version, _)| (String::from_utf8(key.to_vec()).unwrap(), version))
        .collect()
}

fn expected(keys: &[(&str, u64)]) -> Vec<(String, u64)> {
    keys.iter()
        .map(|(key, version)| ((*key).to_owned(), *version))
        .collect()
}

#[test]
fn snapshots_keep_every_version() {
    let mut model = Model::new();
    assert!(model.create_table("t", 1));
    model
        .commit(writing(&model, &[("a", Some("1")), ("b", Some("1"))]), 2)
        .unwrap();
    model
        .commit(writing(&model, &[("a", Some("2")), ("b", None)]), 5)
        .unwrap();
    model
        .commit(writing(&model, &[("b", Some("3"))]), 7)
        .unwrap();
    assert_eq!(model.commits(), [1, 2, 5, 7]);
    assert_eq!(keys(&model, 1), expected(&[]));
    assert_eq!(keys(&model, 4), expected(&[("a", 2), ("b", 2)]));
    assert_eq!(keys(&model, 6), expected(&[("a", 5)]));
    assert_eq!(keys(&model, 7), expected(&[("a", 5), ("b", 7)]));
    assert_eq!(model.get_at(6, "t", b"a"), Some((5, &Record::new("2"))));
    assert_eq!(model.get_at(6, "t", b"b"), None);
    assert_eq!(model.range_at(7, "t", b"b".to_vec()..).count(), 1);
    assert_eq!(model.range_at(7, "t", ..b"b".to_vec()).count(), 1);
    assert_eq!(
        model.range_at(7, "s", ..).count() + model.range_at(7, "u", ..).count(),
        0
    );
    assert_eq!(model.range_at(7, "t", ..).next_back().unwrap().0, b"b");
}

#[test]
fn transactions_read_their_own_writes_over_their_snapshot() {
    let mut model = Model::new();
    model
        .commit(writing(&model, &[("a", Some("1")), ("b", Some("1"))]), 1)
        .unwrap();
    let mut transaction = writing(&model, &[("a", None), ("c", Some("own"))]);
    model
        .commit(writing(&model, &[("b", Some("2"))]), 2)
        .unwrap();
    assert_eq!(transaction.get(&model, "t", b"a"), None);
    assert_eq!(transaction.get(&model, "t", b"b"), Some(&Record::new("1")));
    assert_eq!(
        transaction.get(&model, "t", b"c"),
        Some(&Record::new("own"))
    );
    transaction.insert("other", b"bb", Record::new("x"));
    let range = transaction.range(&model, "t", ..);
    assert_eq!(
        range,
        [
            (b"b".to_vec(), Record::new("1")),
            (b"c".to_vec(), Record::new("own"))
        ]
    );
}

#[test]
fn the_first_committer_wins_and_a_loser_leaves_nothing() {
    let mut model = Model::new();
    let first = writing(&model, &[("a", Some("1"))]);
    let second = writing(&model, &[("0", Some("2")), ("a", None)]);
    model.commit(first, 1).unwrap();
    let conflict = Conflict {
        table: "t".into(),
        key: Some(b"a".to_vec()),
        winner: 1,
    };
    assert_eq!(model.commit(second, 2), Err(conflict));
    assert_eq!(
        (keys(&model, 9), model.last_commit()),
        (expected(&[("a", 1)]), 1)
    );
    // Also where the winner's key is gone again.
    let late = writing(&model, &[("b", Some("2"))]);
    model
        .commit(writing(&model, &[("b", Some("3"))]), 2)
        .unwrap();
    model.commit(writing(&model, &[("b", None)]), 3).unwrap();
    assert_eq!(model.commit(late, 4).unwrap_err().winner, 3);
}

#[test]
fn a_table_created_again_is_another() {
    let mut model = Model::new();
    assert!(model.create_table("t", 1) && !model.create_table("t", 2));
    model
        .commit(writing(&model, &[("a", Some("1"))]), 2)
        .unwrap();
    let late = writing(&model, &[("b", Some("1"))]);
    assert!(model.drop_table("t", 3) && !model.drop_table("t", 4) && !model.drop_table("u", 4));
    assert!(model.create_table("t", 4));
    assert_eq!(
        (keys(&model, 4), keys(&model, 2)),
        (expected(&[]), expected(&[("a", 2)]))
    );
    assert_eq!(
        (model.tables_at(3), model.tables_at(4)),
        (vec![], vec!["t"])
    );
    let conflict = Conflict {
        table: "t".into(),
        key: None,
        winner: 4,
    };
    assert_eq!(model.commit(late, 5), Err(conflict));
}

#[test]
fn a_recovered_state_is_recognised_as_a_prefix_or_as_none() {
    let mut model = Model::new();
    model.create_table("t", 1);
    model
        .commit(writing(&model, &[("a", Some("1")), ("b", Some("1"))]), 2)
        .unwrap();
    model
        .commit(writing(&model, &[("a", Some("2"))]), 3)
        .unwrap();
    assert_eq!(model.prefix_of(&model.state_at(0), &[]), Some(0));
    assert_eq!(model.prefix_of(&model.state_at(2), &["t"]), Some(2));
    assert_eq!(model.prefix_of(&model.state_at(3), &["t"]), Some(3));
    assert_eq!(model.prefix_of(&model.state_at(3), &[]), None);
    let mut half = model.state_at(2);
    half.pop_last();
    assert_eq!(model.prefix_of(&half, &["t"]), None);
}
