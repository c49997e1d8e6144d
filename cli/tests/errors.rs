//! What cannot be done is said, with an exit code, and changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/files.rs"]
mod files;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::Place;
use files::{f32bin, snapshot_of};

fn with_record() -> Place {
    let place = Place::new();
    place.done(&["put", "db", "items", "pen", "blue"]);
    place
}

#[test]
fn a_missing_database_is_not_made_by_reading() {
    let place = Place::new();
    let commands: [&[&str]; 6] = [
        &["get", "none", "t", "k"],
        &["scan", "none", "t"],
        &["search", "none", "t", "c", "--like", "k"],
        &["stats", "none"],
        &["stats", "none", "--probe"],
        &["wal", "verify", "none"],
    ];
    for command in commands {
        assert_eq!(
            place.fails(1, command),
            "vellum: there is no database at `none`\n"
        );
    }
    assert!(!place.path("none").exists());
}

#[test]
fn what_is_not_there_is_named() {
    let place = with_record();
    let said = place.fails(1, &["get", "db", "items", r"ink\n"]);
    assert_eq!(said, "vellum: table `items` has no key `ink\\n`\n");
    assert_eq!(
        place.fails(1, &["get", "db", "tools", "pen"]),
        "vellum: there is no table `tools`\n"
    );
    assert_eq!(
        place.fails(1, &["scan", "db", "tools"]),
        "vellum: there is no table `tools`\n"
    );
    let said = place.fails(1, &["search", "db", "items", "at", "--vector", "1,2"]);
    assert_eq!(said, "vellum: table `items` has no index on `at`\n");
    let said = place.fails(1, &["search", "db", "items", "at", "--like", "pen"]);
    assert_eq!(said, "vellum: `pen` of table `items` has no vector `at`\n");
    let said = place.fails(1, &["search", "db", "items", "at", "--like", "ink"]);
    assert_eq!(said, "vellum: table `items` has no key `ink`\n");
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let place = with_record();
    let commands: [&[&str]; 12] = [
        &[],
        &["got"],
        &["get", "db", "items"],
        &["get", "db", "items", r"\q"],
        &["put", "db", "items", "key", r"ends\"],
        &["scan", "db", "items", "--prefix", "a", "--from", "b"],
        &["search", "db", "items", "at"],
        &[
            "search", "db", "items", "at", "--like", "a", "--vector", "1",
        ],
        &["search", "db", "items", "at", "--vector", "1,x"],
        &["import", "db", "items", "f", "--vectors", "v.f32bin"],
        &["import", "db", "items", "f", "--batch", "0"],
        &["demo", "--packages", "3001"],
    ];
    for command in commands {
        assert!(!place.fails(2, command).is_empty());
    }
    place.file("f", "k\tv\n");
    let vectors = ["--vectors", "v.bin", "--column", "at"];
    let said = place.fails(2, &[&["import", "db", "items", "f"], &vectors[..]].concat());
    assert_eq!(said, "vellum: `v.bin` must end in .f16bin or .f32bin\n");
}

#[test]
fn engine_refusals_are_passed_on() {
    let place = with_record();
    assert_eq!(
        place.fails(1, &["put", "db", "items", "", "v"]),
        "vellum: a key must not be empty\n"
    );
    let long = "k".repeat(2049);
    let said = place.fails(1, &["put", "db", "items", &long, "v"]);
    assert_eq!(
        said,
        "vellum: a key of 2049 bytes is longer than the limit of 2048\n"
    );
    place.file("file", "");
    let said = place.fails(1, &["get", "file", "items", "pen"]);
    assert_eq!(
        said,
        "vellum: `file` is a file, a database is a directory\n"
    );
    fs::create_dir(place.path("other")).unwrap();
    place.file("other/letter.txt", "Dear");
    let said = place.fails(1, &["put", "other", "items", "pen", "blue"]);
    assert!(
        said.contains("`other` is not a Vellum database: it holds `letter.txt`"),
        "{said}"
    );
    let said = place.fails(1, &["wal", "verify", "other"]);
    assert_eq!(said, "vellum: there is no log of Vellum's in `other`\n");
}

#[test]
fn wrong_dimensions_are_refused() {
    let place = Place::new();
    place.file("r.tsv", "a\t1\nb\t2\n");
    place.file("two.f32bin", f32bin(2, &[1., 2., 3., 4.]));
    place.file("three.f32bin", f32bin(3, &[1., 2., 3., 4., 5., 6.]));
    place.file("nan.f32bin", f32bin(2, &[1., 2., 3., f32::NAN]));
    let import = |vectors: &str, more: &[&str]| {
        let first = [
            "import",
            "db",
            "t",
            "r.tsv",
            "--column",
            "at",
            "--vectors",
            vectors,
        ];
        [&first[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let fails = |arguments: Vec<String>| {
        place.fails(1, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let said = fails(import("two.f32bin", &["--dimension", "3"]));
    assert_eq!(said, "vellum: the vectors have 2 dimensions, not 3\n");
    assert!(!place.path("db").exists());
    let arguments = import("two.f32bin", &[]);
    place.done(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

    let said = fails(import("three.f32bin", &[]));
    assert!(
        said.contains("line 1: column `at` has 2 dimensions, the vector 3, key \"a\""),
        "{said}"
    );
    assert!(
        said.contains("(the first 0 of 2 records are written)"),
        "{said}"
    );
    let said = fails(import("nan.f32bin", &["--batch", "1"]));
    assert!(
        said.contains("line 2: component 1 of the vector in `at` is NaN"),
        "{said}"
    );
    assert!(
        said.contains("(the first 1 of 2 records are written)"),
        "{said}"
    );
    let said = place.fails(1, &["search", "db", "t", "at", "--vector", "1,2,3"]);
    assert_eq!(said, "vellum: column `at` has 2 dimensions, the vector 3\n");
}

#[test]
fn a_mistake_in_a_file_leaves_the_database_as_it_was() {
    let place = with_record();
    let before = snapshot_of(&place.path("db"));
    let files = [
        ("a\t1\nb\n", "line 2: wanted is a key, one tab, and a value"),
        ("a\t1\t2\n", "line 1: wanted is a key, one tab, and a value"),
        ("a\t1\n\n", "line 2: wanted is a key, one tab, and a value"),
        ("a\t1\n\t2\n", "line 2: the key is empty"),
        ("a\\b\t1\n", "line 1: `\\b` is no escape"),
    ];
    for (content, reason) in files {
        place.file("bad.tsv", content);
        let said = place.fails(1, &["import", "db", "items", "bad.tsv", "--batch", "1"]);
        assert!(
            said.contains("`bad.tsv`, ") && said.contains(reason),
            "{said}"
        );
    }
    place.file("good.tsv", "a\t1\n");
    place.file("cut.f32bin", &f32bin(2, &[1., 2.])[..12]);
    place.file("more.f32bin", f32bin(1, &[1., 2.]));
    for (vectors, reason) in [
        ("cut.f32bin", "has 12 bytes"),
        ("more.f32bin", "2 vectors for 1"),
    ] {
        let options = ["--column", "at", "--vectors", vectors];
        let said = place.fails(
            1,
            &[&["import", "db", "items", "good.tsv"], &options[..]].concat(),
        );
        assert!(said.contains(reason), "{said}");
    }
    assert!(
        place
            .fails(1, &["import", "db", "items", "none.tsv"])
            .contains("`none.tsv`: ")
    );
    assert!(snapshot_of(&place.path("db")) == before);
}

/// The loader of the demonstration holds its database open for as long as its input is open.
#[test]
fn a_second_opener_is_refused_at_once() {
    let place = Place::new();
    let holder = [
        "demo-load",
        "db",
        "--packages",
        "200",
        "--batches",
        "8",
        "--rate",
        "0",
    ];
    let mut holder = place.command(&holder);
    let mut holder = holder
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(8).filter(|line| line.is_ok()).count(), 8);
    let commands: [&[&str]; 5] = [
        &["put", "db", "items", "k", "v"],
        &["get", "db", "packages", "k"],
        &["stats", "db"],
        &["stats", "db", "--probe"],
        &["wal", "verify", "db"],
    ];
    for command in commands {
        assert_eq!(
            place.fails(1, command),
            "vellum: `db` is open elsewhere already\n"
        );
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(
        place
            .done(&["stats", "db"])
            .contains("table `ledger`: 8 records\n")
    );
}

/// What the mapped tail of the log still has is not lost with its other copy, so more is written
/// than the tail holds.
#[test]
fn damage_is_reported_with_its_place() {
    let place = Place::new();
    let value = "v".repeat(20_000);
    let lines: String = (0..600)
        .map(|key| format!("key {key:06}\t{value}\n"))
        .collect();
    place.file("many.tsv", lines);
    // A new table would not go through the log.
    place.done(&["put", "db", "t", "key", ""]);
    place.done(&["import", "db", "t", "many.tsv", "--batch", "2"]);
    let report = place.done(&["wal", "verify", "db"]);
    let segments = report.lines().filter_map(|line| line.split(':').next());
    let mut segments = segments.filter(|name| name.ends_with(".log"));
    let found = segments.find_map(|name| {
        let bytes = fs::read(place.path("db").join(name)).unwrap();
        let mut windows = bytes.windows(10);
        let early = windows.position(|window| window == b"key 000100")?;
        Some((name, bytes, early))
    });
    let (segment, mut bytes, early) = found.unwrap();
    let path = place.path("db").join(segment);
    bytes[early] ^= 1;
    fs::write(&path, bytes).unwrap();

    let verify = place.run(&["wal", "verify", "db"]);
    let said = String::from_utf8_lossy(&verify.stderr);
    assert_eq!(verify.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with(&format!("vellum: the log is damaged: {segment} at byte ")),
        "{said}"
    );
    let printed = String::from_utf8_lossy(&verify.stdout);
    assert!(
        printed.contains("52 commits, ") && !printed.contains("no damage"),
        "{printed}"
    );
    let said = place.fails(1, &["get", "db", "t", "key 000001"]);
    assert!(
        said.starts_with(&format!("vellum: the database is damaged: {segment} at ")),
        "{said}"
    );
}
