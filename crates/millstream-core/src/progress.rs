//! Progress: what the publisher keeps in the log, in the same append as the records that it speaks of. It is the only truth
//! about which rows of which file have an outcome.
//!
//! Rows are published in the order of files and rows (dedup needs that order), so the progress of a file is one cursor,
//! `next_row`, and not a set of splits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Offset, TopicPartition};

/// Rows by outcome, counted when they were published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Passed.
    pub clean: u64,
    /// Broke a rule.
    pub rejected: u64,
    /// Repeats.
    pub deduplicated: u64,
    /// Taken out by the filter.
    pub filtered: u64,
    /// Passed, but too late for dedup to vouch for them (part of `clean`).
    pub late: u64,
    /// Rejected rows by rule; a row with several reasons counts for each.
    pub by_rule: BTreeMap<String, u64>,
    /// Rows that were rejected and are no more: they count as what became of them (part of the others, not of `rejected`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redriven: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Outcomes {
    /// Rows with an outcome.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.clean + self.rejected + self.deduplicated + self.filtered
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.clean += other.clean;
        self.rejected += other.rejected;
        self.deduplicated += other.deduplicated;
        self.filtered += other.filtered;
        self.late += other.late;
        for (rule, rows) in &other.by_rule {
            *self.by_rule.entry(rule.clone()).or_default() += rows;
        }
        self.redriven += other.redriven;
    }

    /// Counts rows as what became of them that were rejected until now: `now` are their counts, `before` the rules that had rejected
    /// them. `false` when fewer rows are rejected than that; then nothing is changed.
    #[must_use]
    pub fn redrive(&mut self, now: &Self, before: &BTreeMap<String, u64>) -> bool {
        let rows = now.rows();
        let Some(rejected) = self.rejected.checked_sub(rows) else { return false };
        self.add(now);
        self.rejected = rejected;
        self.redriven += rows;
        for (rule, rows) in before {
            if let Some(count) = self.by_rule.get_mut(rule) {
                *count = count.saturating_sub(*rows);
            }
        }
        self.by_rule.retain(|_, rows| *rows > 0);
        true
    }
}

/// Where a file is, as the log knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilePhase {
    /// Has its number; nothing of it is published.
    Accepted,
    /// `next_row` rows have an outcome.
    Started,
    /// All rows have an outcome.
    Finished,
    /// Will not be read on.
    Quarantined {
        /// Why.
        reason: String,
    },
}

/// Progress of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProgress {
    /// Path relative to the pipeline file, or URL.
    pub file: String,
    /// Its place in the order of publishing.
    pub sequence: u64,
    /// Size, bytes; part of the file's identity.
    pub size: u64,
    /// Modification tag; part of the file's identity.
    pub tag: String,
    /// When it was found, microseconds since 1970.
    pub found_at_micros: i64,
    /// Where it is.
    pub phase: FilePhase,
    /// Rows by its footer, once that was read.
    pub rows: Option<u64>,
    /// Rows below have an outcome.
    pub next_row: u64,
    /// Hash of the rules that it began with.
    pub rules_hash: Option<String>,
    /// Engine that it began with.
    pub engine: Option<String>,
    /// What became of its rows so far.
    pub outcomes: Outcomes,
    /// The row from which it was taken again after it had been quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_from_row: Option<u64>,
}

impl FileProgress {
    /// Whether nothing more will be read from it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.phase {
            FilePhase::Finished | FilePhase::Quarantined { .. } => true,
            FilePhase::Accepted | FilePhase::Started => false,
        }
    }
}

/// What a publisher keeps about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PublisherProgress {
    /// Seq of the next record of each partition.
    #[serde(with = "partition_map")]
    pub next_seq: BTreeMap<TopicPartition, u64>,
    /// Number of the next file.
    pub next_sequence: u64,
    /// Partition that the next record of clean rows goes to.
    pub next_partition: u32,
    /// Columns known so far, as the cleaning plan writes them.
    pub known_schema: Option<serde_json::Value>,
    /// Highest event time of clean rows that dedup has seen, microseconds since 1970.
    pub dedup_high_micros: Option<i64>,
    /// Rules of a file that is under way.
    pub started_rules: Option<StartedRules>,
    /// Rules of others that are under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_rules: Vec<StartedRules>,
    /// File (by sequence number) that the dedup state of `within = "file"` belongs to.
    pub dedup_file: Option<u64>,
}

impl PublisherProgress {
    /// Rules of all files that are under way.
    pub fn rules(&self) -> impl Iterator<Item = &StartedRules> {
        self.started_rules.iter().chain(&self.more_rules)
    }

    /// Keeps these rules, and no others.
    pub fn keep_rules(&mut self, mut rules: Vec<StartedRules>) {
        self.started_rules = rules.pop();
        self.more_rules = rules;
    }
}

/// The rules that a file began with, kept so that it can end under them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedRules {
    /// Their hash.
    pub hash: String,
    /// Text of the pipeline file.
    pub pipeline: String,
}

/// Offsets of all partitions: behind the last record that something holds.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

mod partition_map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::ids::TopicPartition;

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<TopicPartition, u64>, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<TopicPartition, u64>, D::Error> {
        Ok(Vec::<(TopicPartition, u64)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_redriven_counts_once_and_as_what_became_of_it() {
        let rules = |counts: &[(&str, u64)]| counts.iter().map(|(rule, rows)| ((*rule).to_owned(), *rows)).collect();
        let mut outcomes =
            Outcomes { clean: 90, rejected: 10, by_rule: rules(&[("a", 10), ("b", 4)]), ..Outcomes::default() };
        let now = Outcomes { clean: 3, deduplicated: 1, filtered: 2, ..Outcomes::default() };
        assert!(outcomes.redrive(&now, &rules(&[("a", 6), ("b", 4)])));
        assert_eq!((outcomes.rows(), outcomes.clean, outcomes.rejected, outcomes.redriven), (100, 93, 4, 6));
        assert_eq!(outcomes.by_rule, rules(&[("a", 4)]));
        let before = outcomes.clone();
        assert!(!outcomes.redrive(&now, &BTreeMap::new()), "only four are left");
        assert_eq!(outcomes, before);
    }
}
