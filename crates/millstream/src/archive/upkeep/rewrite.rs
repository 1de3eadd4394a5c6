//! Rewriting: the rows of some files of a table as new files, read and written batch by batch, where nothing refers to them yet.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use deltalake::kernel::Add;
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake::operations::write::writer::PartitionWriter;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::super::stage::put_into_partition;
use super::super::{ArchiveError, ArchiveTable, Loaded, PARTITION_COLUMN, encode};
use super::pace::Pace;
use super::plan::DataFile;
use crate::clock::now_micros;
use crate::table::segment::conform;

/// Arrow bytes that are read at once, about.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// Rows that are read at once, at most.
const BATCH_ROWS: u64 = 8192;

/// Which rows stay when files are rewritten.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// Column of times.
    pub(crate) column: String,
    /// Rows whose time is below leave; those without a time stay.
    pub(crate) from_micros: i64,
}

/// Memory and sizes of a rewrite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Bytes past which a new file is begun.
    pub(crate) file: u64,
    /// Memory of a row group that is being written.
    pub(crate) row_group: NonZeroUsize,
}

/// Files that hold the rows of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rewritten {
    /// One for each file.
    pub(crate) adds: Vec<Add>,
    /// Rows that were read.
    pub(crate) rows_read: u64,
    /// Rows in the new files.
    pub(crate) rows: u64,
    /// When it began: files that are too old are not committed any more.
    pub(crate) began_micros: i64,
}

impl Rewritten {
    /// Their size.
    pub(crate) fn bytes(&self) -> u64 {
        self.adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum()
    }
}

impl ArchiveTable {
    /// Writes the rows of `inputs`, which are of one partition, into new files, and forces those to disk. None when `pace` says so.
    pub(super) async fn rewrite(
        &self,
        loaded: &Loaded,
        inputs: &[DataFile],
        keep: Option<&Keep>,
        sizes: Sizes,
        pace: &mut Pace,
    ) -> Result<Option<Rewritten>, ArchiveError> {
        let mut begun: Option<PartitionWriter> = None;
        let mut rewritten = Rewritten { began_micros: now_micros(), ..Rewritten::default() };
        let is_whole = self.copy(loaded, inputs, keep, sizes, pace, &mut begun, &mut rewritten).await;
        match (is_whole, begun) {
            (Ok(true), Some(writer)) => {
                rewritten.adds = writer.close().await.map_err(self.delta("write files of"))?;
            }
            (Ok(true), None) => {}
            (stopped, begun) => {
                // What it wrote is in no version: if taking it back fails, it is removed as such later.
                if let Some(writer) = begun {
                    let _ = writer.abort().await;
                }
                return stopped.map(|_| None);
            }
        }
        let partition = inputs.first().and_then(|file| file.partition.as_deref());
        for add in &mut rewritten.adds {
            put_into_partition(add, partition);
        }
        self.sync(rewritten.adds.iter().map(|add| add.path.clone()).collect()).await?;
        Ok(Some(rewritten))
    }

    /// Copies rows into a writer, which is begun with the first of them; `false` when `pace` says that this has to end.
    #[allow(clippy::too_many_arguments, reason = "one loop of its caller, who ends the writer whatever happens here")]
    async fn copy(
        &self,
        loaded: &Loaded,
        inputs: &[DataFile],
        keep: Option<&Keep>,
        sizes: Sizes,
        pace: &mut Pace,
        begun: &mut Option<PartitionWriter>,
        rewritten: &mut Rewritten,
    ) -> Result<bool, ArchiveError> {
        let store = loaded.table.object_store();
        let schema = self.file_schema(loaded)?;
        let partition = inputs.first().and_then(|file| file.partition.as_deref());
        pace.begin();
        for input in inputs {
            let mut batches = self.read(&store, input).await?;
            while let Some(batch) = batches.try_next().await.map_err(self.unreadable(input))? {
                rewritten.rows_read += batch.num_rows() as u64;
                let batch = conform(&batch, &schema).and_then(|batch| kept(batch, keep)).map_err(self.arrange())?;
                rewritten.rows += batch.num_rows() as u64;
                let writer = if let Some(writer) = begun {
                    &mut *writer
                } else {
                    let properties = encode::properties(&schema, Some(&batch), Some(sizes.row_group));
                    begun.insert(self.writer(Arc::clone(&store), &schema, partition, properties, sizes.file)?)
                };
                writer.write(&batch).await.map_err(self.delta("write files of"))?;
                if !pace.rest().await {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The columns of the table's files.
    fn file_schema(&self, loaded: &Loaded) -> Result<SchemaRef, ArchiveError> {
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let schema: Schema = state.schema().as_ref().try_into_arrow().map_err(self.arrange())?;
        let fields = schema.fields().iter().filter(|field| field.name() != PARTITION_COLUMN).cloned();
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    async fn read(
        &self,
        store: &Arc<dyn ObjectStore>,
        input: &DataFile,
    ) -> Result<impl futures::Stream<Item = Result<RecordBatch, ParquetError>> + Unpin + Send + use<>, ArchiveError>
    {
        let reader = FileReader::new(Arc::clone(store), input);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(self.unreadable(input))?;
        let rows = batch_rows(builder.metadata());
        builder.with_batch_size(rows).build().map_err(self.unreadable(input))
    }

    /// The footer of a file.
    pub(super) async fn footer(&self, loaded: &Loaded, file: &DataFile) -> Result<Arc<ParquetMetaData>, ArchiveError> {
        let mut reader = FileReader::new(loaded.table.object_store(), file);
        reader.get_metadata(None).await.map_err(self.unreadable(file))
    }

    fn unreadable<'a>(&'a self, file: &'a DataFile) -> impl Fn(ParquetError) -> ArchiveError + 'a {
        |source| ArchiveError::ReadFile { table: self.name(), file: file.path.clone(), source }
    }
}

/// Reads ranges of one file of the table: files of a table never change.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: StorePath,
    bytes: u64,
}

impl FileReader {
    fn new(store: Arc<dyn ObjectStore>, file: &DataFile) -> Self {
        Self { store, path: StorePath::from(file.path.as_str()), bytes: file.bytes }
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let read = async move { self.store.get_range(&self.path, range).await };
        read.map(|bytes| bytes.map_err(|source| ParquetError::External(Box::new(source)))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let size = self.bytes;
        async move { ParquetMetaDataReader::new().load_and_finish(self, size).await.map(Arc::new) }.boxed()
    }
}

/// Rows of a batch, so that it has about the size that it should have.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let widest = metadata.row_groups().iter().map(|group| {
        let bytes = u64::try_from(group.total_byte_size()).unwrap_or(0);
        bytes / u64::try_from(group.num_rows()).unwrap_or(1).max(1)
    });
    let rows = BATCH_BYTES / widest.max().unwrap_or(1).max(1);
    usize::try_from(rows.clamp(1, BATCH_ROWS)).unwrap_or(1)
}

fn kept(batch: RecordBatch, keep: Option<&Keep>) -> Result<RecordBatch, ArrowError> {
    let Some(keep) = keep else { return Ok(batch) };
    let column = batch.column_by_name(&keep.column);
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times else { return Ok(batch) };
    let stays = |row: usize| times.is_null(row) || times.value(row) >= keep.from_micros;
    let mask: BooleanArray = (0..times.len()).map(|row| Some(stays(row))).collect();
    filter_record_batch(&batch, &mask)
}
