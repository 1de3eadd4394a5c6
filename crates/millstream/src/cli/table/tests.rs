use serde_json::json;

use super::{csv, json_lines, table};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_table_sets_numbers_to_the_right_and_cuts_long_texts() {
    let rows = vec![vec![json!(1), json!("a"), json!("1.50")], vec![json!(20), json!(null), json!("x".repeat(99))]];
    insta::assert_snapshot!(table(&names(&["n", "text", "long"]), &rows), @r"
     n  text  long
    ──  ────  ────────────────────────────────────────────────────────────
     1  a     1.50
    20  NULL  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    ");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    assert!(!table(&names(&["it"]), &[vec![json!("\u{1b}[2J")]]).contains('\u{1b}'));
}

#[test]
fn csv_tells_null_from_an_empty_text_and_quotes_what_must_be() {
    let rows = [vec![json!(null), json!(""), json!("a,\"b\"\n"), json!([1, 2]), json!(1.5)]];
    let text = csv(&names(&["a", "b", "c,d", "e", "f"]), &rows);
    assert_eq!(text, "a,b,\"c,d\",e,f\r\n,\"\",\"a,\"\"b\"\"\n\",\"[1,2]\",1.5\r\n");
}

#[test]
fn json_lines_keep_the_order_of_the_columns() {
    let text = json_lines(&names(&["z", "a\""]), &[vec![json!(1), json!("x")], vec![json!(null), json!({"k": 2})]]);
    assert_eq!(text, "{\"z\":1,\"a\\\"\":\"x\"}\n{\"z\":null,\"a\\\"\":{\"k\":2}}\n");
}
