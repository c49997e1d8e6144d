//! A workload of some hundred commits whose every prefix is known, and the judge of what a
//! database holds after a crash.

use std::collections::BTreeMap;

use vellum::{Database, Durability, Error, Exact, Metric, Options, Record, Table};
use vellum_testkit::{Random, SimDisk};

/// What a database holds: for each table and key the value, and whether it has a vector.
pub(crate) type Contents = BTreeMap<(String, Vec<u8>), (Vec<u8>, bool)>;

/// The key under which every commit leaves its number.
const LEDGER: &str = "ledger";

/// What every commit merges its number into, or writes over.
const MERGED: &str = "merged";

/// After so many commits what was committed is moved into pages.
const CHECKPOINT_EVERY: u64 = 9;

/// After so many the file of pages is made shorter.
const VACUUM_EVERY: u64 = 24;

/// One commit of the workload, decided by its number.
pub(crate) enum Step {
    CreateTable,
    DropTable,
    CreateIndex,
    /// Writes and removals, and the ledger.
    Write,
}

pub(crate) fn options() -> Options {
    Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20)
}

pub(crate) fn step(number: u64) -> Step {
    match number {
        40 => Step::CreateIndex,
        n if n % 50 == 20 => Step::CreateTable,
        n if n % 50 == 35 => Step::DropTable,
        _ => Step::Write,
    }
}

/// What commit `number` writes: (key, value, with a vector); no value: removed.
fn writes(number: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>, bool)> {
    let mut random = Random::new(number);
    let mut writes = Vec::new();
    let count = match number % 17 {
        11 => 120,
        n => 1 + n % 4,
    };
    for place in 0..count {
        let key = format!("key{:04}", random.below(300)).into_bytes();
        if random.below(6) == 0 {
            writes.push((key, None, false));
            continue;
        }
        // Now and then a value that does not fit into the log's records.
        let len = if number % 29 == 7 && place == 0 {
            9000
        } else {
            random.below(60) as usize
        };
        let value = [&number.to_le_bytes()[..], &vec![number as u8; len]].concat();
        writes.push((key, Some(value), random.below(3) == 0));
    }
    writes.sort();
    writes.dedup_by(|later, earlier| later.0 == earlier.0);
    writes
}

pub(crate) fn durability(number: u64) -> Durability {
    if number.is_multiple_of(3) {
        Durability::Buffered
    } else {
        Durability::Sync
    }
}

fn vector(number: u64) -> [f32; 4] {
    [1.0, number as f32, 0.5, -1.0]
}

/// The contents after the first `count` commits.
pub(crate) fn expected(count: u64) -> Contents {
    let mut contents = Contents::new();
    for number in 1..=count {
        match step(number) {
            Step::CreateTable | Step::CreateIndex => {}
            Step::DropTable => contents.retain(|(table, _), _| table != "second"),
            Step::Write => {
                for (key, value, vector) in writes(number) {
                    let table = table_of(number, &key);
                    match value {
                        Some(value) => contents.insert((table, key), (value, vector)),
                        None => contents.remove(&(table, key)),
                    };
                }
                let merged = ("items".to_owned(), MERGED.as_bytes().to_vec());
                let (before, _) = contents.remove(&merged).unwrap_or_default();
                let before = before.try_into().map_or(0, u64::from_le_bytes);
                let sum = match number % 16 {
                    5 => None,
                    9 => Some(number),
                    _ => Some(before + number),
                };
                if let Some(sum) = sum {
                    contents.insert(merged, (sum.to_le_bytes().to_vec(), false));
                }
                let ledger = ("items".to_owned(), LEDGER.as_bytes().to_vec());
                contents.insert(ledger, (number.to_le_bytes().to_vec(), false));
            }
        }
    }
    contents
}

/// Every second key of commits while the second table stands goes there.
fn table_of(number: u64, key: &[u8]) -> String {
    let stands = (21..35).contains(&(number % 50));
    let second = stands && key.last().is_some_and(|last| last % 2 == 0);
    if second { "second" } else { "items" }.to_owned()
}

/// Does commits `from..=to`, marking what was acknowledged: `2 n` for as much as survives the
/// process, `2 n + 1` for as much as survives a power cut.
pub(crate) fn run(db: &Database, sim: &SimDisk, from: u64, to: u64) -> vellum::Result<()> {
    let items = db.table("items")?;
    if from == 1 {
        sim.mark(1);
    }
    for number in from..=to {
        match step(number) {
            Step::CreateTable => drop(db.table("second")?),
            Step::DropTable => match db.open_table("second") {
                Ok(table) => db.drop_table(&table)?,
                Err(Error::UnknownTable { .. }) => {}
                Err(error) => return Err(error),
            },
            Step::CreateIndex => db.create_index(&items, "v", Exact::new(4, Metric::L2))?,
            Step::Write => write(db, &items, number)?,
        }
        // Changes of tables and indexes are durable when they return.
        let durable =
            !matches!(step(number), Step::Write) || durability(number) == Durability::Sync;
        sim.mark(2 * number + u64::from(durable));
        if number % CHECKPOINT_EVERY == 0 {
            db.checkpoint()?;
        }
        if number % VACUUM_EVERY == 0 {
            db.vacuum()?;
        }
    }
    Ok(())
}

fn write(db: &Database, items: &Table, number: u64) -> vellum::Result<()> {
    let second = db.open_table("second").ok();
    let mut txn = db.begin()?;
    for (key, value, with_vector) in writes(number) {
        let table = match table_of(number, &key).as_str() {
            "second" => second.as_ref().unwrap_or(items),
            _ => items,
        };
        match value {
            Some(value) if with_vector => {
                let vector = vector(number);
                let record = Record::new(&value).vector("v", &vector);
                txn.insert_record(table, &key, record)?;
            }
            Some(value) => txn.insert(table, &key, &value)?,
            None => txn.remove(table, &key)?,
        }
    }
    txn.insert(items, LEDGER, number.to_le_bytes())?;
    match number % 16 {
        5 => txn.remove(items, MERGED)?,
        9 => txn.insert(items, MERGED, number.to_le_bytes())?,
        _ => txn.merge(items, MERGED, "add_u64", number.to_le_bytes())?,
    }
    txn.commit_with(durability(number))?.wait()
}

/// What a database holds, and the number of its last commit that wrote the ledger.
pub(crate) fn contents(db: &Database) -> vellum::Result<(u64, Contents)> {
    let read = db.begin_read()?;
    let mut contents = Contents::new();
    let mut last = 0;
    for name in read.list_tables() {
        let table = db.open_table(&name)?;
        for entry in read.iter(&table)? {
            let (key, value) = entry?;
            let record = read.get_record(&table, key.as_ref())?;
            let vector = record.is_some_and(|record| record.vector("v").is_some());
            if &*key == LEDGER.as_bytes() {
                last = u64::from_le_bytes((&value[..]).try_into().unwrap_or_default());
            }
            contents.insert((name.clone(), key.to_vec()), (value.to_vec(), vector));
        }
    }
    Ok((last, contents))
}

/// What is wrong with what `db` holds after a crash, when commits up to `acknowledged` must be
/// there; else the number of commits that are.
pub(crate) fn judge(db: &Database, acknowledged: u64) -> Result<u64, String> {
    let (ledger, found) = contents(db).map_err(|error| format!("it cannot be read: {error}"))?;
    let mut kept = ledger;
    // Commits that leave no number are told from the contents, or count as there.
    while !matches!(step(kept + 1), Step::Write) {
        kept += 1;
    }
    let whole =
        (ledger.max(acknowledged)..=kept.max(acknowledged)).any(|count| found == expected(count));
    if !whole {
        let right = expected(ledger);
        let lost = right
            .iter()
            .find(|(key, record)| found.get(*key) != Some(record));
        let added = found
            .iter()
            .find(|(key, record)| right.get(*key) != Some(record));
        return Err(format!(
            "it holds no prefix: {acknowledged} acknowledged, the ledger says {ledger}; {} records \
             where {} are right; lost {:?}, too many {:?}",
            found.len(),
            right.len(),
            lost.map(|(key, _)| key),
            added.map(|(key, _)| key),
        ));
    }
    if kept < acknowledged {
        return Err(format!(
            "{acknowledged} commits were acknowledged, {kept} are there"
        ));
    }
    search(db, &found)?;
    Ok(ledger)
}

/// The index, if it stands, finds the records with vectors and nothing else.
fn search(db: &Database, found: &Contents) -> Result<(), String> {
    let Ok(items) = db.open_table("items") else {
        return Ok(());
    };
    let read = db.begin_read().map_err(|error| error.to_string())?;
    if read
        .list_indexes(&items)
        .map_err(|error| error.to_string())?
        .is_empty()
    {
        return Ok(());
    }
    let with_vectors: Vec<&[u8]> = found
        .iter()
        .filter(|((table, _), (_, vector))| table == "items" && *vector)
        .map(|((_, key), _)| &key[..])
        .collect();
    let query = vector(7);
    let hits = read
        .search(&items, "v", &query)
        .and_then(|search| search.k(with_vectors.len() + 1).run())
        .map_err(|error| format!("the search fails: {error}"))?;
    let mut keys: Vec<Vec<u8>> = hits.iter().map(|hit| hit.key().to_vec()).collect();
    keys.sort();
    if !keys
        .iter()
        .map(|key| &key[..])
        .eq(with_vectors.iter().copied())
    {
        return Err(format!(
            "{} vectors stand, {} are found",
            with_vectors.len(),
            keys.len()
        ));
    }
    Ok(())
}
