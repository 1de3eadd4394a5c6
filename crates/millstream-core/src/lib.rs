//! The pure part of Millstream: what a pipeline file says, what a row goes through, how records look and how the ledger
//! adds up. No I/O, no clock, no `DataFusion`: it builds and tests in seconds.

pub mod config;
pub mod dedup;
pub mod detail;
pub mod expr;
#[cfg(test)]
mod fuzz;
pub mod ids;
pub mod lists;
pub mod original;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod record;
pub mod redrive;
pub mod spark;
pub mod status;
pub mod types;
pub mod units;
pub mod untrusted;
