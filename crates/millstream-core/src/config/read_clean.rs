//! Reads `[clean]` as a whole.

use super::clean::{Clean, Dedup, DedupWithin, Drift, OnAdded, OnChanged, OnMissing};
use super::columns::{ReadColumn, TYPES, read_columns, read_derive, values};
use super::reader::section::Section;
use super::reader::{Item, Text};
use super::references::References;
use super::rules::read_rules;
use crate::types::ColumnType;
use crate::units;

/// Settings of other sections that speak of columns.
pub(super) struct Mentions<'m, 'd> {
    /// `source.event_time`
    pub(super) event_time: Option<&'m Item<'d>>,
    /// `stream.key`
    pub(super) key: &'m [Text<'d>],
    /// `stream.kafka.foreign`, if it is true.
    pub(super) foreign: Option<&'m Item<'d>>,
}

/// Reads `[clean]`, and checks what other sections say about its columns.
pub(super) fn read_clean(mut section: Section<'_>, mentions: &Mentions<'_, '_>) -> Clean {
    let event_time = mentions.event_time;
    let null_tokens = section.texts("null_tokens");
    let drop = section.texts("drop");
    let columns_section = section.section("columns");
    let columns = read_columns(&columns_section);
    if let Some(foreign) = mentions.foreign {
        check_foreign(foreign, columns_section.entries().is_empty(), &columns);
    }
    let keep = read_keep(&mut section);
    let derived = read_derive(&section.section("derive"));
    let references = References { columns: &columns, derived: &derived, drop: &drop };
    references.check_each_other();
    let rules = read_rules(&section.section("rules"), &references);
    let dedup = section.take("dedup");
    if let (Some(item), Some(_)) = (&dedup, mentions.foreign) {
        item.mistake(
            "repeats are found by the order of files and rows, and with `stream.kafka.foreign` there are no files; leave one of them out",
            None,
        );
    }
    let dedup = dedup.and_then(|item| item.section());
    let dedup = dedup.and_then(|section| read_dedup(section, &references, event_time.is_some()));
    let drift = read_drift(section.section("drift"));
    section.finish();
    if let Some(text) = event_time.and_then(quiet_text) {
        check_event_time(&text, &references);
    }
    check_key(mentions.key, &references);
    Clean {
        null_tokens: values(null_tokens),
        drop: values(drop.clone()),
        keep,
        rules,
        dedup,
        drift,
        columns: columns.into_iter().map(|read| read.column).collect(),
        derive: derived.into_iter().filter_map(|read| read.derived).collect(),
    }
}

/// The text of an item that another reader looks at too; that one reports what is wrong with it.
fn quiet_text<'d>(item: &Item<'d>) -> Option<Text<'d>> {
    item.quietly().filter(|text| !text.value.trim().is_empty())
}

fn read_keep(section: &mut Section<'_>) -> Option<String> {
    let mut filter = section.take("filter")?.section()?;
    let keep = filter.require("keep", "SQL; rows for which it is TRUE go on").and_then(|item| item.filled_text());
    filter.finish();
    keep.map(|text| text.value)
}

fn check_event_time(text: &Text<'_>, references: &References<'_, '_>) {
    references.check(text);
    let column_type = references.type_of(&text.value);
    if column_type.is_some_and(|column_type| column_type != ColumnType::Timestamp) {
        let problem = format!(
            "`source.event_time` names `{}`, whose `type` in `[clean]` is not `timestamp`; change one of them",
            text.shown()
        );
        text.mistake(problem, None);
    }
}

/// A topic that another program writes brings no types.
fn check_foreign(foreign: &Item<'_>, nothing_declared: bool, columns: &[ReadColumn<'_>]) {
    if nothing_declared {
        foreign.mistake(
            "`stream.kafka.foreign` needs `[clean.columns]`: it says which columns the JSON of another program has, and their \
             types; declare at least one there",
            None,
        );
    }
    for column in columns.iter().filter(|column| !column.has_type) {
        column.entry.mistake(
            "`stream.kafka.foreign` needs a `type` for every column here, for the JSON of another program has none; add `type`",
            Some(TYPES),
        );
    }
}

/// Columns that make a key.
fn check_key(key: &[Text<'_>], references: &References<'_, '_>) {
    for (index, column) in key.iter().enumerate() {
        references.check(column);
        if key[..index].iter().any(|before| before.value == column.value) {
            column.mistake(format!("`{}` is in the key twice; take one out", column.shown()), None);
        }
    }
}

fn read_dedup(mut section: Section<'_>, references: &References<'_, '_>, has_event_time: bool) -> Option<Dedup> {
    let key_item = section.require("key", "a list of columns");
    let key: Vec<Text<'_>> =
        key_item.as_ref().and_then(Item::list).unwrap_or_default().iter().filter_map(Item::filled_text).collect();
    check_key(&key, references);
    if let Some(item) = key_item.filter(|item| item.list_len() == Some(0)) {
        item.mistake("this is empty", Some("at least one column"));
    }
    let within = section.require("within", "\"file\", \"source\", or a duration of event time such as \"45d\"");
    let within = within.and_then(|item| read_within(&item, has_event_time));
    section.finish();
    Some(Dedup { key: values(key), within: within? })
}

fn read_within(item: &Item<'_>, has_event_time: bool) -> Option<DedupWithin> {
    let text = item.text()?;
    match text.value.as_str() {
        "file" => return Some(DedupWithin::File),
        "source" => return Some(DedupWithin::Source),
        _ => {}
    }
    let allowed = "\"file\", \"source\", or a duration of event time such as \"45d\"";
    let Ok(length) = units::parse_duration(&text.value) else {
        return item.not_a(&text, "a reach of dedup", allowed);
    };
    if !has_event_time {
        item.mistake(
            "a window `clean.dedup.within` needs `source.event_time` to measure it by; name that column, or take \"file\" or \
             \"source\"",
            None,
        );
    }
    match i64::try_from(length.as_micros()) {
        Ok(length_micros) if length_micros > 0 => Some(DedupWithin::Window { length_micros }),
        Ok(_) | Err(_) => {
            item.mistake("out of range", Some("1ms to 106751991d"));
            None
        }
    }
}

fn read_drift(mut section: Section<'_>) -> Drift {
    let default = Drift::default();
    let missing = [("fill", OnMissing::Fill), ("quarantine", OnMissing::Quarantine), ("fail", OnMissing::Fail)];
    let added = [
        ("evolve", OnAdded::Evolve),
        ("ignore", OnAdded::Ignore),
        ("quarantine", OnAdded::Quarantine),
        ("fail", OnAdded::Fail),
    ];
    let changed = [("cast", OnChanged::Cast), ("quarantine", OnChanged::Quarantine), ("fail", OnChanged::Fail)];
    let drift = Drift {
        missing: section.choice("missing", "action", default.missing, &missing),
        added: section.choice("added", "action", default.added, &added),
        changed: section.choice("changed", "action", default.changed, &changed),
    };
    section.finish();
    drift
}
