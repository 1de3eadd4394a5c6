//! How Spark reads the columns of a file, and how what it reads becomes the base types of the plan.

/// How a Parquet file stores a leaf column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Physical {
    /// `INT32`
    Int32,
    /// `INT64`
    Int64,
    /// `INT96`, an old form of times
    Int96,
    /// Any other.
    Other,
}

/// A leaf column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Place of the top-level column that it belongs to.
    pub root: usize,
    /// How it is stored.
    pub physical: Physical,
}
