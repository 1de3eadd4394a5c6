//! Verify: counts every row of the source and of the archive anew, and says which are lost, repeated or in the wrong place.
//!
//! It trusts no counter. Rows are looked up by file and number in the archive's own files; what should have become of them is
//! found by cleaning the source again, in the order in which it was published.

mod foreign;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::DataFusionError;
use futures::StreamExt;
use millstream_core::config::Config;
use millstream_core::dedup::Deduplicator;
use millstream_core::ids::Topic;
use millstream_core::plan::{FilePlan, KnownSchema};
use millstream_core::progress::{FilePhase, FileProgress};
use millstream_core::record::{FILE, RESOLVED, ROW};
use serde::Serialize;

use crate::chain::chain;
use crate::clean::batch::BatchCleaner;
use crate::dedup::deduplicator;
use crate::durable::Durable;
use crate::pipeline::{PipelineError, Shares};
use crate::source::list::Listing;
use crate::source::read::{self, Split};
use crate::source::untrusted::Guard;
use crate::source::{FoundFile, SourceError};

/// Rows named for each kind of problem at most.
const EXAMPLES: usize = 10;

/// What verify found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Whether nothing is wrong.
    pub(crate) ok: bool,
    /// Files looked at.
    pub(crate) files: u64,
    /// Rows in them, by their footers.
    pub(crate) rows: u64,
    /// Rows found once in the archive, where they should be.
    pub(crate) delivered: u64,
    /// Rows found once in rejects, where they should be.
    pub(crate) rejected: u64,
    /// Rows that are rightly in neither: repeats.
    pub(crate) deduplicated: u64,
    /// Rows that are rightly in neither: taken out by the filter.
    pub(crate) filtered: u64,
    /// The rest of files that were quarantined midway.
    pub(crate) unread: u64,
    /// Rows that are still in the log, or not read yet.
    pub(crate) in_flight: u64,
    /// Rows that should be somewhere and are not.
    pub(crate) lost: u64,
    /// Rows that are somewhere more than once.
    pub(crate) repeated: u64,
    /// Rows that are where they should not be.
    pub(crate) misplaced: u64,
    /// Rows that were delivered or rejected, and deleted since because they were past `archive.retention`.
    pub(crate) expired: u64,
    /// What is wrong, with examples.
    pub(crate) problems: Vec<String>,
    /// Of rows that are not there: lost, if not expired.
    #[serde(skip)]
    absent: Vec<String>,
    /// Rejects that are not there and need not be: what became of the rows is said.
    #[serde(skip)]
    needless: u64,
    /// What could not be looked at in full.
    pub(crate) notes: Vec<String>,
}

/// Where the rows of a file were found.
#[derive(Debug, Default)]
struct Found {
    archive: Vec<u8>,
    rejects: Vec<u8>,
    log: Vec<u8>,
    /// What became of rows that were rejected and are no more; of each, how often it is said.
    resolved: BTreeMap<u64, (Fate, u8)>,
}

/// What should have become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    Rejected,
    Deduplicated,
    Filtered,
    /// Filtered or a repeat: the ledger says how many, not which.
    InNeither,
    /// Anywhere: nobody can tell.
    Unknown,
}

/// Recounts source and archive of a pipeline that does not run. With `fast`, which rows were filtered or repeats is taken
/// from the ledger's counts instead of cleaning again. The caller holds the lock of the data folder.
pub(crate) async fn verify(config: &Arc<Config>, fast: bool) -> Result<Report, PipelineError> {
    if config.is_foreign() {
        return foreign::verify(config, fast).await;
    }
    let (durable, recovered, pending) = Durable::look(config).await?;
    let mut report = Report::default();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (topic, table) in [(Topic::Rows, &durable.archive.rows), (Topic::Rejects, &durable.archive.rejects)] {
        if let Some(table) = table {
            note_archive(table, topic, &mut found).await.map_err(|error| PipelineError::Failed(error.to_string()))?;
        }
    }
    note_log(&durable, pending.len(), &mut found).await?;
    let listing = Listing::of(config)?;
    let mut again = Again::new(config, &listing);
    // Dedup saw rows in another order than that of numbers.
    let retried = recovered.files.iter().any(|file| file.retried_from_row.is_some_and(|row| row > 0));
    let redriven = recovered.files.iter().any(|file| file.outcomes.redriven > 0);
    if (retried || redriven) && again.dedup.is_some() {
        again.mixed = true;
        let why = if retried { "a file was taken on midway by `retry`" } else { "rows were delivered by `redrive`" };
        report.notes.push(format!("which rows are repeats is taken from the ledger: {why}"));
    }
    for file in &recovered.files {
        let of_file = found.remove(&file.file).unwrap_or_default();
        let fates = if fast { Ok(Vec::new()) } else { again.fates(file).await };
        let fates = fates.unwrap_or_else(|reason| {
            again.complete = false;
            report.notes.push(format!("`{}` was not cleaned again: {reason}", file.file));
            Vec::new()
        });
        if let FilePhase::Quarantined { reason } = &file.phase {
            report.notes.push(format!("`{}` is quarantined: {reason}", file.file));
        }
        compare(file, &of_file, &fates, &mut report);
    }
    for (file, rows) in found {
        let count =
            [&rows.archive, &rows.rejects].iter().flat_map(|rows| rows.iter()).filter(|&&rows| rows > 0).count();
        report.misplaced += count as u64;
        report.problems.push(format!("{count} rows in the archive are of `{file}`, which the log does not know"));
    }
    let archive = [&durable.archive.rows, &durable.archive.rejects];
    settle(&mut report, archive.into_iter().flatten().map(|table| table.expired).sum());
    report.ok = report.problems.is_empty();
    Ok(report)
}

/// Tells rows that are past their retention from lost ones: the archive counts how many it deleted, not which.
fn settle(report: &mut Report, expired: u64) {
    // Rejects that were deleted and had been resolved before are not missed.
    let expired = expired.saturating_sub(report.needless);
    if report.lost == expired {
        report.expired = expired;
        report.lost = 0;
        return;
    }
    report.problems.append(&mut report.absent);
    if expired > 0 {
        let lost = report.lost;
        report.problems.push(format!(
            "{lost} rows are not there, and the archive counts {expired} that it deleted because they were past `archive.retention`"
        ));
    }
}

async fn note_archive(
    table: &crate::archive::ArchivedTable,
    topic: Topic,
    found: &mut BTreeMap<String, Found>,
) -> Result<(), DataFusionError> {
    let resolves = topic == Topic::Rejects && table.provider.schema().index_of(RESOLVED).is_ok();
    let columns: &[&str] = if resolves { &[FILE, ROW, RESOLVED] } else { &[FILE, ROW] };
    stream_of_rows(table, columns, |batch| {
        note(batch, found, |found| match topic {
            Topic::Rows => &mut found.archive,
            Topic::Rejects => &mut found.rejects,
        })
    })
    .await
}

/// Calls `see` with columns of all rows of a table, batch by batch.
async fn stream_of_rows(
    table: &crate::archive::ArchivedTable,
    columns: &[&str],
    mut see: impl FnMut(&RecordBatch) -> Result<(), DataFusionError>,
) -> Result<(), DataFusionError> {
    let context = datafusion::prelude::SessionContext::new();
    let state = context.state();
    table.table.update_datafusion_session(&state).map_err(|error| DataFusionError::External(Box::new(error)))?;
    let frame = context.read_table(Arc::clone(&table.provider))?.select_columns(columns)?;
    let mut batches = frame.execute_stream().await?;
    while let Some(batch) = batches.next().await {
        see(&batch?)?;
    }
    Ok(())
}

/// Notes the rows that are in the log and not yet in the archive: `records` records of it.
async fn note_log(
    durable: &Durable,
    mut records: usize,
    found: &mut BTreeMap<String, Found>,
) -> Result<(), PipelineError> {
    let mut next = durable.archived.clone();
    for bounds in durable.log.state().partitions {
        let next = next.entry(bounds.at).or_default();
        *next = bounds.begin.max(*next);
    }
    while records > 0 {
        for record in durable.log.read(&next, 8 * 1024 * 1024).await? {
            next.insert(record.at, record.end());
            records = records.saturating_sub(usize::try_from(record.records()).unwrap_or(usize::MAX));
            let batch = record.batch().map_err(|error| PipelineError::Failed(chain(&error)))?;
            note(&batch, found, |found| &mut found.log).map_err(|error| PipelineError::Failed(error.to_string()))?;
        }
    }
    Ok(())
}

/// Notes the rows of a batch where `side` says.
fn note(
    batch: &RecordBatch,
    found: &mut BTreeMap<String, Found>,
    side: impl Fn(&mut Found) -> &mut Vec<u8>,
) -> Result<(), DataFusionError> {
    let words = batch.column_by_name(RESOLVED).map(|words| cast(words, &DataType::Utf8)).transpose()?;
    let mut at = 0;
    each_row(batch, |name, row| {
        if !found.contains_key(name) {
            found.insert(name.to_owned(), Found::default());
        }
        let word = words.as_ref().map(AsArray::as_string::<i32>).filter(|words| words.is_valid(at));
        at += 1;
        if let (Some(word), Some(found)) = (word, found.get_mut(name)) {
            let fate = match word.value(at - 1) {
                "delivered" => Fate::Delivered,
                "duplicate" => Fate::Deduplicated,
                "filtered" => Fate::Filtered,
                _ => Fate::Unknown,
            };
            found.resolved.entry(row).or_insert((fate, 0)).1 += 1;
            return;
        }
        let row = usize::try_from(row).unwrap_or(usize::MAX);
        if let Some(counts) = found.get_mut(name).map(&side) {
            if counts.len() <= row {
                counts.resize(row + 1, 0);
            }
            counts[row] = counts[row].saturating_add(1);
        }
    })
}

/// Calls `see` with file and number of each row.
fn each_row(batch: &RecordBatch, mut see: impl FnMut(&str, u64)) -> Result<(), DataFusionError> {
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| DataFusionError::Execution(format!("column `{name}` is missing")))
    };
    let files = cast(column(FILE)?, &DataType::Utf8)?;
    let rows = cast(column(ROW)?, &DataType::Int64)?;
    let (files, rows) = (files.as_string::<i32>(), rows.as_primitive::<Int64Type>());
    for index in 0..batch.num_rows() {
        see(files.value(index), u64::try_from(rows.value(index)).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Cleans files again, in the order of their numbers.
struct Again<'a> {
    config: &'a Arc<Config>,
    listing: &'a Listing,
    guard: Arc<Guard>,
    known: KnownSchema,
    dedup: Option<Deduplicator>,
    /// Whether no file was passed over: then dedup knows every key that it knew.
    complete: bool,
    /// Whether dedup saw rows in another order than that of files and rows.
    mixed: bool,
}

impl<'a> Again<'a> {
    fn new(config: &'a Arc<Config>, listing: &'a Listing) -> Self {
        let event_time = config.source.event_time.as_deref();
        let (share, folder) = (Shares::of(config.limits.memory).dedup, &config.pipeline.data_dir);
        let dedup = config.clean.dedup.as_ref().map(|spec| deduplicator(spec, event_time, share, folder));
        Self {
            config,
            listing,
            guard: Guard::of(config),
            known: KnownSchema::default(),
            dedup,
            complete: true,
            mixed: false,
        }
    }

    /// What should have become of the rows that have an outcome; the reason when nobody can tell any more.
    async fn fates(&mut self, file: &FileProgress) -> Result<Vec<Fate>, String> {
        if file.rules_hash.is_none() {
            return Ok(Vec::new());
        }
        let found = FoundFile {
            file: file.file.as_str().into(),
            location: self.listing.location(&file.file),
            size: file.size,
            tag: file.tag.clone(),
        };
        let store = self.listing.store();
        let open = read::open(Arc::clone(&store), found, &self.guard).await.map_err(|error| chain(&error))?;
        let event_time = self.config.source.event_time.as_deref();
        let plan = FilePlan::new(&self.config.clean, event_time, &self.known, open.metadata.schema());
        let plan = Arc::new(plan.map_err(|error| error.to_string())?);
        if file.rules_hash.as_deref() != Some(plan.rules_hash.as_str()) {
            return Err("the rules have changed since it was published".to_owned());
        }
        // A file that was begun counts here even if no row of it was published: its columns were known to the next.
        self.known = plan.known.clone();
        if file.next_row == 0 {
            return Ok(Vec::new());
        }
        let columns = plan.source_columns();
        let row_groups = 0..open.metadata.metadata().num_row_groups();
        let split = Split { file: Arc::new(open), row_groups, rows: 0..file.next_row, start: 0 };
        let batch_rows = self.config.stream.batch_rows.get();
        let mut batches = read::rows(store, &split, &columns, batch_rows);
        let rules = BatchCleaner::new(plan).map_err(|error| chain(&error))?;
        let mut fates = vec![Fate::Filtered; usize::try_from(file.next_row).unwrap_or(usize::MAX)];
        let mut new_file = true;
        while let Some(batch) = batches.next().await {
            let (first_row, raw) = batch.map_err(|error: SourceError| chain(&error))?;
            let cleaned = rules.clean(first_row, &raw).map_err(|error| chain(&error))?;
            mark(&mut fates, &cleaned.rejects, |_| Fate::Rejected);
            let keep = match &mut self.dedup {
                Some(dedup) => Some(dedup.observe(new_file, &cleaned.clean).map_err(|error| chain(&error))?.keep),
                None => None,
            };
            new_file = false;
            let (complete, mixed) = (self.complete, self.mixed);
            mark(&mut fates, &cleaned.clean, |row| match &keep {
                Some(_) if mixed => Fate::Unknown,
                Some(keep) if !keep.value(row) => Fate::Deduplicated,
                // It may be a repeat of a row in a file that was passed over.
                Some(_) if !complete => Fate::Unknown,
                Some(_) | None => Fate::Delivered,
            });
        }
        Ok(fates)
    }
}

fn mark(fates: &mut [Fate], batch: &RecordBatch, fate: impl Fn(usize) -> Fate) {
    let Some(rows) = batch.column_by_name(ROW).and_then(|column| column.as_primitive_opt::<Int64Type>()) else {
        return;
    };
    for (index, row) in rows.values().iter().enumerate() {
        if let Some(slot) = usize::try_from(*row).ok().and_then(|row| fates.get_mut(row)) {
            *slot = fate(index);
        }
    }
}

/// Compares where the rows of a file are with where they should be.
fn compare(file: &FileProgress, found: &Found, fates: &[Fate], report: &mut Report) {
    report.files += 1;
    let total = file.rows.unwrap_or_default();
    report.rows += total;
    let rest = total - file.next_row.min(total);
    match file.phase {
        FilePhase::Quarantined { .. } => report.unread += rest,
        FilePhase::Accepted | FilePhase::Started | FilePhase::Finished => report.in_flight += rest,
    }
    let mut wrong: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    let rows = usize::try_from(file.next_row).unwrap_or(usize::MAX);
    let mut in_neither = 0;
    for row in 0..rows.max(found.archive.len()).max(found.rejects.len()) {
        let at = |counts: &[u8]| counts.get(row).copied().unwrap_or_default();
        let (archive, mut rejects, log) = (at(&found.archive), at(&found.rejects), at(&found.log));
        let mut fate = if row < rows { fates.get(row).copied().unwrap_or(Fate::Unknown) } else { Fate::InNeither };
        if let Some(&(became, words)) = found.resolved.get(&(row as u64)) {
            if words > 1 || rejects > 1 {
                wrong.entry("repeated").or_default().push(row);
                continue;
            }
            report.needless += u64::from(rejects == 0);
            (fate, rejects) = (became, 0);
        }
        match (archive, rejects, log, fate) {
            (1, 0, 0, Fate::Delivered | Fate::Unknown) => report.delivered += 1,
            // A row that passes every rule may still be too large for a record.
            (0, 1, 0, Fate::Rejected | Fate::Delivered | Fate::Unknown) => report.rejected += 1,
            (0, 0, 1, Fate::Delivered | Fate::Rejected | Fate::Unknown) => report.in_flight += 1,
            (0, 0, 0, Fate::Deduplicated) => report.deduplicated += 1,
            (0, 0, 0, Fate::Filtered) => report.filtered += 1,
            (0, 0, 0, Fate::Unknown) => in_neither += 1,
            (0, 0, 0, Fate::InNeither) => {}
            (0, 0, 0, _) => wrong.entry("lost").or_default().push(row),
            (a, r, l, _) if u32::from(a) + u32::from(r) + u32::from(l) > 1 => {
                wrong.entry("repeated").or_default().push(row);
            }
            _ => wrong.entry("misplaced").or_default().push(row),
        }
    }
    let known = [Fate::Deduplicated, Fate::Filtered].map(|fate| {
        let resolved = found.resolved.values().filter(|(became, _)| *became == fate).count() as u64;
        fates_of(fates, fate) + resolved
    });
    trust_ledger(file, in_neither, known, report);
    for (kind, rows) in wrong {
        let count = rows.len() as u64;
        match kind {
            "lost" => report.lost += count,
            "repeated" => report.repeated += count,
            _ => report.misplaced += count,
        }
        let examples: Vec<String> = rows.iter().take(EXAMPLES).map(ToString::to_string).collect();
        let text = format!("`{}`: {count} rows {kind}, such as row {}", file.file, examples.join(", "));
        if kind == "lost" { report.absent.push(text) } else { report.problems.push(text) }
    }
}

fn fates_of(fates: &[Fate], wanted: Fate) -> u64 {
    fates.iter().filter(|fate| **fate == wanted).count() as u64
}

/// Rows that are in neither table and of which nobody can tell why: as many as the ledger counts beyond those that were found
/// again are right.
fn trust_ledger(file: &FileProgress, in_neither: u64, known: [u64; 2], report: &mut Report) {
    let repeats = file.outcomes.deduplicated.saturating_sub(known[0]);
    let filtered = file.outcomes.filtered.saturating_sub(known[1]);
    if in_neither == repeats + filtered {
        report.deduplicated += repeats;
        report.filtered += filtered;
        return;
    }
    let absent = in_neither.saturating_sub(repeats + filtered);
    report.lost += absent;
    report.deduplicated += repeats;
    report.filtered += filtered;
    let told = if absent > 0 { &mut report.absent } else { &mut report.problems };
    told.push(format!(
        "`{}`: {in_neither} rows are neither archived nor rejected, and the ledger counts {} repeats and filtered rows",
        file.file,
        repeats + filtered
    ));
}
