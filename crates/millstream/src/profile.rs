//! Looking at source files without running: a profile of them, and a trial of a pipeline over a sample. Changes nothing.
//!
//! What is suggested is decided in `millstream_core::profile`, what becomes of rows by the plan and the engine that a run has, too.

pub(crate) mod read;
pub(crate) mod sample;
pub(crate) mod trial;
pub(crate) mod views;
