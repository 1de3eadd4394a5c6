//! Reads `[clean.columns]` and `[clean.derive]`.

use super::clean::{Column, Derived, Literal, OnBad, TextCase};
use super::reader::section::{Entry, Section};
use super::reader::{Item, Text};
use crate::types::ColumnType;

pub(super) const TYPES: &str = "int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, \
                     binary, date, timestamp";
const ON_BAD: [(&str, OnBad); 3] = [("reject", OnBad::Reject), ("nullify", OnBad::Nullify), ("fail", OnBad::Fail)];
const CASES: [(&str, TextCase); 2] = [("upper", TextCase::Upper), ("lower", TextCase::Lower)];
/// Columns that every row gets from us.
const INGESTED_AT: &str = "ingested_at";

/// A column that was read, with what its contradictions with others point at.
pub(super) struct ReadColumn<'d> {
    pub(super) column: Column,
    pub(super) entry: Entry<'d>,
    pub(super) from: Vec<Text<'d>>,
    /// Whether a `type` is there, right or wrong.
    pub(super) has_type: bool,
}

/// A derived column that was read.
pub(super) struct ReadDerived<'d> {
    /// None if its type or SQL is wrong; the name counts all the same.
    pub(super) derived: Option<Derived>,
    pub(super) entry: Entry<'d>,
}

pub(super) fn read_columns<'d>(section: &Section<'d>) -> Vec<ReadColumn<'d>> {
    section.entries().into_iter().filter_map(read_column).collect()
}

pub(super) fn read_derive<'d>(section: &Section<'d>) -> Vec<ReadDerived<'d>> {
    section.entries().into_iter().map(read_derived).collect()
}

/// Reports a name that no column of ours can have.
fn check_name(entry: &Entry<'_>) {
    if entry.name.is_empty() {
        entry.mistake("a column needs a name; an unnamed column of a file is taken with `from = [\"\"]`", None);
    } else if entry.name.starts_with('_') {
        entry.mistake("names that begin with `_` are kept for `_file`, `_row` and the like; choose another", None);
    } else if entry.name.eq_ignore_ascii_case(INGESTED_AT) {
        entry.mistake(
            "every row has a column `ingested_at` of its own; choose another name and put this one in `from`",
            None,
        );
    }
}

fn read_column(entry: Entry<'_>) -> Option<ReadColumn<'_>> {
    check_name(&entry);
    let mut section = entry.item.section()?;
    let from = section.texts("from");
    let type_item = section.take("type");
    let column_type = type_item.as_ref().and_then(column_type);
    let formats_item = section.take("formats");
    let formats = formats_item.as_ref().and_then(Item::list).unwrap_or_default();
    let formats: Vec<Text<'_>> = formats.iter().filter_map(Item::filled_text).filter(is_format).collect();
    let zone_item = section.take("time_zone");
    let time_zone = zone_item.as_ref().and_then(time_zone);
    let on_bad = section.choice("on_bad", "action", OnBad::Reject, &ON_BAD);
    let null_tokens = values(section.texts("null_tokens"));
    let trim = section.boolean("trim", false);
    let case_item = section.take("case");
    let case = case_item.as_ref().and_then(|item| item.choice("case", &CASES));
    let fill_item = section.take("fill");
    let fill = fill_item.as_ref().and_then(Item::literal);
    section.finish();

    // With a type that could not be read nothing can be said about what suits it.
    if type_item.is_none() || column_type.is_some() {
        let is_time = matches!(column_type, Some(ColumnType::Timestamp | ColumnType::Date));
        let zone_fits = matches!(column_type, None | Some(ColumnType::Timestamp));
        let is_text = matches!(column_type, None | Some(ColumnType::Text));
        needs_type(formats_item.as_ref(), "formats", is_time, "`timestamp` or `date`");
        needs_type(zone_item.as_ref(), "time_zone", zone_fits, "`timestamp`");
        needs_type(case_item.as_ref(), "case", is_text, "`string`");
        if let (Some(item), Some(fill), Some(column_type)) = (&fill_item, &fill, column_type)
            && !literal_fits(fill, column_type)
        {
            item.mistake("`fill` is not of the column's `type`; change one of them", None);
        }
    }
    let column = Column {
        name: entry.name.to_owned(),
        from: values(from.clone()),
        column_type,
        formats: values(formats),
        time_zone,
        on_bad,
        null_tokens,
        trim,
        case,
        fill,
    };
    Some(ReadColumn { column, entry, from, has_type: type_item.is_some() })
}

fn needs_type(item: Option<&Item<'_>>, setting: &str, fits: bool, types: &str) {
    if let Some(item) = item.filter(|_| !fits) {
        item.mistake(format!("`{setting}` needs `type` to be {types}; change `type` or leave `{setting}` out"), None);
    }
}

fn read_derived(entry: Entry<'_>) -> ReadDerived<'_> {
    check_name(&entry);
    let derived = entry.item.section().and_then(|mut section| {
        let column_type = section.require("type", TYPES).and_then(|item| column_type(&item));
        let sql = section.require("sql", "SQL over the columns").and_then(|item| item.filled_text());
        section.finish();
        Some(Derived { name: entry.name.to_owned(), column_type: column_type?, sql: sql?.value })
    });
    ReadDerived { derived, entry }
}

pub(super) fn values(texts: Vec<Text<'_>>) -> Vec<String> {
    texts.into_iter().map(|text| text.value).collect()
}

fn column_type(item: &Item<'_>) -> Option<ColumnType> {
    let text = item.text()?;
    text.value.parse().ok().or_else(|| item.not_a(&text, "a type", TYPES))
}

/// `UTC` or a fixed offset up to 14 hours.
fn time_zone(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let allowed = "UTC, or a fixed offset from -14:00 to +14:00 such as \"+02:00\"";
    if text.value == "UTC" || is_offset(&text.value) {
        Some(text.value)
    } else {
        item.not_a(&text, "a time zone", allowed)
    }
}

fn is_offset(text: &str) -> bool {
    let [b'+' | b'-', h1, h2, b':', m1, m2] = text.as_bytes() else { return false };
    let digits = [h1, h2, m1, m2];
    if !digits.iter().all(|digit| digit.is_ascii_digit()) {
        return false;
    }
    let [h1, h2, m1, m2] = digits.map(|digit| u32::from(digit - b'0'));
    let (hours, minutes) = (h1 * 10 + h2, m1 * 10 + m2);
    minutes < 60 && hours * 60 + minutes <= 14 * 60
}

/// Whether a text is a format that both engines read alike; reports it otherwise.
fn is_format(text: &Text<'_>) -> bool {
    match check_format(&text.value) {
        Ok(()) => true,
        Err(problem) => {
            let allowed =
                "%Y, %m, %d, %H, %M, %S, %.f (a fraction that may be absent), %z, and other letters as they are";
            text.mistake(format!("`{}`: {problem}", text.shown()), Some(allowed));
            false
        }
    }
}

fn check_format(format: &str) -> Result<(), String> {
    let mut pieces: Vec<&str> = Vec::new();
    let mut rest = format;
    let mut behind_seconds = false;
    while let Some(letter) = rest.chars().next() {
        let piece = ["%Y", "%m", "%d", "%H", "%M", "%S", "%.f", "%z"].into_iter().find(|piece| rest.starts_with(piece));
        match piece {
            Some(piece) if pieces.contains(&piece) => return Err(format!("`{piece}` is there twice")),
            Some("%.f") if !behind_seconds => return Err("`%.f` stands directly behind `%S` only".to_owned()),
            Some(piece) => pieces.push(piece),
            None if letter == '%' => {
                let unknown: String = rest.chars().take(2).collect();
                return Err(format!("unknown piece `{unknown}`"));
            }
            None => {}
        }
        behind_seconds = piece == Some("%S");
        rest = &rest[piece.map_or(letter.len_utf8(), str::len)..];
    }
    let needs = [("%Y", true), ("%m", true), ("%d", true)];
    let time = [("%H", pieces.contains(&"%M")), ("%M", pieces.contains(&"%S")), ("%H", pieces.contains(&"%z"))];
    match needs.into_iter().chain(time).find(|(piece, needed)| *needed && !pieces.contains(piece)) {
        Some((piece, _)) => Err(format!("`{piece}` is missing")),
        None => Ok(()),
    }
}

/// Whether a value of the pipeline file can be one of this type.
pub(super) fn literal_fits(literal: &Literal, column_type: ColumnType) -> bool {
    match (column_type, literal) {
        (ColumnType::Int8, Literal::Integer(number)) => i8::try_from(*number).is_ok(),
        (ColumnType::Int16, Literal::Integer(number)) => i16::try_from(*number).is_ok(),
        (ColumnType::Int32, Literal::Integer(number)) => i32::try_from(*number).is_ok(),
        (ColumnType::Int64, Literal::Integer(_))
        | (
            ColumnType::Float32 | ColumnType::Float64 | ColumnType::Decimal { .. },
            Literal::Integer(_) | Literal::Float(_),
        )
        | (ColumnType::Boolean, Literal::Boolean(_))
        | (ColumnType::Text | ColumnType::Binary | ColumnType::Date | ColumnType::Timestamp, Literal::Text(_)) => true,
        (_, Literal::Integer(_) | Literal::Float(_) | Literal::Boolean(_) | Literal::Text(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_known_pieces_are_taken() {
        for format in ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f%z", "%d.%m.%Y %H:%M", "%Y%m%d", "%Y年%m月%d日"] {
            assert_eq!(check_format(format), Ok(()), "{format}");
        }
    }

    #[test]
    fn a_wrong_piece_of_a_format_is_named() {
        let cases = [
            ("%y-%m-%d", "unknown piece `%y`"),
            ("%Y-%m-%d %I:%M %p", "unknown piece `%I`"),
            ("%Y-%m-%d%%", "unknown piece `%%`"),
            ("%Y-%m-%d %", "unknown piece `%`"),
            ("%Y-%m-%d %é", "unknown piece `%é`"),
            ("%Y-%m", "`%d` is missing"),
            ("%Y-%m-%d %M", "`%H` is missing"),
            ("%Y-%m-%d %H %S", "`%M` is missing"),
            ("%Y-%m-%d%z", "`%H` is missing"),
            ("%Y-%Y-%m-%d", "`%Y` is there twice"),
            ("%Y-%m-%d %H:%M%.f", "`%.f` stands directly behind `%S` only"),
        ];
        for (format, problem) in cases {
            assert_eq!(check_format(format), Err(problem.to_owned()), "{format}");
        }
    }

    #[test]
    fn offsets_reach_fourteen_hours() {
        for (text, is) in [
            ("+02:00", true),
            ("-14:00", true),
            ("+14:01", false),
            ("+2:00", false),
            ("+01:60", false),
            ("02:00", false),
        ] {
            assert_eq!(is_offset(text), is, "{text}");
        }
    }
}
