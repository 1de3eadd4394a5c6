//! Arrow IPC streams.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;

/// All that one message holds. Batches share its memory rather than copying it.
pub(super) fn decode(data: Bytes) -> Result<(Option<SchemaRef>, Vec<RecordBatch>), ArrowError> {
    let mut rest = Buffer::from(data);
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        batches.extend(decoder.decode(&mut rest)?);
    }
    let schema = decoder.schema();
    decoder.finish()?;
    Ok((schema, batches))
}
