//! The footer: how much of what it declares, before anything is made of it.

use thiserror::Error;

use super::compact::{Compact, Damaged, Field, kind};
use crate::config::FileLimits;
use crate::units::about_size;

/// What a column chunk takes in memory once its footer is read, bytes, about.
const CHUNK_BYTES: u64 = 1024;

/// Why a footer is not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FooterRefusal {
    /// It is no footer.
    #[error("its footer is damaged")]
    Damaged,
    /// Its columns are encrypted.
    #[error("it is encrypted, and encrypted Parquet cannot be read")]
    Encrypted,
    /// It is past a limit.
    #[error("{what}, and `limits.{key}` allows {allowed}")]
    PastLimit {
        /// What is too much.
        what: String,
        /// The setting.
        key: &'static str,
        /// What it allows.
        allowed: String,
    },
}

/// What a footer declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footer {
    /// Columns that hold values.
    pub columns: u64,
    /// Row groups.
    pub row_groups: u64,
    /// Column chunks of all row groups.
    pub chunks: u64,
    /// How deep columns lie inside of each other.
    pub depth: u64,
    /// Whether any of it is encrypted.
    pub encrypted: bool,
}

impl From<Damaged> for FooterRefusal {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

/// Looks at a footer, without length and magic. It takes no memory, whatever the footer says.
///
/// # Errors
/// It is damaged, encrypted, or past a limit of `limits`; `memory` is `limits.memory`.
pub fn check(footer: &[u8], limits: &FileLimits, memory: u64) -> Result<Footer, FooterRefusal> {
    let past =
        |what: String, key, allowed: u64| Err(FooterRefusal::PastLimit { what, key, allowed: allowed.to_string() });
    if footer.len() as u64 > limits.footer {
        let what = format!("its footer has {}", about_size(footer.len() as u64));
        return Err(FooterRefusal::PastLimit { what, key: "file_footer", allowed: about_size(limits.footer) });
    }
    let found = walk(footer, limits.depth)?;
    if found.encrypted {
        return Err(FooterRefusal::Encrypted);
    }
    if found.depth > limits.depth {
        return past(
            format!("its columns lie more than {} deep inside of each other", limits.depth),
            "file_depth",
            limits.depth,
        );
    }
    if found.columns > limits.columns {
        return past(format!("it has {} columns", found.columns), "file_columns", limits.columns);
    }
    if found.row_groups > limits.row_groups {
        return past(format!("it has {} row groups", found.row_groups), "file_row_groups", limits.row_groups);
    }
    let takes = found.chunks.saturating_mul(CHUNK_BYTES);
    if takes > memory / 2 {
        let what = format!("its {} column chunks take about {} of memory to know", found.chunks, about_size(takes));
        return Err(FooterRefusal::PastLimit {
            what,
            key: "memory",
            allowed: format!("half of {}", about_size(memory)),
        });
    }
    Ok(found)
}

fn walk(footer: &[u8], max_depth: u64) -> Result<Footer, Damaged> {
    let mut found = Footer::default();
    let mut at = Compact::new(footer);
    at.fields(|at, field| match (field.id, field.kind) {
        (2, kind::LIST) => {
            schema(at, max_depth, &mut found)?;
            Ok(true)
        }
        (4, kind::LIST) => {
            let (groups, of) = at.list()?;
            found.row_groups = groups;
            (0..groups).try_for_each(|_| structure(at, of, |at, field| row_group(at, field, &mut found)))?;
            Ok(true)
        }
        (8, _) => {
            found.encrypted = true;
            Ok(false)
        }
        _ => Ok(false),
    })?;
    Ok(found)
}

fn structure(
    at: &mut Compact<'_>,
    of: u8,
    take: impl FnMut(&mut Compact<'_>, Field) -> Result<bool, Damaged>,
) -> Result<(), Damaged> {
    if of == kind::STRUCT { at.fields(take) } else { Err(Damaged) }
}

/// The schema comes flat, each element before its children.
fn schema(at: &mut Compact<'_>, max_depth: u64, found: &mut Footer) -> Result<(), Damaged> {
    let (elements, of) = at.list()?;
    // Children that are due at each level, not more of them than are looked for.
    let mut due: Vec<i64> = Vec::new();
    for _ in 0..elements {
        let mut children = 0;
        structure(at, of, |at, field| match (field.id, field.kind) {
            (5, kind::I32) => {
                children = at.number()?;
                Ok(true)
            }
            _ => Ok(false),
        })?;
        while due.last() == Some(&0) {
            due.pop();
        }
        if let Some(last) = due.last_mut() {
            *last -= 1;
        }
        if children > 0 {
            due.push(children);
            // The root is no column.
            found.depth = found.depth.max(due.len() as u64 - 1);
            if found.depth > max_depth {
                // Enough is known, and what follows is not taken.
                due.pop();
            }
        } else {
            found.columns += 1;
        }
    }
    Ok(())
}

fn row_group(at: &mut Compact<'_>, field: Field, found: &mut Footer) -> Result<bool, Damaged> {
    if (field.id, field.kind) != (1, kind::LIST) {
        return Ok(false);
    }
    let (chunks, of) = at.list()?;
    found.chunks = found.chunks.saturating_add(chunks);
    for _ in 0..chunks {
        structure(at, of, |_, field| {
            // Its keys, or its metadata as nobody can read it without them.
            found.encrypted |= matches!(field.id, 8 | 9);
            Ok(false)
        })?;
    }
    Ok(true)
}
