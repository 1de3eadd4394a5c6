//! Publishing rows that were rejected and pass now: clean rows, a word on what became of each row, and the progress of their file,
//! in one append.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use millstream_core::ids::Topic;
use millstream_core::plan::KnownSchema;
use millstream_core::progress::Outcomes;
use millstream_core::record::row_numbers;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::info;

use super::rows::{Parts, Resolution, TOO_LARGE, clean_records, resolution_records};
use super::{Facts, Pending, PublishError, Publisher, form};
use crate::clock::now_micros;
use crate::redrive::asks::{Ask, Published, Redriven, Standing};

/// An answer that is told once what it speaks of is durable.
#[derive(Debug)]
pub(super) enum Answered {
    Standing(oneshot::Sender<Standing>, Standing),
    Published(oneshot::Sender<Result<Published, String>>, Published),
}

impl Answered {
    /// Whoever asked may have gone.
    pub(super) fn tell(self) {
        match self {
            Self::Standing(reply, standing) => drop(reply.send(standing)),
            Self::Published(reply, published) => drop(reply.send(Ok(published))),
        }
    }
}

impl Publisher {
    /// Does what is asked for rejects, with the next append.
    pub(super) fn answer(&mut self, ask: Ask, pending: &mut Pending) -> Result<(), PublishError> {
        match ask {
            Ask::Standing(reply) => {
                let mut seqs = self.seqs_before.clone();
                seqs.extend(self.progress.next_seq.iter().map(|(&at, &seq)| ((at, self.id.index), seq)));
                let standing = Standing { seqs, known: self.known() };
                pending.since.get_or_insert_with(Instant::now);
                pending.answered.push(Answered::Standing(reply, standing));
            }
            Ask::Known(reply) => drop(reply.send(self.known())),
            Ask::Publish(redriven, reply) => match self.redrive(&redriven, pending)? {
                Ok(published) => pending.answered.push(Answered::Published(reply, published)),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
        }
        Ok(())
    }

    /// The columns known so far.
    fn known(&self) -> KnownSchema {
        let known = self.progress.known_schema.clone();
        known.and_then(|known| serde_json::from_value(known).ok()).unwrap_or_default()
    }

    /// Takes rows in; within, why rows of this file are not taken: then nothing was.
    fn redrive(
        &mut self,
        redriven: &Redriven,
        pending: &mut Pending,
    ) -> Result<Result<Published, String>, PublishError> {
        let name = redriven.file.as_str();
        let Some(file) = self.files.values().find(|file| file.file == name) else {
            return Ok(Err("another publisher has it: ask there".to_owned()));
        };
        let sequence = file.sequence;
        if file.outcomes.rejected < redriven.rules.len() as u64 {
            return Ok(Err(
                "its progress counts fewer rejects than there are: `millstream verify` tells more".to_owned()
            ));
        }
        let Passed { parts, resolved, late, too_large } = self.passed(redriven, pending)?;
        if resolved.is_empty() {
            return Ok(Ok(Published { too_large, ..Published::default() }));
        }
        let (first, end) = (resolved[0].0, resolved[resolved.len() - 1].0 + 1);
        let now = now_micros();
        // Their way to the real-time table begins now.
        let facts =
            Facts { name, rules_hash: &redriven.rules_hash, found_at_micros: now, rows: first..end, resolves: false };
        self.records(Topic::Rows, parts, &facts, pending);
        let config = Arc::clone(&self.config);
        let words = resolution_records(&resolved, name, now, form(&config));
        let words = words.map_err(|source| PublishError::Record { file: name.to_owned(), source })?;
        self.records(Topic::Rejects, words, &Facts { resolves: true, ..facts }, pending);
        let count = |wanted| resolved.iter().filter(|(_, resolution)| *resolution == wanted).count() as u64;
        let outcomes = Outcomes {
            clean: count(Resolution::Delivered),
            deduplicated: count(Resolution::Duplicate),
            filtered: count(Resolution::Filtered),
            late,
            ..Outcomes::default()
        };
        let mut before: BTreeMap<String, u64> = BTreeMap::new();
        for rule in resolved.iter().filter_map(|(row, _)| redriven.rules.get(row)).flat_map(|rules| rules.iter()) {
            *before.entry(rule.clone()).or_default() += 1;
        }
        if let Some(file) = self.files.get_mut(&sequence) {
            assert!(file.outcomes.redrive(&outcomes, &before), "rows that are redriven were counted as rejected");
            pending.put(file.clone());
        }
        info!(file = name, rows = resolved.len(), "rejects redriven");
        Ok(Ok(Published::of(&outcomes, too_large)))
    }

    /// The records of rows that pass, and what becomes of each row that does not stay rejected.
    fn passed(&mut self, redriven: &Redriven, pending: &mut Pending) -> Result<Passed, PublishError> {
        let name = redriven.file.as_str();
        let arrange = |source| PublishError::Arrange { file: name.to_owned(), source };
        let mut clean = redriven.clean.clone();
        let (mut parts, too_large) = self.encoded(name, &clean)?;
        if !too_large.is_empty() {
            // They stay as they are, and claim no key: one that they claimed would make them repeats of themselves.
            let fits = |row: u64| !too_large.iter().any(|&large| u64::try_from(large) == Ok(row));
            let keep: BooleanArray = row_numbers(&clean).into_iter().map(|row| Some(fits(row))).collect();
            clean = filter_record_batch(&clean, &keep).map_err(arrange)?;
            parts = self.encoded(name, &clean)?.0;
        }
        let rows = row_numbers(&clean);
        let mut resolved: Vec<(u64, Resolution)> =
            redriven.filtered.iter().map(|&row| (row, Resolution::Filtered)).collect();
        let mut late = 0;
        if let Some(judged) = self.judge(name, false, &clean, pending)? {
            late = judged.late;
            // A row that was too large for a record holds its key since it was rejected.
            let has_key = |row| redriven.rules.get(row).is_some_and(|rules| rules.iter().any(|rule| rule == TOO_LARGE));
            let keep: BooleanArray =
                rows.iter().enumerate().map(|(at, row)| Some(judged.keep.value(at) || has_key(row))).collect();
            if keep.true_count() < rows.len() {
                clean = filter_record_batch(&clean, &keep).map_err(arrange)?;
                parts = self.encoded(name, &clean)?.0;
            }
            let became = |at| if keep.value(at) { Resolution::Delivered } else { Resolution::Duplicate };
            resolved.extend(rows.iter().enumerate().map(|(at, &row)| (row, became(at))));
        } else {
            resolved.extend(rows.iter().map(|&row| (row, Resolution::Delivered)));
        }
        resolved.sort_unstable_by_key(|(row, _)| *row);
        Ok(Passed { parts, resolved, late, too_large: too_large.len() as u64 })
    }

    /// The records of clean rows, and the numbers of those that fit none.
    fn encoded(&mut self, name: &str, rows: &RecordBatch) -> Result<(Parts, Vec<i64>), PublishError> {
        let event_time = self.config.source.event_time.as_deref();
        clean_records(rows, name, event_time, form(&self.config), &mut self.encoder)
            .map_err(|source| PublishError::Record { file: name.to_owned(), source })
    }
}

/// What [`Publisher::passed`] finds.
struct Passed {
    parts: Parts,
    /// By number of the row.
    resolved: Vec<(u64, Resolution)>,
    late: u64,
    too_large: u64,
}
