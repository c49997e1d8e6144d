//! A small checkout in a temporary folder: a git repository with packages that need nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use xtask::layout::Layout;

const TABLES: &str = "\
[features]
loom = []
shuttle = []

[lints.rust]
unexpected_cfgs = \"allow\"
";

/// The checkout; it is removed when dropped.
pub(crate) struct Fixture {
    pub(crate) layout: Layout,
}

impl Fixture {
    /// A workspace of `packages`, without files of its own.
    pub(crate) fn new(name: &str, packages: &[&str]) -> Self {
        let root = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let root: PathBuf = root.canonicalize().unwrap();
        let target = root.join("target");
        let fixture = Self {
            layout: Layout { root, target },
        };
        let names: Vec<String> = packages.iter().map(|one| format!("\"{one}\"")).collect();
        let profile = "[profile.model]\ninherits = \"release\"\n";
        let members = names.join(", ");
        let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n{profile}");
        fixture.write("Cargo.toml", &workspace);
        fixture.write(".gitignore", "/target\nCargo.lock\n");
        for package in packages {
            let manifest = format!("[package]\nname = \"{package}\"\nedition = \"2024\"\n{TABLES}");
            fixture.write(&format!("{package}/Cargo.toml"), &manifest);
            fixture.write(&format!("{package}/src/lib.rs"), "");
        }
        fixture.git(&["init", "--quiet"]);
        fixture
    }

    /// Writes a file.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.layout.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits all there is, at a given hour.
    pub(crate) fn commit(&self, hour: u32) {
        let date = format!("2026-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24);
        self.git(&["add", "--all"]);
        let mut command = self.layout.git();
        command
            .env("GIT_COMMITTER_DATE", &date)
            .env("GIT_AUTHOR_DATE", &date);
        command.args(["-c", "user.name=n", "-c", "user.email=n@example.org"]);
        succeed(command.args(["commit", "--quiet", "--message", "m"]));
    }

    fn git(&self, arguments: &[&str]) {
        succeed(self.layout.git().args(arguments));
    }
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}");
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // What is left behind in a temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.layout.root);
    }
}
