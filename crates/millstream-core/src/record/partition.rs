//! Which partition a row goes to by its key: the one that the Java client of Kafka would choose, so that rows of Millstream
//! and of other programs with the same key meet.

use arrow::record_batch::RecordBatch;

use super::RecordError;
use super::json::write::Key;

/// The partition of a key: Kafka's murmur2 of its bytes, made positive, modulo the number of partitions.
///
/// As `BuiltInPartitioner.partitionForKey` and `Utils.murmur2` of Apache Kafka's Java client.
///
/// # Panics
/// When there are no partitions.
#[must_use]
pub fn murmur2_partition(key: &[u8], partitions: u32) -> u32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// The partition of each row by the text of its key, as [`super::json::encode_rows`] writes it; none where it has no key,
/// so that the caller takes turns.
///
/// # Errors
/// When `key` names a column that is not there, or one with a type that has no text.
///
/// # Panics
/// When there are no partitions.
pub fn keys(batch: &RecordBatch, key: &[String], partitions: u32) -> Result<Vec<Option<u32>>, RecordError> {
    let key = Key::new(batch, key)?;
    let mut text = Vec::new();
    let partition = |row| {
        text.clear();
        key.write(row, &mut text).then(|| murmur2_partition(&text, partitions))
    };
    Ok((0..batch.num_rows()).map(partition).collect())
}

/// 32 bits, with the seed that Kafka takes.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Kafka's lengths are 32 bits wide.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ length, |hash, word| {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash.wrapping_mul(M) ^ k.wrapping_mul(M)
    });
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};

    use super::super::json::encode_rows;
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka() {
        // From `UtilsTest.testMurmur2` of Apache Kafka.
        let cases = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, expected) in cases {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn a_negative_hash_becomes_positive_by_its_lower_bits() {
        // -973932308 & 0x7fffffff = 1173551340
        assert_eq!(murmur2_partition(b"21", 1000), 340);
        assert_eq!(murmur2_partition(b"abc", 1), 0);
    }

    #[test]
    fn rows_go_by_the_key_that_their_record_has_and_rows_without_a_key_nowhere() {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(Int32Array::from(vec![Some(21), None, None])) as _, true),
            ("t", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None])) as _, true),
        ])
        .unwrap();
        for key in [vec!["n".to_owned()], vec!["n".to_owned(), "t".to_owned()], vec![]] {
            let rows = encode_rows(&batch, &key).unwrap();
            let expected: Vec<_> =
                rows.iter().map(|row| row.key.as_ref().map(|key| murmur2_partition(key, 16))).collect();
            assert_eq!(keys(&batch, &key, 16).unwrap(), expected);
        }
        assert_eq!(keys(&batch, &["n".to_owned()], 1000).unwrap(), [Some(340), None, None]);
        assert!(keys(&batch, &["x".to_owned()], 16).is_err());
    }
}
