//! The steps of continuous integration.

/// A command of a step.
#[derive(Debug)]
pub(super) struct Run {
    /// `cargo`, `xtask` (this program), or a program to be found on the path.
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Below the target directory.
    pub(super) target: &'static str,
}

/// A step: it passes when all its commands do.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) runs: Vec<Run>,
    /// Without this the step cannot run here, and is skipped.
    pub(super) need: Option<Run>,
    /// What to say then.
    pub(super) otherwise: &'static str,
}

impl Run {
    fn new(program: &'static str, arguments: &str) -> Self {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Self {
            program,
            arguments,
            environment: &[],
            target: "",
        }
    }
}

impl Step {
    fn new(name: &'static str, runs: Vec<Run>) -> Self {
        Self {
            name,
            runs,
            need: None,
            otherwise: "",
        }
    }

    fn needing(self, need: Run, otherwise: &'static str) -> Self {
        Self {
            need: Some(need),
            otherwise,
            ..self
        }
    }

    /// Its commands in a line.
    pub(super) fn describe(&self) -> String {
        let line = |run: &Run| format!("{} {}", run.program, run.arguments.join(" "));
        self.runs.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

/// All steps, the quick ones first.
pub(super) fn all() -> Vec<Step> {
    let cargo = |arguments| Run::new("cargo", arguments);
    let xtask = |arguments| Run::new("xtask", arguments);
    let strict = Run {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        ..cargo("doc --workspace --no-deps --locked")
    };
    // Models are another crate to the compiler than what clippy sees: nothing of them is dead or missing.
    let models = Run {
        environment: &[("RUSTFLAGS", "--cfg vellum_loom -D warnings")],
        target: "model/check",
        ..cargo(
            "check -p vellum-loom-tests --all-targets --features vellum-loom-tests/loom --locked",
        )
    };
    vec![
        Step::new("format", vec![cargo("fmt --all -- --check")]),
        Step::new("tidy", vec![xtask("tidy")]),
        Step::new("licences", vec![xtask("licences")]),
        Step::new(
            "clippy",
            vec![
                cargo("clippy --workspace --all-targets --all-features --locked -- -D warnings"),
                models,
            ],
        ),
        Step::new("docs", vec![strict]),
        // With the models: the same command that README gives to a newcomer.
        Step::new("test", vec![xtask("test")]),
        Step::new("teeth", vec![xtask("teeth")]),
        Step::new("crash", vec![xtask("crash")]),
        Step::new("histories", vec![xtask("histories")]),
        Step::new(
            "demo",
            vec![cargo("run --release --locked -p vellum-cli -- demo")],
        ),
        oldest_rust(),
        Step::new(
            "aarch64",
            vec![cargo(
                "check --workspace --target aarch64-unknown-linux-gnu",
            )],
        )
        .needing(
            Run::new("rustup", "target add aarch64-unknown-linux-gnu"),
            "skipped: the standard library for aarch64 cannot be fetched here",
        ),
        Step::new("deny", vec![cargo("deny check bans licenses sources")]).needing(
            cargo("deny --version"),
            "skipped: cargo-deny is not installed; the step `licences` has checked the same",
        ),
    ]
}

/// The oldest Rust that the manifests promise.
fn oldest_rust() -> Step {
    let check = Run {
        target: "msrv",
        ..Run::new(
            "rustup",
            "run 1.89 cargo check --workspace --all-features --locked",
        )
    };
    Step::new("msrv", vec![check]).needing(
        Run::new(
            "rustup",
            "toolchain install 1.89 --profile minimal --no-self-update",
        ),
        "skipped: Rust 1.89 cannot be fetched here; clippy has denied newer library functions",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_be_fetched_may_be_skipped() {
        let steps = all();
        let skippable = steps.iter().filter(|step| step.need.is_some());
        let names: Vec<_> = skippable.map(|step| step.name).collect();
        assert_eq!(names, ["msrv", "aarch64", "deny"]);
        assert!(
            steps
                .iter()
                .all(|step| step.need.is_none() || !step.otherwise.is_empty())
        );
    }

    #[test]
    fn the_oldest_rust_is_that_of_the_manifest() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains("rust-version = \"1.89\""));
        assert!(oldest_rust().describe().contains(" 1.89 "));
    }
}
