//! Dedup (placeholder until the branch lands).
use arrow::array::BooleanArray; use arrow::record_batch::RecordBatch; use crate::config::clean::Dedup;
/// k
pub type KeyHash = [u8; 16];
/// e
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct DedupError;
/// v
#[derive(Debug)] pub struct Verdict { /// a
 pub keep: BooleanArray, /// a
 pub duplicates: u64, /// a
 pub late: u64, /// a
 pub added: Vec<(KeyHash, i64)>, /// a
 pub removed: Vec<KeyHash>, /// a
 pub window_high: Option<i64> }
/// d
#[derive(Debug)] pub struct Deduplicator;
impl Deduplicator { /// n
 pub fn new(_: &Dedup, _: Option<&str>, _: usize) -> Self { Self } /// r
 pub fn restore(&mut self, _: impl Iterator<Item=(KeyHash,i64)>, _: Option<i64>) -> Result<(), DedupError> { Ok(()) } /// o
 pub fn observe(&mut self, _: bool, _: &RecordBatch) -> Result<Verdict, DedupError> { Err(DedupError) } /// l
 pub fn len(&self) -> usize { 0 } }
