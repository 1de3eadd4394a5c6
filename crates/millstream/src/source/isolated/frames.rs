//! What goes through the pipes between a process and the one that reads a file for it: a kind, a length, so many bytes.

use std::io::{self, Read, Write};
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What is to be read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Size of the file, bytes.
    pub(super) size: u64,
    /// Row groups.
    pub(super) row_groups: Range<usize>,
    /// Top-level columns.
    pub(super) columns: Vec<usize>,
    /// Rows of the row groups that are passed over.
    pub(super) skip: usize,
    /// Rows behind them that are wanted.
    pub(super) rows: usize,
    /// Rows of a batch.
    pub(super) batch_rows: usize,
    /// Bytes past which a batch is cut.
    pub(super) cut_bytes: u64,
    /// Bytes that a row may take.
    pub(super) row_bytes: u64,
    /// Memory that the process may take, bytes.
    pub(super) memory: u64,
}

/// To the reader: what to read; then, for each [`WANT`], [`BYTES`] or [`NO_BYTES`].
pub(super) const REQUEST: u8 = b'?';
pub(super) const BYTES: u8 = b'+';
pub(super) const NO_BYTES: u8 = b'-';

/// From the reader: a range of the file that it wants, a batch, why there will be no more, or that all was sent.
pub(super) const WANT: u8 = b'r';
pub(super) const BATCH: u8 = b'b';
pub(super) const FAILED: u8 = b'x';
pub(super) const END: u8 = b'e';

/// Writes a frame and sends it on its way.
pub(super) fn write(to: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&[kind])?;
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

/// Reads a frame of at most `most` bytes.
pub(super) fn read(from: &mut impl Read, most: u64) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u64::from_le_bytes(length);
    if length > most {
        return Err(io::Error::other("a frame is longer than what was asked for"));
    }
    // Memory follows what comes, not what is announced.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((kind, bytes))
}

/// A range as a frame has it.
pub(super) fn range_bytes(range: &Range<u64>) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&range.start.to_le_bytes());
    bytes[8..].copy_from_slice(&range.end.to_le_bytes());
    bytes
}

/// The range of a frame.
pub(super) fn range(bytes: &[u8]) -> Option<Range<u64>> {
    let (start, end) = bytes.split_at_checked(8)?;
    Some(u64::from_le_bytes(start.try_into().ok()?)..u64::from_le_bytes(end.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_one_that_is_cut_off_does_not() {
        let mut bytes = Vec::new();
        write(&mut bytes, BATCH, b"rows").unwrap();
        assert_eq!(read(&mut bytes.as_slice(), 10).unwrap(), (BATCH, b"rows".to_vec()));
        assert!(read(&mut bytes.as_slice(), 3).is_err());
        for end in 0..bytes.len() {
            assert!(read(&mut &bytes[..end], 10).is_err(), "{end}");
        }
        assert_eq!(range(&range_bytes(&(3..9))), Some(3..9));
        assert_eq!(range(b"short"), None);
    }
}
