//! Profile: what source data look like, and the pipeline file that they suggest. Pure: who reads the files is told where to look by
//! nothing here, and hands in footers and batches.
//!
//! The way: [`names::unify`] brings the columns of all files under one name each; [`Profile::observe`] collects statistics of
//! batches, bounded whatever comes; [`suggest::suggest`] makes a [`draft::Draft`] of them; [`render::render`] writes it as TOML.
//! How many rows each rule would touch is counted by whoever cleans a sample with the draft, and told to it afterwards.

pub mod column;
pub mod draft;
pub mod keys;
pub mod names;
pub mod pairs;
pub mod render;
pub mod shape;
pub mod suggest;

use arrow::array::{Array, ArrayRef};

use self::column::ColumnStats;
use self::keys::{KeySample, hashes};
use self::names::{FileColumns, Unified, unify};
use self::pairs::PairStats;
use crate::types::{ColumnType, ValueType};

/// Pairs of time columns that are compared, at most.
const MOST_PAIRS: usize = 10;

/// What is known of the source.
#[derive(Debug)]
pub struct Profile {
    /// The files whose footers were read.
    pub files: Vec<FileFacts>,
    /// The columns, each under the name that it gets.
    pub columns: Vec<ColumnProfile>,
    /// Rows and repeats.
    pub keys: KeySample,
    /// How time columns of the same row compare.
    pub pairs: Vec<PairStats>,
    /// Rows that were looked at.
    pub rows: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Its name, as rows tell it.
    pub file: String,
    /// Rows by its footer.
    pub rows: u64,
    /// Rows of it that were looked at.
    pub read: u64,
}

/// A column.
#[derive(Debug)]
pub struct ColumnProfile {
    /// Its names and types.
    pub unified: Unified,
    /// What its values look like.
    pub stats: ColumnStats,
    /// What each file has of it, if it has it.
    pub by_file: Vec<FileValues>,
}

/// A column in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileValues {
    /// Number of the file.
    pub file: usize,
    /// Rows that were looked at.
    pub rows: u64,
    /// How many of them are NULL.
    pub nulls: u64,
    /// The latest time, microseconds, if it is a time.
    pub latest: Option<i64>,
}

impl ColumnProfile {
    /// The one type of its values, if the files agree in one that is not nested.
    #[must_use]
    pub fn scalar(&self) -> Option<ColumnType> {
        let mut types = self.unified.types.iter().filter(|value_type| **value_type != ValueType::Null);
        let first = types.next()?.scalar()?;
        types.all(|other| other.scalar() == Some(first)).then_some(first)
    }

    /// Files in which every row that was looked at is NULL, and those that have values.
    #[must_use]
    pub fn empty_files(&self) -> (Vec<usize>, Vec<usize>) {
        let seen = self.by_file.iter().filter(|values| values.rows > 0);
        let (empty, filled): (Vec<_>, Vec<_>) = seen.partition(|values| values.rows == values.nulls);
        let files = |of: Vec<&FileValues>| of.into_iter().map(|values| values.file).collect();
        (files(empty), files(filled))
    }
}

impl Profile {
    /// Without rows, of files with these columns.
    #[must_use]
    pub fn new(files: &[FileColumns]) -> Self {
        let columns: Vec<ColumnProfile> = unify(files)
            .into_iter()
            .map(|unified| ColumnProfile { unified, stats: ColumnStats::default(), by_file: Vec::new() })
            .collect();
        let facts = |file: &FileColumns| FileFacts { file: file.file.clone(), rows: file.rows, read: 0 };
        let times: Vec<usize> =
            (0..columns.len()).filter(|&place| columns[place].scalar() == Some(ColumnType::Timestamp)).collect();
        let mut pairs = Vec::new();
        for (index, &left) in times.iter().enumerate() {
            pairs.extend(times[index + 1..].iter().map(|&right| PairStats::new(left, right)));
        }
        pairs.truncate(MOST_PAIRS);
        Self { files: files.iter().map(facts).collect(), keys: KeySample::new(columns.len()), columns, pairs, rows: 0 }
    }

    /// Takes in rows of the file with this number: its columns in the order of the file, those that the profile knows. `fresh` says
    /// that they do not follow the rows before.
    pub fn observe(&mut self, file: usize, rows: usize, names: &[&str], arrays: &[ArrayRef], fresh: bool) {
        self.rows += rows as u64;
        self.files[file].read += rows as u64;
        let mut places: Vec<Option<usize>> = vec![None; self.columns.len()];
        for (at, name) in names.iter().enumerate() {
            if let Some(place) =
                self.columns.iter().position(|column| column.unified.source_names().any(|own| own == *name))
            {
                places[place] = Some(at);
            }
        }
        let mut hashed = Vec::with_capacity(self.columns.len());
        for (column, at) in self.columns.iter_mut().zip(&places) {
            let Some(array) = at.map(|at| &arrays[at]) else {
                hashed.push(None);
                continue;
            };
            column.stats.observe(array, fresh);
            let nulls = (array.len() - column::present(array)) as u64;
            if column.by_file.last().is_none_or(|values| values.file != file) {
                column.by_file.push(FileValues { file, rows: 0, nulls: 0, latest: None });
            }
            if let Some(values) = column.by_file.last_mut() {
                values.rows += rows as u64;
                values.nulls += nulls;
                values.latest = values.latest.max(pairs::latest(array));
            }
            hashed.push(hashes(array));
        }
        for pair in &mut self.pairs {
            if let (Some(left), Some(right)) = (places[pair.left], places[pair.right]) {
                pair.observe(&arrays[left], &arrays[right]);
            }
        }
        self.keys.observe(file, rows, &hashed);
    }

    /// Whether every row of every file was looked at.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.files.iter().all(|file| file.rows == file.read)
    }

    /// The column that gets this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.unified.name == name)
    }
}

#[cfg(test)]
mod tests;
