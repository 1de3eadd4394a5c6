//! What the program tells when it is asked for more than the status: the last minutes, profiles of columns, the archive from its
//! Delta log, the rules.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::clean::{Action, Check, Literal, Rule};
use crate::config::written::WrittenRule;
use crate::status::ColumnInfo;

/// One moment of the last minutes, as `/api/history` gives them; the fields are those of the status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistorySample {
    /// When, milliseconds since 1970.
    pub at_millis: i64,
    /// Rows read a second.
    pub read: f64,
    /// Rows received a second.
    pub received: f64,
    /// Records appended a second.
    pub records: f64,
    /// From durable in the log to queryable: median, seconds.
    pub visible_p50_seconds: Option<f64>,
    /// From durable in the log to queryable: 99th percentile, seconds.
    pub visible_p99_seconds: Option<f64>,
    /// Rows that are not received yet.
    pub lag_rows: u64,
    /// Age of the oldest of them, seconds.
    pub lag_seconds: f64,
    /// Clean rows.
    pub clean: u64,
    /// Rejected rows.
    pub rejected: u64,
    /// Rows in the archive.
    pub archived: u64,
    /// Lowest and highest event time of the records of the last seconds.
    pub event_times: Option<[String; 2]>,
}

/// What the columns held over the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// How many minutes.
    pub minutes: u32,
    /// Rows that came in.
    pub rows: u64,
    /// Rows that were looked at: all, or every n-th.
    pub sampled: u64,
    /// Columns of the real-time table.
    pub columns: Vec<ColumnProfile>,
}

/// What one column held. Of numbers and times (milliseconds since 1970) there are lowest, median, highest and bars, of all else the
/// most frequent values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Name.
    pub name: String,
    /// Arrow type as text.
    pub data_type: String,
    /// Rows of the sample in which it is NULL.
    pub nulls: u64,
    /// Different values in the sample.
    pub distinct: u64,
    /// Lowest value.
    pub low: Option<f64>,
    /// Value in the middle.
    pub median: Option<f64>,
    /// Highest value.
    pub high: Option<f64>,
    /// Where the first bar begins: with the lowest values but for 0.5 %, which are counted in it.
    pub bars_from: Option<f64>,
    /// Where the last bar ends, likewise.
    pub bars_to: Option<f64>,
    /// Rows in each bar.
    pub bars: Vec<u64>,
    /// Most frequent values.
    pub top: Vec<TopValue>,
}

/// A value and how often it was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopValue {
    /// The value as text.
    pub value: String,
    /// Rows that have it.
    pub rows: u64,
}

/// The archive of clean rows, from its Delta log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveDetail {
    /// Newest version; none before it is created.
    pub version: Option<u64>,
    /// Rows in it.
    pub rows: u64,
    /// Size of its files, bytes.
    pub bytes: u64,
    /// Its files.
    pub file_count: u64,
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
    /// What is in which partition.
    pub partitions: Vec<ArchivePartition>,
    /// Files, newest first, at most 1000.
    pub files: Vec<ArchiveFile>,
    /// Versions, newest first, at most 500.
    pub versions: Vec<ArchiveChange>,
}

/// One partition of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivePartition {
    /// Its value.
    pub partition: String,
    /// Files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Size, bytes.
    pub bytes: u64,
}

/// One data file of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFile {
    /// Path below the table.
    pub path: String,
    /// Its partition.
    pub partition: String,
    /// Rows, where the log tells.
    pub rows: Option<u64>,
    /// Size, bytes.
    pub bytes: u64,
    /// When it was written.
    pub at: String,
}

/// What one version changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveChange {
    /// The version.
    pub version: u64,
    /// When it was committed.
    pub at: String,
    /// As the Delta log calls it: `CREATE TABLE`, `WRITE`, `ADD COLUMN`, `OPTIMIZE`, …
    pub operation: String,
    /// Rows that it added.
    pub rows: u64,
    /// Files that it added.
    pub files: u64,
    /// Bytes that it added.
    pub bytes: u64,
    /// Columns that it added.
    pub columns: Vec<String>,
}

/// A rule of the pipeline file, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// Column that it looks at.
    pub column: Option<String>,
    /// What must hold.
    pub check: String,
    /// `reject`, `nullify`, `clamp`, `warn` or `fail`.
    pub action: String,
    /// As the pipeline file has it now, on one line; none where it has no such rule any more, or is no TOML.
    pub toml: Option<String>,
    /// What is behind the `=` of that line.
    pub written: Option<Value>,
}

impl RuleInfo {
    /// Of a rule, and of what the pipeline file says of it.
    #[must_use]
    pub fn new(rule: &Rule, written: Option<WrittenRule>) -> Self {
        let (toml, written) = written.map(|written| (written.toml, written.json)).unzip();
        let action = match rule.action {
            Action::Reject => "reject",
            Action::Nullify => "nullify",
            Action::Clamp => "clamp",
            Action::Warn => "warn",
            Action::Fail => "fail",
        };
        Self {
            name: rule.name.clone(),
            column: rule.column.clone(),
            check: words(&rule.check),
            action: action.to_owned(),
            toml,
            written,
        }
    }
}

fn words(check: &Check) -> String {
    match check {
        Check::NotNull => "is there".to_owned(),
        Check::RequiredIf(sql) => format!("is there where {sql}"),
        Check::Range { min, max } => between(min.as_ref().map(literal), max.as_ref().map(literal), ""),
        Check::OneOf(values) => format!("is one of {}", values.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Check::Pattern(pattern) => format!("matches {pattern}"),
        Check::Length { min, max } => {
            between(min.map(|min| min.to_string()), max.map(|max| max.to_string()), " characters")
        }
        Check::Compare { op, with } => format!("{} {with}", op.symbol()),
        Check::Sql(sql) => sql.clone(),
    }
}

fn between(min: Option<String>, max: Option<String>, unit: &str) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}{unit}"),
        (Some(min), None) => format!("at least {min}{unit}"),
        (None, Some(max)) => format!("at most {max}{unit}"),
        (None, None) => String::new(),
    }
}

fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Integer(value) => value.to_string(),
        Literal::Float(value) => value.to_string(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Text(value) => format!("'{value}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::clean::CompareOp;

    #[test]
    fn checks_read_as_sentences_about_the_column() {
        let range = Check::Range { min: Some(Literal::Integer(0)), max: Some(Literal::Float(1.5)) };
        assert_eq!(words(&range), "0 to 1.5");
        assert_eq!(words(&Check::Length { min: None, max: Some(1) }), "at most 1 characters");
        assert_eq!(words(&Check::OneOf(vec![Literal::Text("a".to_owned()), Literal::Integer(2)])), "is one of 'a', 2");
        assert_eq!(words(&Check::Compare { op: CompareOp::Greater, with: "pickup".to_owned() }), "> pickup");
    }
}
