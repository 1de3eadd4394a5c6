//! `[clean]`: columns, filter, derived columns, rules, dedup and drift, as the user wrote them and checked one by one.
//!
//! Whether they fit a file is decided by the plan of that file, not here.

use crate::types::ColumnType;

/// The whole of `[clean]`. Order of maps is the order in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clean {
    /// Texts that mean NULL in every text column.
    pub null_tokens: Vec<String>,
    /// Source columns that are not read; `""` is an unnamed column.
    pub drop: Vec<String>,
    /// Declared columns.
    pub columns: Vec<Column>,
    /// `[clean.filter] keep`: SQL; only rows for which it is TRUE go on.
    pub keep: Option<String>,
    /// Columns computed from the others.
    pub derive: Vec<Derived>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Dedup, if wanted.
    pub dedup: Option<Dedup>,
    /// What happens when files differ in their columns.
    pub drift: Drift,
}

/// A declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Output name.
    pub name: String,
    /// Other names that it had in source files.
    pub from: Vec<String>,
    /// Type; none keeps the source's.
    pub column_type: Option<ColumnType>,
    /// Formats of text that holds a date or time; empty means the default formats.
    pub formats: Vec<String>,
    /// Zone of times that carry none: `UTC` (default), or a fixed offset such as `+02:00`.
    pub time_zone: Option<String>,
    /// What a value that does not fit the type does to its row.
    pub on_bad: OnBad,
    /// Texts that mean NULL in this column, besides those of all columns.
    pub null_tokens: Vec<String>,
    /// Whether spaces around a text are taken off.
    pub trim: bool,
    /// Case that a text is brought to.
    pub case: Option<TextCase>,
    /// Value that takes the place of NULL; the row is marked.
    pub fill: Option<Literal>,
}

/// What a value that does not fit its type does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBad {
    /// The row is rejected.
    #[default]
    Reject,
    /// The value becomes NULL and the row is marked.
    Nullify,
    /// The run stops.
    Fail,
}

/// Case of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextCase {
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
}

/// A value written in the pipeline file.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `12`
    Integer(i64),
    /// `1.5`
    Float(f64),
    /// `true`
    Boolean(bool),
    /// `"N"`; dates and times are written as text too.
    Text(String),
}

/// A column computed from the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// Output name.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// SQL over the typed columns.
    pub sql: String,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name, as counted and shown.
    pub name: String,
    /// Column that it looks at; none only for `sql`.
    pub column: Option<String>,
    /// What must hold.
    pub check: Check,
    /// What happens to a row for which it does not.
    pub action: Action,
}

/// What must hold. All but `not_null` and `required_if` pass on NULL.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// The value is there.
    NotNull,
    /// The value is there in rows for which this SQL is TRUE.
    RequiredIf(String),
    /// `min <= value <= max`; at least one is given.
    Range {
        /// Lowest value that passes.
        min: Option<Literal>,
        /// Highest value that passes.
        max: Option<Literal>,
    },
    /// The value is one of these.
    OneOf(Vec<Literal>),
    /// The text matches this regular expression somewhere.
    Pattern(String),
    /// Characters of the text; at least one is given.
    Length {
        /// Fewest.
        min: Option<u64>,
        /// Most.
        max: Option<u64>,
    },
    /// The value compares so with another column.
    Compare {
        /// Operator.
        op: CompareOp,
        /// The other column.
        with: String,
    },
    /// This SQL is not FALSE.
    Sql(String),
}

/// Operator of `compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl CompareOp {
    /// As SQL and people write it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// What happens to a row that broke a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes to rejects.
    Reject,
    /// The value of the rule's column becomes NULL; the row is marked.
    Nullify,
    /// The value becomes the nearest end of the range; only with `range`; the row is marked.
    Clamp,
    /// The row is marked.
    Warn,
    /// The run stops.
    Fail,
}

/// Dedup: rows with the same key are delivered once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// Output columns that make the key.
    pub key: Vec<String>,
    /// How far a repeat is looked for.
    pub within: DedupWithin,
}

/// How far a repeat is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupWithin {
    /// In the same file.
    File,
    /// In the whole source.
    Source,
    /// Among rows whose event time is at most this far behind the highest seen, microseconds.
    Window {
        /// Length of the window, microseconds.
        length_micros: i64,
    },
}

/// What happens when files differ in their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// A known column is not in a file.
    pub missing: OnMissing,
    /// A file has a column that was not known.
    pub added: OnAdded,
    /// A column has another type than before.
    pub changed: OnChanged,
}

impl Default for Drift {
    fn default() -> Self {
        Self { missing: OnMissing::Fill, added: OnAdded::Evolve, changed: OnChanged::Cast }
    }
}

/// A known column is not in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// It is NULL (or its `fill`).
    Fill,
    /// The file is quarantined.
    Quarantine,
    /// The run stops.
    Fail,
}

/// A file has a column that was not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAdded {
    /// It is added to the tables.
    Evolve,
    /// It is left out.
    Ignore,
    /// The file is quarantined.
    Quarantine,
    /// The run stops.
    Fail,
}

/// A column has another type than before. Widening always casts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChanged {
    /// It is cast to the type that it had; what does not fit is a bad value.
    Cast,
    /// The file is quarantined.
    Quarantine,
    /// The run stops.
    Fail,
}
