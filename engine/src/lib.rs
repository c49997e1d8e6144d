//! An embeddable transactional engine for records and vectors.
