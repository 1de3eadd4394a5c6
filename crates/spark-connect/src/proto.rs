//! The messages of the protocol, as far as this crate uses them, by hand: no protocol compiler takes part in the build.
//!
//! Names and numbers of fields are those of the protocol of Apache Spark 4.3 (`spark.connect`). What is left out here is skipped when a
//! message is read, as Protocol Buffers want it.

pub(crate) mod literal;
pub(crate) mod relation;
pub(crate) mod service;
pub(crate) mod status;
