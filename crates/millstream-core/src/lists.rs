//! Columns that are made for rows, whatever is in them: their numbers, and lists of texts. Here, where loops are optimised
//! also in development.

use std::sync::Arc;

use arrow::array::{Int64Array, ListArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};

/// The Arrow type of a list of texts.
#[must_use]
pub fn text_list_type() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
}

/// `first`, `first + 1`, … for so many rows.
#[must_use]
pub fn row_numbers(first: u64, rows: usize) -> Int64Array {
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let end = first.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
    Int64Array::from_iter_values(first..end)
}

/// A list of texts from the texts of each row.
#[must_use]
pub fn text_lists(rows: &[Vec<String>]) -> ListArray {
    let values: StringArray = rows.iter().flatten().map(|text| Some(text.as_str())).collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(Vec::len));
    ListArray::new(Arc::new(Field::new("element", DataType::Utf8, true)), offsets, Arc::new(values), None)
}

/// For each row the names of the masks that cover it, in their order; NULL if there is none.
#[must_use]
pub fn covering(rows: usize, masks: &[(String, BooleanBuffer)]) -> ListArray {
    let mut lengths = vec![0_usize; rows];
    for (_, mask) in masks {
        for row in mask.set_indices() {
            lengths[row] += 1;
        }
    }
    let valid: NullBuffer = lengths.iter().map(|length| *length > 0).collect();
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let mut names = vec![""; lengths.iter().sum()];
    let mut next: Vec<usize> =
        offsets.iter().take(rows).map(|offset| usize::try_from(*offset).unwrap_or_default()).collect();
    for (name, mask) in masks {
        for row in mask.set_indices() {
            names[next[row]] = name;
            next[row] += 1;
        }
    }
    let values: StringArray = names.into_iter().map(Some).collect();
    ListArray::new(Arc::new(Field::new("element", DataType::Utf8, true)), offsets, Arc::new(values), Some(valid))
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    #[test]
    fn rows_without_a_mask_are_null_and_names_keep_their_order() {
        let mask = |bits: [bool; 3]| BooleanBuffer::from(bits.to_vec());
        let lists =
            covering(3, &[("a".to_owned(), mask([true, false, true])), ("b".to_owned(), mask([true, false, false]))]);
        assert!(lists.is_null(1));
        assert_eq!(lists.value(0).as_ref(), &StringArray::from(vec!["a", "b"]) as &dyn Array);
        assert_eq!(lists.value(2).len(), 1);
    }
}
