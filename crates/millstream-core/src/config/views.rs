//! Reads `[[view]]`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::View;
use super::reader::section::Section;
use super::reader::{Item, Text};
use crate::status::ChartInfo;

/// Names that queries already know.
const TABLES: [&str; 5] = ["live", "archive", "unarchived", "events", "rejects"];
const NAME_FORM: &str = "a letter or `_`, then letters, digits, `_`";
const KINDS: [(&str, &str); 7] = [
    ("line", "line"),
    ("bar", "bar"),
    ("area", "area"),
    ("scatter", "scatter"),
    ("heatmap", "heatmap"),
    ("table", "table"),
    ("number", "number"),
];

pub(super) fn read_views(views: Option<Item<'_>>) -> Vec<View> {
    let Some(views) = views else { return Vec::new() };
    if !views.is_list() {
        views.mistake("this is one table or value", Some("tables that begin with `[[view]]`"));
        return Vec::new();
    }
    let mut read: Vec<View> = Vec::new();
    for item in views.list().unwrap_or_default() {
        if let Some(view) = item.section().and_then(|section| read_view(section, &read)) {
            read.push(view);
        }
    }
    read
}

/// The SQL of each view with its number, as written.
pub(super) fn texts<'d>(document: &'d DeTable<'d>) -> Vec<(usize, &'d str)> {
    let views = document.get("view").and_then(|views| views.get_ref().as_array());
    let sql = |view: &'d Spanned<DeValue<'d>>| view.get_ref().as_table()?.get("sql")?.get_ref().as_str();
    let numbered = views.into_iter().flat_map(|views| views.iter().enumerate());
    numbered.filter_map(|(number, view)| Some((number, sql(view)?))).filter(|(_, sql)| !sql.contains("${")).collect()
}

fn read_view(mut section: Section<'_>, before: &[View]) -> Option<View> {
    let name = section.require("name", NAME_FORM).and_then(|item| item.text()).filter(|name| is_free(name, before));
    let sql =
        section.require("sql", "a SELECT over live, archive, events, rejects").and_then(|item| item.filled_text());
    let chart = section.take("chart").and_then(|item| item.section()).and_then(read_chart);
    section
        .refuse("materialized", "not yet: this version runs every view when it is asked for; leave `materialized` out");
    section.finish();
    Some(View { name: name?.value, sql: sql?.value, chart })
}

fn is_free(name: &Text<'_>, before: &[View]) -> bool {
    let value = &name.value;
    let starts_well = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !starts_well || !value.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        name.mistake(format!("`{}` is not a name of a view", name.shown()), Some(NAME_FORM));
        return false;
    }
    if TABLES.iter().any(|table| table.eq_ignore_ascii_case(value)) {
        name.mistake(format!("`{}` is a table of every pipeline; give the view another name", name.shown()), None);
        return false;
    }
    if before.iter().any(|view| view.name.eq_ignore_ascii_case(value)) {
        let problem =
            format!("a view before has the name `{}` too (SQL takes no note of case); rename one", name.shown());
        name.mistake(problem, None);
        return false;
    }
    true
}

fn read_chart(mut section: Section<'_>) -> Option<ChartInfo> {
    let words = KINDS.map(|(word, _)| word).join(", ");
    let kind = section.require("kind", &words).and_then(|item| item.choice("kind of chart", &KINDS));
    let (needs, takes_none): (&[&'static str], &[&str]) = match kind {
        Some("table") => (&[], &["x", "y", "series", "value"]),
        Some("number") => (&["y"], &["x", "series", "value"]),
        Some("heatmap") => (&["x", "y", "value"], &["series"]),
        Some(_) => (&["x", "y"], &["value"]),
        None => (&[], &[]),
    };
    let mut column = |key: &'static str| {
        let item = if needs.contains(&key) { section.require(key, "a column of the view") } else { section.take(key) }?;
        if takes_none.contains(&key) {
            let kind = kind.unwrap_or_default();
            item.mistake(format!("a chart with `kind = \"{kind}\"` has no `{key}`; leave one of them out"), None);
        }
        item.filled_text().map(|text| text.value)
    };
    let (x, y, series, value) = (column("x"), column("y"), column("series"), column("value"));
    let fit = section.take("fit").and_then(|item| {
        if kind.is_some_and(|kind| kind != "scatter") {
            item.mistake("only a chart with `kind = \"scatter\"` has a `fit`; leave one of them out".to_owned(), None);
        }
        item.boolean()
    });
    section.finish();
    Some(ChartInfo { kind: kind?.to_owned(), x, y, series, value, fit: fit.unwrap_or_default() })
}
