//! The order of hits, and that hosts and plugins can be held as trait objects.

use std::cmp::Ordering;

use vellum_index::{Hit, IndexError, IndexPlugin, IndexSpec, Metric, RowId, Rows, VectorIndex};

fn hit(distance: f32, row: u64) -> Hit {
    Hit {
        row: RowId(row),
        distance,
    }
}

#[test]
fn nearness_is_by_distance_and_then_by_row() {
    let sorted = [
        hit(f32::NEG_INFINITY, 9),
        hit(-1.0, 3),
        hit(0.0, 4),
        hit(0.5, 1),
        hit(0.5, 2),
        hit(f32::INFINITY, 0),
    ];
    for (i, a) in sorted.iter().enumerate() {
        for (j, b) in sorted.iter().enumerate() {
            assert_eq!(a.cmp_nearness(b), i.cmp(&j));
        }
    }
    assert_eq!(hit(1.0, 1).cmp_nearness(&hit(1.0, 1)), Ordering::Equal);
}

#[test]
fn the_traits_are_object_safe_and_indexes_shared_between_threads() {
    fn shared<T: Send + Sync + ?Sized>() {}
    shared::<dyn IndexPlugin>();
    shared::<dyn VectorIndex>();
    shared::<IndexError>();
    let _host: Option<&dyn Rows> = None;
}

#[test]
fn errors_say_what_to_mend() {
    let error = IndexError::DimensionMismatch {
        expected: 384,
        actual: 3,
    };
    assert_eq!(
        error.to_string(),
        "the query has 3 components, the index's vectors have 384"
    );
    let error = IndexError::UnsupportedMetric(Metric::InnerProduct);
    assert_eq!(
        error.to_string(),
        "this index does not support the metric inner-product"
    );
}

#[test]
fn a_spec_is_for_f32_unless_said_otherwise() {
    let spec = IndexSpec::new("meaning", 384, Metric::Cosine);
    assert_eq!((spec.column.as_str(), spec.dimension), ("meaning", 384));
    assert_eq!(spec.element.to_string(), "f32");
}

#[test]
fn row_numbers_do_not_wrap() {
    assert_eq!(RowId(3).offset(4), RowId(7));
    assert_eq!(RowId(u64::MAX).offset(1), RowId(u64::MAX));
}
