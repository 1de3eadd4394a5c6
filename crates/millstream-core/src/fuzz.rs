//! Bytes that nobody vouches for, over what reads them: changed records and changed pipeline files. More cases: `PROPTEST_CASES=100000 cargo test fuzz`.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use proptest::prelude::*;

use crate::config::Config;
use crate::record::{Encoder, decode, decode_schema, encode_schema, json};

/// Changes of some bytes: where (of a thousand) and to what.
fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((0usize..1000, any::<u8>()), 0..6)
}

fn changed(bytes: &[u8], changes: &[(usize, u8)], keep: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, to) in changes {
        let at = at * bytes.len() / 1000;
        bytes[at] = to;
    }
    bytes.truncate(bytes.len() * keep / 1000);
    bytes
}

fn record() -> RecordBatch {
    let numbers: ArrayRef = Arc::new((0..40).map(|n| (n % 3 != 0).then_some(n)).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..40).map(|n| (n % 5 != 0).then(|| format!("text {n}"))).collect::<StringArray>());
    let files: ArrayRef = Arc::new((0..40).map(|_| Some("f")).collect::<DictionaryArray<Int32Type>>());
    let lists = (0..40).map(|n| (n % 4 != 0).then(|| vec![Some(n), None]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    RecordBatch::try_from_iter([("n", numbers), ("t", texts), ("_file", files), ("l", lists)]).unwrap()
}

proptest! {
    #[test]
    fn a_record_that_ends_too_early_is_an_error(keep in 0usize..1000) {
        let whole = Encoder::default().encode_within(&record(), 1 << 20).unwrap().records.remove(0).value;
        let part = &whole[..whole.len() * keep / 1000];
        if let Ok(batch) = decode(part) {
            // Only the mark of the end is missing.
            prop_assert_eq!(batch, record());
        }
    }

    #[test]
    fn no_bytes_make_a_reader_of_records_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = decode_schema(&bytes);
        let (_, schema) = encode_schema(&record().schema()).unwrap();
        let schema = decode_schema(&schema).unwrap();
        let _ = json::decode_rows(&[bytes.as_slice()], &schema);
    }

    #[test]
    fn a_changed_schema_is_an_error_or_a_schema(changes in changes(), keep in 900usize..=1000) {
        let (_, whole) = encode_schema(&record().schema()).unwrap();
        let _ = decode_schema(&changed(&whole, &changes, keep));
    }

    #[test]
    fn a_changed_pipeline_file_is_read_or_its_mistakes_are_told(changes in changes(), keep in 0usize..=1000) {
        let page = include_str!("../../../docs/pipeline.md");
        let example = page.split("```toml\n").nth(1).and_then(|text| text.split("```").next()).unwrap();
        let text = String::from_utf8_lossy(&changed(example.as_bytes(), &changes, keep)).into_owned();
        if let Err(errors) = Config::parse(&text, Path::new("/p/pipeline.toml"), &|_| None) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_text_is_no_pipeline_file_and_makes_no_reader_panic(text in ".{0,200}") {
        prop_assert!(Config::parse(&text, Path::new("/p/pipeline.toml"), &|_| None).is_err());
    }
}
