//! Simulated disk, model database, history checker.
