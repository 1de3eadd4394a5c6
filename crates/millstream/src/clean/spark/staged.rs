//! Staging: answers that are more than a driver should carry, written by the executors to a folder that they share with us, read
//! from there, and removed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use millstream_core::config::Spark;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use tracing::warn;
use uuid::Uuid;

use super::error::SparkError;

/// Rows of a batch that is read, and about how many bytes they may have.
const BATCH_ROWS: u64 = 8192;
const BATCH_BYTES: u64 = 4 << 20;

/// What a Spark that wrote all of a folder leaves in it.
const SUCCESS: &str = "_SUCCESS";

/// The part of the staging folder that belongs to one publisher; removed when it is dropped.
pub(super) struct Staging {
    /// Of this publisher, whichever process it is.
    owner: PathBuf,
    /// Of this process.
    folder: PathBuf,
    /// Of processes that were killed: executors may have written on until their sessions were ended.
    earlier: Vec<PathBuf>,
}

/// A folder for one answer; removed when it is dropped.
pub(super) struct StagedFolder {
    path: PathBuf,
}

impl Staging {
    /// Makes the folder, and removes what an earlier process of the same owner left in it.
    pub(super) fn new(settings: &Spark, owner: &str) -> Result<Self, SparkError> {
        let owner = settings.staging.join(owner);
        let folder = owner.join(Uuid::new_v4().to_string());
        let wrong = |source: std::io::Error| SparkError::spool(&folder)(source.into());
        let earlier = fs::read_dir(&owner).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
        match fs::remove_dir_all(&owner) {
            // A query of a run that was killed may still write there: what it leaves is removed at the end.
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                return Err(wrong(error));
            }
            Ok(()) | Err(_) => {}
        }
        fs::create_dir_all(&folder).map_err(wrong)?;
        Ok(Self { owner, folder, earlier: earlier.unwrap_or_default() })
    }

    /// A folder that is not there yet.
    pub(super) fn folder(&self) -> StagedFolder {
        StagedFolder { path: self.folder.join(Uuid::new_v4().to_string()) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove(&self.folder);
        for folder in &self.earlier {
            remove(folder);
        }
        // Not while another process of this publisher has taken over.
        let _ = fs::remove_dir(&self.owner);
    }
}

impl StagedFolder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands on the batches of its files, in their order.
    pub(super) fn read(&self, mut put: impl FnMut(&RecordBatch) -> Result<(), SparkError>) -> Result<(), SparkError> {
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| SparkError::spool(&self.path)(source);
        if !self.path.join(SUCCESS).exists() {
            return Err(wrong(
                format!("`{SUCCESS}` is not there: does the cluster share this folder (`clean.spark.staging`)?").into(),
            ));
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|error| wrong(error.into()))? {
            let path = entry.map_err(|error| wrong(error.into()))?.path();
            if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            }
        }
        // Named by the number of the partition, and these are ordered by row.
        files.sort();
        for path in files {
            let file = File::open(&path).map_err(|error| wrong(error.into()))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(|builder| {
                    let rows = batch_rows(builder.metadata());
                    builder.with_batch_size(rows).build()
                })
                .map_err(|error| wrong(error.into()))?;
            for batch in reader {
                put(&batch.map_err(|error| wrong(error.into()))?)?;
            }
        }
        Ok(())
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Fewer rows where they are wide.
fn batch_rows(file: &ParquetMetaData) -> usize {
    let sum = |of: fn(&RowGroupMetaData) -> i64| file.row_groups().iter().map(of).sum::<i64>().max(1).cast_unsigned();
    let row_bytes = (sum(RowGroupMetaData::total_byte_size) / sum(RowGroupMetaData::num_rows)).max(1);
    usize::try_from((BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS)).unwrap_or(1)
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            warn!(folder = %folder.display(), %error, "staged rows are left behind");
        }
        Ok(()) | Err(_) => {}
    }
}
