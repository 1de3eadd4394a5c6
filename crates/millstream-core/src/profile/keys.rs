//! Keys and repeats, from hashes of whole rows and of their columns.
//!
//! Rows are kept by the hash of the whole row, so that all repeats of a row that is kept are kept too. When they are too many, half
//! of the hashes go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::column::{micros, plain};

/// Hashes that are kept, at most: 96 MiB.
const MOST_CELLS: usize = 12 << 20;
/// Rows that combinations of columns are first tried on.
const TRIED_ROWS: usize = 40_000;
/// Columns of a key, at most.
const MOST_KEY_COLUMNS: usize = 9;
/// Hash of NULL and of a column that is not there.
const NULL_HASH: u64 = 0x6e75_6c6c;

/// Rows by their hashes.
#[derive(Debug)]
pub struct KeySample {
    columns: usize,
    /// Rows are kept whose hash has this many zeros at its end.
    zeros: u32,
    /// For each row: the hash of all of it, the file, the hashes of its columns.
    cells: Vec<u64>,
    most_cells: usize,
}

/// A combination of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Places of the columns.
    pub columns: Vec<usize>,
    /// Whether it tells apart all rows that differ.
    pub is_exact: bool,
}

/// Rows that are there twice, in all columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Rows that were there before, anywhere.
    pub rows: u64,
    /// For each file that has such rows: how many of its rows were in files before it, and its rows.
    pub of_files: Vec<(usize, u64, u64)>,
}

/// Hash of a hash: itself.
#[derive(Debug, Default)]
struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(hash) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*hash);
        }
    }
}

type Hashes = HashSet<u64, BuildHasherDefault<Passing>>;

impl KeySample {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, zeros: 0, cells: Vec::new(), most_cells: MOST_CELLS }
    }

    fn width(&self) -> usize {
        self.columns + 2
    }

    pub(super) fn observe(&mut self, file: usize, rows: usize, columns: &[Option<Vec<u64>>]) {
        for row in 0..rows {
            let hash = |column: &Option<Vec<u64>>| column.as_ref().map_or(NULL_HASH, |hashes| hashes[row]);
            let whole = columns.iter().fold(0, |seed, column| mix(seed, hash(column)));
            if whole.trailing_zeros() < self.zeros {
                continue;
            }
            self.cells.extend([whole, file as u64]);
            self.cells.extend(columns.iter().map(hash));
            if self.cells.len() > self.most_cells {
                self.halve();
            }
        }
    }

    fn halve(&mut self) {
        self.zeros += 1;
        let (width, zeros) = (self.width(), self.zeros);
        let kept = self.cells.chunks_exact(width).filter(|row| row[0].trailing_zeros() >= zeros);
        self.cells = kept.flatten().copied().collect();
    }

    fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.cells.chunks_exact(self.width())
    }

    /// Rows that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len() / self.width()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether all rows that were seen are kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.zeros == 0
    }

    /// Rows that are there more than once.
    #[must_use]
    pub fn repeats(&self) -> Repeats {
        let mut first: HashMap<u64, u64, BuildHasherDefault<Passing>> = HashMap::default();
        let mut of_files: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut repeats = Repeats::default();
        for row in self.rows() {
            let of_file = of_files.entry(row[1]).or_default();
            of_file.1 += 1;
            match first.get(&row[0]) {
                None => drop(first.insert(row[0], row[1])),
                Some(file) => {
                    repeats.rows += 1;
                    of_file.0 += u64::from(*file != row[1]);
                }
            }
        }
        let files = of_files.into_iter().filter(|(_, (again, _))| *again > 0);
        repeats.of_files =
            files.map(|(file, (again, rows))| (usize::try_from(file).unwrap_or(0), again, rows)).collect();
        repeats
    }

    fn distinct(&self, columns: &[usize], zeros: u32) -> usize {
        let rows = self.rows().filter(|row| row[0].trailing_zeros() >= zeros);
        rows.map(|row| columns.iter().fold(0, |seed, &column| mix(seed, row[column + 2]))).collect::<Hashes>().len()
    }

    fn distinct_rows(&self, zeros: u32) -> usize {
        self.rows().map(|row| row[0]).filter(|whole| whole.trailing_zeros() >= zeros).collect::<Hashes>().len()
    }

    /// Columns whose values tell all different rows apart, each by itself.
    #[must_use]
    pub fn unique_columns(&self, among: &[usize]) -> Vec<usize> {
        let rows = self.distinct_rows(0);
        among.iter().copied().filter(|&column| rows > 1 && self.distinct(&[column], 0) == rows).collect()
    }

    /// Whether these columns together tell all different rows apart.
    #[must_use]
    pub fn is_exact(&self, columns: &[usize]) -> bool {
        self.distinct(columns, 0) == self.distinct_rows(0)
    }

    /// The fewest columns found that tell different rows apart; those that come first in `among` are preferred.
    #[must_use]
    pub fn key(&self, among: &[usize]) -> Option<Key> {
        let mut zeros = self.zeros;
        while self.len() >> (zeros - self.zeros) > TRIED_ROWS {
            zeros += 1;
        }
        let (few, all) = (self.distinct_rows(zeros), self.distinct_rows(0));
        let mut columns: Vec<usize> = Vec::new();
        let mut told_apart = 0;
        while columns.len() < MOST_KEY_COLUMNS {
            if !columns.is_empty() && told_apart == few && self.distinct(&columns, 0) == all {
                return Some(Key { columns, is_exact: true });
            }
            // Once the few rows are told apart, all of them judge.
            let level = if told_apart == few { 0 } else { zeros };
            let with = |&column: &usize| {
                let with: Vec<usize> = columns.iter().copied().chain([column]).collect();
                self.distinct(&with, level)
            };
            let free: Vec<usize> = among.iter().copied().filter(|column| !columns.contains(column)).collect();
            let counts: Vec<usize> = free.iter().map(with).collect();
            let best = counts.iter().copied().max()?;
            // A column earlier in the order goes before one that tells hardly more apart.
            let good = counts.iter().position(|count| count + best / 1000 >= best)?;
            columns.push(free[good]);
            told_apart = if level == zeros { counts[good] } else { few };
        }
        let is_exact = self.is_exact(&columns);
        Some(Key { columns, is_exact })
    }

    /// For two columns: hashes of values of the left one that are there at least `least` times, how often, and how often the right
    /// one has the same value then.
    pub(super) fn agreement(&self, left: usize, right: usize, least: u64) -> Vec<(u64, u64, u64)> {
        let mut counts: HashMap<u64, (u64, u64), BuildHasherDefault<Passing>> = HashMap::default();
        for row in self.rows() {
            let count = counts.entry(row[left + 2]).or_default();
            count.0 += 1;
            count.1 += u64::from(row[left + 2] == row[right + 2]);
        }
        counts.into_iter().filter(|(_, (all, _))| *all >= least).map(|(hash, (all, same))| (hash, all, same)).collect()
    }
}

/// Hashes of values; the same for a whole number of any type. None for nested types.
pub(super) fn hashes(array: &ArrayRef) -> Option<Vec<u64>> {
    let array = &plain(array);
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            Some(texts.iter().map(|text| text.map_or(NULL_HASH, |text| xxh3_64(text.as_bytes()))).collect())
        }
        DataType::Timestamp(..) => {
            let times = micros(array)?;
            Some(times.iter().map(|time| time.map_or(NULL_HASH, |time| hash_number(time.cast_unsigned()))).collect())
        }
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
            let numbers = cast(array, &DataType::Float64).ok()?;
            Some(
                numbers
                    .as_primitive::<Float64Type>()
                    .iter()
                    .map(|number| number.map_or(NULL_HASH, hash_float))
                    .collect(),
            )
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = cast(array, &DataType::Binary).ok()?;
            let bytes = bytes.as_binary::<i32>();
            Some(bytes.iter().map(|value| value.map_or(NULL_HASH, xxh3_64)).collect())
        }
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::Struct(_)
        | DataType::Map(..) => None,
        _ => {
            let numbers = cast(array, &DataType::Int64).ok()?;
            let numbers = numbers.as_primitive::<Int64Type>().iter();
            Some(numbers.map(|number| number.map_or(NULL_HASH, hash_whole)).collect())
        }
    }
}

/// Hash of a whole number, as [`hashes`] has it.
#[allow(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) fn hash_whole(number: i64) -> u64 {
    if number.unsigned_abs() < 1 << 53 { hash_float(number as f64) } else { hash_number(number.cast_unsigned()) }
}

fn hash_float(number: f64) -> u64 {
    let number = if number == 0.0 { 0.0 } else { number };
    hash_number(if number.is_nan() { f64::NAN } else { number }.to_bits())
}

fn hash_number(bits: u64) -> u64 {
    xxh3_64(&bits.to_le_bytes())
}

fn mix(seed: u64, hash: u64) -> u64 {
    xxh3_64_with_seed(&hash.to_le_bytes(), seed)
}
