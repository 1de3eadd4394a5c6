//! The query of small files.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::*;
use crate::config::Config;
use crate::plan::KnownSchema;
use crate::spark::schema::Physical;

fn plan(clean: &str, fields: Vec<(&str, DataType)>) -> FilePlan {
    let text = format!("[pipeline]\nname = \"x\"\n[source]\npath = \"x.parquet\"\n{clean}");
    let config = Config::parse(&text, std::path::Path::new("pipeline.toml"), &|_| None).unwrap();
    let fields: Vec<Field> = fields.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
    FilePlan::new(&config.clean, None, &KnownSchema::default(), &Schema::new(fields)).unwrap()
}

fn leaves(physical: &[Physical]) -> Vec<Leaf> {
    physical.iter().enumerate().map(|(root, physical)| Leaf { root, physical: *physical }).collect()
}

fn text(query: &Query) -> String {
    let list = |named: &[Named]| {
        named.iter().map(|named| format!("    {} AS {}", named.sql, named.alias)).collect::<Vec<_>>().join("\n")
    };
    let layer = |layer: &Layer| match layer {
        Layer::Project(columns) => format!("project\n{}", list(columns)),
        Layer::Filter(condition) => format!("filter {condition}"),
        Layer::Observe { name, metrics } => format!("observe {name}\n{}", list(metrics)),
    };
    query.layers.iter().map(layer).collect::<Vec<_>>().join("\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "the text of a query is long")]
fn a_file_is_cleaned_layer_by_layer() {
    let clean = r#"
[clean.columns]
id = { type = "int32" }
note = { type = "string", trim = true, null_tokens = ["-"], fill = "none" }
at = { type = "timestamp", on_bad = "nullify" }

[clean.filter]
keep = "id > 0"

[clean.derive]
twice = { type = "int8", sql = "id * 2" }

[clean.rules]
known = { column = "id", check = "not_null", action = "fail" }
short = { column = "note", check = { length = { max = 5 } }, action = "reject" }
small = { column = "id", check = { range = { max = 9 } }, action = "clamp" }
even = { column = "id", check = { one_of = [2, 4] }, action = "nullify" }
"#;
    let fields = vec![
        ("id", DataType::Utf8),
        ("note", DataType::Utf8),
        ("at", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ];
    let stored = leaves(&[Physical::Other, Physical::Other, Physical::Int64]);
    let query = Query::new(&plan(clean, fields), &stored, 8..16).unwrap();
    insta::assert_snapshot!(query.schema, @r##"{"fields":[{"metadata":{},"name":"id","nullable":true,"type":"string"},{"metadata":{},"name":"note","nullable":true,"type":"string"},{"metadata":{},"name":"at","nullable":true,"type":"long"}],"type":"struct"}"##);
    insta::assert_snapshot!(text(&query), @r#"
    project
        _metadata.row_index AS _row
        _metadata.file_size AS _size
        unix_millis(_metadata.file_modification_time) AS _modified
        `id` AS s0
        `note` AS s1
        `at` AS s2
    observe millstream-file
        min(_size) AS size_least
        max(_size) AS size_most
        min(_modified) AS modified_least
        max(_modified) AS modified_most
    filter _row >= 8L AND _row < 16L
    project
        _row AS _row
        s0 AS r0
        s1 AS r1
        (s2 IS NOT NULL AND timestamp_micros(try_multiply(s2, 1000L)) IS NULL) AS l2
        timestamp_micros(try_multiply(s2, 1000L)) AS r2
    project
        _row AS _row
        r0 AS p0
        trim(r1) AS p1
        r2 AS p2
        l2 AS l2
    project
        _row AS _row
        p0 AS p0
        CASE WHEN (p1 IN ('-')) THEN NULL ELSE p1 END AS p1
        p2 AS p2
        l2 AS l2
    project
        _row AS _row
        p0 AS p0
        CASE WHEN (p0 RLIKE '^[+-]?[0-9]+\z') THEN try_cast(p0 AS INT) END AS v0
        p1 AS v1
        p2 AS v2
        l2 AS l2
    project
        _row AS _row
        (p0 IS NOT NULL AND v0 IS NULL) AS x0
        v0 AS c0
        (v1 IS NULL) AS f1
        coalesce(v1, 'none') AS c1
        l2 AS x2
        v2 AS c2
    project
        _row AS _row
        c0 AS c0
        x0 AS x0
        c1 AS c1
        f1 AS f1
        c2 AS c2
        x2 AS x2
        try_multiply(try_cast(c0 AS BIGINT), 2L) AS d0
        ((c0 > 0) <=> true) AS passed
        (x0) AS bad
    project
        _row AS _row
        c0 AS c0
        x0 AS x0
        c1 AS c1
        f1 AS f1
        c2 AS c2
        x2 AS x2
        bad AS bad
        (passed AND NOT bad) AS open
        d0 AS d0
        try_cast(d0 AS TINYINT) AS w0
    project
        _row AS _row
        c0 AS c0
        x0 AS x0
        c1 AS c1
        f1 AS f1
        c2 AS c2
        x2 AS x2
        bad AS bad
        open AS open
        w0 AS w0
        (d0 IS NOT NULL AND w0 IS NULL) AS y0
        ((NOT (c0 IS NULL)) <=> false) AS t0
        (((char_length(c1) <= 5)) <=> false) AS t1
        (((c0 <= 9)) <=> false) AS t2
        ((c0 IN (2, 4)) <=> false) AS t3
    project
        _row AS _row
        c0 AS c0
        x0 AS x0
        c1 AS c1
        f1 AS f1
        c2 AS c2
        x2 AS x2
        w0 AS w0
        y0 AS y0
        t0 AS t0
        t1 AS t1
        t2 AS t2
        t3 AS t3
        (bad OR (open AND (y0 OR t1))) AS rejected
        (open AND NOT (y0 OR t1)) AS delivered
        CASE WHEN open AND t0 THEN 4 END AS fail
    observe millstream
        count(1) AS rows
        count_if(delivered) AS delivered
        count_if(rejected) AS rejected
        count_if(NOT delivered AND NOT rejected) AS filtered
        min(CASE WHEN fail IS NOT NULL THEN _row END) AS fail_row
        min_by(fail, CASE WHEN fail IS NOT NULL THEN _row END) AS fail_what
    filter delivered OR rejected
    project
        _row AS _row
        x0 AS x0
        f1 AS f1
        x2 AS x2
        y0 AS y0
        t0 AS t0
        t1 AS t1
        t2 AS t2
        t3 AS t3
        delivered AS delivered
        rejected AS rejected
        CASE WHEN delivered AND t2 THEN CASE WHEN (c0 > 9) THEN 9 ELSE c0 END ELSE c0 END AS a0_0
        c1 AS c1
        c2 AS c2
        w0 AS w0
    project
        _row AS _row
        x0 AS x0
        f1 AS f1
        x2 AS x2
        y0 AS y0
        t0 AS t0
        t1 AS t1
        t2 AS t2
        t3 AS t3
        delivered AS delivered
        rejected AS rejected
        CASE WHEN delivered AND t3 THEN NULL ELSE a0_0 END AS a1_0
        c1 AS c1
        c2 AS c2
        w0 AS w0
    project
        _row AS _row
        CASE WHEN rejected AND (x0 OR y0 OR t1) THEN array_compact(array(CASE WHEN x0 THEN 0 END, CASE WHEN y0 THEN 3 END, CASE WHEN t1 THEN 5 END)) END AS _broken
        CASE WHEN delivered THEN a1_0 END AS o0
        CASE WHEN delivered THEN c1 END AS o1
        CASE WHEN delivered THEN c2 END AS o2
        CASE WHEN delivered THEN w0 END AS o3
        CASE WHEN delivered AND (f1 OR x2 OR t2 OR t3) THEN array_compact(array(CASE WHEN f1 THEN 'fill:note' END, CASE WHEN x2 THEN 'type:at' END, CASE WHEN t2 THEN 'small' END, CASE WHEN t3 THEN 'even' END)) END AS _marks
    "#);
}

#[test]
fn an_own_column_of_spark_gives_way_to_one_of_the_file() {
    let query = Query::new(&plan("", vec![("a", DataType::Int8)]), &leaves(&[Physical::Int32]), 0..u64::MAX).unwrap();
    assert!(text(&query).starts_with("project\n    _metadata.row_index AS _row\n"));
    assert!(text(&query).contains("\n    `a` AS s0\nobserve "));
    let clean = "[clean.columns]\na = { from = [\"_metadata\"] }";
    let query = plan(clean, vec![("_metadata", DataType::Int8)]);
    let query = Query::new(&query, &leaves(&[Physical::Int32]), 0..u64::MAX).unwrap();
    assert!(text(&query).starts_with("project\n    __metadata.row_index AS _row\n"));
    assert!(text(&query).contains("\n    `_metadata` AS s0\n"));
}

#[test]
fn what_spark_cannot_do_equally_is_refused_by_name() {
    let refused = |clean: &str, of: DataType, physical: Physical| {
        let error = Query::new(&plan(clean, vec![("x", of)]), &leaves(&[physical]), 0..u64::MAX).unwrap_err();
        error.to_string()
    };
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    insta::assert_snapshot!(refused("", seconds, Physical::Int96), @r##"column `x` cannot be cleaned by Spark: Spark reads no `Timestamp(s)` that is stored as Int96"##);
}
