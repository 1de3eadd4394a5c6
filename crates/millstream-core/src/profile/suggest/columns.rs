//! What is suggested for a column: its names, its type, and what stands for NULL in it.

use super::super::ColumnProfile;
use super::super::column::{Value, Values};
use super::super::draft::DraftColumn;
use super::super::names::Why;
use super::super::render::{counted, share, toml_text};
use super::super::shape::{CERTAIN_TOKENS, NULL_TOKENS, Shapes};
use crate::types::{ColumnType, ValueType};

/// Formats that need not be written, for a column takes them anyway.
const USUAL: [&str; 5] =
    ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%z"];
/// From this part of texts on a type is worth a guess, percent.
const LIKELY_PERCENT: u64 = 90;
/// Fewest texts that say something of a type.
const FEWEST_TEXTS: u64 = 2;

/// What becomes of a column.
pub(super) enum Fate {
    /// It is not read, for this reason.
    Drop(String),
    /// It is, so.
    Keep(DraftColumn),
}

/// A type for texts, and how sure it is.
struct Read {
    of: &'static str,
    formats: Vec<&'static str>,
    is_certain: bool,
    why: String,
}

pub(super) fn fate(column: &ColumnProfile) -> Fate {
    let unified = &column.unified;
    let stats = &column.stats;
    if unified.types.is_empty() {
        return Fate::Drop("a type that has no place in the tables".to_owned());
    }
    let is_unnamed = unified.from.iter().any(|(name, _)| name.is_empty() || name == "__index_level_0__");
    if (is_unnamed || unified.name == "__index_level_0__") && stats.counts_up == Some(true) && stats.nulls == 0 {
        return Fate::Drop("counts the rows of its file: an index that somebody saved along".to_owned());
    }
    let mut kept = DraftColumn { name: unified.name.clone(), ..DraftColumn::default() };
    if !unified.from.is_empty() {
        let from: Vec<String> = unified.from.iter().map(|(name, _)| toml_text(name)).collect();
        kept.settings.push(("from", format!("[{}]", from.join(", "))));
    }
    for (name, why) in &unified.from {
        let why = match why {
            Why::Spelling => continue,
            Why::Prefix(prefix) => format!("{} has {} in front", toml_text(name), toml_text(prefix)),
            Why::Abbreviation => format!("{} is taken for its short form", toml_text(name)),
            Why::Renamed => format!("tables take no column {}", toml_text(name)),
        };
        kept.notes.push(why);
    }
    set_type(column, &mut kept);
    nulls(column, &mut kept);
    Fate::Keep(kept)
}

fn set_type(column: &ColumnProfile, kept: &mut DraftColumn) {
    let types: Vec<&ValueType> =
        column.unified.types.iter().filter(|value_type| **value_type != ValueType::Null).collect();
    let scalars: Vec<ColumnType> = types.iter().filter_map(|value_type| value_type.scalar()).collect();
    let mut set = |text: &str| kept.settings.push(("type", toml_text(text)));
    match scalars.as_slice() {
        [] if types.is_empty() => {
            kept.notes.push("nothing but NULL so far: it comes with the first file that gives it a type".to_owned());
        }
        _ if scalars.len() < types.len() => {
            kept.notes.push(types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or "));
        }
        [ColumnType::Text] => set_text(column, kept),
        [only] => set(&only.to_string()),
        several if several.iter().all(|of| of.is_number()) => {
            let fits = |wide: ColumnType| several.iter().all(|of| of.widens_to(wide));
            let is_whole = column.stats.numbers.fractions == 0 && column.stats.numbers.nans == 0;
            let wide = if is_whole { ColumnType::Int64 } else { ColumnType::Float64 };
            let wide = if fits(wide) || is_whole { wide } else { ColumnType::Float64 };
            set(&wide.to_string());
            let list = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let whole = if is_whole && !fits(ColumnType::Int64) { ", always whole numbers" } else { "" };
            kept.notes.push(format!("files have {list}{whole}"));
        }
        several => {
            let list = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let others = several.iter().copied().find(|of| *of != ColumnType::Text).unwrap_or(ColumnType::Text);
            let to = if others.decimal_digits().is_some() || others == ColumnType::Boolean {
                ColumnType::Text
            } else {
                others
            };
            set(&to.to_string());
            if to != ColumnType::Text {
                kept.settings.push(("on_bad", "\"nullify\"".to_owned()));
            }
            kept.notes.push(format!("files have {list}"));
        }
    }
}

fn set_text(column: &ColumnProfile, kept: &mut DraftColumn) {
    let shapes = &column.stats.shapes;
    let read = read_as(shapes);
    let mut settings: Vec<(&'static str, String)> = Vec::new();
    if let Some(read) = &read {
        settings.push(("type", toml_text(read.of)));
        if !read.formats.is_empty() {
            let formats: Vec<String> = read.formats.iter().map(|format| toml_text(format)).collect();
            settings.push(("formats", format!("[{}]", formats.join(", "))));
        }
        let tokens: Vec<String> = (CERTAIN_TOKENS..NULL_TOKENS.len())
            .filter(|&token| shapes.tokens[token] > 0)
            .map(|token| toml_text(NULL_TOKENS[token]))
            .collect();
        if !tokens.is_empty() {
            settings.push(("null_tokens", format!("[{}]", tokens.join(", "))));
        }
    }
    let trim = (shapes.padded > 0).then(|| {
        kept.notes.push(format!("spaces at an end of {}", counted(shapes.padded, "text")));
        ("trim", "true".to_owned())
    });
    match read {
        Some(read) if read.is_certain => {
            kept.settings.append(&mut settings);
            kept.notes.push(read.why);
        }
        other @ (Some(_) | None) => {
            if let Some(read) = other {
                let before: Vec<_> = kept.settings.iter().filter(|(key, _)| *key == "from").cloned().collect();
                let guess = before
                    .into_iter()
                    .chain(settings)
                    .chain(trim.clone())
                    .chain([("on_bad", "\"nullify\"".to_owned())]);
                kept.guess = Some((guess.collect(), read.why));
            }
            kept.settings.push(("type", "\"string\"".to_owned()));
            if let Some(note) = cases(column) {
                kept.notes.push(note);
            }
        }
    }
    kept.settings.extend(trim);
}

/// What texts are read as, if all or nearly all of them are the same.
fn read_as(shapes: &Shapes) -> Option<Read> {
    let texts = shapes.texts;
    if texts < FEWEST_TEXTS {
        return None;
    }
    let certain = |of, why: &str| Some(Read { of, formats: Vec::new(), is_certain: true, why: why.to_owned() });
    let formats = shapes.formats_of_all();
    if let Some(&first) = formats.first() {
        let of = if first.contains("%H") { "timestamp" } else { "date" };
        let is_clear = first != "%Y%m%d"
            && !(first.starts_with("%d/%m") && formats.iter().any(|format| format.starts_with("%m/%d")));
        let why = match (first, is_clear) {
            ("%Y%m%d", _) => "every text is a date without signs between".to_owned(),
            (_, false) => "day and month cannot be told apart".to_owned(),
            (_, true) => format!("every text is a {}", if of == "date" { "date" } else { "time" }),
        };
        let formats = if USUAL.contains(&first) { Vec::new() } else { vec![first] };
        return Some(Read { of, formats, is_certain: is_clear, why });
    }
    if shapes.integers == texts {
        return certain("int64", "every text is a whole number");
    }
    if shapes.integers + shapes.decimals == texts {
        return certain("float64", "every text is a number");
    }
    if shapes.booleans == texts {
        return certain("boolean", "every text is true or false");
    }
    let guess = |of, fitting: u64| {
        let why = format!("{} of {texts} texts fit", share(fitting, texts));
        (fitting * 100 >= texts * LIKELY_PERCENT).then_some(Read { of, formats: Vec::new(), is_certain: false, why })
    };
    if shapes.codes > 0 {
        // Zeros in front would be lost.
        return None;
    }
    guess("int64", shapes.integers).or_else(|| guess("float64", shapes.integers + shapes.decimals))
}

/// Whether the rest of a text column is numbers or times, so that `-` and the like can only mean NULL.
pub(super) fn takes_tokens(column: &ColumnProfile) -> bool {
    column.scalar() == Some(ColumnType::Text) && read_as(&column.stats.shapes).is_some_and(|read| read.is_certain)
}

/// Texts that differ in case only.
fn cases(column: &ColumnProfile) -> Option<String> {
    let shapes = &column.stats.shapes;
    if shapes.codes > 0 && shapes.codes + shapes.integers == shapes.texts {
        return Some("digits with zeros in front, which a number would lose".to_owned());
    }
    let Values::Few(values) = &column.stats.values else { return None };
    let texts: Vec<&String> = values
        .keys()
        .filter_map(|value| match value {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        })
        .collect();
    let twin = texts.iter().find_map(|text| {
        texts
            .iter()
            .find(|other| *other != text && other.to_lowercase() == text.to_lowercase())
            .map(|other| (text, other))
    });
    twin.map(|(one, other)| {
        format!("{} and {}: add case = \"lower\" if they mean the same", toml_text(one), toml_text(other))
    })
}

fn nulls(column: &ColumnProfile, kept: &mut DraftColumn) {
    let stats = &column.stats;
    let (empty, filled) = column.empty_files();
    if stats.nulls == 0 || stats.present() == 0 {
        return;
    }
    let mut note = format!("NULL in {} ({})", counted(stats.nulls, "row"), share(stats.nulls, stats.rows));
    if !empty.is_empty() && !filled.is_empty() {
        note = format!("{note}, all of it in {}", counted(empty.len() as u64, "file"));
    }
    kept.notes.push(note);
}
