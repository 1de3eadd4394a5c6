//! What a check found, for people: nothing wider than 80 columns but names and values.

use crate::cli::number::{bytes, count, counted};
use crate::profile::trial::{BeforeAfter, Trial, Value};
use crate::profile::views::PlannedView;

/// Files that are listed; those with a problem are listed all.
const LISTED: usize = 20;
/// Columns of a row that are shown, those that change first.
const COLUMNS: usize = 24;
/// Characters of a value.
const VALUE: usize = 25;
/// Characters of a name.
const NAME: usize = 24;

pub(super) fn report(tried: &Trial, views: &[PlannedView]) -> String {
    let mut lines = Vec::new();
    files(tried, &mut lines);
    for column in &tried.absent {
        lines.push(format!(
            "! `clean.columns.{column}`: no file has this column, so all of it will be NULL or `fill`; is its name, or `from`, right?"
        ));
    }
    for reason in &tried.not_by_spark {
        lines.push(format!("! {reason}; DataFusion cleans it, and with `[clean.spark]` it would be quarantined"));
    }
    if tried.rows > 0 {
        outcome(tried, &mut lines);
        rules(tried, &mut lines);
        for example in &tried.examples {
            before_after(example, &mut lines);
        }
    }
    if !views.is_empty() {
        lines.push(String::new());
    }
    for view in views {
        let columns: Vec<String> = view.columns.iter().map(|(name, of)| format!("{name} {of}")).collect();
        lines.push(format!("view `{}` gives {}", view.name, columns.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn files(tried: &Trial, lines: &mut Vec<String>) {
    let size = tried.files.iter().map(|file| file.size_bytes).sum();
    let number = tried.files.len() as u64;
    lines.push(format!("`source.path` matches {}, {}:", counted(number, "file"), bytes(size)));
    let mut left_out = 0;
    for (at, file) in tried.files.iter().enumerate() {
        if at >= LISTED && file.problem.is_none() {
            left_out += 1;
            continue;
        }
        lines.push(format!("  {:>10} {:>14}  {}", bytes(file.size_bytes), counted(file.rows, "row"), file.file));
        if let Some(problem) = &file.problem {
            lines.push(format!("                             ! {problem}"));
        }
    }
    if left_out > 0 {
        lines.push(format!("  and {}", counted(left_out, "more file")));
    }
}

fn outcome(tried: &Trial, lines: &mut Vec<String>) {
    let of = if tried.rows < tried.rows_in_files {
        format!("{} of {}, a sample (`--full` cleans all)", count(tried.rows), counted(tried.rows_in_files, "row"))
    } else {
        format!("all {}", counted(tried.rows, "row"))
    };
    lines.push(format!("\ncleaned {of}; nothing was written:\n"));
    let marked = if tried.marked > 0 { format!(", {} of them marked", count(tried.marked)) } else { String::new() };
    lines.push(format!("{:>13} delivered{marked}", count(tried.delivered)));
    lines.push(format!("{:>13} rejected", count(tried.rejected)));
    lines.push(format!("{:>13} filtered", count(tried.filtered)));
    match &tried.duplicates_unknown {
        None => lines.push(format!("{:>13} duplicates", count(tried.duplicates))),
        Some(why) => lines.push(format!("{:>13} duplicates or more; not counted on: {why}", count(tried.duplicates))),
    }
}

fn rules(tried: &Trial, lines: &mut Vec<String>) {
    if tried.rules.is_empty() {
        return;
    }
    let width = tried.rules.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or(0).clamp(4, 48);
    lines.push(format!("\n{:<width$}  {:<8} {:>12}", "rule", "action", "rows"));
    for rule in &tried.rules {
        lines.push(format!("{:<width$}  {:<8} {:>12}", rule.rule, rule.action, count(rule.rows)));
        if let Some(touched) = &rule.example {
            lines.push(format!("    {} row {}", touched.file, touched.row));
            lines.push(format!("    {}", one_line(&touched.what)));
        }
    }
}

fn before_after(example: &BeforeAfter, lines: &mut Vec<String>) {
    let rules = example.rules.join(", ");
    let fate = match example.fate {
        "marked" => format!("delivered, marked: {rules}"),
        "rejected" => format!("rejected: {rules}"),
        other => other.to_owned(),
    };
    lines.push(format!("\n{} row {}, {fate}", example.file, example.row));
    let is_rejected = example.fate == "rejected";
    lines.push(format!("  {:<NAME$}  {:<VALUE$}  {}", "column", "before", if is_rejected { "" } else { "after" }));
    let changes = |value: &&Value| value.before != value.after || value.from.as_ref() != Some(&value.column);
    let mut shown: Vec<&Value> = example.values.iter().collect();
    if shown.len() > COLUMNS {
        shown.sort_by_key(|value| !changes(value));
        shown.truncate(COLUMNS);
    }
    for value in &shown {
        let before = cut(value.before.as_deref().unwrap_or("-"), VALUE);
        let after = value.after.as_deref().map_or_else(String::new, |after| cut(after, VALUE));
        let renamed = value.from.as_ref().filter(|from| **from != value.column);
        let line = format!("  {:<NAME$}  {before:<VALUE$}  {after}", cut(&value.column, NAME));
        lines.push(line.trim_end().to_owned());
        if let Some(from) = renamed {
            lines.push(format!("    from {}", one_line(from)));
        }
    }
    if shown.len() < example.values.len() {
        lines.push(format!("  and {}", counted((example.values.len() - shown.len()) as u64, "more column")));
    }
}

fn cut(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width - 1).chain(std::iter::once('…')).collect()
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect()
}
