//! How two time columns of the same rows compare.

use arrow::array::{Array, ArrayRef};
use arrow::compute::max;

use super::column::{Reservoir, micros};

/// Counts over the rows that have both.
#[derive(Debug)]
pub struct PairStats {
    /// Place of one column.
    pub left: usize,
    /// Place of the other.
    pub right: usize,
    /// Rows in which the right one is later.
    pub later: u64,
    /// Rows in which they are equal.
    pub equal: u64,
    /// Rows in which the right one is earlier.
    pub earlier: u64,
    /// The longest time by which the right one is later, and earlier, seconds.
    pub longest: [f64; 2],
    /// Right minus left, seconds: some of them.
    pub seconds: Reservoir,
}

impl PairStats {
    /// Without rows.
    #[must_use]
    pub fn new(left: usize, right: usize) -> Self {
        Self { left, right, later: 0, equal: 0, earlier: 0, longest: [0.0; 2], seconds: Reservoir::default() }
    }

    /// Takes in rows.
    #[allow(clippy::cast_precision_loss, reason = "differences are shown and compared roughly")]
    pub(super) fn observe(&mut self, left: &ArrayRef, right: &ArrayRef) {
        let (Some(left), Some(right)) = (micros(left), micros(right)) else { return };
        for row in (0..left.len()).filter(|&row| left.is_valid(row) && right.is_valid(row)) {
            let difference = right.value(row).saturating_sub(left.value(row));
            match difference {
                0 => self.equal += 1,
                1.. => self.later += 1,
                _ => self.earlier += 1,
            }
            let seconds = difference as f64 / 1e6;
            let [later, earlier] = self.longest;
            self.longest = [later.max(seconds), earlier.max(-seconds)];
            self.seconds.add(seconds);
        }
    }
}

/// The latest of times, microseconds; none if they are no times, or NULL.
pub(super) fn latest(array: &ArrayRef) -> Option<i64> {
    max(&micros(array)?)
}
