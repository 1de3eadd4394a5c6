//! What is asked for, and answered, when rejected rows are cleaned again.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which rejected rows, body of `POST /api/redrive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Of these files only, as the ledger names them.
    #[serde(default)]
    pub files: Option<Vec<String>>,
    /// Rejected by one of these rules only.
    #[serde(default)]
    pub rules: Option<Vec<String>>,
    /// The pipeline file whose rules are meant: another than the one that runs is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// A redrive to try, body of `POST /api/redrive/preview`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// Lines as they would stand under `[clean.rules]`, in place of the rules of the same names.
    #[serde(default)]
    pub toml: Option<String>,
    /// As in [`Request`].
    #[serde(default)]
    pub files: Option<Vec<String>>,
    /// As in [`Request`].
    #[serde(default)]
    pub rules: Option<Vec<String>>,
    /// As in [`Request`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// What became of rejected rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that were looked at.
    pub rows: u64,
    /// Passed, and were published.
    pub delivered: u64,
    /// Passed, and repeat a row that was delivered.
    pub duplicates: u64,
    /// Left out by the filter.
    pub filtered: u64,
    /// Stay rejected.
    pub rejected: u64,
}

/// What became of the rejected rows of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAnswer {
    /// The file.
    pub file: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Why (the rest of) its rows stay rejected without having been cleaned.
    pub refused: Option<String>,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The sums.
    #[serde(flatten)]
    pub counts: Counts,
    /// By file, in the order of their names.
    pub files: Vec<FileAnswer>,
}

/// How many of the rows a rule rejects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    /// Its name.
    pub rule: String,
    /// Rows that it had rejected.
    pub before: u64,
    /// Rows that it rejects now.
    pub after: u64,
}

/// One of the rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its file.
    pub file: String,
    /// Its number there.
    pub row: u64,
    /// As it is in the file.
    pub original: Map<String, Value>,
    /// As it would be delivered; none when it stays rejected or is filtered.
    pub clean: Option<Map<String, Value>>,
    /// Why it stays rejected.
    pub reasons: Vec<String>,
}

/// The answer to a [`PreviewRequest`]. Repeats are found when rows are published: here they count as delivered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The sums.
    #[serde(flatten)]
    pub counts: Counts,
    /// By file.
    pub files: Vec<FileAnswer>,
    /// Rows that were looked at, the first of those that are rejected.
    pub looked_at: u64,
    /// Whether there are more.
    pub truncated: bool,
    /// By rule, the most rows first.
    pub by_rule: Vec<RuleChange>,
    /// Some of the rows.
    pub sample: Vec<Sample>,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_flat() {
        let counts = Counts { rows: 5, delivered: 3, duplicates: 0, filtered: 0, rejected: 2 };
        let file = FileAnswer { file: "a.parquet".to_owned(), counts, refused: None };
        let answer = Answer { counts, files: vec![file] };
        insta::assert_snapshot!(serde_json::to_string(&answer).unwrap(), @r#"
        {"rows":5,"delivered":3,"duplicates":0,"filtered":0,"rejected":2,"files":[{"file":"a.parquet","rows":5,"delivered":3,"duplicates":0,"filtered":0,"rejected":2,"refused":null}]}
        "#);
        assert_eq!(serde_json::from_str::<Answer>(&serde_json::to_string(&answer).unwrap()).unwrap(), answer);
    }
}
