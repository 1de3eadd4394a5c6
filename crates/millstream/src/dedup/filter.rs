//! A filter over keys: it may say of a key that is not there that it is, and never the other way round.
//!
//! A Bloom filter in blocks of one cache line (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007). Keys are
//! hashes already: the upper half chooses the block, so that ascending keys fill it from one end to the other, and bits of the lower
//! half the bits.

use millstream_core::dedup::KeyHash;

/// Bits of a key. With five bits of memory a key, which is what 100 million keys have at 512 MiB, a tenth of new keys is taken for old.
const BITS: u32 = 4;

/// A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Block([u64; 8]);

/// The filter.
#[derive(Debug)]
pub(super) struct Filter(Vec<Block>);

impl Filter {
    /// An empty one of about so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(vec![Block([0; 8]); (bytes / size_of::<Block>()).max(1)])
    }

    /// Puts a key.
    pub(super) fn put(&mut self, key: KeyHash) {
        let block = self.block(key);
        for (word, bit) in bits(key) {
            self.0[block].0[word] |= bit;
        }
    }

    /// Whether the key may have been put.
    pub(super) fn may_have(&self, key: KeyHash) -> bool {
        let block = &self.0[self.block(key)].0;
        bits(key).all(|(word, bit)| block[word] & bit != 0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "it is less than the number of blocks")]
    fn block(&self, key: KeyHash) -> usize {
        ((u128::from(key.high) * self.0.len() as u128) >> 64) as usize
    }
}

/// Word and bit of each bit of a key.
fn bits(key: KeyHash) -> impl Iterator<Item = (usize, u64)> {
    // The table in memory goes by the last bits.
    (1..=BITS).map(move |number| {
        let place = key.low >> (64 - 9 * number);
        ((place >> 6 & 7) as usize, 1 << (place & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::key;
    use super::*;

    #[test]
    fn no_key_is_missed_and_few_are_taken_for_others() {
        let mut filter = Filter::new(100_000 * 5 / 8);
        (0..100_000).for_each(|number| filter.put(key(number)));
        assert!((0..100_000).all(|number| filter.may_have(key(number))));
        let wrong = (100_000..200_000).filter(|&number| filter.may_have(key(number))).count();
        assert!((5_000..15_000).contains(&wrong), "{wrong} of 100,000");
    }

    #[test]
    fn the_smallest_filter_has_a_block() {
        let mut filter = Filter::new(0);
        assert!(!filter.may_have(key(1)));
        filter.put(key(1));
        assert!(filter.may_have(key(1)));
    }
}
