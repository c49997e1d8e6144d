//! Each subcommand, as a user runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/files.rs"]
mod files;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use common::Place;
use files::{f32bin, snapshot_of};

/// Five records of one dimension each on a line: a is at 1, b at 2, …
fn with_vectors() -> Place {
    let place = Place::new();
    place.file(
        "letters.tsv",
        "a\tfirst\nb\tsecond\nc\tthird\nd\tfourth\ne\tfifth\n",
    );
    place.file(
        "letters.f32bin",
        f32bin(2, &[1., 0., 2., 0., 3., 0., 4., 0., 9., 0.]),
    );
    let vectors = [
        "--vectors",
        "letters.f32bin",
        "--column",
        "at",
        "--metric",
        "l2",
    ];
    let import = ["import", "db", "letters", "letters.tsv"];
    let printed = place.done(&[&import[..], &vectors[..]].concat());
    assert_eq!(printed, "5 records imported into `letters`\n");
    place
}

#[test]
fn what_is_put_is_got() {
    let place = Place::new();
    place.done(&["put", "db", "items", "pen", "blue"]);
    place.done(&["put", "db", "items", "ink", "black"]);
    place.done(&["put", "db", "items", "pen", "red"]);
    assert_eq!(place.done(&["get", "db", "items", "pen"]), "red\n");
    assert_eq!(place.done(&["get", "db", "items", "pen", "--raw"]), "red");
    assert_eq!(place.done(&["get", "db", "items", "ink"]), "black\n");
    place.fails(1, &["get", "db", "items", "pencil"]);
}

#[test]
fn keys_and_values_are_text_or_raw() {
    let place = Place::new();
    place.done(&["put", "db", "t", r"a\tb", r"x\n\xff\\"]);
    assert_eq!(place.done(&["get", "db", "t", r"a\tb"]), "x\\n\\xff\\\\\n");
    assert_eq!(
        place.run(&["get", "db", "t", "a\tb", "--raw"]).stdout,
        b"x\n\xff\\"
    );
    let words = ["put", "--raw", "db", "t", r"c:\new"].map(OsStr::new);
    let value = OsStr::from_bytes(b"\xfe\n");
    assert!(place.command(&words).arg(value).status().unwrap().success());
    assert_eq!(place.done(&["get", "db", "t", r"c:\\new"]), "\\xfe\\n\n");
    assert_eq!(
        place.done(&["scan", "db", "t"]),
        "a\\tb\tx\\n\\xff\\\\\nc:\\\\new\t\\xfe\\n\n"
    );
}

#[test]
fn scans_follow_their_bounds() {
    let place = Place::new();
    place.file("r.tsv", "a\t1\nb\t2\nba\t3\nbb\t4\nc\t5");
    place.done(&["import", "db", "r", "r.tsv"]);
    let scan = |options: &[&str]| {
        let lines = place.done(&[&["scan", "db", "r"], options].concat());
        lines
            .lines()
            .map(|line| line.split('\t').next().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(scan(&[]), "a b ba bb c");
    assert_eq!(scan(&["--reverse"]), "c bb ba b a");
    assert_eq!(scan(&["--prefix", "b"]), "b ba bb");
    assert_eq!(
        scan(&["--prefix", "b", "--reverse", "--limit", "2"]),
        "bb ba"
    );
    assert_eq!(scan(&["--from", "b", "--to", "bb"]), "b ba");
    assert_eq!(scan(&["--from", "bb"]), "bb c");
    assert_eq!(scan(&["--to", "b"]), "a");
    assert_eq!(scan(&["--from", "c", "--to", "a"]), "");
    assert_eq!(scan(&["--limit", "0"]), "");
}

#[test]
fn a_new_table_is_imported_whole_and_may_be_compressed() {
    let place = Place::new();
    place.file("in.tsv", "b\t1\na\t2\nb\t3\n");
    place.done(&["import", "db", "new", "in.tsv", "--compress"]);
    assert_eq!(place.done(&["scan", "db", "new"]), "a\t2\nb\t3\n");
    place.file("more.tsv", "a\t4\nc\t5\n");
    place.done(&["import", "db", "new", "more.tsv"]);
    assert_eq!(place.done(&["scan", "db", "new"]), "a\t4\nb\t3\nc\t5\n");
    let stats = place.done(&["stats", "db"]);
    assert!(
        stats.contains("table `new`: 3 records, compressed\n"),
        "{stats}"
    );
}

#[test]
fn what_is_scanned_can_be_imported() {
    let place = Place::new();
    let lines = "\\x00\\n\t\\t\\\\\nkey\t\ntwo words\tÄpfel\n";
    place.file("in.tsv", lines);
    place.done(&["import", "one", "t", "in.tsv", "--batch", "2"]);
    let scanned = place.done(&["scan", "one", "t"]);
    assert_eq!(scanned, lines);
    place.file("out.tsv", &scanned);
    assert_eq!(
        place.done(&["import", "two", "t", "out.tsv"]),
        "3 records imported into `t`\n"
    );
    assert_eq!(place.done(&["scan", "two", "t"]), lines);
}

#[test]
fn searches_find_the_nearest() {
    let place = with_vectors();
    let search = ["search", "db", "letters", "at"];
    let like = place.done(&[&search[..], &["--like", "c", "-k", "2"]].concat());
    assert_eq!(like, "1.000000\tb\tsecond\n1.000000\td\tfourth\n");
    let near = place.done(&[&search[..], &["--vector", "8,0.5", "-k", "1"]].concat());
    assert_eq!(near, "1.250000\te\tfifth\n");
    let behind = place.done(&[&search[..], &["--vector", "-1,0"]].concat());
    let keys: String = behind
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .collect();
    assert_eq!(keys, "abcde");
}

#[test]
fn half_precision_is_read_and_a_second_import_uses_the_index() {
    let place = with_vectors();
    place.file("f.tsv", "f\tsixth\n");
    let f16s = [
        &1u32.to_le_bytes()[..],
        &2u32.to_le_bytes(),
        &[0x00, 0x49, 0, 0],
    ]
    .concat();
    place.file("f.f16bin", f16s);
    let options = [
        "--vectors",
        "f.f16bin",
        "--column",
        "at",
        "--dimension",
        "2",
    ];
    place.done(&[&["import", "db", "letters", "f.tsv"], &options[..]].concat());
    let near = [
        "search", "db", "letters", "at", "--vector", "10,0", "-k", "2",
    ];
    assert_eq!(
        place.done(&near),
        "0.000000\tf\tsixth\n1.000000\te\tfifth\n"
    );
}

#[test]
fn stats_tell_what_is_there() {
    let place = with_vectors();
    place.done(&["put", "db", "other", "k", "v"]);
    let stats = place.done(&["stats", "db"]);
    assert!(stats.contains("table `letters`: 5 records\n"), "{stats}");
    assert!(
        stats.contains("  index `at`: exact, 2 dimensions, l2\n"),
        "{stats}"
    );
    assert!(stats.contains("table `other`: 1 records\n"), "{stats}");
    assert!(!stats.contains("durable writes"), "{stats}");
    let probed = place.done(&["stats", "db", "--probe"]);
    assert!(
        probed.contains("durable writes     ")
            && probed.contains("buffered commits   ")
            && probed.contains("batched reads      ")
    );
}

#[test]
fn the_log_of_a_sound_database_is_verified() {
    let place = with_vectors();
    place.done(&["put", "db", "letters", "a", "again"]);
    let report = place.done(&["wal", "verify", "db"]);
    // A load's beginning, its checkpoint and its end, an index, one record.
    assert!(
        report.contains("5 commits, 0 of them large, in 2 openings for writing"),
        "{report}"
    );
    assert!(report.contains("closed properly\nno damage\n"), "{report}");
}

#[test]
fn commands_that_read_change_nothing() {
    let place = with_vectors();
    let before = snapshot_of(&place.path("db"));
    place.done(&["get", "db", "letters", "a"]);
    place.done(&["scan", "db", "letters"]);
    place.done(&["search", "db", "letters", "at", "--like", "a"]);
    place.done(&["stats", "db"]);
    place.done(&["wal", "verify", "db"]);
    assert!(snapshot_of(&place.path("db")) == before);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let lines: String = (0..20_000)
        .map(|key| format!("key {key:06}\tvalue\n"))
        .collect();
    place.file("many.tsv", lines);
    place.done(&["import", "db", "many", "many.tsv", "--batch", "20000"]);
    let mut scan = place.command(&["scan", "db", "many"]);
    let mut scan = scan
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    scan.stdout
        .take()
        .unwrap()
        .read_exact(&mut [0; 10])
        .unwrap();
    let ended = scan.wait_with_output().unwrap();
    assert!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
}

#[test]
fn help_is_there_for_each_command() {
    let place = Place::new();
    let help = place.done(&["--help"]);
    for command in [
        "demo", "get", "put", "scan", "import", "search", "stats", "vacuum", "verify", "backup",
        "restore", "wal",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
        assert!(place.done(&[command, "--help"]).contains("Usage: vellum "));
    }
    assert!(!help.contains("demo-load"));
}

#[test]
fn vacuum_makes_the_file_shorter_and_says_so() {
    let place = with_vectors();
    let pages = |place: &Place| std::fs::metadata(place.path("db/pages")).unwrap().len();
    let before = pages(&place);
    let printed = place.done(&["vacuum", "db"]);
    let after = pages(&place);
    let says = format!("pages: {after} bytes, were {before}; ");
    assert!(printed.starts_with(&says) && after < before, "{printed}");
    assert_eq!(place.done(&["get", "db", "letters", "c"]), "third\n");
    place.done(&["verify", "db"]);
    place.fails(1, &["vacuum", "nothing"]);
}

#[test]
fn verify_says_what_there_is_and_what_is_damaged() {
    let place = with_vectors();
    let whole = place.done(&["verify", "db"]);
    assert!(whole.ends_with("no damage\n"), "{whole}");
    assert!(whole.contains("log: 4 commits in"), "{whole}");
    let file = place.path("db").join("pages");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damaged = place.run(&["verify", "db"]);
    let said = String::from_utf8(damaged.stderr).unwrap();
    assert_eq!(damaged.status.code(), Some(1), "{said}");
    assert!(said.contains("pages at byte 0: "), "{said}");
    place.fails(1, &["verify", "nothing"]);
}

#[test]
fn what_was_backed_up_is_restored_and_nothing_is_written_over() {
    let place = with_vectors();
    place.done(&["backup", "db", "copy"]);
    place.done(&["put", "db", "letters", "f", "sixth"]);
    let said = place.done(&["restore", "copy", "again"]);
    assert_eq!(said, "restored to `again`: all up to commit 4\n");
    for copy in ["copy", "again"] {
        let scanned = place.done(&["scan", copy, "letters"]);
        assert_eq!(
            scanned,
            "a\tfirst\nb\tsecond\nc\tthird\nd\tfourth\ne\tfifth\n"
        );
        let near = [
            "search", copy, "letters", "at", "--vector", "2,0", "-k", "1",
        ];
        assert_eq!(place.done(&near), "0.000000\tb\tsecond\n");
    }
    for command in [["backup", "db", "copy"], ["restore", "copy", "db"]] {
        let said = place.fails(1, &command);
        assert!(said.ends_with("exists already\n"), "{said}");
    }
    place.done(&["put", "again", "letters", "g", "seventh"]);
    place.done(&["verify", "again"]);
    place.file("copy/copy-unfinished", "");
    let said = place.fails(1, &["restore", "copy", "third"]);
    assert!(said.contains("half a backup"), "{said}");
    std::fs::remove_file(place.path("copy/copy-unfinished")).unwrap();
    let mut bytes = std::fs::read(place.path("copy/pages")).unwrap();
    let at = bytes
        .windows(5)
        .position(|found| found == b"third")
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(place.path("copy/pages"), bytes).unwrap();
    let said = place.fails(1, &["restore", "copy", "third"]);
    assert!(
        said.contains("of table `letters` all records are lost"),
        "{said}"
    );
    assert!(!place.path("third").exists());
}
