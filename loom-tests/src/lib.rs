//! Models of the concurrency protocols, under loom and shuttle.
