//! A file's plan as a query of Apache Spark: pure text, no connection.
//!
//! [`query`] makes the layers of the query, [`emit`] turns expressions of the tree into Spark SQL, [`schema`] says how the
//! columns of the file are read and become their base types. No name or text of a user gets into an identifier: columns are
//! named by their place. What Spark cannot compute exactly as the tree says is refused here, by name and with the reason.

pub mod emit;
pub mod query;
pub mod schema;

use thiserror::Error;

/// Why a plan cannot be carried out by Spark with equal results.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} cannot be cleaned by Spark: {reason}")]
pub struct Refusal {
    /// Which column or rule, such as ``column `fare` ``.
    pub what: String,
    /// What is in the way, and what to do.
    pub reason: String,
}
