//! The steps of one region as bits. Plain data.
//!
//! 1. A bit is one where the step is taken. Steps that never hold pages given by the map are taken
//!    for ever ([`reserved`]).
//! 2. A run does not cross a region's end, so no page does.

/// Words of a region's bits: what one page of 4 KiB holds beside its header.
pub(super) const WORDS: usize = 504;
/// Steps of a region: 126 MiB.
pub(super) const STEPS: u64 = WORDS as u64 * 64;
/// The longest run that anybody asks for.
pub(super) const RUN_MAX: u8 = 16;

/// The bits of a region.
#[derive(Clone)]
pub(super) struct Bits(pub(super) Box<[u64; WORDS]>);

impl Bits {
    /// All free but the first `reserved`.
    pub(super) fn new(reserved: u64) -> Self {
        let mut bits = Self(Box::new([0; WORDS]));
        bits.set(0, reserved as u8);
        bits
    }

    /// Bits that are one.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// One past the last bit that is one.
    pub(super) fn end(&self) -> u64 {
        let last = self.0.iter().rposition(|word| *word != 0);
        last.map_or(0, |at| {
            at as u64 * 64 + 64 - u64::from(self.0[at].leading_zeros())
        })
    }

    /// The words that `steps` bits from `from` on touch, each with its mask.
    fn masks(from: u64, steps: u8) -> [(usize, u64); 2] {
        let (word, bit) = ((from / 64) as usize, from % 64);
        let mask = ((1u128 << steps) - 1) << bit;
        [(word, mask as u64), (word + 1, (mask >> 64) as u64)]
    }

    fn change(&mut self, from: u64, steps: u8, change: impl Fn(&mut u64, u64)) {
        for (word, mask) in Self::masks(from, steps) {
            if let Some(word) = self.0.get_mut(word).filter(|_| mask != 0) {
                change(word, mask);
            }
        }
    }

    /// Takes steps.
    pub(super) fn set(&mut self, from: u64, steps: u8) {
        self.change(from, steps, |word, mask| *word |= mask);
    }

    /// Frees steps.
    pub(super) fn clear(&mut self, from: u64, steps: u8) {
        self.change(from, steps, |word, mask| *word &= !mask);
    }

    /// How many of the steps are taken.
    pub(super) fn taken(&self, from: u64, steps: u8) -> u32 {
        let of = |(word, mask): (usize, u64)| {
            let word = self.0.get(word).map_or(0, |word| word & mask);
            word.count_ones()
        };
        Self::masks(from, steps).map(of).iter().sum()
    }

    /// The first run of `steps` free bits at or after word `from`.
    pub(super) fn find(&self, steps: u8, from: usize) -> Option<u64> {
        for at in from..WORDS {
            let free = !self.0[at];
            if free == 0 {
                continue;
            }
            let next = self.0.get(at + 1).map_or(0, |next| !next);
            let mut runs = u128::from(next) << 64 | u128::from(free);
            // Bit i stays where bits i .. i + have are all one.
            let mut have = 1;
            while have < steps {
                let more = have.min(steps - have);
                runs &= runs >> more;
                have += more;
            }
            if runs as u64 != 0 {
                return Some(at as u64 * 64 + u64::from((runs as u64).trailing_zeros()));
            }
        }
        None
    }

    /// The longest free run, up to [`RUN_MAX`].
    pub(super) fn longest(&self) -> u8 {
        let (mut least, mut most) = (0, RUN_MAX);
        while least < most {
            let middle = (least + most).div_ceil(2);
            match self.find(middle, 0) {
                Some(_) => least = middle,
                None => most = middle - 1,
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As simple as it can be.
    fn find_slowly(bits: &Bits, steps: u64) -> Option<u64> {
        let is_free = |step: u64| bits.0[step as usize / 64] >> (step % 64) & 1 == 0;
        (0..=STEPS - steps).find(|from| (*from..from + steps).all(is_free))
    }

    #[test]
    fn runs_are_found_across_words_and_not_beyond_the_end() {
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut bits = Bits::new(4);
        assert_eq!((bits.count(), bits.end(), bits.longest()), (4, 4, RUN_MAX));
        let mut taken = 4;
        for round in 0..6000u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(round);
            let steps = (random >> 60) as u8 % 16 + 1;
            let found = bits.find(steps, 0);
            if round % 50 == 0 {
                assert_eq!(found, find_slowly(&bits, u64::from(steps)));
            }
            let Some(from) = found else { continue };
            assert_eq!(bits.taken(from, steps), 0);
            bits.set(from, steps);
            taken += u32::from(steps);
            if round % 3 == 0 {
                let from = (random >> 20) % (bits.end().max(20) - 8);
                taken -= bits.taken(from, 5);
                bits.clear(from, 5);
            }
            assert_eq!(bits.count(), taken);
        }
        let mut bits = Bits::new(0);
        bits.set(0, 16);
        for from in (16..STEPS - 8).step_by(8) {
            bits.set(from, 8);
        }
        assert_eq!((bits.find(8, 0), bits.find(9, 0)), (Some(STEPS - 8), None));
        assert_eq!((bits.longest(), bits.end()), (8, STEPS - 8));
    }
}
