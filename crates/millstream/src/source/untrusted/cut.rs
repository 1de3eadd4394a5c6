//! How large a batch is once its texts stand apart, and batches cut by that: a text of a dictionary is held once, however often
//! it is there.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow, which grow")]

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use millstream_core::units::about_size;

/// The batch in pieces of at most `cut_bytes`, or of one row, each with the number of its first row.
///
/// # Errors
/// Names a row that alone takes more than `row_bytes`.
pub(crate) fn pieces(
    first_row: u64,
    batch: RecordBatch,
    cut_bytes: u64,
    row_bytes: u64,
) -> Result<VecDeque<(u64, RecordBatch)>, String> {
    let mut pieces = VecDeque::new();
    let mut waiting = vec![(first_row, batch)];
    while let Some((row, batch)) = waiting.pop() {
        let bytes = batch.columns().iter().map(|column| plain_bytes(column)).fold(0, u64::saturating_add);
        match batch.num_rows() {
            rows if rows > 1 && bytes > cut_bytes => {
                let half = rows / 2;
                waiting.push((row + half as u64, batch.slice(half, rows - half)));
                waiting.push((row, batch.slice(0, half)));
            }
            1 if bytes > row_bytes => {
                let (bytes, allowed) = (about_size(bytes), about_size(row_bytes));
                return Err(format!("row {row} takes {bytes} of memory, and `limits.memory` leaves a row {allowed}"));
            }
            _ => pieces.push_back((row, batch)),
        }
    }
    Ok(pieces)
}

/// Bytes of the values, each text counted as often as it is there.
fn plain_bytes(array: &dyn Array) -> u64 {
    let lengths = |lengths: &mut dyn Iterator<Item = usize>| lengths.map(|length| length as u64).sum::<u64>();
    let rows = array.len() as u64;
    let inner = match array.data_type() {
        DataType::Utf8View => lengths(&mut array.as_string_view().views().iter().map(|view| length_of(*view))),
        DataType::BinaryView => lengths(&mut array.as_binary_view().views().iter().map(|view| length_of(*view))),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let (first, end) = ends(lists.value_offsets());
            plain_bytes(&lists.values().slice(first, end - first))
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let (first, end) = ends(lists.value_offsets());
            plain_bytes(&lists.values().slice(first, end - first))
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let size = usize::try_from(*size).unwrap_or_default();
            let first = usize::try_from(list.value_offset(0)).unwrap_or_default();
            plain_bytes(&list.values().slice(first, size * list.len()))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let (first, last) = ends(map.value_offsets());
            map.entries().columns().iter().map(|column| plain_bytes(&column.slice(first, last - first))).sum()
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| plain_bytes(column)).sum(),
        DataType::Dictionary(..) => dictionary_bytes(array),
        _ => array.to_data().get_slice_memory_size().unwrap_or(array.get_array_memory_size()) as u64,
    };
    inner.saturating_add(rows * 4)
}

fn length_of(view: u128) -> usize {
    // The low four bytes of a view are the length of its text.
    usize::try_from(view & u128::from(u32::MAX)).unwrap_or(usize::MAX)
}

fn ends<O: OffsetSizeTrait>(offsets: &[O]) -> (usize, usize) {
    let at = |offset: Option<&O>| offset.map(|offset| offset.as_usize()).unwrap_or_default();
    (at(offsets.first()), at(offsets.last()))
}

fn dictionary_bytes(array: &dyn Array) -> u64 {
    let Some(dictionary) = array.as_any_dictionary_opt() else { return 0 };
    let values = dictionary.values();
    if values.is_empty() {
        return 0;
    }
    let each: Vec<u64> = (0..values.len()).map(|value| plain_bytes(&values.slice(value, 1))).collect();
    dictionary.normalized_keys().into_iter().filter_map(|key| each.get(key)).sum()
}

/// The type with texts as views, so that nothing is copied before it is known how much that would be.
pub(crate) fn as_views(of: &DataType) -> DataType {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) if as_views(value) != **value => as_views(value),
        other => nested(other, as_views),
    }
}

/// The type with views as plain texts.
pub(crate) fn as_plain(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => nested(other, as_plain),
    }
}

fn nested(of: &DataType, change: fn(&DataType) -> DataType) -> DataType {
    let field = |field: &FieldRef| -> FieldRef { Arc::new(changed(field, change)) };
    match of {
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Map(entry, sorted) => DataType::Map(field(entry), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect::<Fields>()),
        other => other.clone(),
    }
}

/// The field with another type.
pub(crate) fn changed(field: &Field, change: fn(&DataType) -> DataType) -> Field {
    field.clone().with_data_type(change(field.data_type()))
}

/// The column with views as plain texts.
pub(crate) fn plain(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    arrow::compute::cast(column, &as_plain(column.data_type()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    #[test]
    fn pieces_are_in_order_and_lose_no_row() {
        let texts: StringViewArray = (0..100).map(|n| Some("x".repeat(n))).collect();
        let pieces = pieces(7, batch(Arc::new(texts)), 500, 500).unwrap();
        assert!(pieces.len() > 5);
        let mut next = 7;
        for (row, piece) in &pieces {
            assert_eq!(*row, next);
            next += piece.num_rows() as u64;
        }
        assert_eq!(next, 107);
    }

    #[test]
    fn a_text_counts_as_often_as_it_is_there() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["y".repeat(1000)]));
        let keys = Int32Array::from_value(0, 64);
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).unwrap());
        assert!(pieces(0, batch(Arc::clone(&column)), 10_000, 10_000).unwrap().len() >= 8);
        let refused = pieces(0, batch(column), 10, 10).unwrap_err();
        assert!(refused.starts_with("row 0 takes 1.0kB"), "{refused}");
    }

    #[test]
    fn views_and_plain_texts_are_each_others_other() {
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let of = DataType::Struct(Fields::from(vec![Field::new("l", DataType::List(item), true)]));
        let views = as_views(&of);
        assert_ne!(views, of);
        assert_eq!(as_plain(&views), of);
    }
}
