//! placeholder
use std::sync::Arc; use arrow::record_batch::RecordBatch; use millstream_core::plan::FilePlan;
#[derive(Debug)] pub(crate) struct Cleaned { pub(crate) clean: RecordBatch, pub(crate) rejects: RecordBatch, pub(crate) filtered: u64 }
#[derive(Debug, thiserror::Error)] #[error("x")] pub(crate) struct CleanError;
pub(crate) struct BatchCleaner;
impl BatchCleaner { pub(crate) fn new(_: Arc<FilePlan>) -> Result<Self, CleanError> { Err(CleanError) }
 pub(crate) fn clean(&self, _: u64, _: &RecordBatch) -> Result<Cleaned, CleanError> { Err(CleanError) } }
