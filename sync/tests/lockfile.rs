//! What a user gets: nothing of the checkers, neither in the lock file nor by mistake in a build.
//!
//! A dependency table for a target puts its crates into the lock file of everybody downstream, on
//! whatever target; an optional dependency behind a feature that nobody switches on does not.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A crate of its own workspace, with a lock of its own, that depends on Vellum as users do.
fn user_crate() -> io::Result<PathBuf> {
    let user = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lockfile-user");
    let _ = std::fs::remove_dir_all(&user);
    std::fs::create_dir_all(user.join("src"))?;
    std::fs::write(user.join("src/lib.rs"), "")?;
    let root = root().canonicalize()?;
    let manifest = format!(
        "[package]\nname = \"user\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         vellum = {{ path = {:?} }}\nvellum-sync = {{ path = {:?} }}\n",
        root.join("engine"),
        root.join("sync"),
    );
    std::fs::write(user.join("Cargo.toml"), manifest)?;
    Ok(user)
}

fn resolve(user: &Path, offline: bool) -> io::Result<Output> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(user).arg("generate-lockfile");
    if offline {
        cargo.arg("--offline");
    }
    cargo.output()
}

/// The packages of a lock file.
fn packages(lock: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(lock)?;
    let names = text.lines().filter_map(|line| line.strip_prefix("name = "));
    Ok(names
        .map(|name| name.trim_matches('"').to_owned())
        .collect())
}

fn checkers(packages: &[String]) -> Vec<&String> {
    packages
        .iter()
        .filter(|name| *name == "loom" || name.starts_with("shuttle"))
        .collect()
}

#[test]
fn a_users_lock_file_contains_no_checker() {
    let user = user_crate().unwrap();
    // What the build of this test has fetched is enough; where the cache was pruned, ask for it.
    let mut output = resolve(&user, true).unwrap();
    if !output.status.success() {
        output = resolve(&user, false).unwrap();
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let locked = packages(&user.join("Cargo.lock")).unwrap();
    assert!(
        locked.iter().any(|name| name == "parking_lot"),
        "not resolved: {locked:?}"
    );
    assert!(checkers(&locked).is_empty(), "{:?}", checkers(&locked));

    // The workspace's own lock does hold them, so they would be recognised.
    assert!(checkers(&packages(&root().join("Cargo.lock")).unwrap()).len() >= 2);
}

/// The compiler's complaints about this crate under `flags`.
fn complaints(flags: &[&str]) -> io::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args([
            "--edition=2024",
            "--crate-type=lib",
            "--crate-name=refused",
            "--emit=metadata",
        ])
        .arg("--out-dir")
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .args(flags)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .output()?;
    assert!(!output.status.success());
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_mode_without_its_feature_is_refused_with_the_cure() {
    let loom = complaints(&["--cfg", "vellum_loom"]).unwrap();
    assert!(loom.contains("add `--features vellum-sync/loom`"), "{loom}");
    let shuttle = complaints(&["--cfg", "vellum_shuttle"]).unwrap();
    assert!(
        shuttle.contains("add `--features vellum-sync/shuttle`"),
        "{shuttle}"
    );
    let both = complaints(&["--cfg", "vellum_loom", "--cfg", "vellum_shuttle"]).unwrap();
    assert!(both.contains("exclude each other"), "{both}");
}
