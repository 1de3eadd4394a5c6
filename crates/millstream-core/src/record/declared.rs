//! What an Arrow stream declares of itself, looked at before the library believes it: the library takes as much memory as the lengths
//! in a stream say, and a stream that is damaged can say anything.

use arrow::ipc::{CompressionType, Message, MessageHeader, RecordBatch, root_as_message};

/// How many times its size LZ4 unpacks anything to, at most.
const LZ4_TIMES: u64 = 255;

/// Rows that a batch may have whose columns have no values.
const FEW_ROWS: u64 = 65_536;

/// Whether everything that a stream declares can be in it: lengths of messages, places of buffers, what these unpack to, and rows.
pub(super) fn is_possible(stream: &[u8]) -> bool {
    looked_through(stream).is_some()
}

fn looked_through(stream: &[u8]) -> Option<()> {
    let mut rest = stream;
    // Buffers may lie over each other, so they count together.
    let mut left = (stream.len() as u64).saturating_mul(LZ4_TIMES);
    while !rest.is_empty() {
        let metadata = match metadata_bytes(&mut rest)? {
            0 => break,
            bytes => rest.split_off(..bytes)?,
        };
        let message = root_as_message(metadata).ok()?;
        let body = rest.split_off(..usize::try_from(message.bodyLength()).ok()?)?;
        if let Some(batch) = batch_of(&message) {
            let unpacked = unpacked_bytes(&batch, body)?;
            left = left.checked_sub(unpacked)?;
            check_rows(&batch, unpacked)?;
        }
    }
    Some(())
}

/// Length of the metadata of the next message, 0 at the end. Older writers have no mark before it.
fn metadata_bytes(rest: &mut &[u8]) -> Option<usize> {
    let mut word = || Some(i32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?));
    let length = match word()? {
        -1 => word()?,
        length => length,
    };
    usize::try_from(length).ok()
}

fn batch_of<'a>(message: &Message<'a>) -> Option<RecordBatch<'a>> {
    match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch()?.data(),
        _ => None,
    }
}

/// Bytes that the buffers of a batch unpack to.
fn unpacked_bytes(batch: &RecordBatch<'_>, body: &[u8]) -> Option<u64> {
    let is_packed = match batch.compression().map(|compression| compression.codec()) {
        None => false,
        Some(CompressionType::LZ4_FRAME) => true,
        // Nothing that this program writes, and nothing bounds what it unpacks to.
        Some(_) => return None,
    };
    let mut unpacked = 0_u64;
    for buffer in batch.buffers()? {
        let (start, length) = (usize::try_from(buffer.offset()).ok()?, usize::try_from(buffer.length()).ok()?);
        let bytes = body.get(start..start.checked_add(length)?)?;
        let declared = match (is_packed && !bytes.is_empty()).then(|| bytes.split_first_chunk::<8>()) {
            None => length as u64,
            Some(None) => return None,
            Some(Some((declared, values))) => match i64::from_le_bytes(*declared) {
                -1 => values.len() as u64,
                declared => u64::try_from(declared).ok()?,
            },
        };
        unpacked = unpacked.checked_add(declared)?;
    }
    Some(unpacked)
}

/// A row takes a bit at least.
fn check_rows(batch: &RecordBatch<'_>, unpacked: u64) -> Option<()> {
    let most = unpacked.saturating_mul(8).saturating_add(FEW_ROWS);
    let is_possible = |rows: i64| u64::try_from(rows).is_ok_and(|rows| rows <= most);
    let nodes = batch.nodes()?;
    (is_possible(batch.length()) && nodes.iter().all(|node| is_possible(node.length()))).then_some(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, Int64Array, ListArray, NullArray, StringArray};
    use arrow::datatypes::{Int64Type, Schema};
    use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
    use arrow::record_batch::{RecordBatch, RecordBatchOptions};
    use proptest::prelude::*;

    use super::super::{RecordError, decode, encode, memory_of};
    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let lists = (0..rows).map(|n| (n % 4 != 0).then(|| vec![Some(n); usize::try_from(n % 3).unwrap()]));
        let texts = (0..rows).map(|n| (n % 5 != 0).then(|| format!("t{}", n % 9)));
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef),
            ("t", Arc::new(texts.collect::<StringArray>())),
            ("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ])
        .unwrap()
    }

    fn with(value: &[u8], at: usize, word: i64) -> Vec<u8> {
        let mut changed = value.to_vec();
        changed[at..at + 8].copy_from_slice(&word.to_le_bytes());
        changed
    }

    #[test]
    fn what_is_written_is_possible() {
        let same: ArrayRef = Arc::new(Int64Array::from_value(7, 200_000));
        let packed = RecordBatch::try_from_iter([("n", same)]).unwrap();
        let rows = RecordBatchOptions::new().with_row_count(Some(8192));
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &rows).unwrap();
        for batch in [batch(0), batch(1), batch(500), packed, none] {
            assert_eq!(decode(&encode(&batch).unwrap()).unwrap(), batch);
            let mut plain = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
            plain.write(&batch).unwrap();
            // Without the mark of the end.
            assert_eq!(decode(plain.get_ref()).unwrap(), batch);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused_before_memory_is_taken_for_them() {
        let value = encode(&batch(500)).unwrap();
        let mut refused = 0;
        for at in (0..value.len() - 8).step_by(8) {
            for word in [1 << 33, 1 << 45, i64::MAX, -2] {
                match decode(&with(&value, at, word)) {
                    Err(RecordError::Damaged) => refused += 1,
                    Err(_) => {}
                    Ok(batch) => assert!(memory_of(&batch) < 255 * value.len()),
                }
            }
        }
        assert!(refused > 40, "{refused}");
    }

    #[test]
    fn rows_without_values_and_values_that_nothing_bounds_are_refused() {
        let nulls: ArrayRef = Arc::new(NullArray::new(1 << 40));
        let rows = RecordBatch::try_from_iter([("n", nulls)]).unwrap();
        assert!(matches!(decode(&encode(&rows).unwrap()), Err(RecordError::Damaged)));

        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let batch = batch(500);
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
        writer.write(&batch).unwrap();
        assert!(matches!(decode(writer.get_ref()), Err(RecordError::Damaged)));
    }

    proptest! {
        #[test]
        fn fuzz_a_changed_record_is_read_or_refused_and_takes_no_more_than_it_can_hold(
            rows in 1_i64..200,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            end in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut value = encode(&batch(rows)).unwrap();
            for (at, byte) in changes {
                let at = at.index(value.len());
                value[at] = byte;
            }
            if is_cut {
                value.truncate(end.index(value.len()));
            }
            if let Ok(batch) = decode(&value) {
                let rows = batch.columns().iter().map(Array::len).max().unwrap_or_default();
                prop_assert!(rows <= 8 * 255 * value.len() + 65_536);
            }
        }
    }
}
