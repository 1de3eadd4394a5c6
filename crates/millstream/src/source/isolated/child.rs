//! The other side: this program as the process that reads one file. It has no access to any store: it asks for ranges of the file.

use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::frames::{self, BATCH, BYTES, END, FAILED, REQUEST, Request, WANT};
use crate::chain::chain;
use crate::source::read::{self, TAIL_BYTES};
use crate::source::untrusted::{cut, quiet};

/// Bytes that headers of pages are read by.
const AHEAD_BYTES: usize = 8 * 1024;

/// Reads the file that the process on the other side of the pipes asks for.
pub(crate) fn main() -> ExitCode {
    let pipe = Arc::new(Mutex::new(Pipe { from: io::stdin(), to: io::stdout() }));
    let read = quiet::caught_now(|| read(&pipe));
    let failed = match read {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(reason)) => reason,
        Err(panic) => read::gave_up(panic),
    };
    // Without anybody who listens there is nothing to do.
    let _ = lock(&pipe).send(FAILED, failed.as_bytes());
    ExitCode::FAILURE
}

struct Pipe {
    from: io::Stdin,
    to: io::Stdout,
}

impl Pipe {
    fn send(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        frames::write(&mut self.to.lock(), kind, bytes)
    }

    fn fetch(&mut self, range: &Range<u64>) -> io::Result<Bytes> {
        self.send(WANT, &frames::range_bytes(range))?;
        match frames::read(&mut self.from.lock(), range.end - range.start)? {
            (BYTES, bytes) => Ok(bytes.into()),
            (_, _) => Err(io::Error::other("the file cannot be read")),
        }
    }
}

fn lock(pipe: &Mutex<Pipe>) -> std::sync::MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(pipe: &Arc<Mutex<Pipe>>) -> Result<(), String> {
    let (kind, request) = frames::read(&mut io::stdin().lock(), 1024 * 1024).map_err(|error| chain(&error))?;
    let request = (kind == REQUEST).then(|| serde_json::from_slice(&request).ok()).flatten();
    let request: Request = request.ok_or("what is to be read cannot be understood")?;
    bound(request.memory)?;
    let file = Piped { size: request.size, pipe: Arc::clone(pipe) };
    let rows = rows(&file, &request)?;
    lock(pipe).send(END, &rows.to_le_bytes()).map_err(|error| chain(&error))
}

/// From here on no more memory than this.
fn bound(memory: u64) -> Result<(), String> {
    let at_most = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Core, at_most(0)).map_err(|error| chain(&error))?;
    // Address space is reserved by the gigabyte by allocators; what counts is what can be written to.
    let resource = if cfg!(target_os = "linux") { Resource::Data } else { Resource::As };
    setrlimit(resource, at_most(memory)).map_err(|error| chain(&error))
}

fn rows(file: &Piped, request: &Request) -> Result<u64, String> {
    let failed = |error: ParquetError| error.to_string();
    let tail = file.range(file.size.saturating_sub(TAIL_BYTES)..file.size).map_err(failed)?;
    let footer = read::footer_range(&tail, file.size).ok_or("it has no valid Parquet footer")?;
    let metadata = read::metadata(&file.range(footer).map_err(failed)?).map_err(failed)?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), request.columns.iter().copied());
    let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), read::with_views(&metadata))
        .with_row_groups(request.row_groups.clone().collect())
        .with_projection(mask)
        .with_batch_size(request.batch_rows)
        .with_offset(request.skip)
        .with_limit(request.rows)
        .build()
        .map_err(failed)?;
    let mut next_row = 0;
    for batch in batches {
        let batch = batch.map_err(|error| error.to_string())?;
        let first_row = next_row;
        next_row += batch.num_rows() as u64;
        for (_, piece) in cut::pieces(first_row, batch, request.cut_bytes, request.row_bytes)? {
            let bytes = encode(&piece).map_err(|error| error.to_string())?;
            lock(&file.pipe).send(BATCH, &bytes).map_err(|error| chain(&error))?;
        }
    }
    Ok(next_row)
}

/// The batch as an Arrow stream of its own, with plain texts: views would take along what they were cut from.
fn encode(batch: &RecordBatch) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let columns = batch.columns().iter().map(cut::plain).collect::<Result<Vec<ArrayRef>, _>>()?;
    let fields = batch.schema_ref().fields().iter().map(|field| cut::changed(field, cut::as_plain));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let plain = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&plain)?;
    writer.into_inner()
}

/// The file, range by range.
#[derive(Clone)]
struct Piped {
    size: u64,
    pipe: Arc<Mutex<Pipe>>,
}

impl Piped {
    fn range(&self, range: Range<u64>) -> Result<Bytes, ParquetError> {
        if range.end > self.size || range.start > range.end {
            return Err(ParquetError::General("it goes on behind its end".to_owned()));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        lock(&self.pipe).fetch(&range).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl Length for Piped {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Piped {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(AHEAD_BYTES, From { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.range(start..start.saturating_add(length as u64))
    }
}

/// The file from a place on.
struct From {
    file: Piped,
    at: u64,
}

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let end = self.at.saturating_add(into.len() as u64).min(self.file.size);
        if self.at >= end {
            return Ok(0);
        }
        let bytes = self.file.range(self.at..end).map_err(io::Error::other)?;
        let mut to = into;
        to.write_all(&bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
