//! The pages of a column chunk: what each says that it unpacks to, before it is unpacked.

use thiserror::Error;

use super::compact::{Compact, Damaged, kind};
use crate::units::about_size;

/// How a chunk is packed, as far as it matters how much can come out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Nothing comes out but what its page declares.
    Bounded,
    /// So many times the packed bytes may come out, whatever the page declares.
    UpTo(u64),
    /// Anything may come out.
    Unbounded,
}

/// What is known of a chunk beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Name of the column.
    pub column: &'a str,
    /// How it is packed.
    pub packing: Packing,
    /// Values by the footer.
    pub values: u64,
    /// Bytes of a value in memory, but for texts and bytes of any length.
    pub width: u64,
    /// Whether values have any length.
    pub is_text: bool,
    /// Whether a row may have several values.
    pub is_repeated: bool,
}

/// What may be taken.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Bytes that one page, or the values of one batch of one column, may take.
    pub bytes: u64,
    /// Rows of a batch.
    pub batch_rows: u64,
    /// Bytes that a chunk may unpack to in any case.
    pub unpacked: u64,
    /// How many times its packed size a chunk past them may unpack to.
    pub expansion: u64,
}

/// Why the pages are not read here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PagesRefusal {
    /// They may be read where memory is bounded.
    #[error("{0}")]
    Isolate(String),
    /// With batches of at most so many rows they may be read here.
    #[error("its batches must be smaller")]
    Smaller(u64),
    /// They are not read at all.
    #[error("{0}")]
    Refuse(String),
}

/// A page as its header has it.
#[derive(Debug, Clone, Copy, Default)]
struct Page {
    is_dictionary: bool,
    unpacked: i64,
    packed: i64,
    values: i64,
    encoding: i64,
}

const DICTIONARY_PAGE: i64 = 2;
/// Encodings of texts whose values can be far longer than their page, or many more than it declares.
const DELTA_LENGTH: i64 = 6;
const DELTA_TEXT: i64 = 7;

/// Bytes of a view of a text.
const VIEW_BYTES: u64 = 16;
/// Bytes beside a repeated value: levels and offsets.
const LEVEL_BYTES: u64 = 8;

/// Looks at the headers of the pages of a chunk. Gives the bytes of memory that its values take while a batch is read, at most.
///
/// # Errors
/// Says how the chunk may be read.
pub fn check(bytes: &[u8], chunk: &Chunk<'_>, allowance: &Allowance) -> Result<u64, PagesRefusal> {
    let mut rest = bytes;
    let mut seen = Seen::default();
    while !rest.is_empty() && seen.values < chunk.values {
        let (page, header) = page(rest).map_err(|_| {
            PagesRefusal::Isolate(format!("column `{}` has a page whose header is damaged", chunk.column))
        })?;
        let packed = usize::try_from(page.packed).ok().filter(|packed| *packed <= rest.len() - header);
        // A page that goes on behind the chunk is an error of the reader, too.
        let Some(packed) = packed else { break };
        judge(&page, chunk, allowance)?;
        seen.take(&page);
        rest = &rest[header + packed..];
    }
    seen.judge(bytes.len() as u64, chunk, allowance)
}

/// What the pages so far come to.
#[derive(Debug, Default)]
struct Seen {
    values: u64,
    largest: u64,
    dictionary: Option<(u64, u64)>,
    /// Values and bytes of each page of texts.
    pages: Vec<(u64, u64)>,
}

impl Seen {
    fn take(&mut self, page: &Page) {
        let (values, bytes) = (page.values.max(0).cast_unsigned(), page.unpacked.max(0).cast_unsigned());
        self.largest = self.largest.max(bytes);
        if page.is_dictionary {
            self.dictionary = Some((values, bytes));
        } else {
            self.values = self.values.saturating_add(values);
            self.pages.push((values, bytes));
        }
    }

    fn judge(&self, packed: u64, chunk: &Chunk<'_>, allowance: &Allowance) -> Result<u64, PagesRefusal> {
        let dictionary = self.dictionary.map_or(0, |(_, bytes)| bytes);
        if let Some((entries, bytes)) = self.dictionary.filter(|_| chunk.is_text) {
            let mean = bytes / entries.max(1);
            let unpacked = mean.saturating_mul(self.values);
            if unpacked > allowance.unpacked && unpacked / packed.max(1) > allowance.expansion {
                return Err(PagesRefusal::Refuse(expands(chunk.column, unpacked, packed, allowance.expansion)));
            }
        }
        let width = if chunk.is_text { VIEW_BYTES } else { chunk.width };
        if chunk.is_repeated {
            let bytes = self.values.saturating_mul(width + LEVEL_BYTES);
            let texts = if chunk.is_text { self.pages.iter().map(|(_, bytes)| bytes).sum() } else { 0 };
            let bytes = bytes.saturating_add(texts);
            if bytes > allowance.bytes {
                let what =
                    format!("column `{}` has {} values in lists that may all be of one row", chunk.column, self.values);
                return Err(PagesRefusal::Isolate(what));
            }
            return Ok(bytes + dictionary);
        }
        if !chunk.is_text {
            return Ok(width.saturating_mul(allowance.batch_rows).saturating_add(self.largest + dictionary));
        }
        let held = window(&self.pages, allowance.batch_rows);
        if held > allowance.bytes {
            let fewer = std::iter::successors(Some(allowance.batch_rows / 2), |rows| Some(rows / 2))
                .take_while(|rows| *rows > 0);
            return Err(match fewer.into_iter().find(|&rows| window(&self.pages, rows) <= allowance.bytes) {
                Some(rows) => PagesRefusal::Smaller(rows),
                None => {
                    PagesRefusal::Isolate(format!("a batch of column `{}` takes {}", chunk.column, about_size(held)))
                }
            });
        }
        Ok(held.saturating_add(dictionary).saturating_add(VIEW_BYTES * allowance.batch_rows))
    }
}

/// Bytes of the pages that `rows` consecutive values can lie in, at most.
fn window(pages: &[(u64, u64)], rows: u64) -> u64 {
    let (mut most, mut bytes, mut first) = (0_u64, 0_u64, 0);
    // Values of the pages between the first and the last: all of them are in the window.
    let mut inner = 0_u64;
    for (last, &(_, page_bytes)) in pages.iter().enumerate() {
        if last > first + 1 {
            inner = inner.saturating_add(pages[last - 1].0);
        }
        bytes = bytes.saturating_add(page_bytes);
        while first < last && inner.saturating_add(2) > rows {
            bytes = bytes.saturating_sub(pages[first].1);
            first += 1;
            inner = if first < last { inner.saturating_sub(pages[first].0) } else { 0 };
        }
        most = most.max(bytes);
    }
    most
}

/// What is told of a chunk or row group that unpacks to far more than it is.
#[must_use]
pub fn expands(what: &str, unpacked: u64, packed: u64, allowed: u64) -> String {
    let times = unpacked / packed.max(1);
    format!(
        "`{what}` unpacks to {}, which is {times} times its {} on disk, and `limits.file_expansion` allows {allowed}",
        about_size(unpacked),
        about_size(packed)
    )
}

fn judge(page: &Page, chunk: &Chunk<'_>, allowance: &Allowance) -> Result<(), PagesRefusal> {
    let isolate = |what: &str| Err(PagesRefusal::Isolate(format!("column `{}` has a page {what}", chunk.column)));
    let Ok(unpacked) = u64::try_from(page.unpacked) else { return isolate("of less than no bytes") };
    if unpacked > allowance.bytes {
        return isolate(&format!("that unpacks to {}", about_size(unpacked)));
    }
    let packed = page.packed.max(0).cast_unsigned();
    let may_unpack_to = match chunk.packing {
        Packing::Bounded => unpacked,
        Packing::UpTo(times) => packed.saturating_mul(times),
        Packing::Unbounded if packed == 0 => 0,
        Packing::Unbounded => u64::MAX,
    };
    if may_unpack_to > allowance.bytes {
        return isolate("whose packing does not bound what it unpacks to");
    }
    if page.values < 0 {
        return isolate("of less than no values");
    }
    if page.is_dictionary {
        // A text has its length in front, and every other value a byte at least.
        let least = if chunk.is_text { 4 } else { 1 };
        if page.values.cast_unsigned().saturating_mul(least) > unpacked {
            return isolate("with more values than it has bytes for");
        }
        return Ok(());
    }
    if matches!(page.encoding, DELTA_LENGTH | DELTA_TEXT) {
        return isolate("of delta-encoded texts, which can be longer than they declare");
    }
    Ok(())
}

/// The page at the beginning of `bytes`, and the bytes of its header.
fn page(bytes: &[u8]) -> Result<(Page, usize), Damaged> {
    let mut page = Page::default();
    let mut at = Compact::new(bytes);
    let mut is_there = [false; 3];
    at.fields(|at, field| {
        match (field.id, field.kind) {
            (1, kind::I32) => {
                page.is_dictionary = at.number()? == DICTIONARY_PAGE;
                is_there[0] = true;
            }
            (2, kind::I32) => {
                page.unpacked = at.number()?;
                is_there[1] = true;
            }
            (3, kind::I32) => {
                page.packed = at.number()?;
                is_there[2] = true;
            }
            (5 | 7 | 8, kind::STRUCT) => {
                let encoding = if field.id == 8 { 4 } else { 2 };
                at.fields(|at, inner| match (inner.id, inner.kind) {
                    (1, kind::I32) => {
                        page.values = at.number()?;
                        Ok(true)
                    }
                    (id, kind::I32) if id == encoding => {
                        page.encoding = at.number()?;
                        Ok(true)
                    }
                    _ => Ok(false),
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if is_there.contains(&false) {
        return Err(Damaged);
    }
    Ok((page, at.at()))
}
