//! Columns that are named differently in different files, brought under one name where that is evident.

use std::collections::BTreeMap;

use crate::plan::RESERVED;
use crate::types::ValueType;

/// Past this many different columns only spellings are compared, which needs no pairs.
const MOST_COMPARED: usize = 600;
/// Characters that tables do not take in names.
const FORBIDDEN: [char; 10] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// The columns of a file, by its footer.
#[derive(Debug, Clone)]
pub struct FileColumns {
    /// Its name, as rows tell it.
    pub file: String,
    /// Rows.
    pub rows: u64,
    /// Name and type of each top-level column; without a type if it has no place in the tables.
    pub columns: Vec<(String, Option<ValueType>)>,
}

/// Why two names are taken for one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// They are written the same but for case and `_`.
    Spelling,
    /// One has this in front, as other columns of the same files have.
    Prefix(String),
    /// One shortens words of the other.
    Abbreviation,
    /// The name that files have is none that tables take.
    Renamed,
}

/// A column over all files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// The name that it gets.
    pub name: String,
    /// Its other names, and why they are taken for the same.
    pub from: Vec<(String, Why)>,
    /// The types that it has, each once; empty if it has no place in the tables.
    pub types: Vec<ValueType>,
    /// Files that have it.
    pub files: Vec<usize>,
}

impl Unified {
    /// The names that files have for it.
    pub fn source_names(&self) -> impl Iterator<Item = &str> {
        let is_own = !self.from.iter().any(|(_, why)| *why == Why::Renamed);
        is_own.then_some(self.name.as_str()).into_iter().chain(self.from.iter().map(|(name, _)| name.as_str()))
    }
}

struct Raw {
    name: String,
    words: Vec<String>,
    files: Vec<usize>,
    rows: u64,
    types: Vec<ValueType>,
    kind: u8,
}

/// The columns of all files, each under one name, in the order in which files bring them.
#[must_use]
pub fn unify(files: &[FileColumns]) -> Vec<Unified> {
    let raws = collect(files);
    let mut leader: Vec<usize> = (0..raws.len()).collect();
    let mut why: Vec<Option<Why>> = vec![None; raws.len()];
    for (left, right, reason) in related(&raws) {
        let group = |of: usize| (0..raws.len()).filter(|&raw| leader[raw] == leader[of]).collect::<Vec<_>>();
        let (a, b) = (group(left), group(right));
        let apart = a.iter().all(|&x| b.iter().all(|&y| are_apart(&raws[x], &raws[y])));
        if leader[left] == leader[right] || !apart {
            continue;
        }
        // The name that most rows have stays; of equals the first.
        let best = |group: &[usize]| group.iter().copied().max_by_key(|&raw| (raws[raw].rows, usize::MAX - raw));
        let (Some(best_left), Some(best_right)) = (best(&a), best(&b)) else { continue };
        let (kept, other) = if (raws[best_left].rows, best_right) >= (raws[best_right].rows, best_left) {
            (best_left, best_right)
        } else {
            (best_right, best_left)
        };
        for &raw in a.iter().chain(&b) {
            leader[raw] = kept;
        }
        why[other].get_or_insert(reason);
    }
    name_all(&raws, &leader, &why)
}

fn collect(files: &[FileColumns]) -> Vec<Raw> {
    let mut raws: Vec<Raw> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        for (name, value_type) in &file.columns {
            let place = *places.entry(name).or_insert_with(|| {
                let (words, files) = (words(name), Vec::new());
                raws.push(Raw { name: name.clone(), words, files, rows: 0, types: Vec::new(), kind: 0 });
                raws.len() - 1
            });
            let raw = &mut raws[place];
            raw.files.push(number);
            raw.rows += file.rows.max(1);
            if let Some(value_type) = value_type {
                raw.kind = raw.kind.max(kind(value_type));
                if !raw.types.contains(value_type) {
                    raw.types.push(value_type.clone());
                }
            }
        }
    }
    raws
}

/// What columns must have in common to be one: 0 says nothing.
fn kind(value_type: &ValueType) -> u8 {
    use crate::types::ColumnType as C;
    match value_type {
        ValueType::Null => 0,
        ValueType::Scalar(C::Text | C::Binary) => 2,
        ValueType::Scalar(C::Date | C::Timestamp) => 3,
        ValueType::Scalar(C::Boolean) => 4,
        ValueType::Scalar(_) => 1,
        ValueType::List(_) | ValueType::Struct(_) | ValueType::Map(..) => 5,
    }
}

fn are_apart(left: &Raw, right: &Raw) -> bool {
    let fits = left.kind == right.kind || left.kind == 0 || right.kind == 0;
    fits && !left.files.iter().any(|file| right.files.binary_search(file).is_ok())
}

/// Pairs of names that stand for one column, the most evident first.
fn related(raws: &[Raw]) -> Vec<(usize, usize, Why)> {
    let mut spelt: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, raw) in raws.iter().enumerate().filter(|(_, raw)| !raw.words.is_empty()) {
        spelt.entry(raw.words.concat()).or_default().push(place);
    }
    let mut pairs = Vec::new();
    for group in spelt.values() {
        for (index, &left) in group.iter().enumerate() {
            let others = group[index + 1..].iter().filter(|&&right| are_apart(&raws[left], &raws[right]));
            pairs.extend(others.map(|&right| (left, right, Why::Spelling)));
        }
    }
    if raws.len() > MOST_COMPARED {
        return pairs;
    }
    let (mut prefixes, mut short) = (Vec::new(), Vec::new());
    for left in 0..raws.len() {
        for right in left + 1..raws.len() {
            let (a, b) = (&raws[left], &raws[right]);
            if !are_apart(a, b) || a.words.concat() == b.words.concat() {
                continue;
            }
            if let Some(prefix) = prefix(&a.words, &b.words).or_else(|| prefix(&b.words, &a.words)) {
                prefixes.push((left, right, prefix));
            } else if shortens(&a.words, &b.words) || shortens(&b.words, &a.words) {
                short.push((left, right));
            }
        }
    }
    let often = |prefix: &str| prefixes.iter().filter(|(.., other)| other == prefix).count() > 1;
    let many = prefixes.iter().filter(|(.., prefix)| often(prefix)).cloned();
    pairs.extend(many.map(|(left, right, prefix)| (left, right, Why::Prefix(prefix))));
    // A short name that could stand for two columns stands for none.
    let once = |place: usize| short.iter().filter(|(a, b)| *a == place || *b == place).count() == 1;
    let alone = short.iter().filter(|(left, right)| once(*left) && once(*right));
    pairs.extend(alone.map(|&(left, right)| (left, right, Why::Abbreviation)));
    pairs
}

/// `tpep` of `tpep_pickup_datetime` and `pickup_datetime`.
fn prefix(long: &[String], short: &[String]) -> Option<String> {
    let (first, rest) = long.split_first()?;
    (short.len() > 1 && rest == short).then(|| first.clone())
}

/// Whether each word of one is that of the other, or its beginning letter and some more of it, and one is the same.
fn shortens(short: &[String], long: &[String]) -> bool {
    let is_short = |a: &String, b: &String| {
        let mut letters = b.chars();
        a == b
            || (a.len() > 1
                && a.chars().next() == b.chars().next()
                && a.chars().all(|letter| letters.any(|l| l == letter)))
    };
    short.len() == long.len()
        && short.len() > 1
        && short.iter().zip(long).all(|(a, b)| is_short(a, b))
        && short.iter().zip(long).any(|(a, b)| a == b)
}

/// The words of a name, in lower case: `PULocationID` is pu, location, id.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        let starts = letter.is_uppercase()
            && at > 0
            && (letters[at - 1].is_lowercase()
                || (letters[at - 1].is_uppercase() && letters.get(at + 1).is_some_and(|next| next.is_lowercase())));
        if (starts || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn name_all(raws: &[Raw], leader: &[usize], why: &[Option<Why>]) -> Vec<Unified> {
    let mut unified: Vec<Unified> = Vec::new();
    for place in 0..raws.len() {
        if leader.get(..place).is_some_and(|before| before.contains(&leader[place])) {
            continue;
        }
        let lead = &raws[leader[place]];
        let members = || raws.iter().enumerate().filter(|(other, _)| leader[*other] == leader[place]);
        let wanted = usable(&lead.name);
        let taken = |name: &str| {
            unified.iter().any(|other| other.name.eq_ignore_ascii_case(name))
                || raws.iter().any(|other| other.name != lead.name && other.name == name)
        };
        let mut name = wanted.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        let mut from: Vec<(String, Why)> = Vec::new();
        if name != lead.name {
            from.push((lead.name.clone(), Why::Renamed));
        }
        let others = members().filter(|(_, other)| other.name != lead.name);
        from.extend(others.map(|(at, other)| (other.name.clone(), why[at].clone().unwrap_or(Why::Spelling))));
        let mut types: Vec<ValueType> = Vec::new();
        let mut files = Vec::new();
        for (_, member) in members() {
            files.extend_from_slice(&member.files);
            for value_type in &member.types {
                if !types.contains(value_type) {
                    types.push(value_type.clone());
                }
            }
        }
        files.sort_unstable();
        files.dedup();
        unified.push(Unified { name, from, types, files });
    }
    unified
}

/// The name, or one that tables take.
fn usable(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|letter| if FORBIDDEN.contains(&letter) || letter.is_control() { '_' } else { letter })
        .collect();
    let clean = if clean == name { clean } else { clean.trim_matches('_').to_owned() };
    let clean = if clean.starts_with('_') { clean.trim_start_matches('_').to_owned() } else { clean };
    if clean.is_empty() {
        return "unnamed".to_owned();
    }
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(&clean)) {
        format!("source_{clean}")
    } else {
        clean
    }
}
