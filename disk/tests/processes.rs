//! What holds between processes: locks exclude and end with their holder, and what was stored
//! survives a SIGKILL. The second process is this test binary again, told by its environment what
//! to do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::{TempDir, tempdir_in};
use vellum_disk::{BLOCK_BYTES, DirDisk, Disk, LockMode, OpenMode, Probe};

const ROLE: &str = "VELLUM_TEST_ROLE";
const PLACE: &str = "VELLUM_TEST_PLACE";
const TAIL_BYTES: u64 = 64 * BLOCK_BYTES as u64;

fn temporary() -> TempDir {
    tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The second process, and the end of its output, which it must be able to write to.
struct Second {
    child: Child,
    _output: BufReader<ChildStdout>,
}

impl Second {
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Starts this binary as the second process, and waits for the line that it is ready with.
fn second_process(role: &str, place: &Path) -> Second {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "second_process_main", "--nocapture"])
        .env(ROLE, role)
        .env(PLACE, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    // The harness's own lines may stand before it.
    let ready = output
        .by_ref()
        .lines()
        .find(|line| line.as_ref().unwrap().contains("ready"));
    assert!(ready.is_some(), "the second process died");
    Second {
        child,
        _output: output,
    }
}

/// Not a test of its own: what the second process does.
#[test]
fn second_process_main() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let place = std::env::var_os(PLACE).unwrap();
    if role == "open" {
        println!(
            "ready {:?}",
            DirDisk::open(place).err().map(|error| error.kind())
        );
        return;
    }
    let written = Probe {
        mapped: false,
        ..Probe::default()
    };
    let probe = if role == "store written" {
        written
    } else {
        Probe::default()
    };
    let disk = DirDisk::open_with(place, probe).unwrap();
    let mode = if role == "share" {
        LockMode::Shared
    } else {
        LockMode::Exclusive
    };
    let _lock = disk.lock(mode).unwrap();
    let mapped = role
        .starts_with("store")
        .then(|| disk.map("tail", TAIL_BYTES).unwrap());
    if let Some(mapped) = &mapped {
        for at in 0..TAIL_BYTES / 100 {
            mapped.write(&[at as u8 | 1; 100], at * 100).unwrap();
        }
        disk.open("plain", OpenMode::CreateNew)
            .unwrap()
            .write_at(b"written", 0)
            .unwrap();
    }
    println!("ready");
    std::io::stdout().flush().unwrap();
    // Until killed, or told to end by the end of its input.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_lock_held_by_another_process_excludes_until_that_is_killed() {
    let place = temporary();
    let disk = DirDisk::open(place.path()).unwrap();
    let second = second_process("lock", place.path());
    for mode in [LockMode::Exclusive, LockMode::Shared] {
        assert_eq!(disk.lock(mode).err().unwrap().kind(), ErrorKind::WouldBlock);
    }
    let reader = DirDisk::open_read_only(place.path()).unwrap();
    assert_eq!(
        reader.lock(LockMode::Shared).err().unwrap().kind(),
        ErrorKind::WouldBlock
    );
    second.kill();
    drop(disk.lock(LockMode::Exclusive).unwrap());
    drop(reader.lock(LockMode::Shared).unwrap());
}

#[test]
fn readers_of_two_processes_share_and_keep_the_writer_out() {
    let place = temporary();
    let disk = DirDisk::open(place.path()).unwrap();
    drop(disk.lock(LockMode::Exclusive).unwrap());
    let second = second_process("share", place.path());
    let shared = disk.lock(LockMode::Shared).unwrap();
    assert_eq!(
        disk.lock(LockMode::Exclusive).err().unwrap().kind(),
        ErrorKind::WouldBlock
    );
    drop(shared);
    assert_eq!(
        disk.lock(LockMode::Exclusive).err().unwrap().kind(),
        ErrorKind::WouldBlock
    );
    second.end();
    drop(disk.lock(LockMode::Exclusive).unwrap());
}

#[test]
fn a_child_that_inherits_the_descriptor_does_not_keep_the_lock() {
    let place = temporary();
    let disk = DirDisk::open(place.path()).unwrap();
    let lock = disk.lock(LockMode::Exclusive).unwrap();
    // The descriptor is closed over `exec`.
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    drop(lock);
    let again = disk.lock(LockMode::Exclusive);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(again.is_ok());
}

#[test]
fn stores_survive_the_process_mapped_or_written() {
    for role in ["store mapped", "store written"] {
        let place = temporary();
        second_process(role, place.path()).kill();
        let disk = DirDisk::open(place.path()).unwrap();
        let mut bytes = vec![0; TAIL_BYTES as usize + 1];
        let tail = disk.open("tail", OpenMode::Read).unwrap();
        assert_eq!(
            tail.read_at(&mut bytes, 0).unwrap() as u64,
            TAIL_BYTES,
            "{role}"
        );
        for (at, piece) in bytes[..TAIL_BYTES as usize / 100 * 100]
            .chunks(100)
            .enumerate()
        {
            assert_eq!(piece, [at as u8 | 1; 100], "{role}, piece {at}");
        }
        let plain = disk.open("plain", OpenMode::Read).unwrap();
        assert_eq!(plain.read_at(&mut bytes, 0).unwrap(), 7, "{role}");
        // And it can be mapped again, with what it held.
        drop(disk.map("tail", TAIL_BYTES).unwrap());
        assert_eq!(tail.read_at(&mut bytes[..1], 100).unwrap(), 1);
        assert_eq!(bytes[0], 1);
    }
}

#[test]
fn a_directory_that_may_not_be_written_is_refused_at_opening() {
    let place = temporary();
    let path = place.path().join("sealed");
    fs::create_dir(&path).unwrap();
    for directory in [place.path(), &path] {
        fs::set_permissions(directory, PermissionsExt::from_mode(0o555)).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "second_process_main", "--nocapture"]);
    command.env(ROLE, "open").env(PLACE, &path);
    if fs::write(path.join("x"), b"").is_ok() {
        // The superuser is not bound by permissions; nobody is.
        command.uid(65534).gid(65534);
    }
    // Nobody may be unable to run this binary, where it was built.
    let Ok(output) = command.output() else { return };
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("ready Some(PermissionDenied)"), "{output}");
}
