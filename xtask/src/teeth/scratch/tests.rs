//! Tests of the scratch copy, on a small tree in a temporary folder.

use std::time::SystemTime;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn modified(&self, file: &str) -> SystemTime {
        fs::metadata(self.0.join(file)).unwrap().modified().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn files(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const PATCH: &str = "\
# rule: chain rule 1: nothing
# mode: std
# test: vellum-txn - chain
--- a/src/chain.rs
+++ b/src/chain.rs
@@ -1,3 +1,3 @@
 fn a() {}
-fn b() {}
+fn c() {}
 fn d() {}
";

const SOURCE: &str = "fn a() {}\nfn b() {}\nfn d() {}\n";

fn scratch_at(folder: &Folder) -> Scratch {
    let layout = Layout {
        root: folder.0.clone(),
        target: folder.0.join("target"),
    };
    Scratch { layout }
}

#[test]
fn a_refresh_writes_what_differs_and_removes_what_went() {
    let (tree, copy) = (Folder::new("refresh-tree"), Folder::new("refresh-copy"));
    tree.write("same/a.rs", "a");
    tree.write("b.rs", "old");
    copy_tree(&tree.0, &copy.0, &files(&["same/a.rs", "b.rs"])).unwrap();
    let before = copy.modified("same/a.rs");
    tree.write("b.rs", "new");
    tree.write("c.rs", "c");
    copy.write("gone.rs", "x");
    copy_tree(&tree.0, &copy.0, &files(&["same/a.rs", "b.rs", "c.rs"])).unwrap();
    assert_eq!(copy.modified("same/a.rs"), before);
    assert_eq!(
        (copy.read("b.rs"), copy.read("c.rs")),
        ("new".into(), "c".into())
    );
    assert!(!copy.0.join("gone.rs").exists());
}

#[test]
fn a_mutation_is_in_force_until_it_is_dropped() {
    let tree = Folder::new("mutate");
    tree.write("src/chain.rs", SOURCE);
    let mutant = Mutant::parse("m", PATCH).unwrap();
    let mutation = scratch_at(&tree).mutate(&mutant).unwrap();
    assert!(tree.read("src/chain.rs").contains("fn c"));
    drop(mutation);
    assert_eq!(tree.read("src/chain.rs"), SOURCE);
}

#[test]
fn trying_a_mutant_on_leaves_nothing_for_cargo_to_see() {
    let tree = Folder::new("try-on");
    tree.write("src/chain.rs", SOURCE);
    let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    set_time(&tree.0.join("src/chain.rs"), old).unwrap();
    let scratch = scratch_at(&tree);
    let good = Mutant::parse("m", PATCH).unwrap();
    let stale = Mutant::parse("m", &PATCH.replace("fn d", "fn e")).unwrap();
    assert!(scratch.try_on(&good).is_ok());
    assert!(scratch.try_on(&stale).is_err());
    assert_eq!(tree.read("src/chain.rs"), SOURCE);
    assert_eq!(tree.modified("src/chain.rs"), old);
    // But cargo is to see a mutant that was built.
    scratch.mutate(&good).unwrap().revert().unwrap();
    assert_ne!(tree.modified("src/chain.rs"), old);
}

#[test]
fn a_patch_applies_inside_another_repository() {
    let outer = Folder::new("nested");
    let status = Command::new("git")
        .args(["init", "--quiet"])
        .current_dir(&outer.0)
        .status();
    assert!(status.unwrap().success());
    outer.write("target/tree/src/chain.rs", SOURCE);
    let root = outer.0.join("target/tree");
    let scratch = Scratch {
        layout: Layout {
            target: root.clone(),
            root,
        },
    };
    // git reads the paths of its own diffs from the repository's root, those of others from here.
    let of_git = PATCH.replace("--- a", "diff --git a/src/chain.rs b/src/chain.rs\n--- a");
    for patch in [PATCH, &of_git] {
        let mutation = scratch.mutate(&Mutant::parse("m", patch).unwrap()).unwrap();
        assert!(outer.read("target/tree/src/chain.rs").contains("fn c"));
        mutation.revert().unwrap();
        assert_eq!(outer.read("target/tree/src/chain.rs"), SOURCE);
    }
}

#[test]
fn a_stale_patch_is_refused_and_changes_nothing() {
    let tree = Folder::new("stale");
    let changed = SOURCE.replace("fn b", "fn moved");
    tree.write("src/chain.rs", &changed);
    let error = scratch_at(&tree)
        .mutate(&Mutant::parse("m", PATCH).unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("does not apply"), "{error}");
    assert_eq!(tree.read("src/chain.rs"), changed);
}

#[test]
fn a_patch_that_changes_nothing_is_refused() {
    let tree = Folder::new("idle");
    tree.write("src/chain.rs", SOURCE);
    let idle = Mutant::parse("m", &PATCH.replace("+fn c", "+fn b")).unwrap();
    let error = scratch_at(&tree).mutate(&idle).unwrap_err();
    assert!(error.to_string().contains("as it was"), "{error}");
}
