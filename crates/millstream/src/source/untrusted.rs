//! Files that nobody vouches for: how far what a file declares is believed, and where it is read.
//!
//! A file that declares no more than is allowed is read in this process, page headers looked at before pages are unpacked.
//! What is past that, or panics, is read by a process of its own ([`super::isolated`]). The rest is refused by name.

pub(crate) mod cut;
pub(crate) mod quiet;

use std::collections::HashMap;
use std::sync::Arc;

use millstream_core::config::{Config, FileLimits};
use millstream_core::units::about_size;
use millstream_core::untrusted::footer::{self, FooterRefusal};
use millstream_core::untrusted::pages::{self, Allowance, Chunk, Packing, PagesRefusal};
use parquet::basic::{Compression, Encoding, Type};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use tokio::sync::Semaphore;

use super::read::Split;

/// What gzip and LZ4 can unpack a byte to, at most.
const GZIP_TIMES: u64 = 1032;
const LZ4_TIMES: u64 = 255;

/// Batches are cut at so many times `stream.batch_bytes`: what is usual is never cut.
const CUT_TIMES: u64 = 4;

/// What files of one pipeline are held to.
#[derive(Debug)]
pub(crate) struct Guard {
    /// What a file may be.
    pub(crate) limits: FileLimits,
    /// `limits.memory`.
    memory: u64,
    /// Bytes that one page, the values of one batch of one column, or one row may take.
    pub(crate) allowance: u64,
    /// Bytes past which a batch is cut.
    pub(crate) cut_bytes: u64,
    /// Processes that read files at once.
    pub(crate) places: Arc<Semaphore>,
}

impl Guard {
    /// As the pipeline file says.
    pub(crate) fn of(config: &Config) -> Arc<Self> {
        let (limits, memory) = (config.limits.files, config.limits.memory);
        let splits = u64::try_from(config.source.parallel_splits.get()).unwrap_or(u64::MAX);
        let allowance = memory / 4 / splits;
        let places = usize::try_from(memory / 2 / limits.isolated_memory).unwrap_or(usize::MAX);
        Arc::new(Self {
            limits,
            memory,
            allowance,
            cut_bytes: config.stream.batch_bytes.saturating_mul(CUT_TIMES).min(allowance),
            // One for each split at least: they are drained in order, so that none may wait for one behind it.
            places: Arc::new(Semaphore::new(places.clamp(1, 64).max(config.source.parallel_splits.get()))),
        })
    }

    /// Looks at a footer before anything is made of it.
    pub(crate) fn check_footer(&self, bytes: &[u8]) -> Result<(), FooterRefusal> {
        footer::check(bytes, &self.limits, self.memory).map(|_| ())
    }

    /// Looks at what a footer declares of row groups and columns. Says why the file is to be read by a process of its own, if it is.
    pub(crate) fn declared(&self, metadata: &ParquetMetaData, size: u64) -> Result<Option<String>, String> {
        let mut isolate = None;
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows())
                .map_err(|_| format!("row group {index} declares {} rows", group.num_rows()))?;
            let (mut packed, mut unpacked, mut decoded) = (0_u64, 0_u64, 0_u64);
            for column in group.columns() {
                packed = packed.saturating_add(placed(index, column, size)?);
                unpacked = unpacked.saturating_add(column.uncompressed_size().max(0).cast_unsigned());
                if !is_text(column) && column.column_descr().max_rep_level() == 0 {
                    decoded = decoded.saturating_add(rows.saturating_mul(width(column)));
                }
                isolate = isolate.or_else(|| self.isolates(column));
            }
            let unpacked = unpacked.max(group.total_byte_size().max(0).cast_unsigned());
            let most = unpacked.max(decoded);
            if most > self.limits.unpacked && most / packed.max(1) > self.limits.expansion {
                let what = format!("row group {index}");
                return Err(pages::expands(&what, most, packed, self.limits.expansion));
            }
            if unpacked > self.limits.unpacked {
                isolate = isolate.or_else(|| Some(format!("row group {index} unpacks to {}", about_size(unpacked))));
            }
            if packed > size.saturating_mul(2) {
                isolate = isolate.or_else(|| Some(format!("the columns of row group {index} overlap")));
            }
        }
        Ok(isolate)
    }

    /// Why a column is not read here.
    fn isolates(&self, column: &ColumnChunkMetaData) -> Option<String> {
        let name = || column.column_path().string();
        let values = column.num_values().max(0).cast_unsigned();
        if matches!(column.compression(), Compression::BROTLI(_)) && values > 0 {
            return Some(format!("column `{}` is packed with brotli, which does not bound what it unpacks to", name()));
        }
        let is_delta = |encoding| matches!(encoding, Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY);
        if column.encodings().any(is_delta) {
            return Some(format!("column `{}` has delta-encoded texts, which can be longer than they declare", name()));
        }
        if width(column) > self.allowance {
            return Some(format!("a value of column `{}` has {}", name(), about_size(width(column))));
        }
        None
    }

    /// Rows of a batch so that values of fixed width fit.
    pub(crate) fn batch_rows(&self, split: &Split, columns: &[usize], wanted: usize) -> usize {
        let metadata = split.file.metadata.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let Some(group) = metadata.row_groups().get(split.row_groups.start) else { return wanted };
        let is_read = |leaf: &usize| columns.contains(&schema.get_column_root_idx(*leaf));
        let leaves = (0..group.num_columns()).filter(is_read);
        let row: u64 = leaves.map(|leaf| width(group.column(leaf))).fold(0, u64::saturating_add);
        let fits = usize::try_from(self.allowance / row.max(1)).unwrap_or(usize::MAX);
        wanted.min(fits.max(1))
    }
}

/// Looks at the pages of the chunks of a split as they are fetched.
#[derive(Debug)]
pub(crate) struct PageCheck {
    /// Chunks by where they begin, with what was found of them.
    chunks: HashMap<u64, Vec<(usize, usize)>>,
    allowance: Allowance,
    total: u64,
    taken: HashMap<usize, u64>,
}

impl PageCheck {
    /// For the chunks of a split; batches have `batch_rows` rows.
    pub(crate) fn new(split: &Split, batch_rows: usize) -> Self {
        let guard = &split.file.guard;
        let metadata = split.file.metadata.metadata();
        let mut chunks: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
        for index in split.row_groups.clone() {
            let Some(group) = metadata.row_groups().get(index) else { continue };
            for (leaf, column) in group.columns().iter().enumerate() {
                chunks.entry(column.byte_range().0).or_default().push((index, leaf));
            }
        }
        let allowance = Allowance {
            bytes: guard.allowance,
            batch_rows: batch_rows as u64,
            unpacked: guard.limits.unpacked,
            expansion: guard.limits.expansion,
        };
        Self { chunks, allowance, total: guard.memory, taken: HashMap::new() }
    }

    /// Looks at what was fetched from `start` on.
    pub(crate) fn check(&mut self, metadata: &ParquetMetaData, start: u64, bytes: &[u8]) -> Result<(), PagesRefusal> {
        let Some(places) = self.chunks.get(&start) else {
            return Err(PagesRefusal::Isolate("a part of it is read that no column has".to_owned()));
        };
        for &(group, leaf) in places {
            let column = metadata.row_group(group).column(leaf);
            let name = column.column_path().string();
            let chunk = Chunk {
                column: &name,
                packing: packing(column.compression()),
                values: column.num_values().max(0).cast_unsigned(),
                width: width(column),
                is_text: is_text(column),
                is_repeated: column.column_descr().max_rep_level() > 0,
            };
            let needed = pages::check(bytes, &chunk, &self.allowance)?;
            let taken = self.taken.entry(group).or_default();
            *taken = taken.saturating_add(needed);
            if *taken > self.total {
                return Err(PagesRefusal::Isolate(format!(
                    "a batch of row group {group} may take {}",
                    about_size(*taken)
                )));
            }
        }
        Ok(())
    }
}

/// Packed bytes of a column that lies within the file.
fn placed(group: usize, column: &ColumnChunkMetaData, size: u64) -> Result<u64, String> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let name = column.column_path().string();
    match (u64::try_from(start), u64::try_from(column.compressed_size())) {
        (Ok(start), Ok(length)) if start <= size => Ok(length.min(size - start)),
        _ => Err(format!(
            "column `{name}` of row group {group} is said to have {} bytes at {start}, and the file has {size}",
            column.compressed_size()
        )),
    }
}

fn packing(compression: Compression) -> Packing {
    match compression {
        Compression::GZIP(_) => Packing::UpTo(GZIP_TIMES),
        Compression::LZ4 => Packing::UpTo(LZ4_TIMES),
        Compression::BROTLI(_) => Packing::Unbounded,
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::LZO
        | Compression::ZSTD(_)
        | Compression::LZ4_RAW => Packing::Bounded,
    }
}

fn is_text(column: &ColumnChunkMetaData) -> bool {
    column.column_type() == Type::BYTE_ARRAY
}

/// Bytes of a value in memory; of a text those of its view.
fn width(column: &ColumnChunkMetaData) -> u64 {
    match column.column_type() {
        Type::BOOLEAN => 1,
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 | Type::BYTE_ARRAY => 16,
        Type::FIXED_LEN_BYTE_ARRAY => column.column_descr().type_length().max(0).cast_unsigned().into(),
    }
}
