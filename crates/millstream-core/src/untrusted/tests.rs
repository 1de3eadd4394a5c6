use proptest::prelude::*;

use super::footer::{self, FooterRefusal};
use super::pages::{self, Allowance, Chunk, Packing, PagesRefusal};
use crate::config::FileLimits;

const LIMITS: FileLimits = FileLimits {
    footer: 32 << 20,
    columns: 10_000,
    row_groups: 32_767,
    depth: 32,
    unpacked: 1 << 30,
    expansion: 10_000,
    isolated_memory: 512 << 20,
    isolated_time: std::time::Duration::from_mins(1),
};
const MEMORY: u64 = 512 << 20;

/// A number as Thrift writes it.
fn number(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn list(length: u64, kind: u8) -> Vec<u8> {
    let mut bytes = vec![0xf0 | kind];
    bytes.extend(varint(length));
    bytes
}

/// A schema element with so many children.
fn element(children: i64) -> Vec<u8> {
    if children == 0 { vec![0x48, 1, b'c', 0] } else { [vec![0x48, 1, b'g', 0x15], number(children), vec![0]].concat() }
}

/// A footer with these schema elements and this list of row groups.
fn footer(elements: &[Vec<u8>], groups: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x29];
    bytes.extend(list(elements.len() as u64, 12));
    bytes.extend(elements.concat());
    bytes.push(0x29);
    bytes.extend_from_slice(groups);
    bytes.push(0);
    bytes
}

fn check(bytes: &[u8]) -> Result<footer::Footer, FooterRefusal> {
    footer::check(bytes, &LIMITS, MEMORY)
}

#[test]
fn columns_row_groups_and_depth_are_counted() {
    let nested = [element(2), element(1), element(0), element(0)];
    let found = check(&footer(&nested, &list(0, 12))).unwrap();
    assert_eq!((found.columns, found.row_groups, found.depth), (2, 0, 1));
    // Two row groups of one column chunk each.
    let group = [0x19, 0x1c, 0x00, 0x00];
    let groups = [list(2, 12), group.to_vec(), group.to_vec()].concat();
    let found = check(&footer(&[element(1), element(0)], &groups)).unwrap();
    assert_eq!((found.columns, found.row_groups, found.chunks), (1, 2, 2));
}

#[test]
fn a_footer_past_a_limit_is_refused_by_the_name_of_the_limit() {
    let deep = vec![element(1); 40];
    let wide: Vec<Vec<u8>> = std::iter::once(element(10_001)).chain(vec![element(0); 10_001]).collect();
    for (elements, key) in [(deep, "file_depth"), (wide, "file_columns")] {
        let refusal = check(&footer(&elements, &list(0, 12))).unwrap_err();
        assert!(refusal.to_string().contains(&format!("`limits.{key}`")), "{refusal}");
    }
    let groups = [list(40_000, 12), vec![0; 40_000]].concat();
    let refusal = check(&footer(&[element(0)], &groups)).unwrap_err();
    assert!(refusal.to_string().contains("`limits.file_row_groups` allows 32767"), "{refusal}");
    let chunks = [list(1, 12), vec![0x19], list(300_000, 12), vec![0; 300_001]].concat();
    let refusal = check(&footer(&[element(0)], &chunks)).unwrap_err();
    assert!(refusal.to_string().contains("`limits.memory`"), "{refusal}");
}

#[test]
fn a_list_longer_than_what_follows_is_damage_and_nothing_is_made_for_it() {
    assert_eq!(check(&footer(&[element(0)], &list(1 << 40, 12))), Err(FooterRefusal::Damaged));
    assert_eq!(check(&[]), Err(FooterRefusal::Damaged));
    assert_eq!(check(&vec![0x1c; 100_000]), Err(FooterRefusal::Damaged));
}

#[test]
fn an_encrypted_column_is_told() {
    let group = [0x19, 0x1c, 0x8c, 0x00, 0x00, 0x00];
    let groups = [list(1, 12), group.to_vec()].concat();
    assert_eq!(check(&footer(&[element(1), element(0)], &groups)), Err(FooterRefusal::Encrypted));
}

/// A data page (or dictionary) of `values`, which says that it unpacks to `unpacked`, with `packed` bytes behind it.
fn page(is_dictionary: bool, values: i64, encoding: i64, unpacked: i64, packed: usize) -> Vec<u8> {
    let header = if is_dictionary { 0x4c } else { 0x2c };
    let kind = number(if is_dictionary { 2 } else { 0 });
    let parts = [vec![0x15], kind, vec![0x15], number(unpacked), vec![0x15], number(i64::try_from(packed).unwrap())];
    let inner = [vec![header, 0x15], number(values), vec![0x15], number(encoding), vec![0, 0], vec![7; packed]];
    [parts.concat(), inner.concat()].concat()
}

fn chunk(packing: Packing, values: u64, is_text: bool) -> Chunk<'static> {
    Chunk { column: "c", packing, values, width: 8, is_text, is_repeated: false }
}

const ALLOWANCE: Allowance = Allowance { bytes: 1 << 20, batch_rows: 8192, unpacked: 1 << 24, expansion: 1000 };

#[test]
fn honest_pages_pass() {
    let bytes =
        [page(true, 100, 0, 800, 300), page(false, 5000, 8, 4000, 900), page(false, 5000, 8, 4000, 900)].concat();
    for is_text in [false, true] {
        assert!(pages::check(&bytes, &chunk(Packing::Bounded, 10_000, is_text), &ALLOWANCE).is_ok());
        assert!(pages::check(&bytes, &chunk(Packing::UpTo(1032), 10_000, is_text), &ALLOWANCE).is_ok());
    }
}

#[test]
fn pages_that_may_take_too_much_are_not_unpacked_here() {
    let isolated = |bytes: &[u8], chunk: &Chunk<'_>, part: &str| match pages::check(bytes, chunk, &ALLOWANCE) {
        Err(PagesRefusal::Isolate(reason)) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}"),
    };
    let text = chunk(Packing::Bounded, 10, true);
    isolated(&page(false, 10, 0, 2_000_000_000, 100), &text, "unpacks to 2.0GB");
    isolated(&page(false, 10, 0, -1, 100), &text, "less than no bytes");
    isolated(&page(false, -10, 0, 100, 100), &text, "less than no values");
    isolated(&page(true, 1 << 30, 0, 100, 100), &text, "more values than it has bytes for");
    isolated(&page(false, 10, 7, 100, 100), &text, "delta-encoded");
    isolated(&page(false, 10, 0, 100, 2000), &chunk(Packing::UpTo(1032), 10, true), "does not bound");
    isolated(&page(false, 10, 0, 100, 1), &chunk(Packing::Unbounded, 10, true), "does not bound");
    isolated(&[0xff; 20], &text, "header is damaged");
    let lists = Chunk { is_repeated: true, ..chunk(Packing::Bounded, 1 << 30, false) };
    isolated(&page(false, 1 << 30, 8, 10, 10), &lists, "may all be of one row");
}

#[test]
fn a_dictionary_of_long_texts_that_stand_for_millions_is_refused() {
    let bytes = [page(true, 1, 0, 1_000_000, 1000), page(false, 1_000_000, 8, 10, 10)].concat();
    let refusal = pages::check(&bytes, &chunk(Packing::Bounded, 1_000_000, true), &ALLOWANCE);
    assert!(matches!(refusal, Err(PagesRefusal::Refuse(reason)) if reason.contains("limits.file_expansion")));
}

#[test]
fn long_texts_make_batches_smaller() {
    let bytes = [0; 8].map(|_| page(false, 10, 0, 500_000, 10)).concat();
    let refusal = pages::check(&bytes, &chunk(Packing::Bounded, 80, true), &ALLOWANCE);
    assert_eq!(refusal, Err(PagesRefusal::Smaller(8)));
    let smaller = Allowance { batch_rows: 8, ..ALLOWANCE };
    assert!(pages::check(&bytes, &chunk(Packing::Bounded, 80, true), &smaller).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_a_check_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = check(&bytes);
        for packing in [Packing::Bounded, Packing::UpTo(255), Packing::Unbounded] {
            let _ = pages::check(&bytes, &chunk(packing, 100, true), &ALLOWANCE);
        }
    }

    #[test]
    fn no_change_of_a_footer_makes_a_check_panic(at in 0usize..200, to: u8) {
        let group = [0x19, 0x1c, 0x00, 0x00];
        let mut bytes = footer(&vec![element(3); 20], &[list(2, 12), group.to_vec(), group.to_vec()].concat());
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = check(&bytes);
    }

    #[test]
    fn a_window_holds_every_run_of_rows(
        sizes in proptest::collection::vec((1u64..50, 1u64..100), 1..20), rows in 1u64..200
    ) {
        let bytes = sizes.iter().map(|&(values, size)| {
            page(false, i64::try_from(values).unwrap(), 0, i64::try_from(size).unwrap(), 1)
        }).collect::<Vec<_>>().concat();
        let values: Vec<u64> = sizes.iter().enumerate().flat_map(|(page, &(values, _))| vec![page as u64; usize::try_from(values).unwrap()]).collect();
        let most = values.windows(usize::try_from(rows).unwrap().min(values.len())).map(|run| {
            let (first, last) = (usize::try_from(run[0]).unwrap(), usize::try_from(run[run.len() - 1]).unwrap());
            sizes[first..=last].iter().map(|&(_, size)| size).sum::<u64>()
        }).max().unwrap();
        let allowance = Allowance { batch_rows: rows, ..ALLOWANCE };
        let held = pages::check(&bytes, &chunk(Packing::Bounded, values.len() as u64, true), &allowance).unwrap();
        prop_assert_eq!(held, most + 16 * rows);
    }
}
