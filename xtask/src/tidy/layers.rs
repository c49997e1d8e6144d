//! Which package may depend on which, and what every manifest says.
//!
//! The table is that of `docs/architecture.md`: a direction that a manifest does not have cannot be
//! imported. Dependencies for tests are free.

use super::Finding;
use super::tree::Tree;

const LAYERS: [(&str, &[&str]); 11] = [
    ("vellum-base", &[]),
    ("vellum-sync", &[]),
    ("vellum-index", &[]),
    ("vellum-distance", &[]),
    ("vellum-disk", &["vellum-base", "vellum-sync"]),
    ("vellum-wal", &["vellum-base", "vellum-sync", "vellum-disk"]),
    ("vellum-latch", &["vellum-base", "vellum-sync"]),
    (
        "vellum-txn",
        &["vellum-base", "vellum-sync", "vellum-latch"],
    ),
    (
        "vellum-pages",
        &["vellum-base", "vellum-sync", "vellum-disk"],
    ),
    ("vellum-exact", &["vellum-index", "vellum-distance"]),
    (
        "vellum-testkit",
        &["vellum-base", "vellum-sync", "vellum-disk"],
    ),
];

/// Tools that no product package may depend on.
const TOOLS: [&str; 3] = ["xtask", "vellum-testkit", "vellum-loom-tests"];

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let packages = tree.packages();
    for (package, folder) in &packages {
        let file = format!("{folder}/Cargo.toml");
        let Some(manifest) = tree.text(&file) else {
            continue;
        };
        for (line, dependency) in dependencies(manifest) {
            if packages.contains_key(dependency) && !is_permitted(package, dependency) {
                let what = format!("{package} must not depend on {dependency}");
                findings.push(Finding::new(&file, line, what));
            }
        }
        // A workspace of its own, such as the comparison with other stores, has its own settings.
        let own = manifest.contains("[workspace]");
        if !own && !manifest.contains("[lints]\nworkspace = true") {
            findings.push(Finding::new(&file, 0, "take the workspace's lints"));
        }
    }
    findings
}

fn is_permitted(package: &str, dependency: &str) -> bool {
    let layer = LAYERS.iter().find(|(name, _)| *name == package);
    match layer {
        Some((_, permitted)) => permitted.contains(&dependency),
        None => TOOLS.contains(&package) || !TOOLS.contains(&dependency),
    }
}

/// The names under `[dependencies]` and `[build-dependencies]`, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (number, line) in manifest.lines().enumerate() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies") && !table.ends_with("dev-dependencies");
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if inside && !name.is_empty() && !name.starts_with('#') {
            found.push((number + 1, name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n\n[lints]\nworkspace = true\n\n{rest}")
    }

    fn found(txn: &str) -> usize {
        check(&Tree::of(&[
            ("txn/Cargo.toml", txn),
            ("base/Cargo.toml", &manifest("vellum-base", "")),
            ("wal/Cargo.toml", &manifest("vellum-wal", "")),
            ("testkit/Cargo.toml", &manifest("vellum-testkit", "")),
        ]))
        .len()
    }

    #[test]
    fn directions_are_checked() {
        let base = "[dependencies]\nvellum-base.workspace = true\nclap = \"4\"\n";
        assert_eq!(found(&manifest("vellum-txn", base)), 0);
        let wal = "[dependencies]\nvellum-wal = { workspace = true }\n";
        assert_eq!(found(&manifest("vellum-txn", wal)), 1);
        let dev = "[dev-dependencies]\nvellum-wal.workspace = true\n";
        assert_eq!(found(&manifest("vellum-txn", dev)), 0);
        let tool = "[dependencies]\nvellum-testkit.workspace = true\n";
        assert_eq!(found(&manifest("vellum-cli", tool)), 1);
        let platform = "[target.'cfg(unix)'.dependencies]\nvellum-wal.workspace = true\n";
        assert_eq!(found(&manifest("vellum-txn", platform)), 1);
    }

    #[test]
    fn lints_are_the_workspaces() {
        assert_eq!(found("[package]\nname = \"vellum-txn\"\n"), 1);
        assert_eq!(found("[package]\nname = \"compare\"\n[workspace]\n"), 0);
    }
}
