//! Every way to search heads against the plain definition, and separators.

use super::super::keys::head;
use super::super::{Search, separator};
use super::keys;
use proptest::prelude::*;

fn stored(heads: &[i32]) -> Vec<[u8; 4]> {
    heads.iter().map(|head| head.to_le_bytes()).collect()
}

proptest! {
    #[test]
    fn every_way_counts_the_same(
        mut heads in prop::collection::vec(prop_oneof![-9..9i32, any::<i32>()], 0..300),
        others in prop::collection::vec(any::<i32>(), 4),
    ) {
        heads.sort_unstable();
        let probes = heads.iter().flat_map(|h| [*h, h.saturating_sub(1), h.saturating_add(1)]);
        for probe in probes.chain(others).chain([i32::MIN, i32::MAX]) {
            let right = heads.partition_point(|head| *head < probe);
            for search in Search::all() {
                prop_assert_eq!(search.below(&stored(&heads), probe), right, "{}", search.name());
            }
        }
    }

    #[test]
    fn heads_out_of_order_give_some_number(
        heads in prop::collection::vec(any::<i32>(), 0..300), probe: i32,
    ) {
        for search in Search::all() {
            prop_assert!(search.below(&stored(&heads), probe) <= heads.len());
        }
    }

    #[test]
    fn heads_are_ordered_as_keys(a in keys(), b in keys()) {
        prop_assert!(a.cmp(&b).is_eq() || head(&a) == head(&b) || a.cmp(&b) == head(&a).cmp(&head(&b)));
    }

    #[test]
    fn a_separator_is_the_shortest_there_is(a in keys(), b in keys()) {
        prop_assume!(a != b);
        let (left, right) = if a < b { (a, b) } else { (b, a) };
        let key = separator(&left, &right);
        prop_assert!(left.as_slice() < key && key <= right.as_slice());
        prop_assert!(&right[..key.len() - 1] <= left.as_slice());
    }
}
