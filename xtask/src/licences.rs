//! `cargo xtask licences`: the dependencies' licences, sources and required Rust versions.
//!
//! cargo-deny checks the same from the same file (`deny.toml`), and known vulnerabilities besides;
//! but it takes minutes to build, and this check must never be skipped.
//!
//! 1. A licence expression passes when its terms can be met by the licences that `deny.toml` allows.
//! 2. A package comes from the registry of crates.io or is part of this repository.
//! 3. A package that says which Rust it needs needs no newer one than ours.

use serde_json::Value;

use crate::error::{Context, Error, Result};
use crate::layout::Layout;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Runs the command; true when every package passes.
///
/// # Errors
///
/// When cargo cannot describe the packages, or `deny.toml` allows nothing.
pub fn run(layout: &Layout) -> Result<bool> {
    let deny = std::fs::read_to_string(layout.root.join("deny.toml"))
        .during(|| "cannot read deny.toml".into())?;
    let allowed = allowed(&deny);
    if allowed.is_empty() {
        return Err(Error::new("deny.toml allows no licence"));
    }
    let mut cargo = layout.cargo(&layout.target);
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--all-features",
        "--locked",
    ]);
    let output = cargo.output().during(|| "cannot run cargo".into())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::new(format!(
            "cargo cannot describe the packages: {said}"
        )));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .during(|| "cargo's description is not JSON".into())?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let ours = our_version(&packages);
    let faults: Vec<String> = packages
        .iter()
        .filter_map(|package| fault(package, &allowed, ours))
        .collect();
    for fault in &faults {
        println!("{fault}");
    }
    println!(
        "licences: {} packages, {} findings",
        packages.len(),
        faults.len()
    );
    Ok(!packages.is_empty() && faults.is_empty())
}

/// The licences in the `allow` list of `deny.toml`.
fn allowed(deny: &str) -> Vec<String> {
    let table = deny.split_once("[licenses]").map_or("", |(_, rest)| rest);
    let list = table.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn our_version(packages: &[Value]) -> Option<(u64, u64)> {
    let ours = packages
        .iter()
        .filter(|package| package["source"].is_null());
    ours.filter_map(|package| version(package["rust_version"].as_str()?))
        .min()
}

fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn fault(package: &Value, allowed: &[String], ours: Option<(u64, u64)>) -> Option<String> {
    let name = format!(
        "{} {}",
        package["name"].as_str().unwrap_or("?"),
        package["version"].as_str().unwrap_or("?")
    );
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name}: states no licence"));
    };
    if !is_met(licence, allowed) {
        return Some(format!("{name}: the licence {licence} is not allowed"));
    }
    if let Some(source) = package["source"]
        .as_str()
        .filter(|source| *source != REGISTRY)
    {
        return Some(format!("{name}: comes from {source}"));
    }
    let needs = package["rust_version"].as_str().and_then(version);
    (needs > ours).then(|| format!("{name}: needs a newer Rust than ours"))
}

/// Whether `allowed` meets an SPDX expression; `A/B` is the old way to write `A OR B`.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader {
        words: &words,
        at: 0,
        allowed,
    };
    let met = reader.either();
    met && reader.at == words.len()
}

struct Reader<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a [String],
}

impl Reader<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let there = self.words.get(self.at) == Some(&word);
        self.at += usize::from(there);
        there
    }

    fn either(&mut self) -> bool {
        let mut met = self.both();
        while self.takes("OR") {
            met |= self.both();
        }
        met
    }

    fn both(&mut self) -> bool {
        let mut met = self.one();
        while self.takes("AND") {
            met &= self.one();
        }
        met
    }

    fn one(&mut self) -> bool {
        if self.takes("(") {
            let met = self.either();
            return self.takes(")") && met;
        }
        let Some(name) = self.words.get(self.at) else {
            return false;
        };
        self.at += 1;
        let mut name = (*name).to_owned();
        if self.takes("WITH") {
            name = format!(
                "{name} WITH {}",
                self.words.get(self.at).copied().unwrap_or_default()
            );
            self.at += 1;
        }
        self.allowed.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<String> {
        let deny = "[bans]\nallow = [\"x\"]\n[licenses]\nallow = [\n  \"MIT\",\n  \"Apache-2.0\",\n  \"Apache-2.0 WITH LLVM-exception\",\n]\n";
        allowed(deny)
    }

    #[test]
    fn the_list_is_that_of_the_licences() {
        assert_eq!(
            list(),
            ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        );
    }

    #[test]
    fn expressions_are_judged() {
        let met = |expression| is_met(expression, &list());
        assert!(met("MIT"));
        assert!(met("GPL-3.0 OR MIT"));
        assert!(met("Unlicense/MIT"));
        assert!(met("(MIT OR GPL-3.0) AND Apache-2.0"));
        assert!(met("Apache-2.0 WITH LLVM-exception"));
        assert!(!met("MIT AND GPL-3.0"));
        assert!(!met("GPL-3.0"));
        assert!(!met("MIT WITH other-exception"));
        assert!(!met("(MIT"));
        assert!(!met(""));
    }

    #[test]
    fn faults_name_the_package() {
        let ours = Some((1, 89));
        let judge = |package: Value| fault(&package, &list(), ours);
        let good = serde_json::json!({"name": "a", "version": "1.0.0", "license": "MIT",
            "source": REGISTRY, "rust_version": "1.70"});
        assert_eq!(judge(good.clone()), None);
        for (key, value) in [
            ("license", Value::Null),
            ("license", "GPL-3.0".into()),
            ("source", "git+https://example.org/a".into()),
            ("rust_version", "1.90.0".into()),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert!(
                judge(bad).is_some_and(|fault| fault.starts_with("a 1.0.0: ")),
                "{key}"
            );
        }
    }

    #[test]
    fn our_rust_is_what_our_packages_state() {
        let packages = [
            serde_json::json!({"source": null, "rust_version": "1.89"}),
            serde_json::json!({"source": REGISTRY, "rust_version": "1.30"}),
        ];
        assert_eq!(our_version(&packages), Some((1, 89)));
    }
}
