//! A draft as a pipeline file: TOML with comments.

use std::fmt::Write;

use super::draft::{Draft, DraftColumn, DraftRule};

/// What is written to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What is certain; guesses are comments.
    Final,
    /// All rules and dedup, so that what they touch can be counted.
    Trial,
}

/// Column at which comments begin, where lines are short enough.
const COMMENT_COLUMN: usize = 100;

/// The text of the pipeline file.
#[must_use]
pub fn render(draft: &Draft, form: Form) -> String {
    let mut text = String::new();
    for line in &draft.head {
        comment(&mut text, line);
    }
    let _ = write!(text, "\n[pipeline]\nname = {}\n", toml_text(&draft.name));
    if let Some(folder) = &draft.data_dir {
        let _ = writeln!(text, "data_dir = {}", toml_text(folder));
    }
    render_source(&mut text, draft);
    render_clean(&mut text, draft);
    render_rules(&mut text, draft, form);
    render_dedup(&mut text, draft, form);
    if let (Some((column, _)), Some(by)) = (&draft.event_time, draft.view_by) {
        let column = sql_name(column);
        let _ = write!(
            text,
            "\n[[view]]\nname = \"rows_by_{by}\"\nsql = {}\nchart = {{ kind = \"line\", x = \"{by}\", y = \"rows\" }}\n",
            toml_text(&format!(
                "SELECT date_trunc('{by}', {column}) AS {by}, count(*) AS rows FROM events GROUP BY 1 ORDER BY 1"
            ))
        );
    }
    if draft.rules.iter().any(|rule| is_written(rule, form)) {
        text += "\n[[view]]                         # how many rows each rule has marked\nname = \"marks\"\nsql = \"SELECT mark, count(*) AS rows FROM (SELECT unnest(_marks) AS mark FROM events) GROUP BY 1 ORDER BY 2 DESC\"\nchart = { kind = \"bar\", x = \"mark\", y = \"rows\" }\n";
    }
    text
}

fn render_source(text: &mut String, draft: &Draft) {
    text.push_str("\n[source]\n");
    for note in &draft.source_notes {
        comment(text, note);
    }
    if let [path] = draft.paths.as_slice() {
        let _ = writeln!(text, "path = {}", toml_text(path));
    } else {
        text.push_str("path = [\n");
        for path in &draft.paths {
            let _ = writeln!(text, "    {},", toml_text(path));
        }
        text.push_str("]\n");
    }
    text.push_str("# watch = true                   # go on with files that appear\n");
    match &draft.event_time {
        Some((column, why)) => line(text, &format!("event_time = {}", toml_text(column)), why),
        None => comment(text, "event_time = …   no column is certain to hold the time of the event"),
    }
}

fn render_clean(text: &mut String, draft: &Draft) {
    text.push_str("\n# Done in this order: types, filter, derived columns, rules, dedup.\n[clean]\n");
    let certain: Vec<&str> =
        draft.null_tokens.iter().filter(|token| token.is_certain).map(|token| token.text.as_str()).collect();
    if !certain.is_empty() {
        let _ = writeln!(text, "null_tokens = {}", toml_texts(&certain));
    }
    for token in &draft.null_tokens {
        let columns = token.columns.join(", ");
        let doubt = if token.is_certain { "" } else { "; does it mean NULL? then add it to null_tokens" };
        comment(
            text,
            &format!("{} stands in {} of {columns}{doubt}", toml_text(&token.text), counted(token.values, "value")),
        );
    }
    if !draft.drop.is_empty() {
        let names: Vec<&str> = draft.drop.iter().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(text, "drop = {}", toml_texts(&names));
        for (name, why) in &draft.drop {
            comment(text, &format!("{}: {why}", toml_text(name)));
        }
    }
    text.push_str(
        "\n[clean.columns]                  # the name from now on; `from`: other names that files have for it\n",
    );
    let width = draft.columns.iter().map(|column| toml_key(&column.name).chars().count()).max().unwrap_or(0).min(40);
    for column in &draft.columns {
        render_column(text, column, width);
    }
}

fn render_column(text: &mut String, column: &DraftColumn, width: usize) {
    let key = toml_key(&column.name);
    let notes = column.notes.join("; ");
    if column.settings.is_empty() {
        comment(text, &format!("{key:<width$}   {}", if notes.is_empty() { "passes as it is" } else { &notes }));
    } else {
        line(text, &format!("{key:<width$} = {}", table(&column.settings)), &notes);
    }
    if let Some((settings, why)) = &column.guess {
        comment(text, &format!("{key} = {}   # or this? {why}", table(settings)));
    }
}

fn table(settings: &[(&'static str, String)]) -> String {
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", settings.join(", "))
}

fn is_written(rule: &DraftRule, form: Form) -> bool {
    rule.is_certain || form == Form::Trial
}

fn render_rules(text: &mut String, draft: &Draft, form: Form) {
    if draft.rules.is_empty() {
        return;
    }
    text.push_str(
        "\n# `warn` only marks a row, in its column `_marks`. Where such rows are no rows for you, write `reject`; where only the value is\n\
         # wrong, `nullify`, or `clamp` for a range. Rules behind a `#` are guesses.\n[clean.rules]\n",
    );
    for rule in &draft.rules {
        let column =
            rule.column.as_ref().map_or_else(String::new, |column| format!("column = {}, ", toml_text(column)));
        let written = format!("{} = {{ {column}check = {}, action = \"warn\" }}", toml_key(&rule.name), rule.check);
        let written = if is_written(rule, form) { written } else { format!("# {written}") };
        let rows = match rule.rows {
            None => String::new(),
            Some(0) => "no row so far".to_owned(),
            Some(rows) => format!("{} ({})", counted(rows, "row"), share(rows, draft.rows)),
        };
        let note = [rows.as_str(), rule.note.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        line(text, &written, &note.join(": "));
    }
}

fn render_dedup(text: &mut String, draft: &Draft, form: Form) {
    if !draft.key_notes.is_empty() {
        text.push('\n');
    }
    for note in &draft.key_notes {
        comment(text, note);
    }
    let Some(dedup) = &draft.dedup else { return };
    let mark = if dedup.is_certain || form == Form::Trial { "" } else { "# " };
    let rows = dedup.rows.map_or_else(String::new, |rows| format!("   # leaves out {}", counted(rows, "row")));
    let key: Vec<&str> = dedup.key.iter().map(String::as_str).collect();
    let _ = writeln!(text, "{mark}[clean.dedup]{rows}\n{mark}key = {}\n{mark}within = \"source\"", toml_texts(&key));
}

/// A line with a comment behind it, or above it where the line is long.
fn line(text: &mut String, written: &str, note: &str) {
    let note = one_line(note);
    let length = written.chars().count();
    let _ = match note.as_str() {
        "" => writeln!(text, "{written}"),
        _ if length > COMMENT_COLUMN => writeln!(text, "# {note}\n{written}"),
        _ => writeln!(text, "{written}   # {note}"),
    };
}

fn comment(text: &mut String, note: &str) {
    let _ = writeln!(text, "# {}", one_line(note));
}

/// Names of files and values of theirs may hold anything.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect()
}

/// A text as a value of the pipeline file.
#[must_use]
pub fn toml_text(text: &str) -> String {
    // What looks like a variable of the environment is none here.
    toml_basic(text).replace("${", "$${")
}

/// A text as TOML writes it; `${NAME}` in it is a variable of the environment.
#[must_use]
pub fn toml_basic(text: &str) -> String {
    let mut written = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            letter if letter.is_control() => {
                let _ = write!(written, "\\u{:04X}", u32::from(letter));
            }
            letter => written.push(letter),
        }
    }
    written.push('"');
    written
}

fn toml_texts(texts: &[&str]) -> String {
    format!("[{}]", texts.iter().map(|text| toml_text(text)).collect::<Vec<_>>().join(", "))
}

/// A name as a key of TOML.
#[must_use]
pub fn toml_key(name: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { toml_basic(name) }
}

/// A name as SQL takes it, in rules and in views.
#[must_use]
pub fn sql_name(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let is_word =
        name.contains('_') && !name.starts_with("current_") && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_word && name.chars().all(is_plain) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `1 row`, `12,345 rows`
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `12,345`
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2.3 %`
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn share(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    match percent {
        percent if part > 0 && percent < 0.01 => "under 0.01 %".to_owned(),
        percent if percent < 1.0 => format!("{percent:.2} %"),
        percent => format!("{percent:.1} %"),
    }
}
