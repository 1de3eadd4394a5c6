//! Which rows are looked at: all, or pieces of many files and row groups, so that early and late ones are among them.

use std::ops::Range;
use std::sync::Arc;

use crate::source::read::{OpenFile, Split};

/// Fewest rows that are taken of a file; with more files than that allows, some files are left out.
const FEWEST_OF_A_FILE: u64 = 1_000;
/// Row groups of a file from which rows are taken.
const MOST_PIECES: usize = 4;

/// Rows of each row group of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups(Vec<u64>);

/// Consecutive rows of one or more row groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The row groups.
    pub(crate) row_groups: Range<usize>,
    /// The rows, by their numbers in the file.
    pub(crate) rows: Range<u64>,
    /// First row of the row groups.
    pub(crate) start: u64,
}

impl Piece {
    /// It as what is read of a file.
    pub(crate) fn split(&self, file: &Arc<OpenFile>) -> Split {
        let Self { row_groups, rows, start } = self.clone();
        Split { file: Arc::clone(file), row_groups, rows, start }
    }
}

impl Groups {
    /// Of a file whose footer was read.
    pub(crate) fn of(open: &OpenFile) -> Self {
        let groups = open.metadata.metadata().row_groups().iter();
        Self(groups.map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect())
    }

    /// All rows.
    pub(crate) fn rows(&self) -> u64 {
        self.0.iter().sum()
    }

    /// About `wanted` rows, from the first, the last and some row groups between.
    fn pieces(&self, wanted: u64) -> Vec<Piece> {
        let all = self.rows();
        if all == 0 || wanted == 0 {
            return Vec::new();
        }
        if wanted >= all {
            return vec![Piece { row_groups: 0..self.0.len(), rows: 0..all, start: 0 }];
        }
        let filled: Vec<usize> = (0..self.0.len()).filter(|&group| self.0[group] > 0).collect();
        let count = filled.len().min(MOST_PIECES);
        let mut chosen: Vec<usize> = (0..count).map(|n| filled[n * (filled.len() - 1) / (count - 1).max(1)]).collect();
        chosen.dedup();
        let mut left = wanted;
        let mut pieces = Vec::new();
        for (at, &group) in chosen.iter().enumerate() {
            let share = left.div_ceil((chosen.len() - at) as u64).min(self.0[group]);
            let start = self.0[..group].iter().sum();
            pieces.push(Piece { row_groups: group..group + 1, rows: start..start + share, start });
            left -= share;
        }
        pieces
    }
}

/// The pieces of each file that together have at most about `most` rows, or all rows.
pub(crate) fn choose(files: &[Groups], most: Option<u64>) -> Vec<Vec<Piece>> {
    let all: u64 = files.iter().map(Groups::rows).sum();
    let Some(most) = most.filter(|most| *most < all) else {
        return files.iter().map(|file| file.pieces(u64::MAX)).collect();
    };
    // Every nth file, the first and the last among them.
    let filled: Vec<usize> = (0..files.len()).filter(|&file| files[file].rows() > 0).collect();
    let room = usize::try_from(most / FEWEST_OF_A_FILE).unwrap_or(usize::MAX).max(1);
    let count = filled.len().min(room);
    let taken: Vec<usize> = (0..count).map(|n| filled[n * (filled.len() - 1) / (count - 1).max(1)]).collect();
    let among: u64 = taken.iter().map(|&file| files[file].rows()).sum();
    let mut pieces = vec![Vec::new(); files.len()];
    for file in taken {
        let rows = files[file].rows();
        let share = u128::from(most) * u128::from(rows) / u128::from(among.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX).max(1);
        pieces[file] = files[file].pieces(share);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(chosen: &[Vec<Piece>]) -> u64 {
        chosen.iter().flatten().map(|piece| piece.rows.end - piece.rows.start).sum()
    }

    #[test]
    fn what_fits_is_taken_whole() {
        let files = [Groups(vec![10, 20]), Groups(Vec::new()), Groups(vec![5])];
        let chosen = choose(&files, Some(35));
        assert_eq!(rows(&chosen), 35);
        assert_eq!(chosen[0], [Piece { row_groups: 0..2, rows: 0..30, start: 0 }]);
        assert_eq!(chosen[1], []);
    }

    #[test]
    fn a_sample_has_the_ends_of_files_and_of_the_list() {
        let files: Vec<Groups> = (0..1000).map(|_| Groups(vec![1_000; 10])).collect();
        let chosen = choose(&files, Some(100_000));
        assert_eq!(rows(&chosen), 100_000);
        assert!(!chosen[0].is_empty() && !chosen[999].is_empty());
        let first = &chosen[0];
        assert_eq!((first[0].start, first.last().map(|piece| piece.start)), (0, Some(9_000)));
    }

    #[test]
    fn no_sample_is_larger_than_was_asked_for_by_more_than_a_row_a_file() {
        for most in [1, 7, 999, 1_001, 54_321] {
            let files: Vec<Groups> = (0..100).map(|n| Groups(vec![n, 0, 7 * n])).collect();
            assert!(rows(&choose(&files, Some(most))) <= most + 100, "{most}");
        }
    }
}
