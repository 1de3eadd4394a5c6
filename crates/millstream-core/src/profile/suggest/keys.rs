//! Keys that look unique, and rows that are there twice.

use super::super::draft::{Draft, DraftDedup};
use super::super::keys::Repeats;
use super::super::names::words;
use super::super::render::{counted, grouped};
use super::super::{ColumnProfile, Profile};
use super::NAMED;
use crate::types::ColumnType;

/// A file of which this part is in other files too was delivered again, percent.
const DELIVERED_AGAIN_PERCENT: u64 = 90;
/// Words of columns that name a row.
const NAMES: [&str; 4] = ["id", "uuid", "guid", "key"];
/// Fewest rows that say something of a key.
const FEWEST_ROWS: usize = 20;

pub(super) fn keys(profile: &Profile, draft: &mut Draft) {
    if profile.keys.len() < FEWEST_ROWS {
        return;
    }
    let among = among(profile, draft);
    let name = |place: usize| profile.columns[place].unified.name.clone();
    let unique = profile.keys.unique_columns(&among);
    if !unique.is_empty() {
        let names: Vec<String> = unique.iter().take(NAMED).map(|&place| format!("`{}`", name(place))).collect();
        draft.key_notes.push(format!("Each by itself tells all different rows apart: {}.", names.join(", ")));
    }
    let repeats = profile.keys.repeats();
    let part = if profile.keys.is_whole() { "" } else { " of a part of the rows" };
    // Few columns may tell apart the rows that there are and not those that will come. So rows are left out by what names them, or
    // else by all columns together.
    let is_name = |place: &usize| words(&name(*place)).iter().any(|word| NAMES.contains(&word.as_str()));
    let key = match unique.iter().copied().find(is_name) {
        Some(place) => vec![place],
        None if repeats.rows == 0 => match profile.keys.key(&among).filter(|key| key.is_exact) {
            Some(key) => key.columns,
            None => return,
        },
        None if profile.keys.is_exact(&among) => among,
        None => return,
    };
    let again = delivered_again(&repeats);
    if repeats.rows == 0 {
        draft.key_notes.push(format!(
            "No two rows{part} are the same. If files may be delivered twice, these columns tell rows apart:"
        ));
    } else {
        draft.key_notes.push(format!("{}{part} equal rows before them in every column.", counted(repeats.rows, "row")));
    }
    for (file, same, rows) in again.iter().take(NAMED) {
        let file = &profile.files[*file].file;
        draft.key_notes.push(format!(
            "{file}: {} of its {} are in other files too.",
            grouped(*same),
            counted(*rows, "row")
        ));
    }
    // Only where whole files came again is it certain that equal rows are one.
    let is_certain = !again.is_empty() && draft.is_whole && profile.keys.is_whole();
    draft.dedup = Some(DraftDedup { key: key.into_iter().map(name).collect(), is_certain, rows: None });
}

fn delivered_again(repeats: &Repeats) -> Vec<(usize, u64, u64)> {
    let again = |(_, same, rows): &&(usize, u64, u64)| *rows > 9 && same * 100 >= rows * DELIVERED_AGAIN_PERCENT;
    repeats.of_files.iter().filter(again).copied().collect()
}

/// Columns that a key may have, the best first: times and texts, whole numbers, then what has fractions.
fn among(profile: &Profile, draft: &Draft) -> Vec<usize> {
    let rank = |column: &ColumnProfile| match column.scalar() {
        Some(ColumnType::Timestamp) => 0,
        Some(ColumnType::Text | ColumnType::Date) => 1,
        Some(of) if of.is_integer() => 1,
        Some(of) if of.is_number() => 2,
        Some(_) => 3,
        None => 2,
    };
    let is_kept = |place: &usize| {
        let column = &profile.columns[*place];
        let is_flat =
            column.unified.types.iter().all(|of| of.scalar().is_some() || *of == crate::types::ValueType::Null);
        let is_there = draft.columns.iter().any(|kept| kept.name == column.unified.name && !kept.settings.is_empty());
        is_flat && is_there && column.stats.present() > 0
    };
    let mut places: Vec<usize> = (0..profile.columns.len()).filter(is_kept).collect();
    places.sort_by_key(|&place| rank(&profile.columns[place]));
    places
}
