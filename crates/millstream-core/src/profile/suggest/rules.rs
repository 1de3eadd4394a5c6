//! Rules that the data suggest. All of them only mark rows.

use super::super::column::{Value, Values, whole};
use super::super::draft::{Draft, DraftColumn, DraftRule};
use super::super::keys::hash_whole;
use super::super::names::words;
use super::super::render::{counted, sql_name, toml_text};
use super::super::{ColumnProfile, Profile};
use crate::original::{float_text, timestamp_text};
use crate::types::ColumnType;

/// Up to this part of rows may lack what the others have, percent.
const LACKING_PERCENT: u64 = 10;
/// Up to this part of numbers may be below 0, percent.
const NEGATIVE_PERCENT: u64 = 2;
/// Up to this part of numbers may be 0, percent.
const ZERO_PERCENT: u64 = 5;
/// Fewest zeros that are worth a guess.
const FEWEST_ZEROS: u64 = 5;
/// A bound is this many times the value that all but one in a thousand are under.
const ABOVE: f64 = 4.0;
/// A bound of times between two columns is this many times what all but one in a hundred are under.
const LONGER: f64 = 10.0;
/// Values that a column with a list of allowed ones has, at most; up to the first it is certain.
const ALLOWED: [usize; 2] = [12, 30];
/// Fewest rows that say something of allowed values.
const FEWEST_ROWS: u64 = 100;
/// Microseconds of a day.
const DAY: f64 = 86_400e6;

/// Words of columns that measure: 0 is odd there.
const MEASURES: [&str; 14] = [
    "distance",
    "passenger",
    "passengers",
    "quantity",
    "qty",
    "weight",
    "price",
    "volume",
    "length",
    "width",
    "height",
    "area",
    "miles",
    "km",
];
/// Words of columns whose values are names of things, though they may be numbers.
const CODES: [&str; 18] = [
    "id", "code", "type", "flag", "status", "class", "category", "kind", "level", "group", "vendor", "method", "state",
    "zone", "zip", "postcode", "phone", "number",
];
/// Parts of times, and their ranges.
const CALENDAR: [(&str, i64, i64); 7] = [
    ("month", 1, 12),
    ("day", 1, 31),
    ("hour", 0, 23),
    ("minute", 0, 59),
    ("second", 0, 59),
    ("quarter", 1, 4),
    ("week", 1, 53),
];

pub(super) fn rules(profile: &Profile, draft: &Draft) -> Vec<DraftRule> {
    let mut rules = Rules(Vec::new());
    for kept in &draft.columns {
        let Some(column) = profile.column(&kept.name) else { continue };
        there(profile, draft, column, &mut rules);
        match type_of(kept) {
            Some("timestamp") => time_range(column, &mut rules),
            Some("string") => {
                allowed(column, &mut rules);
            }
            Some(of) if is_number(of) => numbers(column, &mut rules),
            Some(_) | None => {}
        }
    }
    pairs(profile, draft, &mut rules);
    unknown_codes(profile, draft, &mut rules);
    rules.0
}

struct Rules(Vec<DraftRule>);

impl Rules {
    fn add(&mut self, name: &str, column: Option<&str>, check: String, is_certain: bool, note: String) {
        let base: String =
            name.chars().map(|letter| if letter == ':' || letter.is_control() { '_' } else { letter }).collect();
        let base = base.trim().to_owned();
        let mut name = base.clone();
        let mut number = 2;
        while self.0.iter().any(|rule| rule.name == name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        self.0.push(DraftRule { name, column: column.map(str::to_owned), check, is_certain, note, rows: None });
    }

    fn on(&mut self, column: &ColumnProfile, what: &str, check: String, is_certain: bool, note: String) {
        let name = &column.unified.name;
        self.add(&format!("{name}_{what}"), Some(name), check, is_certain, note);
    }

    fn sql(&mut self, name: &str, sql: &str, is_certain: bool, note: String) {
        self.add(name, None, format!("{{ sql = {} }}", toml_text(sql)), is_certain, note);
    }
}

/// The type that a draft gives a column, without quotes.
fn type_of(kept: &DraftColumn) -> Option<&str> {
    kept.settings.iter().find(|(key, _)| *key == "type").map(|(_, value)| value.trim_matches('"'))
}

fn is_number(of: &str) -> bool {
    of.parse::<ColumnType>().is_ok_and(ColumnType::is_number)
}

/// Values that are nearly always there.
fn there(profile: &Profile, draft: &Draft, column: &ColumnProfile, rules: &mut Rules) {
    let (empty, filled) = column.empty_files();
    let of = |files: &[usize]| {
        let values = column.by_file.iter().filter(|values| files.contains(&values.file));
        values.fold((0, 0), |(rows, nulls), values| (rows + values.rows, nulls + values.nulls))
    };
    let (rows, nulls) = of(&filled);
    let is_part = column.stats.rows < profile.rows;
    if nulls * 100 > rows * LACKING_PERCENT || rows == 0 || is_part {
        return;
    }
    if empty.is_empty() {
        if nulls > 0 {
            rules.on(column, "there", "\"not_null\"".to_owned(), true, String::new());
        }
        return;
    }
    let Some((time, _)) = &draft.event_time else { return };
    let Some(times) = profile.column(time) else { return };
    let latest = |file: usize| times.by_file.iter().find(|values| values.file == file).and_then(|values| values.latest);
    let Some(last) = empty.iter().filter_map(|&file| latest(file)).max() else { return };
    #[allow(clippy::cast_possible_truncation, reason = "whole days")]
    let since = timestamp_text((last / DAY as i64 + 1) * DAY as i64);
    let sql = format!("{} >= TIMESTAMP '{since}'", sql_name(time));
    let note = format!("{} before that have no value at all", counted(empty.len() as u64, "file"));
    rules.on(column, "there", format!("{{ required_if = {} }}", toml_text(&sql)), true, note);
}

fn numbers(column: &ColumnProfile, rules: &mut Rules) {
    let numbers = &column.stats.numbers;
    let name = &column.unified.name;
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if numbers.count < FEWEST_ROWS {
        return;
    }
    let calendar = words.last().and_then(|last| CALENDAR.iter().find(|(word, ..)| word == last));
    if let Some((_, min, max)) = calendar.filter(|_| words.len() == 1) {
        rules.on(column, "range", format!("{{ range = {{ min = {min}, max = {max} }} }}"), true, String::new());
        return;
    }
    if words.last().is_some_and(|last| last == "year") {
        return;
    }
    let few = allowed(column, rules);
    let sentinel = if few { None } else { sentinel(column, rules) };
    let smallest = numbers.smallest.first().map_or(0.0, |(value, _)| *value);
    let (negatives, zeros) = (numbers.negatives, numbers.zeros);
    let positive = numbers.count - negatives - zeros;
    if negatives > 0 && negatives * 100 <= numbers.count * NEGATIVE_PERCENT {
        rules.on(
            column,
            "min",
            "{ range = { min = 0 } }".to_owned(),
            true,
            format!("the smallest is {}", float_text(smallest)),
        );
    }
    if !few && !has(&CODES) && zeros > 0 && zeros * 100 <= numbers.count * ZERO_PERCENT && negatives * 50 < positive {
        let is_measure = has(&MEASURES);
        if is_measure || zeros >= FEWEST_ZEROS {
            rules.sql(&format!("{name}_zero"), &format!("{} <> 0", sql_name(name)), is_measure, String::new());
        }
    }
    if !has(&CODES) && sentinel.is_none() {
        bound(column, rules);
    }
}

/// A value far above all others.
fn bound(column: &ColumnProfile, rules: &mut Rules) {
    let numbers = &column.stats.numbers;
    let (Some([high]), Some(&(largest, _))) = (numbers.some.quantiles([0.999]), numbers.largest.first()) else {
        return;
    };
    let bound = round_up(ABOVE * high);
    if high > 0.0 && largest > bound && bound.is_finite() {
        let note = format!("99.9 % are at most {}, the largest is {}", float_text(high), float_text(largest));
        rules.on(column, "max", format!("{{ range = {{ max = {} }} }}", number_text(bound)), true, note);
    }
}

/// The next of 1, 2, 5, 10, 20, …
fn round_up(number: f64) -> f64 {
    if number <= 0.0 {
        return number;
    }
    let power = 10_f64.powf(number.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= number).unwrap_or(number)
}

/// A number as TOML and people write it.
fn number_text(number: f64) -> String {
    whole(number).map_or_else(|| format!("{number:?}"), |number| number.to_string())
}

/// 9999 and the like at the end of the range, far from the next.
fn sentinel(column: &ColumnProfile, rules: &mut Rules) -> Option<i64> {
    let numbers = &column.stats.numbers;
    let odd = |extremes: &[(f64, u64)]| {
        let (&(value, count), &(next, _)) = (extremes.first()?, extremes.get(1)?);
        let value = whole(value).filter(|value| is_nines(*value))?;
        #[allow(clippy::cast_precision_loss, reason = "compared roughly")]
        let is_far = (value as f64).abs() > 5.0 * next.abs().max(1.0);
        (is_far && count > 1).then_some(value)
    };
    let value = odd(&numbers.largest).or_else(|| odd(&numbers.smallest))?;
    let name = &column.unified.name;
    let note = format!("does {value} mean NULL? then give the column null_tokens = [\"{value}\"]");
    rules.sql(&format!("{name}_{value}"), &format!("{} <> {value}", sql_name(name)), true, note);
    Some(value)
}

fn is_nines(value: i64) -> bool {
    let digits = value.unsigned_abs().to_string();
    digits.len() > 1 && digits.chars().all(|digit| digit == '9')
}

/// A list of the few values that there are, without one that stands apart. Tells whether there are few.
fn allowed(column: &ColumnProfile, rules: &mut Rules) -> bool {
    let Values::Few(values) = &column.stats.values else { return false };
    let is_number = column.stats.numbers.count > 0;
    let is_code = words(&column.unified.name).iter().any(|word| CODES.contains(&word.as_str()));
    let present = column.stats.present();
    if values.len() < 2 || values.len() > ALLOWED[1] || present < FEWEST_ROWS || present < 20 * values.len() as u64 {
        return false;
    }
    if is_number && !is_code {
        return false;
    }
    let numbers: Vec<i64> = values
        .keys()
        .filter_map(|value| match value {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        })
        .collect();
    let odd = numbers
        .last()
        .copied()
        .filter(|last| is_nines(*last) && numbers.len() > 1 && numbers[numbers.len() - 2].saturating_mul(5) < *last);
    let mut kept: Vec<String> = values
        .keys()
        .filter_map(|value| match value {
            Value::Number(number) if Some(*number) == odd => None,
            Value::Number(number) => Some(number.to_string()),
            Value::Text(text) => {
                let is_token = super::NULL_TOKENS.contains(&text.as_str());
                // Where texts are padded, the spaces are taken off before.
                (!is_token).then(|| toml_text(text.trim_matches(' ')))
            }
        })
        .collect();
    kept.dedup();
    if kept.len() < 2 {
        return false;
    }
    let is_certain = kept.len() <= ALLOWED[0];
    let note = odd.map_or_else(String::new, |odd| {
        format!("{odd} stands apart; does it mean NULL? then give the column null_tokens = [\"{odd}\"]")
    });
    rules.on(column, "values", format!("{{ one_of = [{}] }}", kept.join(", ")), is_certain, note);
    true
}

/// Times far from all others.
fn time_range(column: &ColumnProfile, rules: &mut Rules) {
    let numbers = &column.stats.numbers;
    let Some([low, high]) = numbers.some.quantiles([0.001, 0.999]) else { return };
    let (Some(&(first, _)), Some(&(last, _))) = (numbers.smallest.first(), numbers.largest.first()) else { return };
    if numbers.count < FEWEST_ROWS {
        return;
    }
    let far = (0.1 * (high - low)).max(7.0 * DAY);
    #[allow(clippy::cast_possible_truncation, reason = "microseconds")]
    let text = |micros: f64| timestamp_text(micros as i64);
    if first < low - far {
        let month = format!("{}-01T00:00:00Z", &text(low).get(..7).unwrap_or_default());
        let note = format!("the first is {}", text(first));
        rules.on(column, "since", format!("{{ range = {{ min = {month} }} }}"), true, note);
    }
    if last > high + far {
        let day = text((high / DAY).floor() * DAY + 31.0 * DAY);
        let note = format!("the last is {}", text(last));
        rules.on(column, "until", format!("{{ range = {{ max = {day} }} }}"), true, note);
    }
}

/// Width of time of a view over a column, by what it spans.
pub(super) fn width(profile: &Profile, name: &str) -> Option<&'static str> {
    let column = profile.column(name)?;
    let Some([low, high]) = column.stats.numbers.some.quantiles([0.001, 0.999]) else { return Some("day") };
    Some(match (high - low) / DAY {
        days if days > 730.0 => "month",
        days if days > 7.0 => "day",
        _ => "hour",
    })
}

/// One time that nearly always follows another, and how long after.
fn pairs(profile: &Profile, draft: &Draft, rules: &mut Rules) {
    let is_kept = |name: &str| draft.columns.iter().any(|kept| kept.name == name && type_of(kept) == Some("timestamp"));
    for pair in &profile.pairs {
        let (left, right) = (&profile.columns[pair.left].unified.name, &profile.columns[pair.right].unified.name);
        let all = pair.later + pair.equal + pair.earlier;
        if all < FEWEST_ROWS || !is_kept(left) || !is_kept(right) {
            continue;
        }
        let is_forward = pair.later >= pair.earlier;
        let (first, then, against) = if is_forward { (left, right, pair.earlier) } else { (right, left, pair.later) };
        if against * 100 > all || pair.equal == all {
            continue;
        }
        let check = format!("{{ compare = {{ op = \">=\", with = {} }} }}", toml_text(first));
        let equal =
            if pair.equal > 0 { format!("equal in {}", counted(pair.equal, "more row")) } else { String::new() };
        rules.add(&format!("{then}_after_{first}"), Some(then), check, true, equal);
        let Some([median, long]) = pair.seconds.quantiles(if is_forward { [0.5, 0.99] } else { [0.5, 0.01] }) else {
            continue;
        };
        let largest = pair.longest[usize::from(!is_forward)];
        let Some(hours) = hours(LONGER * long.abs()).filter(|hours| largest > hours * 3600.0 && median != 0.0) else {
            continue;
        };
        let (first, then) = (sql_name(first), sql_name(then));
        let sql = format!("{then} < {first} + INTERVAL '{hours}' HOUR");
        let note = format!("99 % are within {}, the longest takes {}", time_text(long.abs()), time_text(largest));
        rules.sql(&format!("{left}_to_{right}_takes"), &sql, true, note);
    }
}

/// The next number of hours that people would take; none past a month.
fn hours(seconds: f64) -> Option<f64> {
    [1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 168.0, 720.0].into_iter().find(|hours| hours * 3600.0 >= seconds)
}

fn time_text(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// A code near the end of its range that two columns of the same kind mostly have at once: hardly a thing, rather "unknown".
fn unknown_codes(profile: &Profile, draft: &Draft, rules: &mut Rules) {
    const FEWEST: u64 = 50;
    const REACH: i64 = 3;
    let codes: Vec<usize> = (0..profile.columns.len())
        .filter(|&place| {
            let column = &profile.columns[place];
            let own = words(&column.unified.name);
            own.len() > 1
                && own.iter().any(|word| CODES.contains(&word.as_str()))
                && column.scalar().is_some_and(ColumnType::is_integer)
                && draft.columns.iter().any(|kept| kept.name == column.unified.name)
        })
        .collect();
    for (index, &left) in codes.iter().enumerate() {
        for &right in &codes[index + 1..] {
            let (a, b) = (&profile.columns[left], &profile.columns[right]);
            let (own, other) = (words(&a.unified.name), words(&b.unified.name));
            let (Some(&(top, _)), Some(&(second, _))) =
                (a.stats.numbers.largest.first(), b.stats.numbers.largest.first())
            else {
                continue;
            };
            let (Some(top), Some(second)) = (whole(top), whole(second)) else { continue };
            let has_many = |values: &Values| match values {
                Values::Few(values) => values.len() > ALLOWED[1],
                Values::Many => true,
            };
            let is_pair =
                own[1..] == other[1..] && top == second && has_many(&a.stats.values) && has_many(&b.stats.values);
            if !is_pair {
                continue;
            }
            let agreement = profile.keys.agreement(left, right, FEWEST);
            let is_odd = |code: &i64| {
                let hash = hash_whole(*code);
                agreement.iter().any(|(of, all, same)| *of == hash && same * 100 >= all * 60)
            };
            let Some(from) = (top - REACH..=top).find(is_odd) else { continue };
            let list = (from..=top).map(|code| code.to_string()).collect::<Vec<_>>().join(", ");
            let (first, then) = (sql_name(&a.unified.name), sql_name(&b.unified.name));
            let sql = format!("{first} NOT IN ({list}) AND {then} NOT IN ({list})");
            let note = "the last codes, and where one column has them the other mostly has too: do they mean that it is not known?";
            rules.sql(&format!("{}_known", own[1..].join("_")), &sql, true, note.to_owned());
        }
    }
}
