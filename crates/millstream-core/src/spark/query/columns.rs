//! From the rows of the file to typed and filled columns.

use std::ops::Range;

use super::{Layer, METRIC_MODIFIED, METRIC_SIZES, Named, OBSERVED_FILE, ROW};
use crate::expr::Expr;
use crate::plan::{FilePlan, PlannedColumn};
use crate::spark::Refusal;
use crate::spark::emit::literal::literal;
use crate::spark::emit::{emit, quoted, value_type_name};
use crate::spark::schema::{self, Leaf, Read};

/// Size and time of modification of the file that a row was read from.
const SIZE: &str = "_size";
const MODIFIED: &str = "_modified";

/// How columns are read and typed.
pub(super) struct Typing {
    /// Schema of the file.
    pub(super) schema: String,
    /// The layers up to `c0…`.
    pub(super) layers: Vec<Layer>,
    /// For each typed column whether a value can be bad: then there is an `x`.
    pub(super) bad: Vec<bool>,
}

/// Reads and types the columns of a plan.
pub(super) fn typed(plan: &FilePlan, leaves: &[Leaf], rows: &Range<u64>) -> Result<Typing, Refusal> {
    let read = plan.source.iter().map(|column| schema::read(column, leaves)).collect::<Result<Vec<_>, _>>()?;
    let fields: Vec<_> = plan
        .source
        .iter()
        .zip(&read)
        .map(|(column, read)| schema::field_json(&column.name, &read.spark_type))
        .collect();
    let mut layers = vec![as_read(plan), file_as_read()];
    layers.extend(only_rows(rows));
    layers.push(base(&read));
    layers.extend(prepared(plan, &read)?);
    layers.push(values(plan, &read)?);
    layers.push(filled(plan, &read));
    let bad = plan.columns.iter().map(|column| can_be_bad(column, &read)).collect();
    Ok(Typing { schema: schema::struct_json(&fields).to_string(), layers, bad })
}

/// Columns by their places from here on. Spark's own column gets underscores in front as long as the file has one of its name.
fn as_read(plan: &FilePlan) -> Layer {
    let mut own = "_metadata".to_owned();
    while plan.source.iter().any(|column| column.name == own) {
        own.insert(0, '_');
    }
    let mut columns = vec![
        Named::new(format!("{own}.row_index"), ROW),
        Named::new(format!("{own}.file_size"), SIZE),
        Named::new(format!("unix_millis({own}.file_modification_time)"), MODIFIED),
    ];
    columns.extend(
        plan.source.iter().enumerate().map(|(place, column)| Named::new(quoted(&column.name), format!("s{place}"))),
    );
    Layer::Project(columns)
}

/// Which state of the file was read.
fn file_as_read() -> Layer {
    let ends = |column: &str, [least, most]: [&str; 2]| {
        [Named::new(format!("min({column})"), least), Named::new(format!("max({column})"), most)]
    };
    let metrics = ends(SIZE, METRIC_SIZES).into_iter().chain(ends(MODIFIED, METRIC_MODIFIED)).collect();
    Layer::Observe { name: OBSERVED_FILE.to_owned(), metrics }
}

fn only_rows(rows: &Range<u64>) -> Option<Layer> {
    let from = (rows.start > 0).then(|| format!("{ROW} >= {}L", rows.start));
    let to = (rows.end < u64::MAX).then(|| format!("{ROW} < {}L", rows.end));
    let parts: Vec<String> = from.into_iter().chain(to).collect();
    (!parts.is_empty()).then(|| Layer::Filter(parts.join(" AND ")))
}

fn base(read: &[Read]) -> Layer {
    let mut columns = vec![Named::same(ROW)];
    for (place, read) in read.iter().enumerate() {
        let stored = format!("s{place}");
        let value = read.becomes.sql(&stored);
        if read.becomes.loses() {
            columns.push(Named::new(format!("({stored} IS NOT NULL AND {value} IS NULL)"), format!("l{place}")));
        }
        columns.push(Named::new(value, format!("r{place}")));
    }
    Layer::Project(columns)
}

/// Spaces off, then tokens to NULL: `p0…`, by the places of the typed columns.
fn prepared(plan: &FilePlan, read: &[Read]) -> Result<Vec<Layer>, Refusal> {
    let mut trimmed = vec![Named::same(ROW)];
    let mut without_tokens = vec![Named::same(ROW)];
    for (place, column) in plan.columns.iter().enumerate() {
        let Some(source) = column.source else { continue };
        let (raw, name) = (format!("r{source}"), format!("p{place}"));
        let sql = column.prepare.as_ref().map_or(Ok(raw.clone()), |prepare| over(column, prepare, &raw))?;
        trimmed.push(Named::new(sql, name.clone()));
        let sql = match &column.null_when {
            Some(tokens) => format!("CASE WHEN {} THEN NULL ELSE {name} END", over(column, tokens, &name)?),
            None => name.clone(),
        };
        without_tokens.push(Named::new(sql, name));
    }
    trimmed.extend(lost(read));
    without_tokens.extend(lost(read));
    let tokens = plan.columns.iter().any(|column| column.null_when.is_some());
    let mut layers = vec![Layer::Project(trimmed)];
    layers.extend(tokens.then_some(Layer::Project(without_tokens)));
    Ok(layers)
}

/// `v0…`.
fn values(plan: &FilePlan, read: &[Read]) -> Result<Layer, Refusal> {
    let mut columns = vec![Named::same(ROW)];
    for (place, column) in plan.columns.iter().enumerate() {
        let prepared = format!("p{place}");
        let value = match (column.source, &column.value) {
            (None, _) => format!("CAST(NULL AS {})", value_type_name(&column.value_type)),
            (Some(_), None) => prepared,
            (Some(_), Some(value)) => {
                columns.push(Named::same(prepared.clone()));
                over(column, value, &prepared)?
            }
        };
        columns.push(Named::new(value, format!("v{place}")));
    }
    columns.extend(lost(read));
    Ok(Layer::Project(columns))
}

/// `c0…`, `f0…` where a value can be filled, and `x0…` where it can be bad.
fn filled(plan: &FilePlan, read: &[Read]) -> Layer {
    let mut columns = vec![Named::same(ROW)];
    for (place, column) in plan.columns.iter().enumerate() {
        let value = format!("v{place}");
        if can_be_bad(column, read) {
            let misfit = column.value.is_some().then(|| format!("(p{place} IS NOT NULL AND {value} IS NULL)"));
            let lost = column.source.filter(|source| loses(read, *source)).map(|source| format!("l{source}"));
            let bad: Vec<String> = lost.into_iter().chain(misfit).collect();
            columns.push(Named::new(bad.join(" OR "), format!("x{place}")));
        }
        match &column.fill {
            Some(fill) => {
                columns.push(Named::new(format!("({value} IS NULL)"), format!("f{place}")));
                columns.push(Named::new(format!("coalesce({value}, {})", literal(fill)), format!("c{place}")));
            }
            None => columns.push(Named::new(value, format!("c{place}"))),
        }
    }
    Layer::Project(columns)
}

/// Whether a value of a column can be there before it is typed, and be NULL after.
fn can_be_bad(column: &PlannedColumn, read: &[Read]) -> bool {
    column.source.is_some_and(|source| column.value.is_some() || loses(read, source))
}

fn loses(read: &[Read], source: usize) -> bool {
    read.get(source).is_some_and(|read| read.becomes.loses())
}

fn lost(read: &[Read]) -> impl Iterator<Item = Named> {
    (0..read.len()).filter(|source| loses(read, *source)).map(|source| Named::same(format!("l{source}")))
}

/// An expression over a single column, here of this name.
fn over(column: &PlannedColumn, expr: &Expr, name: &str) -> Result<String, Refusal> {
    emit(expr, &|_| name.to_owned()).map_err(|reason| Refusal { what: format!("column `{}`", column.name), reason })
}
