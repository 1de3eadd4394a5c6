//! A pipeline file before it is written: what a profile suggests, each piece with how sure it is and what it would do.

/// The whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// `pipeline.name`
    pub name: String,
    /// `pipeline.data_dir`, if it is not the usual one.
    pub data_dir: Option<String>,
    /// What was read, for the head of the file.
    pub head: Vec<String>,
    /// `source.path`
    pub paths: Vec<String>,
    /// What is to be known of the files.
    pub source_notes: Vec<String>,
    /// `source.event_time`, and why.
    pub event_time: Option<(String, String)>,
    /// `clean.null_tokens`
    pub null_tokens: Vec<Token>,
    /// `clean.drop`, and why.
    pub drop: Vec<(String, String)>,
    /// `[clean.columns]`
    pub columns: Vec<DraftColumn>,
    /// `[clean.rules]`
    pub rules: Vec<DraftRule>,
    /// `[clean.dedup]`
    pub dedup: Option<DraftDedup>,
    /// What is known of keys.
    pub key_notes: Vec<String>,
    /// Width of time of a view over the event time: hour, day or month.
    pub view_by: Option<&'static str>,
    /// Whether all rows were read.
    pub is_whole: bool,
    /// Rows that were read.
    pub rows: u64,
}

/// A text that stands for NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The text.
    pub text: String,
    /// Values that are this text.
    pub values: u64,
    /// The columns that have it, the first few.
    pub columns: Vec<String>,
    /// Whether it hardly means anything else.
    pub is_certain: bool,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftColumn {
    /// Its name from now on.
    pub name: String,
    /// Keys and their values as TOML; without any the column passes as it is, and is only told of.
    pub settings: Vec<(&'static str, String)>,
    /// What is known of it.
    pub notes: Vec<String>,
    /// Settings in place of the others that may be meant, and why.
    pub guess: Option<(Vec<(&'static str, String)>, String)>,
}

/// A rule. All of them only mark rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRule {
    /// Its name.
    pub name: String,
    /// The column that it looks at.
    pub column: Option<String>,
    /// `check` as TOML.
    pub check: String,
    /// Whether it is written to be carried out.
    pub is_certain: bool,
    /// What is behind it.
    pub note: String,
    /// Rows that it would touch, once they were counted.
    pub rows: Option<u64>,
}

/// Dedup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftDedup {
    /// Columns.
    pub key: Vec<String>,
    /// Whether it is written to be carried out.
    pub is_certain: bool,
    /// Rows that it would leave out, once they were counted.
    pub rows: Option<u64>,
}

impl Draft {
    /// Takes in how many rows of those that were read a rule, or dedup, touches. What was not told touches none.
    pub fn count(&mut self, rows_of: impl Fn(&str) -> u64, duplicates: u64) {
        for rule in &mut self.rules {
            rule.rows = Some(rows_of(&rule.name));
        }
        if let Some(dedup) = &mut self.dedup {
            dedup.rows = Some(duplicates);
        }
    }

    /// Turns the type of a column, which rows were found not to fit, into a guess.
    pub fn doubt(&mut self, column: &str, rows: u64) {
        if let Some(column) = self.columns.iter_mut().find(|other| other.name == column) {
            let (kept, doubted): (Vec<_>, Vec<_>) =
                column.settings.drain(..).partition(|(key, _)| matches!(*key, "from" | "trim"));
            let settings = kept.iter().cloned().chain(doubted).collect();
            column.guess = Some((settings, format!("{rows} rows would not fit")));
            column.settings = kept;
        }
    }
}
