//! Multi-version store: snapshots, commit, generations.
