//! From a profile to a draft. What the data show beyond doubt is certain; all else is a guess. No rule takes a row away.

mod columns;
mod keys;
mod rules;

use super::Profile;
use super::draft::{Draft, DraftColumn, Token};
use super::names::words;
use super::render::{counted, grouped};
use super::shape::{CERTAIN_TOKENS, NULL_TOKENS};

/// Where a pipeline file is to be written, and of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// `pipeline.name`
    pub name: String,
    /// `pipeline.data_dir`, if it is not the usual one.
    pub data_dir: Option<String>,
    /// `source.path`
    pub paths: Vec<String>,
    /// How the file came about, for its head.
    pub made_by: String,
}

/// Columns that are named in a comment.
const NAMED: usize = 4;
/// Below this part of columns in common, files are of different kinds, percent.
const ALIKE_PERCENT: usize = 50;

/// The pipeline file that a profile suggests.
#[must_use]
pub fn suggest(profile: &Profile, frame: Frame) -> Draft {
    let mut draft = Draft {
        name: frame.name,
        data_dir: frame.data_dir,
        paths: frame.paths,
        head: head(profile, &frame.made_by),
        rows: profile.rows,
        is_whole: profile.is_whole(),
        ..Draft::default()
    };
    draft.source_notes = kinds(profile);
    draft.null_tokens = tokens(profile);
    for column in &profile.columns {
        match columns::fate(column) {
            columns::Fate::Drop(why) => {
                draft.drop.extend(column.unified.source_names().map(|name| (name.to_owned(), why.clone())));
            }
            columns::Fate::Keep(kept) => draft.columns.push(kept),
        }
    }
    draft.event_time = event_time(profile, &draft.columns);
    draft.view_by = draft.event_time.as_ref().and_then(|(name, _)| rules::width(profile, name));
    draft.rules = rules::rules(profile, &draft);
    keys::keys(profile, &mut draft);
    draft
}

fn head(profile: &Profile, made_by: &str) -> Vec<String> {
    let rows: u64 = profile.files.iter().map(|file| file.rows).sum();
    let files = counted(profile.files.len() as u64, "file");
    let read = if profile.is_whole() {
        format!("read: all {} of {files}", counted(rows, "row"))
    } else {
        format!(
            "read: {} of {} in {files}, a sample; counts below are of these rows",
            grouped(profile.rows),
            counted(rows, "row")
        )
    };
    vec![made_by.to_owned(), read]
}

/// Whether files look like two tables rather than one.
fn kinds(profile: &Profile) -> Vec<String> {
    let of = |file: usize| -> Vec<usize> {
        (0..profile.columns.len()).filter(|&place| profile.columns[place].unified.files.contains(&file)).collect()
    };
    let Some(main) = (0..profile.files.len()).max_by_key(|&file| (of(file).len(), usize::MAX - file)) else {
        return Vec::new();
    };
    // The kind that most files are of: those like the first file of the widest are counted.
    let like = |one: usize| {
        let columns = of(one);
        move |other: &usize, others: &[usize]| {
            let common = others.iter().filter(|place| columns.contains(place)).count();
            let all = columns.len() + others.len() - common;
            *other == one || common * 100 >= all * ALIKE_PERCENT
        }
    };
    let alike = like(main);
    let filled: Vec<usize> = (0..profile.files.len()).filter(|&file| profile.files[file].rows > 0).collect();
    let strangers: Vec<usize> = filled.iter().copied().filter(|file| !alike(file, &of(*file))).collect();
    if strangers.is_empty() {
        return Vec::new();
    }
    let is_fewer = strangers.len() * 2 <= filled.len();
    let odd: Vec<usize> =
        if is_fewer { strangers } else { filled.into_iter().filter(|file| !strangers.contains(file)).collect() };
    let named: Vec<&str> = odd.iter().take(NAMED).map(|&file| profile.files[file].file.as_str()).collect();
    let more = odd.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    vec![
        format!("These have other columns than the rest, and look like another table: {}{more}.", named.join(", ")),
        "All of it goes into one table here, with NULL for what a file lacks. If that is not meant, narrow `path`, and give them a".to_owned(),
        "pipeline of their own (`millstream init` with their names).".to_owned(),
    ]
}

fn tokens(profile: &Profile) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, text) in NULL_TOKENS.iter().enumerate() {
        let with = || profile.columns.iter().filter(|column| column.stats.shapes.tokens[number] > 0);
        let values = with().map(|column| column.stats.shapes.tokens[number]).sum();
        // Where everything else is a number or a time, the column itself says so.
        let open = with().filter(|column| number < CERTAIN_TOKENS || !columns::takes_tokens(column));
        let columns: Vec<String> = open.take(NAMED).map(|column| column.unified.name.clone()).collect();
        if !columns.is_empty() {
            tokens.push(Token { text: (*text).to_owned(), values, columns, is_certain: number < CERTAIN_TOKENS });
        }
    }
    tokens
}

/// The column that most likely has the time of the event.
fn event_time(profile: &Profile, drafted: &[DraftColumn]) -> Option<(String, String)> {
    const LIKELY: [&str; 19] = [
        "event",
        "occurred",
        "pickup",
        "created",
        "started",
        "start",
        "begin",
        "ordered",
        "order",
        "purchase",
        "transaction",
        "timestamp",
        "ts",
        "datetime",
        "time",
        "hour",
        "date",
        "at",
        "when",
    ];
    let is_time =
        |column: &&DraftColumn| column.settings.iter().any(|(key, value)| *key == "type" && value == "\"timestamp\"");
    let mut best: Option<(usize, u64, &DraftColumn)> = None;
    for column in drafted.iter().filter(is_time) {
        let Some(found) = profile.column(&column.name) else { continue };
        let lacking = found.stats.nulls + profile.rows.saturating_sub(found.stats.rows);
        if found.stats.present() == 0 || lacking * 20 > profile.rows {
            continue;
        }
        let words = words(&column.name);
        let rank = LIKELY.iter().position(|likely| words.iter().any(|word| word == likely)).unwrap_or(LIKELY.len());
        if best.is_none_or(|(before, ..)| rank < before) {
            best = Some((rank, lacking, column));
        }
    }
    best.map(|(_, lacking, column)| {
        let others = drafted.iter().filter(is_time).filter(|other| other.name != column.name);
        let others: Vec<&str> = others.map(|other| other.name.as_str()).take(NAMED).collect();
        let mut why = "fixed at the first run".to_owned();
        if !others.is_empty() {
            why = format!("{why}; or {}?", others.join(", "));
        }
        if lacking > 0 {
            why = format!("{why}; NULL in {}", counted(lacking, "row"));
        }
        (column.name.clone(), why)
    })
}
