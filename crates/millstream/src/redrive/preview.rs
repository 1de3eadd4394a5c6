//! What a redrive would do: the same cleaning over the first rejected rows, and nothing is published.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::error::ArrowError;
use millstream_core::original::row_json;
use millstream_core::record::{ROW, row_numbers};
use millstream_core::redrive::{FileAnswer, Preview, PreviewRequest, RuleChange, Sample};
use serde_json::{Map, Value};

use super::again::{Again, Piece};
use super::unresolved::{Chunk, Unresolved, Which};
use super::{RedriveError, Redriver, now, of_file, total};
use crate::server::rows::{heads, rows};
use crate::view::QueryError;

/// Rows that are looked at, at most.
const LOOKED_AT: usize = 10_000;

/// Rows that are shown of those that pass, and of those that do not.
const SHOWN: usize = 10;

/// What was seen so far.
#[derive(Default)]
struct Seen {
    files: BTreeMap<String, FileAnswer>,
    rules: BTreeMap<String, RuleChange>,
    passing: Vec<Sample>,
    failing: Vec<Sample>,
}

impl Redriver {
    pub(super) async fn preview_now(&self, request: PreviewRequest) -> Result<Preview, RedriveError> {
        let PreviewRequest { toml, files, rules, pipeline } = request;
        now::check_file(&self.config, pipeline.as_deref())?;
        let config = now::rules(&self.config, toml.as_deref())?;
        let known = self.asks.known().await?;
        let mut seen = Seen { files: self.files(files.as_deref()), ..Seen::default() };
        let (mut left, mut truncated) = (LOOKED_AT, false);
        if let Some(mut unresolved) = self.as_of_now(Which { files, rules }).await? {
            let mut again = Again::new(config, &self.listing, &self.board, known);
            while let Some(mut chunk) = unresolved.next().await? {
                if let Some(&first) = chunk.rows.keys().nth(left) {
                    chunk.rows.split_off(&first);
                    truncated = true;
                }
                left -= chunk.rows.len();
                if chunk.rows.is_empty() {
                    break;
                }
                seen.look(&mut again, &chunk).await?;
            }
        }
        let Seen { files, rules, passing, failing } = seen;
        let answer = total(files);
        let mut by_rule: Vec<RuleChange> = rules.into_values().collect();
        by_rule.sort_by_key(|change| Reverse(change.before.max(change.after)));
        let sample = passing.into_iter().chain(failing).collect();
        let looked_at = answer.counts.rows;
        Ok(Preview { counts: answer.counts, files: answer.files, looked_at, truncated, by_rule, sample })
    }

    /// Rejects as they are now; where other processes receive, as the archive has them.
    async fn as_of_now(&self, which: Which) -> Result<Option<Unresolved>, RedriveError> {
        if self.queries.is_whole() {
            return Unresolved::of_now(&self.queries, which).await.map(Some);
        }
        let Some(loaded) = self.rejects.load().await? else { return Ok(None) };
        let table = Arc::new(self.rejects.for_queries(loaded).await?);
        Unresolved::of_archive(&self.queries, table, which).await.map(Some)
    }
}

impl Seen {
    /// Cleans rows of one file, and counts.
    async fn look(&mut self, again: &mut Again<'_>, chunk: &Chunk) -> Result<(), RedriveError> {
        let answer = self.files.entry(chunk.file.clone()).or_insert_with(|| of_file(&chunk.file));
        let counts = &mut answer.counts;
        counts.rows += chunk.rows.len() as u64;
        counts.rejected += chunk.rows.len() as u64;
        for rule in chunk.rows.values().flat_map(|rules| rules.iter()) {
            change(&mut self.rules, rule).before += 1;
        }
        let mut left = chunk.rows.clone();
        let mut pieces = match again.begin(chunk).await {
            Ok(pieces) => Some(pieces),
            Err(reason) => {
                answer.refused = Some(reason);
                None
            }
        };
        while let Some(all) = &mut pieces {
            let piece = match all.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(reason) => {
                    answer.refused = Some(reason);
                    break;
                }
            };
            let (passed, filtered) = (piece.passed.len() as u64, piece.filtered.len() as u64);
            counts.delivered += passed;
            counts.filtered += filtered;
            counts.rejected -= passed + filtered;
            left.retain(|row, _| piece.numbers.binary_search(row).is_err());
            for rule in texts(&piece.cleaned.rejects, "rules").into_iter().flatten() {
                change(&mut self.rules, &rule).after += 1;
            }
            let failed = |error: ArrowError| QueryError::Failed(error.to_string());
            let shown = (&mut self.passing, &mut self.failing);
            sample(&chunk.file, &piece, shown).map_err(failed)?;
        }
        // Of a file that cannot be cleaned they stay as they are.
        for rule in left.values().flat_map(|rules| rules.iter()) {
            change(&mut self.rules, rule).after += 1;
        }
        Ok(())
    }
}

fn change<'r>(rules: &'r mut BTreeMap<String, RuleChange>, rule: &str) -> &'r mut RuleChange {
    rules.entry(rule.to_owned()).or_insert_with(|| RuleChange { rule: rule.to_owned(), ..RuleChange::default() })
}

/// Shows some rows of a piece, as long as there is room for them.
fn sample(
    file: &str,
    piece: &Piece,
    (passing, failing): (&mut Vec<Sample>, &mut Vec<Sample>),
) -> Result<(), ArrowError> {
    let original = |row: u64| {
        let place = piece.numbers.binary_search(&row).ok();
        let text = place.map(|place| row_json(&piece.raw, place)).unwrap_or_default();
        serde_json::from_str::<Map<String, Value>>(&text).unwrap_or_default()
    };
    let sample = |row, clean, reasons| Sample { file: file.to_owned(), row, original: original(row), clean, reasons };
    let clean = piece.cleaned.clean.slice(0, piece.passed.len().min(SHOWN.saturating_sub(passing.len())));
    let names: Vec<String> = heads(&clean.schema()).into_iter().map(|head| head.name).collect();
    for (&row, values) in piece.passed.iter().zip(rows(&clean)?) {
        let values = names.iter().cloned().zip(values).filter(|(name, _)| name != ROW).collect();
        passing.push(sample(row, Some(values), Vec::new()));
    }
    let rejects =
        piece.cleaned.rejects.slice(0, piece.cleaned.rejects.num_rows().min(SHOWN.saturating_sub(failing.len())));
    for (row, reasons) in row_numbers(&rejects).into_iter().zip(texts(&rejects, "reasons")) {
        failing.push(sample(row, None, reasons));
    }
    Ok(())
}

/// Lists of texts, one for each row.
fn texts(batch: &RecordBatch, name: &str) -> Vec<Vec<String>> {
    let lists = batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
    let of = |lists: &arrow::array::ListArray, row| {
        let texts = lists.value(row);
        texts.as_string_opt::<i32>().into_iter().flat_map(|texts| texts.iter().flatten()).map(str::to_owned).collect()
    };
    lists.map_or_else(Vec::new, |lists| (0..lists.len()).map(|row| of(lists, row)).collect())
}
