//! Cleaning rows of files again, as a run does it: by the same plans, readers and rules, and only files that are what they were.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use futures::StreamExt;
use millstream_core::config::Config;
use millstream_core::plan::{FilePlan, KnownSchema};
use millstream_core::record::row_numbers;
use object_store::ObjectStore;

use super::unresolved::Chunk;
use crate::board::Board;
use crate::chain::chain;
use crate::clean::batch::{BatchCleaner, Cleaned};
use crate::source::list::Listing;
use crate::source::read::{self, OpenFile, Rows, Split};
use crate::source::untrusted::Guard;
use crate::source::{FoundFile, SourceError};

/// Cleans rows again, file by file.
pub(super) struct Again<'a> {
    config: Arc<Config>,
    listing: &'a Listing,
    board: &'a Board,
    known: KnownSchema,
    guard: Arc<Guard>,
    /// The file that was opened last: its next rows need not open it again.
    last: Option<(String, Prepared)>,
}

/// A file that is open, and how its rows are cleaned.
#[derive(Clone)]
struct Prepared {
    file: Arc<OpenFile>,
    plan: Arc<FilePlan>,
    rules: Arc<BatchCleaner>,
}

/// What became of some rows of a chunk.
#[derive(Debug)]
pub(super) struct Piece {
    /// As cleaning makes them.
    pub(super) cleaned: Cleaned,
    /// Their numbers.
    pub(super) numbers: Vec<u64>,
    /// As they are in the file.
    pub(super) raw: RecordBatch,
    /// Numbers of those that pass, in the order of `cleaned.clean`.
    pub(super) passed: Vec<u64>,
    /// Numbers of those that are filtered.
    pub(super) filtered: Vec<u64>,
}

impl<'a> Again<'a> {
    pub(super) fn new(config: Arc<Config>, listing: &'a Listing, board: &'a Board, known: KnownSchema) -> Self {
        let guard = Guard::of(&config);
        Self { config, listing, board, known, guard, last: None }
    }

    /// The rows of a chunk, cleaned piece by piece.
    ///
    /// # Errors
    /// Why the file cannot be cleaned.
    pub(super) async fn begin(&mut self, chunk: &Chunk) -> Result<Pieces, String> {
        let prepared = match self.last.take().filter(|(name, _)| *name == chunk.file) {
            Some((_, prepared)) => prepared,
            None => self.prepare(&chunk.file).await?,
        };
        self.last = Some((chunk.file.clone(), prepared.clone()));
        let pieces = || Pieces {
            groups: groups(&prepared.file, chunk),
            numbers: chunk.rows.keys().copied().collect(),
            store: self.listing.store(),
            batch_rows: self.config.stream.batch_rows.get(),
            batch_bytes: self.config.stream.batch_bytes,
            prepared: prepared.clone(),
            rows: None,
            picked: Picked::default(),
        };
        if prepared.plan.can_fail() {
            // A row that breaks a rule with action fail: nothing is published then.
            let mut all = pieces();
            while all.next().await?.is_some() {}
        }
        Ok(pieces())
    }

    async fn prepare(&self, name: &str) -> Result<Prepared, String> {
        let Some(progress) = self.board.file(name) else {
            return Err("it is no file that the pipeline knows".to_owned());
        };
        let found = FoundFile {
            file: name.into(),
            location: self.listing.location(name),
            size: progress.size,
            tag: progress.tag.clone(),
        };
        let open = read::open(self.listing.store(), found, &self.guard).await;
        let open = open.map_err(|error| {
            if matches!(error, SourceError::Changed { .. }) {
                "it was changed or is gone since it was read, so its rows may be others now".to_owned()
            } else {
                error.reason()
            }
        })?;
        let event_time = self.config.source.event_time.as_deref();
        let plan = FilePlan::new(&self.config.clean, event_time, &self.known, open.metadata.schema());
        let plan = Arc::new(plan.map_err(|refusal| refusal.to_string())?);
        if let Some(column) = plan.known.columns.get(self.known.columns.len()) {
            return Err(format!(
                "its rows would bring a column `{}` that the tables do not have yet: start the pipeline anew with these rules, and ask again",
                column.name
            ));
        }
        let rules = BatchCleaner::new(Arc::clone(&plan)).map_err(|error| chain(&error))?;
        Ok(Prepared { file: Arc::new(open), plan, rules: Arc::new(rules) })
    }
}

/// The row groups that have rows of a chunk: which, their first row, and the rows from the first to the last that is wanted.
fn groups(file: &OpenFile, chunk: &Chunk) -> Vec<(usize, u64, Range<u64>)> {
    let mut groups = Vec::new();
    let mut start = 0;
    for (index, group) in file.metadata.metadata().row_groups().iter().enumerate() {
        let end = start + u64::try_from(group.num_rows()).unwrap_or_default();
        let mut wanted = chunk.rows.range(start..end).map(|(row, _)| *row);
        if let Some(first) = wanted.next() {
            groups.push((index, start, first..wanted.next_back().unwrap_or(first) + 1));
        }
        start = end;
    }
    groups.reverse();
    groups
}

/// Rows that are picked and not cleaned yet.
#[derive(Default)]
struct Picked {
    numbers: Vec<u64>,
    batches: Vec<RecordBatch>,
    bytes: u64,
}

/// Rows of a chunk, on their way.
pub(super) struct Pieces {
    prepared: Prepared,
    store: Arc<dyn ObjectStore>,
    batch_rows: usize,
    batch_bytes: u64,
    /// Those that are still to be read, the next one last.
    groups: Vec<(usize, u64, Range<u64>)>,
    numbers: BTreeSet<u64>,
    rows: Option<Rows>,
    picked: Picked,
}

impl Pieces {
    /// Stands for the rules.
    pub(super) fn rules_hash(&self) -> &str {
        &self.prepared.plan.rules_hash
    }

    /// The next rows; none when all were cleaned.
    ///
    /// # Errors
    /// Why the file cannot be read or cleaned.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, String> {
        loop {
            let Some(rows) = &mut self.rows else {
                let Some(group) = self.groups.pop() else { break };
                self.rows = Some(self.read(group));
                continue;
            };
            match rows.next().await {
                None => self.rows = None,
                Some(batch) => {
                    let (first, raw) = batch.map_err(|error| error.reason())?;
                    self.pick(first, &raw)?;
                    if self.picked.numbers.len() >= self.batch_rows || self.picked.bytes >= self.batch_bytes {
                        break;
                    }
                }
            }
        }
        let Picked { numbers, batches, .. } = std::mem::take(&mut self.picked);
        let Some(first) = batches.first() else {
            if self.numbers.is_empty() {
                return Ok(None);
            }
            return Err(format!("it has no row {} any more", self.numbers.first().copied().unwrap_or_default()));
        };
        let raw = concat_batches(&first.schema(), &batches).map_err(|error| error.to_string())?;
        let cleaned = self.prepared.rules.clean_picked(&numbers, &raw).map_err(|error| chain(&error))?;
        let (passed, rejected) = (row_numbers(&cleaned.clean), row_numbers(&cleaned.rejects));
        let filtered = numbers
            .iter()
            .copied()
            .filter(|row| passed.binary_search(row).is_err() && rejected.binary_search(row).is_err())
            .collect();
        Ok(Some(Piece { cleaned, numbers, raw, passed, filtered }))
    }

    fn read(&self, (index, start, rows): (usize, u64, Range<u64>)) -> Rows {
        let split = Split { file: Arc::clone(&self.prepared.file), row_groups: index..index + 1, rows, start };
        read::rows(Arc::clone(&self.store), &split, &self.prepared.plan.source_columns(), self.batch_rows)
    }

    /// Takes the wanted ones of consecutive rows.
    fn pick(&mut self, first: u64, raw: &RecordBatch) -> Result<(), String> {
        let end = first + raw.num_rows() as u64;
        let wanted: Vec<u64> = self.numbers.range(first..end).copied().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let places =
            UInt32Array::from_iter_values(wanted.iter().map(|row| u32::try_from(row - first).unwrap_or(u32::MAX)));
        let picked = take_record_batch(raw, &places).map_err(|error| error.to_string())?;
        for row in &wanted {
            self.numbers.remove(row);
        }
        // Texts of picked rows keep those of their whole batch.
        self.picked.bytes += raw.get_array_memory_size() as u64;
        self.picked.batches.push(picked);
        self.picked.numbers.extend(wanted);
        Ok(())
    }
}
