//! A trial: what a pipeline would make of rows of its source, by the plan and the engine that a run has, too. Changes nothing.

mod example;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use millstream_core::config::Config;
use millstream_core::config::clean::{Action, OnBad};
use millstream_core::dedup::Deduplicator;
use millstream_core::plan::{FilePlan, KnownSchema};
use serde::Serialize;

use self::example::{action_word, mark_text};
use super::sample::{Groups, Piece, choose};
use crate::chain::chain;
use crate::clean::batch::{BatchCleaner, Cleaned};
use crate::clean::spark::refusal;
use crate::source::list::Listing;
use crate::source::read::{self, OpenFile};
use crate::source::untrusted::Guard;
use crate::source::untrusted::quiet::caught;
use crate::source::{FoundFile, SourceError};

pub(crate) use self::example::{BeforeAfter, Value};

/// Share of `limits.memory` that keys may take, as in a run.
const DEDUP_PERCENT: u64 = 15;

/// Reasons that are told why Spark would not clean files.
const REASONS: usize = 20;

/// What became of the rows of a trial.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Trial {
    /// The files, in the order in which a run takes them.
    pub(crate) files: Vec<TriedFile>,
    /// Rows of all files that can be cleaned, by their footers.
    pub(crate) rows_in_files: u64,
    /// Rows that were cleaned.
    pub(crate) rows: u64,
    /// Rows that would be delivered.
    pub(crate) delivered: u64,
    /// How many of these carry marks.
    pub(crate) marked: u64,
    /// Rows that would be rejected.
    pub(crate) rejected: u64,
    /// Rows that `clean.filter` leaves out.
    pub(crate) filtered: u64,
    /// Rows that were there before.
    pub(crate) duplicates: u64,
    /// Why repeats were not counted to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duplicates_unknown: Option<String>,
    /// Every rule, and what else touched rows.
    pub(crate) rules: Vec<TriedRule>,
    /// Rows as they are and as they would be.
    pub(crate) examples: Vec<BeforeAfter>,
    /// Declared columns that no file has.
    pub(crate) absent: Vec<String>,
    /// What keeps Spark from cleaning files that DataFusion cleans, each reason once.
    pub(crate) not_by_spark: BTreeSet<String>,
    /// Columns of the tables.
    #[serde(skip)]
    pub(crate) known: KnownSchema,
}

/// A file in a trial.
#[derive(Debug, Serialize)]
pub(crate) struct TriedFile {
    /// Its name.
    pub(crate) file: String,
    /// Its size.
    pub(crate) size_bytes: u64,
    /// Its rows, by its footer.
    pub(crate) rows: u64,
    /// Why it would be quarantined, or stop a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// A rule in a trial.
#[derive(Debug, Serialize)]
pub(crate) struct TriedRule {
    /// Its name, as in rejects and marks.
    pub(crate) rule: String,
    /// Its action.
    pub(crate) action: &'static str,
    /// Rows that it touched.
    pub(crate) rows: u64,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) example: Option<Touched>,
}

/// A row that a rule touched.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Touched {
    /// Its file.
    pub(crate) file: String,
    /// Its number there.
    pub(crate) row: i64,
    /// What was wrong with it, or became of it.
    pub(crate) what: String,
}

impl Trial {
    /// Rows that a rule touched.
    pub(crate) fn rows_of(&self, rule: &str) -> u64 {
        self.rules.iter().find(|tried| tried.rule == rule).map_or(0, |tried| tried.rows)
    }

    /// Rules that would stop a run.
    pub(crate) fn stopping(&self) -> impl Iterator<Item = &TriedRule> {
        self.rules.iter().filter(|rule| rule.action == "fail" && rule.rows > 0)
    }
}

/// Cleans rows of the files: at most about `most` of them, or all. `tell` hears how many rows were cleaned, of how many.
pub(crate) async fn trial(
    config: &Config,
    listing: &Listing,
    found: &[FoundFile],
    most: Option<u64>,
    tell: impl Fn(u64, u64),
) -> Trial {
    let mut tasting = Tasting::new(config);
    let mut groups = Vec::with_capacity(found.len());
    for file in found {
        groups.push(match read::open(listing.store(), file.clone(), &tasting.guard).await {
            Ok(open) => Ok(Groups::of(&open)),
            Err(error) => Err(error.reason()),
        });
    }
    let sizes: Vec<Groups> = groups.iter().filter_map(|groups| groups.as_ref().ok().cloned()).collect();
    let mut chosen = choose(&sizes, most).into_iter();
    for (file, groups) in found.iter().zip(groups) {
        let rows = groups.as_ref().map_or(0, Groups::rows);
        let pieces = if groups.is_ok() { chosen.next().unwrap_or_default() } else { Vec::new() };
        let problem = if let Err(reason) = groups {
            Some(reason)
        } else {
            let work = tasting.file(listing, file, &pieces, &tell, most.unwrap_or(u64::MAX));
            caught(work).await.unwrap_or_else(|panic| Err(SourceError::panicked(file, panic).reason())).err()
        };
        tasting.trial.rows_in_files += if problem.is_none() { rows } else { 0 };
        tasting.trial.files.push(TriedFile { file: file.file.to_string(), size_bytes: file.size, rows, problem });
    }
    tasting.end()
}

/// A trial on its way.
struct Tasting<'c> {
    config: &'c Config,
    /// With `reject` in place of `fail`, so that it goes on past the first such row.
    clean: millstream_core::config::clean::Clean,
    dedup: Option<Deduplicator>,
    trial: Trial,
    touched: BTreeMap<String, (u64, Option<Touched>)>,
    absent: Option<Vec<String>>,
    guard: Arc<Guard>,
}

impl<'c> Tasting<'c> {
    fn new(config: &'c Config) -> Self {
        let mut clean = config.clean.clone();
        for rule in &mut clean.rules {
            if rule.action == Action::Fail {
                rule.action = Action::Reject;
            }
        }
        for column in &mut clean.columns {
            if column.on_bad == OnBad::Fail {
                column.on_bad = OnBad::Reject;
            }
        }
        let limit = usize::try_from(config.limits.memory / 100 * DEDUP_PERCENT).unwrap_or(usize::MAX);
        let event_time = config.source.event_time.as_deref();
        let dedup = clean.dedup.as_ref().map(|dedup| Deduplicator::new(dedup, event_time, limit, None));
        Self {
            config,
            clean,
            dedup,
            trial: Trial::default(),
            touched: BTreeMap::new(),
            absent: None,
            guard: Guard::of(config),
        }
    }

    async fn file(
        &mut self,
        listing: &Listing,
        found: &FoundFile,
        pieces: &[Piece],
        tell: &impl Fn(u64, u64),
        of: u64,
    ) -> Result<(), String> {
        let open =
            Arc::new(read::open(listing.store(), found.clone(), &self.guard).await.map_err(|error| error.reason())?);
        let plan = self.plan(&open)?;
        let cleaner = BatchCleaner::new(Arc::clone(&plan)).map_err(|error| chain(&error))?;
        let mut starts_new_file = true;
        for piece in pieces {
            let batch_rows = self.config.stream.batch_rows.get();
            let mut rows = read::rows(listing.store(), &piece.split(&open), &plan.source_columns(), batch_rows);
            while let Some(next) = rows.next().await {
                let (first_row, raw) = next.map_err(|error| error.reason())?;
                let outcome = cleaner.clean(first_row, &raw).map_err(|error| chain(&error))?;
                self.take_in(&found.file, &plan, first_row, &raw, outcome, starts_new_file);
                starts_new_file = false;
                tell(self.trial.rows, of);
            }
        }
        Ok(())
    }

    /// The plan of a file, as a run would make it.
    fn plan(&mut self, open: &OpenFile) -> Result<Arc<FilePlan>, String> {
        let event_time = self.config.source.event_time.as_deref();
        let plan = FilePlan::new(&self.clean, event_time, &self.trial.known, open.metadata.schema());
        let plan = plan.map_err(|error| error.to_string())?;
        match refusal(open, &plan) {
            Some(reason) if self.config.spark.is_some() => return Err(reason),
            Some(reason) if self.trial.not_by_spark.len() < REASONS => drop(self.trial.not_by_spark.insert(reason)),
            Some(_) | None => {}
        }
        let lacking = plan.columns.iter().filter(|column| column.source.is_none()).map(|column| column.name.clone());
        let lacking: Vec<String> = lacking.collect();
        self.absent = Some(match self.absent.take() {
            None => lacking,
            Some(before) => before.into_iter().filter(|name| lacking.contains(name)).collect(),
        });
        self.trial.known = plan.known.clone();
        Ok(Arc::new(plan))
    }

    fn take_in(
        &mut self,
        file: &str,
        plan: &FilePlan,
        first_row: u64,
        raw: &RecordBatch,
        cleaned: Cleaned,
        starts_new_file: bool,
    ) {
        let Cleaned { clean, rejects, filtered } = cleaned;
        let trial = &mut self.trial;
        trial.rows += raw.num_rows() as u64;
        trial.filtered += filtered;
        trial.rejected += rejects.num_rows() as u64;
        trial.delivered += clean.num_rows() as u64;
        self.count_rejects(file, &rejects);
        self.count_marks(file, plan, first_row, raw, &clean);
        example::collect(&mut self.trial.examples, file, plan, first_row, raw, &clean, &rejects);
        if let Some(dedup) = &mut self.dedup {
            match dedup.observe(starts_new_file, &clean) {
                Ok(verdict) => {
                    self.trial.duplicates += verdict.duplicates;
                    self.trial.delivered -= verdict.duplicates;
                }
                Err(error) => {
                    self.trial.duplicates_unknown = Some(chain(&error));
                    self.dedup = None;
                }
            }
        }
    }

    fn count_rejects(&mut self, file: &str, rejects: &RecordBatch) {
        let numbers = rejects.column(0).as_primitive::<Int64Type>();
        let (rules, reasons) = (rejects.column(1).as_list::<i32>(), rejects.column(2).as_list::<i32>());
        for row in 0..rejects.num_rows() {
            let (rules, reasons) = (rules.value(row), reasons.value(row));
            for (rule, reason) in rules.as_string::<i32>().iter().zip(reasons.as_string::<i32>().iter()) {
                let entry = self.touched.entry(rule.unwrap_or_default().to_owned()).or_default();
                entry.0 += 1;
                entry.1.get_or_insert_with(|| Touched {
                    file: file.to_owned(),
                    row: numbers.value(row),
                    what: reason.unwrap_or_default().to_owned(),
                });
            }
        }
    }

    fn count_marks(&mut self, file: &str, plan: &FilePlan, first_row: u64, raw: &RecordBatch, clean: &RecordBatch) {
        let Some(marks) = clean.column_by_name("_marks").filter(|marks| marks.null_count() < marks.len()) else {
            return;
        };
        let Some(numbers) = clean.column_by_name("_row").map(AsArray::as_primitive::<Int64Type>) else { return };
        let marks = marks.as_list::<i32>();
        for row in (0..clean.num_rows()).filter(|&row| marks.is_valid(row)) {
            self.trial.marked += 1;
            for mark in marks.value(row).as_string::<i32>().iter().flatten() {
                if !self.touched.contains_key(mark) {
                    self.touched.insert(mark.to_owned(), (0, None));
                }
                let Some(entry) = self.touched.get_mut(mark) else { continue };
                entry.0 += 1;
                if entry.1.is_none() {
                    let number = numbers.value(row);
                    let raw_row = usize::try_from(number.cast_unsigned() - first_row).unwrap_or(0);
                    let what = mark_text(plan, mark, (raw, raw_row), (clean, row));
                    entry.1 = Some(Touched { file: file.to_owned(), row: number, what });
                }
            }
        }
    }

    fn end(mut self) -> Trial {
        let is_declared = |name: &String| self.config.clean.columns.iter().any(|column| column.name == *name);
        self.trial.absent = self.absent.take().unwrap_or_default().into_iter().filter(is_declared).collect();
        let mut rules = Vec::new();
        for rule in &self.config.clean.rules {
            let (rows, example) = self.touched.remove(&rule.name).unwrap_or_default();
            rules.push(TriedRule { rule: rule.name.clone(), action: action_word(rule.action), rows, example });
        }
        for (rule, (rows, example)) in self.touched {
            let column = rule.split_once(':').map(|(_, column)| column.to_owned()).unwrap_or_default();
            let declared = self.config.clean.columns.iter().find(|declared| declared.name == column);
            let of_bad_value = match declared.map(|declared| declared.on_bad) {
                Some(OnBad::Nullify) => "nullify",
                Some(OnBad::Fail) => "fail",
                Some(OnBad::Reject) | None => "reject",
            };
            let action = if rule.starts_with("fill:") { "fill" } else { of_bad_value };
            rules.push(TriedRule { rule, action, rows, example });
        }
        self.trial.rules = rules;
        self.trial
    }
}
