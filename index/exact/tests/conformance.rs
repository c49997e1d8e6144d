//! The exact index keeps the plugin contract, on every path that this processor has.

use vellum_distance::Kernels;
use vellum_exact::Exact;
use vellum_index::IndexPlugin;
use vellum_index_conformance::{Promise, check_plugin};

#[test]
fn exact_conforms_on_every_path() {
    for kernels in Kernels::available() {
        let report = check_plugin(&Exact::with_kernels(kernels), Promise::Exact).unwrap();
        println!("{}: {report:?}", kernels.name());
        assert_eq!(report.metrics.len(), 3);
        assert_eq!(report.recall, 1.0);
        assert!(report.searches > 2000);
    }
}

/// Both are in catalogues on disk.
#[test]
fn name_and_version_stay() {
    assert_eq!((Exact::new().name(), Exact::new().version()), ("exact", 1));
}
