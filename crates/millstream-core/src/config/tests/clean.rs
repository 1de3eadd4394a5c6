use insta::assert_snapshot;

use super::*;

#[test]
fn mistakes_in_columns_are_told() {
    let text = "
[clean.columns]
a = { type = \"int\" }
b = { type = \"decimal(39,2)\" }
c = { type = \"timestamp\", formats = [\"%Y-%m-%d %I\", \"%d.%m\", \"\"] }
d = { type = \"timestamp\", time_zone = \"Europe/Berlin\" }
e = { on_bad = \"ignore\", case = \"title\", trim = 1 }
f = { typ = \"int32\" }
g = \"int32\"
_h = { type = \"int32\" }
ingested_at = {}
\"\" = {}
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:8:14: clean.columns.a.type: `int` is not a type; allowed: int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, binary, date, timestamp
      |
    8 | a = { type = "int" }
      |              ^^^^^

    pipeline.toml:9:14: clean.columns.b.type: `decimal(39,2)` is not a type; allowed: int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, binary, date, timestamp
      |
    9 | b = { type = "decimal(39,2)" }
      |              ^^^^^^^^^^^^^^^

    pipeline.toml:10:38: clean.columns.c.formats[0]: `%Y-%m-%d %I`: unknown piece `%I`; allowed: %Y, %m, %d, %H, %M, %S, %.f (a fraction that may be absent), %z, and other letters as they are
       |
    10 | c = { type = "timestamp", formats = ["%Y-%m-%d %I", "%d.%m", ""] }
       |                                      ^^^^^^^^^^^^^

    pipeline.toml:10:53: clean.columns.c.formats[1]: `%d.%m`: `%Y` is missing; allowed: %Y, %m, %d, %H, %M, %S, %.f (a fraction that may be absent), %z, and other letters as they are
       |
    10 | c = { type = "timestamp", formats = ["%Y-%m-%d %I", "%d.%m", ""] }
       |                                                     ^^^^^^^

    pipeline.toml:10:62: clean.columns.c.formats[2]: this is empty
       |
    10 | c = { type = "timestamp", formats = ["%Y-%m-%d %I", "%d.%m", ""] }
       |                                                              ^^

    pipeline.toml:11:39: clean.columns.d.time_zone: `Europe/Berlin` is not a time zone; allowed: UTC, or a fixed offset from -14:00 to +14:00 such as "+02:00"
       |
    11 | d = { type = "timestamp", time_zone = "Europe/Berlin" }
       |                                       ^^^^^^^^^^^^^^^

    pipeline.toml:12:16: clean.columns.e.on_bad: unknown action `ignore`; allowed: reject, nullify, fail
       |
    12 | e = { on_bad = "ignore", case = "title", trim = 1 }
       |                ^^^^^^^^

    pipeline.toml:12:33: clean.columns.e.case: unknown case `title`; allowed: upper, lower
       |
    12 | e = { on_bad = "ignore", case = "title", trim = 1 }
       |                                 ^^^^^^^

    pipeline.toml:12:49: clean.columns.e.trim: this is a whole number; allowed: true, false
       |
    12 | e = { on_bad = "ignore", case = "title", trim = 1 }
       |                                                 ^

    pipeline.toml:13:7: clean.columns.f.typ: unknown key; did you mean `type`? allowed: from, type, formats, time_zone, on_bad, null_tokens, trim, case, fill
       |
    13 | f = { typ = "int32" }
       |       ^^^

    pipeline.toml:14:5: clean.columns.g: this is a text; allowed: a table
       |
    14 | g = "int32"
       |     ^^^^^^^

    pipeline.toml:15:1: clean.columns._h: names that begin with `_` are kept for `_file`, `_row` and the like; choose another
       |
    15 | _h = { type = "int32" }
       | ^^

    pipeline.toml:16:1: clean.columns.ingested_at: every row has a column `ingested_at` of its own; choose another name and put this one in `from`
       |
    16 | ingested_at = {}
       | ^^^^^^^^^^^

    pipeline.toml:17:1: clean.columns."": a column needs a name; an unnamed column of a file is taken with `from = [""]`
       |
    17 | "" = {}
       | ^^
    "#);
}

#[test]
fn settings_that_the_type_does_not_have_are_contradictions() {
    let text = "
[clean.columns]
a = { type = \"int32\", formats = [\"%Y-%m-%d\"] }
b = { type = \"date\", time_zone = \"UTC\" }
c = { type = \"int64\", case = \"upper\" }
d = { type = \"int8\", fill = 300 }
e = { type = \"string\", fill = 1 }
f = { type = \"float64\", fill = nan }
g = { formats = [\"%Y-%m-%d\"] }
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:8:33: clean.columns.a.formats: `formats` needs `type` to be `timestamp` or `date`; change `type` or leave `formats` out
      |
    8 | a = { type = "int32", formats = ["%Y-%m-%d"] }
      |                                 ^^^^^^^^^^^^

    pipeline.toml:9:34: clean.columns.b.time_zone: `time_zone` needs `type` to be `timestamp`; change `type` or leave `time_zone` out
      |
    9 | b = { type = "date", time_zone = "UTC" }
      |                                  ^^^^^

    pipeline.toml:10:30: clean.columns.c.case: `case` needs `type` to be `string`; change `type` or leave `case` out
       |
    10 | c = { type = "int64", case = "upper" }
       |                              ^^^^^^^

    pipeline.toml:11:29: clean.columns.d.fill: `fill` is not of the column's `type`; change one of them
       |
    11 | d = { type = "int8", fill = 300 }
       |                             ^^^

    pipeline.toml:12:31: clean.columns.e.fill: `fill` is not of the column's `type`; change one of them
       |
    12 | e = { type = "string", fill = 1 }
       |                               ^

    pipeline.toml:13:32: clean.columns.f.fill: not a finite number; allowed: a number of 64 bits, neither nan nor inf
       |
    13 | f = { type = "float64", fill = nan }
       |                                ^^^

    pipeline.toml:14:17: clean.columns.g.formats: `formats` needs `type` to be `timestamp` or `date`; change `type` or leave `formats` out
       |
    14 | g = { formats = ["%Y-%m-%d"] }
       |                 ^^^^^^^^^^^^
    "#);
}

#[test]
fn names_that_collide_are_told() {
    let text = "
[clean]
drop = [\"old\", \"gone\"]
[clean.columns]
fare = { from = [\"Fare\"] }
FARE = {}
other = { from = [\"fare\", \"old\"] }
third = { from = [\"Fare\"] }
gone = {}
[clean.derive]
fare = { type = \"int32\", sql = \"1\" }
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:10:18: clean.columns.fare.from[0]: `Fare` is a source column of `clean.columns.third` too; leave it to one of them
       |
    10 | fare = { from = ["Fare"] }
       |                  ^^^^^^

    pipeline.toml:11:1: clean.columns.FARE: `fare` is the name of a column before (case is not told apart); rename one
       |
    11 | FARE = {}
       | ^^^^

    pipeline.toml:12:19: clean.columns.other.from[0]: `fare` is a source column of `clean.columns.fare` too; leave it to one of them
       |
    12 | other = { from = ["fare", "old"] }
       |                   ^^^^^^

    pipeline.toml:12:27: clean.columns.other.from[1]: `old` is in `clean.drop` and here; take it out of one of them
       |
    12 | other = { from = ["fare", "old"] }
       |                           ^^^^^

    pipeline.toml:13:19: clean.columns.third.from[0]: `Fare` is a source column of `clean.columns.fare` too; leave it to one of them
       |
    13 | third = { from = ["Fare"] }
       |                   ^^^^^^

    pipeline.toml:14:1: clean.columns.gone: `gone` is declared here and left out by `clean.drop`; take it out of one of them
       |
    14 | gone = {}
       | ^^^^

    pipeline.toml:16:1: clean.derive.fare: `fare` is the name of a column before (case is not told apart); rename one
       |
    16 | fare = { type = "int32", sql = "1" }
       | ^^^^
    "#);
}

#[test]
fn derived_columns_need_type_and_sql() {
    assert_snapshot!(errors_in_clean("[clean.derive]\na = {}\nb = { type = \"int32\", sql = \"\" }\n[clean.filter]\n"), @r#"
    pipeline.toml:7:5: clean.derive.a.type: missing, and needed; allowed: int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, binary, date, timestamp
      |
    7 | a = {}
      |     ^^

    pipeline.toml:7:5: clean.derive.a.sql: missing, and needed; allowed: SQL over the columns
      |
    7 | a = {}
      |     ^^

    pipeline.toml:8:29: clean.derive.b.sql: this is empty
      |
    8 | b = { type = "int32", sql = "" }
      |                             ^^

    pipeline.toml:9:1: clean.filter.keep: missing, and needed; allowed: SQL; rows for which it is TRUE go on
      |
    9 | [clean.filter]
      | ^^^^^^^^^^^^^^
    "#);
}

#[test]
fn mistakes_in_rules_are_told() {
    let text = "
[clean.rules]
a = { column = \"fare\", check = { range = { min = 0 } }, action = \"rejct\" }
b = { column = \"fare\", check = \"notnull\", action = \"reject\" }
c = { column = \"fare\", check = { rnge = { min = 0 } }, action = \"reject\" }
d = { column = \"fare\", check = { range = { min = 0 }, sql = \"x\" }, action = \"reject\" }
e = { column = \"fare\", check = {}, action = \"reject\" }
f = { column = \"fare\" }
g = { check = { range = { max = 1 } }, action = \"reject\" }
h = { column = \"fare\", check = { pattern = \"a(\" }, action = \"reject\" }
i = { column = \"fare\", check = { compare = { op = \"==\", with = \"tip\" } }, action = \"reject\" }
j = { column = \"fare\", check = { compare = { op = \"<\", with = \"fare\" } }, action = \"reject\" }
k = { column = \"_row\", check = [\"not_null\"], action = \"reject\" }
\"l:m\" = { column = \"fare\", check = \"not_null\", action = \"reject\" }
n = { column = \"fare\", check = { required_if = \"\" }, action = \"reject\" }
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:8:66: clean.rules.a.action: unknown action `rejct`; allowed: reject, nullify, clamp, warn, fail
      |
    8 | a = { column = "fare", check = { range = { min = 0 } }, action = "rejct" }
      |                                                                  ^^^^^^^

    pipeline.toml:9:32: clean.rules.b.check: unknown check `notnull`; allowed: "not_null", { range = { min, max } }, { one_of = [..] }, { pattern = "…" }, { length = { min, max } }, { compare = { op, with } }, { required_if = "SQL" }, { sql = "SQL" }
      |
    9 | b = { column = "fare", check = "notnull", action = "reject" }
      |                                ^^^^^^^^^

    pipeline.toml:10:34: clean.rules.c.check.rnge: unknown key; did you mean `range`? allowed: range, one_of, pattern, length, compare, required_if, sql
       |
    10 | c = { column = "fare", check = { rnge = { min = 0 } }, action = "reject" }
       |                                  ^^^^

    pipeline.toml:11:32: clean.rules.d.check: a rule has one check, and here are more; write a rule for each; allowed: "not_null", { range = { min, max } }, { one_of = [..] }, { pattern = "…" }, { length = { min, max } }, { compare = { op, with } }, { required_if = "SQL" }, { sql = "SQL" }
       |
    11 | d = { column = "fare", check = { range = { min = 0 }, sql = "x" }, action = "reject" }
       |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:12:32: clean.rules.e.check: the check is empty; allowed: "not_null", { range = { min, max } }, { one_of = [..] }, { pattern = "…" }, { length = { min, max } }, { compare = { op, with } }, { required_if = "SQL" }, { sql = "SQL" }
       |
    12 | e = { column = "fare", check = {}, action = "reject" }
       |                                ^^

    pipeline.toml:13:5: clean.rules.f.check: missing, and needed; allowed: "not_null", { range = { min, max } }, { one_of = [..] }, { pattern = "…" }, { length = { min, max } }, { compare = { op, with } }, { required_if = "SQL" }, { sql = "SQL" }
       |
    13 | f = { column = "fare" }
       |     ^^^^^^^^^^^^^^^^^^^

    pipeline.toml:13:5: clean.rules.f.action: missing, and needed; allowed: reject, nullify, clamp, warn, fail
       |
    13 | f = { column = "fare" }
       |     ^^^^^^^^^^^^^^^^^^^

    pipeline.toml:14:5: clean.rules.g.column: missing, and needed; allowed: a column; only a check with `sql` goes without one
       |
    14 | g = { check = { range = { max = 1 } }, action = "reject" }
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:15:44: clean.rules.h.check.pattern: `a(` is not a regular expression: unclosed group
       |
    15 | h = { column = "fare", check = { pattern = "a(" }, action = "reject" }
       |                                            ^^^^

    pipeline.toml:16:51: clean.rules.i.check.compare.op: unknown operator `==`; allowed: =, !=, <, <=, >, >=
       |
    16 | i = { column = "fare", check = { compare = { op = "==", with = "tip" } }, action = "reject" }
       |                                                   ^^^^

    pipeline.toml:17:32: clean.rules.j.check: `compare.with` names the rule's own `column`; name another column in one of them
       |
    17 | j = { column = "fare", check = { compare = { op = "<", with = "fare" } }, action = "reject" }
       |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:18:16: clean.rules.k.column: `_row`: names that begin with `_` are ours and no column of the source
       |
    18 | k = { column = "_row", check = ["not_null"], action = "reject" }
       |                ^^^^^^

    pipeline.toml:18:32: clean.rules.k.check: a rule has one check; write a rule for each; allowed: "not_null", { range = { min, max } }, { one_of = [..] }, { pattern = "…" }, { length = { min, max } }, { compare = { op, with } }, { required_if = "SQL" }, { sql = "SQL" }
       |
    18 | k = { column = "_row", check = ["not_null"], action = "reject" }
       |                                ^^^^^^^^^^^^

    pipeline.toml:19:1: clean.rules."l:m": not a name of a rule; allowed: a text without `:` and without spaces at its ends
       |
    19 | "l:m" = { column = "fare", check = "not_null", action = "reject" }
       | ^^^^^

    pipeline.toml:20:48: clean.rules.n.check.required_if: this is empty
       |
    20 | n = { column = "fare", check = { required_if = "" }, action = "reject" }
       |                                                ^^
    "#);
}

#[test]
fn ends_of_ranges_and_lengths_are_checked() {
    let text = "
[clean.rules]
a = { column = \"x\", check = { range = {} }, action = \"reject\" }
b = { column = \"x\", check = { range = { min = 5, max = 1.5 } }, action = \"reject\" }
c = { column = \"x\", check = { range = { min = 5, max = \"z\" } }, action = \"reject\" }
d = { column = \"x\", check = { range = { min = true, max = inf } }, action = \"reject\" }
e = { column = \"x\", check = { length = {} }, action = \"reject\" }
f = { column = \"x\", check = { length = { min = 3, max = 2, mid = 1 } }, action = \"reject\" }
g = { column = \"x\", check = { one_of = [] }, action = \"reject\" }
h = { column = \"x\", check = { one_of = [1, \"a\"] }, action = \"reject\" }
i = { column = \"x\", check = { one_of = [[1]] }, action = \"reject\" }
j = { column = \"x\", check = { range = { min = 99999999999999999999 } }, action = \"reject\" }
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:8:39: clean.rules.a.check.range: a range needs `min`, `max` or both
      |
    8 | a = { column = "x", check = { range = {} }, action = "reject" }
      |                                       ^^

    pipeline.toml:9:39: clean.rules.b.check.range: `min` is above `max`; exchange them
      |
    9 | b = { column = "x", check = { range = { min = 5, max = 1.5 } }, action = "reject" }
      |                                       ^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:10:39: clean.rules.c.check.range: `min` and `max` are of different types; make both numbers or both texts
       |
    10 | c = { column = "x", check = { range = { min = 5, max = "z" } }, action = "reject" }
       |                                       ^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:11:47: clean.rules.d.check.range.min: true and false have no order; allowed: a number, a text, a date or a time
       |
    11 | d = { column = "x", check = { range = { min = true, max = inf } }, action = "reject" }
       |                                               ^^^^

    pipeline.toml:11:59: clean.rules.d.check.range.max: not a finite number; allowed: a number of 64 bits, neither nan nor inf
       |
    11 | d = { column = "x", check = { range = { min = true, max = inf } }, action = "reject" }
       |                                                           ^^^

    pipeline.toml:12:40: clean.rules.e.check.length: a length needs `min`, `max` or both
       |
    12 | e = { column = "x", check = { length = {} }, action = "reject" }
       |                                        ^^

    pipeline.toml:13:40: clean.rules.f.check.length: `min` is above `max`; exchange them
       |
    13 | f = { column = "x", check = { length = { min = 3, max = 2, mid = 1 } }, action = "reject" }
       |                                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:13:60: clean.rules.f.check.length.mid: unknown key; did you mean `min`? allowed: min, max
       |
    13 | f = { column = "x", check = { length = { min = 3, max = 2, mid = 1 } }, action = "reject" }
       |                                                            ^^^

    pipeline.toml:14:40: clean.rules.g.check.one_of: a list of 0 values; allowed: 1 to 10000 values
       |
    14 | g = { column = "x", check = { one_of = [] }, action = "reject" }
       |                                        ^^

    pipeline.toml:15:40: clean.rules.h.check.one_of: the values are of different types; allowed: all numbers, all texts or all true/false
       |
    15 | h = { column = "x", check = { one_of = [1, "a"] }, action = "reject" }
       |                                        ^^^^^^^^

    pipeline.toml:16:41: clean.rules.i.check.one_of[0]: this is a list; allowed: a number, a text, true, false, a date or a time
       |
    16 | i = { column = "x", check = { one_of = [[1]] }, action = "reject" }
       |                                         ^^^

    pipeline.toml:17:47: clean.rules.j.check.range.min: out of range; allowed: a whole number of 64 bits
       |
    17 | j = { column = "x", check = { range = { min = 99999999999999999999 } }, action = "reject" }
       |                                               ^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn actions_that_do_not_go_with_the_check_name_both_and_the_way_out() {
    let text = "
[clean.rules]
a = { column = \"x\", check = { one_of = [1] }, action = \"clamp\" }
b = { check = { sql = \"x > 1\" }, action = \"nullify\" }
c = { column = \"x\", check = \"not_null\", action = \"nullify\" }
d = { check = { sql = \"x > 1\" }, action = \"clamp\" }
e = { check = { range = { min = 1 } }, action = \"clamp\" }
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:8:56: clean.rules.a.action: `action = "clamp"` needs `check = { range = … }`, whose nearest end the value becomes; change `check`, or take another action; allowed: reject, nullify, warn, fail
      |
    8 | a = { column = "x", check = { one_of = [1] }, action = "clamp" }
      |                                                        ^^^^^^^

    pipeline.toml:9:43: clean.rules.b.action: `action = "nullify"` needs `column`, whose value becomes NULL; add `column`, or take another action; allowed: reject, warn, fail
      |
    9 | b = { check = { sql = "x > 1" }, action = "nullify" }
      |                                           ^^^^^^^^^

    pipeline.toml:10:50: clean.rules.c.action: `action = "nullify"` does nothing with `check` `not_null` or `required_if`, which break where the value is NULL already; take another action; allowed: reject, warn, fail
       |
    10 | c = { column = "x", check = "not_null", action = "nullify" }
       |                                                  ^^^^^^^^^

    pipeline.toml:11:43: clean.rules.d.action: `action = "clamp"` needs `check = { range = … }`, whose nearest end the value becomes; change `check`, or take another action; allowed: reject, nullify, warn, fail
       |
    11 | d = { check = { sql = "x > 1" }, action = "clamp" }
       |                                           ^^^^^^^

    pipeline.toml:12:5: clean.rules.e.column: missing, and needed; allowed: a column; only a check with `sql` goes without one
       |
    12 | e = { check = { range = { min = 1 } }, action = "clamp" }
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn checks_that_do_not_go_with_the_type_of_the_column_are_told() {
    let text = "
[clean.columns]
n = { type = \"int8\" }
t = { type = \"string\" }
[clean.rules]
a = { column = \"n\", check = { pattern = \"x\" }, action = \"reject\" }
b = { column = \"n\", check = { range = { min = \"2019-01-01\" } }, action = \"reject\" }
c = { column = \"n\", check = { range = { max = 1000 } }, action = \"clamp\" }
d = { column = \"t\", check = { one_of = [1, 2] }, action = \"reject\" }
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:11:29: clean.rules.a.check: the check does not go with the `type` of `n` in `clean.columns` or `clean.derive`; change one of them
       |
    11 | a = { column = "n", check = { pattern = "x" }, action = "reject" }
       |                             ^^^^^^^^^^^^^^^^^

    pipeline.toml:12:29: clean.rules.b.check: the check does not go with the `type` of `n` in `clean.columns` or `clean.derive`; change one of them
       |
    12 | b = { column = "n", check = { range = { min = "2019-01-01" } }, action = "reject" }
       |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:13:29: clean.rules.c.check: the check does not go with the `type` of `n` in `clean.columns` or `clean.derive`; change one of them
       |
    13 | c = { column = "n", check = { range = { max = 1000 } }, action = "clamp" }
       |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:14:29: clean.rules.d.check: the check does not go with the `type` of `t` in `clean.columns` or `clean.derive`; change one of them
       |
    14 | d = { column = "t", check = { one_of = [1, 2] }, action = "reject" }
       |                             ^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn columns_are_named_as_they_are_called_after_cleaning() {
    let text = "
[clean]
drop = [\"gone\"]
[clean.columns]
vendor_id = { from = [\"VendorID\"] }
[clean.rules]
a = { column = \"VendorID\", check = \"not_null\", action = \"reject\" }
b = { column = \"gone\", check = \"not_null\", action = \"reject\" }
[clean.dedup]
key = [\"VendorID\", \"vendor_id\", \"vendor_id\"]
within = \"file\"
";
    assert_snapshot!(errors_in_clean(text), @r#"
    pipeline.toml:12:16: clean.rules.a.column: `VendorID` is called `vendor_id` after cleaning (`clean.columns`); write `vendor_id` here
       |
    12 | a = { column = "VendorID", check = "not_null", action = "reject" }
       |                ^^^^^^^^^^

    pipeline.toml:13:16: clean.rules.b.column: `gone` is left out by `clean.drop`; take it out of there or name another column here
       |
    13 | b = { column = "gone", check = "not_null", action = "reject" }
       |                ^^^^^^

    pipeline.toml:15:8: clean.dedup.key[0]: `VendorID` is called `vendor_id` after cleaning (`clean.columns`); write `vendor_id` here
       |
    15 | key = ["VendorID", "vendor_id", "vendor_id"]
       |        ^^^^^^^^^^

    pipeline.toml:15:33: clean.dedup.key[2]: `vendor_id` is in the key twice; take one out
       |
    15 | key = ["VendorID", "vendor_id", "vendor_id"]
       |                                 ^^^^^^^^^^^
    "#);
}

#[test]
fn mistakes_in_dedup_and_drift_are_told() {
    assert_snapshot!(errors_in_clean("[clean.dedup]\nkey = []\n"), @r#"
    pipeline.toml:6:1: clean.dedup.within: missing, and needed; allowed: "file", "source", or a duration of event time such as "45d"
      |
    6 | [clean.dedup]
      | ^^^^^^^^^^^^^

    pipeline.toml:7:7: clean.dedup.key: this is empty; allowed: at least one column
      |
    7 | key = []
      |       ^^
    "#);
    assert_snapshot!(errors_in_clean("[clean.dedup]\nkey = \"a\"\nwithin = \"week\"\n"), @r#"
    pipeline.toml:7:7: clean.dedup.key: this is a text; allowed: a list in brackets
      |
    7 | key = "a"
      |       ^^^

    pipeline.toml:8:10: clean.dedup.within: `week` is not a reach of dedup; allowed: "file", "source", or a duration of event time such as "45d"
      |
    8 | within = "week"
      |          ^^^^^^
    "#);
    assert_snapshot!(errors_in_clean("[clean.dedup]\nkey = [\"a\"]\nwithin = \"0s\"\n"), @r#"
    pipeline.toml:8:10: clean.dedup.within: out of range; allowed: 1ms to 106751991d
      |
    8 | within = "0s"
      |          ^^^^
    "#);
    assert_snapshot!(errors_in_clean("[clean.drift]\nmissing = \"ignore\"\nadded = \"cast\"\nchanged = true\n"), @r#"
    pipeline.toml:7:11: clean.drift.missing: unknown action `ignore`; allowed: fill, quarantine, fail
      |
    7 | missing = "ignore"
      |           ^^^^^^^^

    pipeline.toml:8:9: clean.drift.added: unknown action `cast`; allowed: evolve, ignore, quarantine, fail
      |
    8 | added = "cast"
      |         ^^^^^^

    pipeline.toml:9:11: clean.drift.changed: this is true or false; allowed: cast, quarantine, fail
      |
    9 | changed = true
      |           ^^^^
    "#);
}

#[test]
fn a_dot_leads_into_a_field_of_a_declared_column() {
    let text = "[clean.columns]\nplace = {}\n[clean.rules]\na = { column = \"place.zone\", check = \"not_null\", action = \"warn\" }\n";
    assert_eq!(parse(&format!("{LEAST}{text}")).clean.rules[0].column.as_deref(), Some("place.zone"));
}
