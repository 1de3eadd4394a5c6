//! A run: a file of claims in the order of keys, each key once, with the first key of each page in memory. The file has no name.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use millstream_core::dedup::{Claim, KeyHash};

/// Claims in a page, which is what a look-up reads.
const PAGE_CLAIMS: u64 = 256;

/// Bytes that are written or read at once where all of a run is.
const BUFFER_BYTES: usize = 48 << 10;

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    file: File,
    /// Bytes of a claim.
    width: usize,
    /// How many claims.
    pub(super) claims: u64,
    /// Upper half of the first key of each page.
    fences: Vec<u64>,
    /// How many times its claims were merged.
    pub(super) level: u32,
}

/// A run on its way to disk.
#[derive(Debug)]
pub(super) struct RunWriter {
    run: Run,
    buffer: Vec<u8>,
}

impl RunWriter {
    /// Of claims without or with times.
    pub(super) fn new(folder: &Path, has_times: bool, level: u32) -> io::Result<Self> {
        let width = if has_times { Claim::BYTES } else { Claim::KEY_BYTES };
        let run = Run { file: tempfile::tempfile_in(folder)?, width, claims: 0, fences: Vec::new(), level };
        Ok(Self { run, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Puts the next claim.
    pub(super) fn put(&mut self, claim: Claim) -> io::Result<()> {
        let run = &mut self.run;
        if run.claims.is_multiple_of(PAGE_CLAIMS) {
            run.fences.push(claim.key.high);
        }
        run.claims += 1;
        self.buffer.extend_from_slice(&claim.to_bytes()[..run.width]);
        if self.buffer.len() >= BUFFER_BYTES {
            run.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// The whole run.
    pub(super) fn finish(mut self) -> io::Result<Run> {
        self.run.file.write_all(&self.buffer)?;
        self.run.fences.shrink_to_fit();
        Ok(self.run)
    }
}

impl Run {
    /// Whether its claims have times.
    pub(super) fn has_times(&self) -> bool {
        self.width == Claim::BYTES
    }

    /// Size of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.claims * self.width as u64
    }

    /// Time of a key, if it is there. `page` is only there to be used again.
    pub(super) fn find(&self, key: KeyHash, page: &mut Vec<u8>) -> io::Result<Option<i64>> {
        // Keys whose upper halves are equal may lie on both sides of a border.
        let first = self.fences.partition_point(|&fence| fence < key.high).saturating_sub(1);
        let end = first + self.fences[first..].partition_point(|&fence| fence <= key.high);
        for number in first..end {
            self.read(number as u64 * PAGE_CLAIMS, PAGE_CLAIMS, page)?;
            let claim = |at: usize| Claim::read(&page[at * self.width..(at + 1) * self.width]);
            let (mut low, mut high) = (0, page.len() / self.width);
            while low < high {
                let middle = low.midpoint(high);
                if claim(middle).key < key { low = middle + 1 } else { high = middle }
            }
            if low < page.len() / self.width && claim(low).key == key {
                return Ok(Some(claim(low).time));
            }
        }
        Ok(None)
    }

    /// Reads claims from the one at `first` on.
    fn read(&self, first: u64, most: u64, to: &mut Vec<u8>) -> io::Result<()> {
        let claims = most.min(self.claims - first.min(self.claims));
        to.resize(usize::try_from(claims).unwrap_or(usize::MAX).saturating_mul(self.width), 0);
        self.file.read_exact_at(to, first * self.width as u64)
    }
}

/// Reads a run from its beginning to its end.
#[derive(Debug)]
pub(super) struct Cursor {
    run: Arc<Run>,
    /// The claim at hand; none at the end.
    pub(super) claim: Option<Claim>,
    next: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Cursor {
    /// At the first claim.
    pub(super) fn new(run: Arc<Run>) -> io::Result<Self> {
        let mut cursor = Self { run, claim: None, next: 0, buffer: Vec::new(), at: 0 };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The run that it reads.
    pub(super) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// Goes on to the next claim.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        let width = self.run.width;
        if self.at == self.buffer.len() {
            let most = (BUFFER_BYTES / width) as u64;
            self.run.read(self.next, most, &mut self.buffer)?;
            self.next += (self.buffer.len() / width) as u64;
            self.at = 0;
        }
        self.claim = (self.at < self.buffer.len()).then(|| Claim::read(&self.buffer[self.at..self.at + width]));
        self.at += width * usize::from(self.claim.is_some());
        Ok(())
    }
}
