//! Ordered indexes of typed tables: index keys are in the order of their values, in either kind of
//! transaction, and bytes of no type are refused or told by name.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};

use proptest::prelude::*;
use vellum::{
    Error, Options, Ordered, Readable, Remedy, TypedIndexEntry, TypedIndexRange, TypedTable,
};

/// Parts of what by what: weight and colours.
type Parts = TypedTable<u32, (i32, String)>;
type IndexKey = (String, i32);
type Model = BTreeMap<u32, (i32, String)>;
type Entries = Vec<(IndexKey, u32)>;

/// Under each of its colours, each a letter, with its weight.
fn options() -> Options {
    let colours = Parts::extractor::<IndexKey>("colours", 1, |_, (weight, colours), keys| {
        let mut colours = colours.chars();
        colours.try_for_each(|colour| keys.add((&*colour.to_string(), weight)))
    });
    let name =
        TypedTable::<u32, String>::extractor::<String>("name", 1, |key, name, keys| match key {
            0 => Ok(()),
            _ => keys.add(&*name),
        });
    let small = Options::new().memory_budget(8 << 20).background(false);
    small.key_extractor(colours).key_extractor(name)
}

fn entry(entry: &TypedIndexEntry<'_, u32, (i32, String), IndexKey>) -> (IndexKey, u32) {
    let (colour, weight) = entry.index_key().unwrap();
    let (of_value, colours) = entry.value().unwrap();
    assert!(of_value == weight && colours.contains(&*colour));
    ((colour.into_owned(), weight), entry.key().unwrap())
}

/// From the front, and from both ends in turn.
fn found<'t>(range: impl Fn() -> TypedIndexRange<'t, u32, (i32, String), IndexKey>) -> Entries {
    let all: Entries = range().map(|found| entry(&found.unwrap())).collect();
    let (mut both, mut front, mut back) = (range(), Vec::new(), Vec::new());
    while let Some(next) = both.next() {
        front.push(entry(&next.unwrap()));
        back.extend(both.next_back().map(|last| entry(&last.unwrap())));
    }
    back.reverse();
    front.append(&mut back);
    assert_eq!(front, all);
    all
}

fn right(model: &Model, wanted: impl Fn(&IndexKey) -> bool) -> Entries {
    let entries = model.iter().flat_map(|(key, (weight, colours))| {
        let of = |colour: char| ((colour.to_string(), *weight), *key);
        colours.chars().map(of)
    });
    let sorted: BTreeSet<_> = entries.filter(|(index_key, _)| wanted(index_key)).collect();
    sorted.into_iter().collect()
}

fn borrowed(bound: &Bound<IndexKey>) -> Bound<(&str, i32)> {
    bound.as_ref().map(|(colour, weight)| (&**colour, *weight))
}

fn check(read: &impl Readable, parts: &Parts, model: &Model, asked: &Asked) {
    let (lower, upper) = &asked.range;
    let within = || {
        let bounds = (borrowed(lower), borrowed(upper));
        parts
            .range_by_index::<IndexKey>(read, "colours", bounds)
            .unwrap()
    };
    let is_within = |key: &IndexKey| (lower.as_ref(), upper.as_ref()).contains(&key);
    assert_eq!(found(within), right(model, is_within));
    let (colour, weight) = &asked.one;
    let under = || {
        parts
            .by_index::<IndexKey>(read, "colours", (&**colour, *weight))
            .unwrap()
    };
    assert_eq!(found(under), right(model, |key| *key == asked.one));
    let of_colour = || {
        let colour = (&**colour,);
        parts
            .prefix_by_index::<IndexKey, (String,)>(read, "colours", colour)
            .unwrap()
    };
    assert_eq!(found(of_colour), right(model, |key| key.0 == *colour));
}

#[derive(Clone, Debug)]
struct Asked {
    range: (Bound<IndexKey>, Bound<IndexKey>),
    one: IndexKey,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, i32, String),
    Remove(u32),
    Commit,
    Ask(Asked),
}

fn step() -> impl Strategy<Value = Step> {
    let colour = || prop_oneof![Just('\0'), Just('a'), Just('b'), Just('\u{FF}')];
    let colours = prop::collection::vec(colour(), 0..3);
    let colours = colours.prop_map(|all| all.into_iter().collect::<String>());
    let key = move || (colour().prop_map(String::from), -2..3);
    let bound = move || {
        (0..3, key()).prop_map(|(kind, key)| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        })
    };
    let asked = ((bound(), bound()), key()).prop_map(|(range, one)| Asked { range, one });
    prop_oneof![
        6 => (0u32..8, -2..3, colours).prop_map(|(key, weight, all)| Step::Put(key, weight, all)),
        1 => (0u32..8).prop_map(Step::Remove),
        1 => Just(Step::Commit),
        3 => asked.prop_map(Step::Ask),
    ]
}

proptest! {
    #[test]
    fn index_keys_are_in_the_order_of_their_values(steps in prop::collection::vec(step(), 0..60)) {
        let db = options().in_memory().unwrap();
        let parts: Parts = db.typed_table("parts").unwrap();
        db.create_ordered_index(parts.raw(), "colours", Ordered::new("colours")).unwrap();
        let (mut model, mut txn) = (Model::new(), db.begin().unwrap());
        let mut committed = model.clone();
        for step in steps {
            match step {
                Step::Put(key, weight, colours) => {
                    parts.insert(&mut txn, key, (weight, &*colours)).unwrap();
                    model.insert(key, (weight, colours));
                }
                Step::Remove(key) => {
                    parts.remove(&mut txn, key).unwrap();
                    model.remove(&key);
                }
                Step::Commit => {
                    txn.commit().unwrap();
                    txn = db.begin().unwrap();
                    committed.clone_from(&model);
                }
                Step::Ask(asked) => {
                    check(&txn, &parts, &model, &asked);
                    check(&db.begin_read().unwrap(), &parts, &committed, &asked);
                }
            }
        }
    }
}

#[test]
fn bytes_of_no_type_are_refused_and_wrong_types_told() {
    let db = options().in_memory().unwrap();
    let names = db.typed_table::<u32, String>("names").unwrap();
    db.create_ordered_index(names.raw(), "by_name", Ordered::unique("name"))
        .unwrap();
    let mut txn = db.begin().unwrap();
    names.insert(&mut txn, 1, "ann").unwrap();
    names.insert(&mut txn, 0, "bob").unwrap();
    let twice = names.insert(&mut txn, 2, "ann");
    assert!(matches!(twice, Err(Error::NotUnique { .. })));
    let no_text = txn.insert(names.raw(), [0, 0, 0, 3], [0xFF]).unwrap_err();
    assert_eq!(no_text.remedy(), Remedy::FixTheCall);
    assert!(txn.insert(names.raw(), "odd", "eve").is_err(), "no key's");
    txn.commit().unwrap();

    let read = db.begin_read().unwrap();
    let mut all = names
        .range_by_index::<String>(&read, "by_name", ..)
        .unwrap();
    let ann = all.next().unwrap().unwrap();
    assert!(all.next().is_none(), "the extractor leaves one out");
    assert_eq!(ann.index_key().unwrap(), "ann");
    assert_eq!((ann.key().unwrap(), &*ann.value().unwrap()), (1, "ann"));
    assert_eq!(ann.version(), Some(read.timestamp()));
    assert_eq!(ann.raw().1, "ann");
    // As other index keys than its extractor makes.
    let mut all = names.range_by_index::<u64>(&read, "by_name", ..).unwrap();
    let ann = all.next().unwrap().unwrap();
    let error = ann.index_key().unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
    assert_eq!(ann.key().unwrap(), 1, "and the record is there");
    let other: TypedTable<u32, String> = db.typed_table("other").unwrap();
    let none = other.by_index::<String>(&read, "by_name", "ann").map(drop);
    assert!(none.is_err(), "the snapshot has no such index");
}
