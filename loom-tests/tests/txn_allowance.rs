//! Models of the memory that the writes of open transactions may take. Loom's alone: elsewhere the first
//! bytes of each are free, and more than these are.

#![cfg(vellum_loom)]

use vellum_loom_tests::Model;
use vellum_sync::{Arc, thread};
use vellum_txn::{Allowance, Grant};

/// Two that want more than half each: never both at once, and afterwards nothing is missing.
#[test]
fn what_is_granted_is_never_more_than_the_limit() {
    let model = Model::new("txn_allowance::what_is_granted_is_never_more_than_the_limit");
    model.preemptions(3).executions(100_000).check(|| {
        let allowance = Arc::new(Allowance::default());
        allowance.limit_to(10);
        let takers = [4, 7].map(|bytes| {
            let allowance = Arc::clone(&allowance);
            thread::spawn(move || {
                let mut grant = Grant::default();
                let first = grant.cover(bytes, &allowance);
                assert!(allowance.granted() <= 10);
                let more = first.is_ok() && grant.cover(2 * bytes, &allowance).is_ok();
                assert!(allowance.granted() <= 10);
                grant.shrink(0, &allowance);
                (first.is_ok(), more)
            })
        });
        let [small, large] = takers.map(|taker| taker.join().unwrap());
        assert!(small.0 || large.0, "one of them fits");
        assert!(!large.1, "larger than the limit");
        assert_eq!(allowance.granted(), 0);
    });
}
