//! Numbers of records of which few are asked for often: YCSB's scrambled zipfian distribution.
//!
//! - Ranks are drawn as in Gray, Sundaresan, Englert, Baclawski and Weinberger, "Quickly generating
//!   billion-record synthetic databases" (SIGMOD 1994), with an exponent of 0.99.
//! - As in YCSB (`ScrambledZipfianGenerator`) there are [`RANKS`] of them, however many records there
//!   are, so the sum over all is a constant; a hash (FNV-1a) makes a record's number of each rank.
//!   The record asked for most has one draw in 26.
//! - A draw is a function of a random number, which the caller has: nothing is kept.

const EXPONENT: f64 = 0.99;
const RANKS: f64 = 1e10;
/// The sum of `rank^-0.99` over all ranks, as in YCSB.
const ZETA: f64 = 26.469_028_201_783_02;

/// The distribution over so many records.
pub(super) struct Zipf {
    records: u64,
    /// The first two ranks' part of [`ZETA`].
    zeta_two: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    pub(super) fn new(records: u64) -> Self {
        let zeta_two = 1.0 + 0.5f64.powf(EXPONENT);
        Self {
            records,
            zeta_two,
            alpha: 1.0 / (1.0 - EXPONENT),
            eta: (1.0 - (2.0 / RANKS).powf(1.0 - EXPONENT)) / (1.0 - zeta_two / ZETA),
        }
    }

    /// The number of the record that a random number stands for.
    pub(super) fn pick(&self, random: u64) -> u64 {
        hash(self.rank(random)) % self.records
    }

    /// From 0, the most frequent.
    fn rank(&self, random: u64) -> u64 {
        // As many bits as a float holds: below 1.
        let part = (random >> 11) as f64 / (1u64 << 53) as f64;
        let scaled = part * ZETA;
        if scaled < 1.0 {
            0
        } else if scaled < self.zeta_two {
            1
        } else {
            (RANKS * (self.eta * part - self.eta + 1.0).powf(self.alpha)) as u64
        }
    }
}

/// FNV-1a over eight bytes.
fn hash(rank: u64) -> u64 {
    rank.to_le_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scatter;

    #[test]
    fn the_sum_is_that_of_the_exponent() {
        // The first ranks one by one, the rest by the integral and its first corrections.
        const SUMMED: u64 = 1_000_000;
        let power = |rank: f64| rank.powf(-EXPONENT);
        let first: f64 = (1..SUMMED).map(|rank| power(rank as f64)).sum();
        let integral = |rank: f64| rank.powf(1.0 - EXPONENT) / (1.0 - EXPONENT);
        let rest = integral(RANKS) - integral(SUMMED as f64);
        let ends = f64::midpoint(power(RANKS), power(SUMMED as f64));
        assert!((first + rest + ends - ZETA).abs() < 1e-6);
    }

    #[test]
    fn draws_fall_on_the_ranks_as_often_as_they_should() {
        const DRAWS: u64 = 1_000_000;
        let zipf = Zipf::new(1000);
        let mut counts = [0u64; 2];
        let mut below_thousand = 0;
        for number in 0..DRAWS {
            let rank = zipf.rank(scatter(number));
            assert!((rank as f64) < RANKS);
            if let Some(count) = counts.get_mut(rank as usize) {
                *count += 1;
            }
            below_thousand += u64::from(rank < 1000);
        }
        let part = |count: u64| count as f64 / DRAWS as f64;
        assert!((part(counts[0]) - 1.0 / ZETA).abs() < 1e-3);
        assert!((part(counts[1]) - 0.5f64.powf(EXPONENT) / ZETA).abs() < 1e-3);
        let thousand: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-EXPONENT)).sum();
        // The method is exact for the first two, and near for the rest.
        assert!((part(below_thousand) - thousand / ZETA).abs() < 0.02);
    }

    #[test]
    fn picks_are_records() {
        for records in [1, 7, 20_000] {
            let zipf = Zipf::new(records);
            let all = (0..10_000).map(|number| zipf.pick(scatter(number)));
            assert!(all.max() < Some(records));
        }
    }
}
