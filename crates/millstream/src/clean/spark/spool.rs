//! The spool: keeps an answer until it is known to be whole, in memory up to a share and on disk past it.

use std::io::{Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use millstream_core::spark::query::{BROKEN, ROW};
use tempfile::SpooledTempFile;

use super::error::SparkError;

/// Takes batches in.
pub(super) struct Spool {
    folder: PathBuf,
    bytes: usize,
    writer: Option<StreamWriter<SpooledTempFile>>,
    seen: Seen,
}

/// What was in them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Delivered rows.
    pub(super) delivered: u64,
    /// Numbers of the rejected rows, ascending.
    pub(super) rejected: Vec<u64>,
    /// Number of the first and the last row.
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
}

/// A whole answer.
pub(super) struct Spooled {
    /// What is in it.
    pub(super) seen: Seen,
    batches: Option<StreamReader<SpooledTempFile>>,
    folder: PathBuf,
    batch_rows: usize,
    /// The rest of the batch that was read last.
    rest: Option<RecordBatch>,
}

impl Spool {
    /// An empty one, that goes to a file in the folder when it is larger than so many bytes.
    pub(super) fn new(folder: &Path, bytes: usize) -> Self {
        Self { folder: folder.to_owned(), bytes, writer: None, seen: Seen::default() }
    }

    /// Takes a batch in; its rows follow those before.
    pub(super) fn put(&mut self, batch: &RecordBatch) -> Result<(), SparkError> {
        self.seen.look_at(batch)?;
        let wrong = |error: arrow::error::ArrowError| SparkError::spool(&self.folder)(error.into());
        let mut writer = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let file = SpooledTempFile::new_in(self.bytes, &self.folder);
            StreamWriter::try_new(file, &batch.schema()).map_err(wrong)?
        };
        writer.write(batch).map_err(wrong)?;
        self.writer = Some(writer);
        Ok(())
    }

    /// The whole answer, to be read from its beginning.
    pub(super) fn finish(self) -> Result<Spooled, SparkError> {
        let Self { folder, writer, seen, .. } = self;
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| SparkError::spool(&folder)(error);
        let batches = match writer {
            None => None,
            Some(writer) => {
                let mut file = writer.into_inner().map_err(|error| wrong(error.into()))?;
                file.seek(SeekFrom::Start(0)).map_err(|error| wrong(error.into()))?;
                Some(StreamReader::try_new(file, None).map_err(|error| wrong(error.into()))?)
            }
        };
        Ok(Spooled { seen, batches, folder, batch_rows: usize::MAX, rest: None })
    }
}

impl Spooled {
    /// The same in batches of at most so many rows.
    pub(super) fn in_batches(self, rows: NonZeroUsize) -> Self {
        Self { batch_rows: rows.get(), ..self }
    }

    /// The next batch.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, SparkError> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.batches.as_mut().and_then(Iterator::next).transpose() {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(None),
                Err(error) => return Err(SparkError::spool(&self.folder)(error.into())),
            },
        };
        if batch.num_rows() <= self.batch_rows {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(self.batch_rows, batch.num_rows() - self.batch_rows));
        Ok(Some(batch.slice(0, self.batch_rows)))
    }
}

impl Seen {
    fn look_at(&mut self, batch: &RecordBatch) -> Result<(), SparkError> {
        let rows = batch.column_by_name(ROW).and_then(|rows| rows.as_primitive_opt::<Int64Type>());
        let (Some(rows), Some(broken)) = (rows, batch.column_by_name(BROKEN)) else {
            return Err(SparkError::Untrue(format!("it has no columns `{ROW}` and `{BROKEN}`")));
        };
        if rows.null_count() > 0 {
            return Err(SparkError::Untrue("a row has no number".to_owned()));
        }
        for (index, &number) in rows.values().iter().enumerate() {
            let number = number.cast_unsigned();
            if self.last.is_some_and(|last| number <= last) {
                let last = self.last.unwrap_or_default();
                return Err(SparkError::Unordered { row: number, behind: last });
            }
            self.last = Some(number);
            self.first.get_or_insert(number);
            if broken.is_null(index) {
                self.delivered += 1;
            } else {
                kinds(broken, index)?;
                self.rejected.push(number);
            }
        }
        Ok(())
    }
}

/// What a row broke, ascending; at least one thing.
pub(super) fn kinds(broken: &ArrayRef, row: usize) -> Result<Vec<usize>, SparkError> {
    let list = broken.as_list_opt::<i32>().map(|lists| lists.value(row));
    let kinds = list.as_ref().and_then(|list| list.as_primitive_opt::<Int32Type>());
    let kinds = kinds.filter(|kinds| kinds.null_count() == 0 && !kinds.is_empty());
    let kinds = kinds.and_then(|kinds| kinds.values().iter().map(|&kind| usize::try_from(kind).ok()).collect());
    kinds.ok_or_else(|| SparkError::Untrue(format!("what rejected rows broke, in `{BROKEN}`, cannot be read")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array, ListArray};

    use super::*;

    /// Rows with these numbers; odd ones are rejected.
    fn batch(numbers: &[i64]) -> RecordBatch {
        let rows: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let broken = numbers.iter().map(|number| (number % 2 == 1).then_some([Some(0)]));
        let broken: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(broken));
        RecordBatch::try_from_iter_with_nullable([(ROW, rows, false), (BROKEN, broken, true)]).unwrap()
    }

    fn spool(bytes: usize) -> Spool {
        Spool::new(&std::env::temp_dir(), bytes)
    }

    #[test]
    fn what_was_put_comes_back_in_batches_of_the_wanted_size() {
        // In memory, and on disk.
        for bytes in [1 << 20, 1] {
            let mut spool = spool(bytes);
            spool.put(&batch(&[3, 4, 6])).unwrap();
            spool.put(&batch(&[7, 10])).unwrap();
            let mut spooled = spool.finish().unwrap().in_batches(NonZeroUsize::new(2).unwrap());
            assert_eq!((spooled.seen.delivered, &spooled.seen.rejected[..]), (3, &[3, 7][..]));
            assert_eq!((spooled.seen.first, spooled.seen.last), (Some(3), Some(10)));
            let mut sizes = Vec::new();
            while let Some(batch) = spooled.next().unwrap() {
                sizes.push(batch.num_rows());
            }
            assert_eq!(sizes, [2, 1, 2]);
        }
    }

    #[test]
    fn rows_that_repeat_or_go_back_are_refused() {
        for numbers in [[5, 5], [5, 4]] {
            assert!(matches!(spool(1).put(&batch(&numbers)), Err(SparkError::Unordered { .. })));
        }
        let mut spool = spool(1);
        spool.put(&batch(&[5])).unwrap();
        assert!(matches!(spool.put(&batch(&[5])), Err(SparkError::Unordered { row: 5, behind: 5 })));
    }

    #[test]
    fn what_a_row_broke_is_told_or_the_answer_is_refused() {
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(0), Some(3)]),
            Some(vec![]),
            Some(vec![None]),
            Some(vec![Some(-1)]),
        ]));
        assert_eq!(kinds(&lists, 0).unwrap(), [0, 3]);
        for row in 1..4 {
            assert!(matches!(kinds(&lists, row), Err(SparkError::Untrue(_))), "{row}");
        }
        let no_lists: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(kinds(&no_lists, 0).is_err());
    }

    #[test]
    fn an_answer_without_rows_has_no_batches() {
        assert!(spool(1).finish().unwrap().next().unwrap().is_none());
    }
}
