//! How Spark reads the columns of a file, and how what it reads becomes the base types of the plan.
//!
//! Times are read as the integers that they are stored as: then Spark neither moves them between calendars, nor stumbles over
//! what does not fit, nor refuses nanoseconds.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde_json::{Value as Json, json};

use super::Refusal;
use super::emit::literal::text;
use super::emit::quoted;
use crate::expr::convert::CALENDAR_DAYS;
use crate::plan::SourceColumn;

/// How a Parquet file stores a leaf column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Physical {
    /// `INT32`
    Int32,
    /// `INT64`
    Int64,
    /// `INT96`, an old form of times
    Int96,
    /// Any other.
    Other,
}

/// A leaf column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Place of the top-level column that it belongs to.
    pub root: usize,
    /// How it is stored.
    pub physical: Physical,
}

/// A column as Spark reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    /// Type with which Spark reads it, as its JSON schemas have it.
    pub(super) spark_type: Json,
    /// From what is read to the base type.
    pub(super) becomes: Becomes,
}

/// How what was read becomes the base type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Becomes {
    /// It is of that type.
    Same,
    /// Stored days.
    Days,
    /// Stored units of time since 1970, as a timestamp of microseconds.
    Micros(Scale),
    /// Stored units of time since midnight, as a number of microseconds.
    OfDay(Scale),
    /// Stored milliseconds of a date.
    DaysOfMillis,
    /// A list whose items become this.
    List(Box<Becomes>),
    /// A struct with what its fields become.
    Struct(Vec<(String, Becomes)>),
    /// A map whose values become this.
    Map(Box<Becomes>),
}

/// What stored units become microseconds by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Many of them are a microsecond; what is beyond is cut off.
    Divide(i64),
    /// They are so many microseconds; some do not fit.
    Multiply(i64),
}

/// How Spark reads a column; `leaves` are those of all columns of the file.
pub(super) fn read(column: &SourceColumn, leaves: &[Leaf]) -> Result<Read, Refusal> {
    let mut stored = leaves.iter().filter(|leaf| leaf.root == column.index).map(|leaf| leaf.physical);
    read_type(&column.arrow_type, &mut stored)
        .map_err(|reason| Refusal { what: format!("column `{}`", column.name), reason })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of all others the plan of the file knows none")]
fn read_type(arrow: &DataType, stored: &mut dyn Iterator<Item = Physical>) -> Result<Read, String> {
    let leaf = |spark_type: &str, becomes| Ok(Read { spark_type: json!(spark_type), becomes });
    match arrow {
        DataType::List(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::LargeList(item)
        | DataType::LargeListView(item) => return read_list(item, stored),
        DataType::Struct(fields) => return read_struct(fields, stored),
        DataType::Map(entry, _) => return read_map(entry, stored),
        DataType::Dictionary(_, value) => return read_type(value, stored),
        DataType::RunEndEncoded(_, value) => return read_type(value.data_type(), stored),
        _ => {}
    }
    let physical = stored.next().unwrap_or(Physical::Other);
    match arrow {
        DataType::Boolean => leaf("boolean", Becomes::Same),
        DataType::Int8 => leaf("byte", Becomes::Same),
        DataType::Int16 | DataType::UInt8 => leaf("short", Becomes::Same),
        DataType::Int32 | DataType::UInt16 => leaf("integer", Becomes::Same),
        DataType::Int64 | DataType::UInt32 => leaf("long", Becomes::Same),
        DataType::UInt64 => leaf("decimal(20,0)", Becomes::Same),
        DataType::Float32 => leaf("float", Becomes::Same),
        DataType::Float64 => leaf("double", Becomes::Same),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => leaf("string", Becomes::Same),
        DataType::Binary | DataType::FixedSizeBinary(_) | DataType::LargeBinary | DataType::BinaryView => {
            leaf("binary", Becomes::Same)
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => leaf(&format!("decimal({precision},{scale})"), Becomes::Same),
        DataType::Date32 | DataType::Date64 if physical == Physical::Int32 => leaf("integer", Becomes::Days),
        DataType::Date64 if physical == Physical::Int64 => leaf("long", Becomes::DaysOfMillis),
        DataType::Timestamp(TimeUnit::Nanosecond | TimeUnit::Microsecond, _) if physical == Physical::Int96 => {
            leaf("timestamp", Becomes::Same)
        }
        DataType::Timestamp(unit, _) if physical == Physical::Int64 => leaf("long", Becomes::Micros(scale(*unit))),
        DataType::Time32(unit) if physical == Physical::Int32 => leaf("integer", Becomes::OfDay(scale(*unit))),
        DataType::Time64(unit) if physical == Physical::Int64 => leaf("long", Becomes::OfDay(scale(*unit))),
        other => Err(format!("Spark reads no `{other}` that is stored as {physical:?}")),
    }
}

fn read_list(item: &Field, stored: &mut dyn Iterator<Item = Physical>) -> Result<Read, String> {
    let Read { spark_type, becomes } = read_type(item.data_type(), stored)?;
    Ok(Read {
        spark_type: json!({"type": "array", "elementType": spark_type, "containsNull": true}),
        becomes: if becomes == Becomes::Same { Becomes::Same } else { Becomes::List(Box::new(becomes)) },
    })
}

fn read_struct(fields: &Fields, stored: &mut dyn Iterator<Item = Physical>) -> Result<Read, String> {
    let mut types = Vec::new();
    let mut becomes = Vec::new();
    for field in fields {
        let read = read_type(field.data_type(), stored)?;
        types.push(field_json(field.name(), &read.spark_type));
        becomes.push((field.name().clone(), read.becomes));
    }
    let same = becomes.iter().all(|(_, becomes)| *becomes == Becomes::Same);
    Ok(Read { spark_type: struct_json(&types), becomes: if same { Becomes::Same } else { Becomes::Struct(becomes) } })
}

fn read_map(entry: &Field, stored: &mut dyn Iterator<Item = Physical>) -> Result<Read, String> {
    let DataType::Struct(entry) = entry.data_type() else { return Err("its entries are no pairs".to_owned()) };
    let [key, value] = &entry[..] else { return Err("its entries are no pairs".to_owned()) };
    let key = read_type(key.data_type(), stored)?;
    let value = read_type(value.data_type(), stored)?;
    if key.becomes != Becomes::Same {
        return Err("a map whose keys are dates or times may have equal keys in Spark".to_owned());
    }
    Ok(Read {
        spark_type: json!({
            "type": "map", "keyType": key.spark_type, "valueType": value.spark_type, "valueContainsNull": true
        }),
        becomes: if value.becomes == Becomes::Same { Becomes::Same } else { Becomes::Map(Box::new(value.becomes)) },
    })
}

fn scale(unit: TimeUnit) -> Scale {
    match unit {
        TimeUnit::Second => Scale::Multiply(1_000_000),
        TimeUnit::Millisecond => Scale::Multiply(1_000),
        TimeUnit::Microsecond => Scale::Multiply(1),
        TimeUnit::Nanosecond => Scale::Divide(1_000),
    }
}

/// Stored milliseconds as days.
fn days_of_millis(millis: &str) -> String {
    format!("({millis} div 86400000L)")
}

/// The date of a number of days; NULL outside of the calendar.
fn date(days: &str) -> String {
    let (first, last) = (CALENDAR_DAYS.start(), CALENDAR_DAYS.end());
    format!("CASE WHEN {days} BETWEEN {first} AND {last} THEN date_from_unix_date(CAST({days} AS INT)) END")
}

/// The same within a nested value, where nobody would hear that it was lost: outside of the calendar it stays.
fn nested_date(days: &str) -> String {
    format!("date_from_unix_date(try_cast({days} AS INT))")
}

/// A field of a schema of Spark.
pub(super) fn field_json(name: &str, spark_type: &Json) -> Json {
    json!({"name": name, "type": spark_type, "nullable": true, "metadata": {}})
}

/// A schema of Spark.
pub(super) fn struct_json(fields: &[Json]) -> Json {
    json!({"type": "struct", "fields": fields})
}

impl Becomes {
    /// Spark SQL from what was read to the base type.
    pub(super) fn sql(&self, read: &str) -> String {
        match self {
            Self::Days => date(read),
            Self::DaysOfMillis => date(&days_of_millis(read)),
            Self::Same | Self::Micros(_) | Self::OfDay(_) | Self::List(_) | Self::Struct(_) | Self::Map(_) => {
                self.nested(read, 0)
            }
        }
    }

    /// `depth` keeps the names of items apart.
    fn nested(&self, read: &str, depth: usize) -> String {
        let item = format!("i{depth}");
        match self {
            Self::Same => read.to_owned(),
            Self::Days => nested_date(read),
            Self::DaysOfMillis => nested_date(&days_of_millis(read)),
            Self::Micros(scale) => format!("timestamp_micros({})", scale.sql(read)),
            Self::OfDay(scale) => scale.sql(&format!("CAST({read} AS BIGINT)")),
            Self::List(of) => format!("transform({read}, {item} -> {})", of.nested(&item, depth + 1)),
            Self::Map(value) => {
                format!("transform_values({read}, (k{depth}, {item}) -> {})", value.nested(&item, depth + 1))
            }
            Self::Struct(fields) => {
                let field = |(name, of): &(String, Self)| {
                    let inner = of.nested(&format!("{read}.{}", quoted(name)), depth);
                    format!("{}, {inner}", text(name))
                };
                let fields = fields.iter().map(field).collect::<Vec<_>>().join(", ");
                format!("CASE WHEN {read} IS NOT NULL THEN named_struct({fields}) END")
            }
        }
    }

    /// Whether a value that is there may be NULL as its base type.
    pub(super) fn loses(&self) -> bool {
        match self {
            Self::Micros(Scale::Multiply(factor)) => *factor > 1,
            Self::Days | Self::DaysOfMillis => true,
            // What is in nested values does not make them NULL themselves.
            Self::Same
            | Self::Micros(Scale::Divide(_))
            | Self::OfDay(_)
            | Self::List(_)
            | Self::Struct(_)
            | Self::Map(_) => false,
        }
    }
}

impl Scale {
    fn sql(self, units: &str) -> String {
        match self {
            Self::Multiply(1) => units.to_owned(),
            Self::Multiply(factor) => format!("try_multiply({units}, {factor}L)"),
            Self::Divide(divisor) => format!("({units} div {divisor}L)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::source_type;

    /// Type with which Spark reads a column, and what it does to a value of it.
    fn read_as(arrow: DataType, physical: &[Physical]) -> (String, String) {
        let becomes = source_type(&arrow).unwrap().becomes;
        let column = SourceColumn { index: 1, name: "x".to_owned(), arrow_type: arrow, becomes };
        let other = Leaf { root: 0, physical: Physical::Other };
        let own = physical.iter().map(|physical| Leaf { root: 1, physical: *physical });
        let leaves: Vec<Leaf> = std::iter::once(other).chain(own).collect();
        let read = read(&column, &leaves).unwrap();
        (read.spark_type.to_string(), read.becomes.sql("x"))
    }

    #[test]
    fn times_are_read_as_they_are_stored() {
        use Physical::{Int32, Int64, Int96};
        let zone = || Some("Europe/Berlin".into());
        let cases = [
            (
                DataType::Date32,
                Int32,
                "integer",
                "CASE WHEN x BETWEEN -94900000 AND 94900000 THEN date_from_unix_date(CAST(x AS INT)) END",
            ),
            (
                DataType::Date64,
                Int64,
                "long",
                "CASE WHEN (x div 86400000L) BETWEEN -94900000 AND 94900000 THEN date_from_unix_date(CAST((x div 86400000L) AS INT)) END",
            ),
            (DataType::Timestamp(TimeUnit::Microsecond, zone()), Int64, "long", "timestamp_micros(x)"),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), Int64, "long", "timestamp_micros((x div 1000L))"),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), Int96, "timestamp", "x"),
            (
                DataType::Timestamp(TimeUnit::Millisecond, None),
                Int64,
                "long",
                "timestamp_micros(try_multiply(x, 1000L))",
            ),
            (DataType::Time32(TimeUnit::Millisecond), Int32, "integer", "try_multiply(CAST(x AS BIGINT), 1000L)"),
            (DataType::Time64(TimeUnit::Nanosecond), Int64, "long", "(CAST(x AS BIGINT) div 1000L)"),
            (DataType::UInt64, Int64, "decimal(20,0)", "x"),
        ];
        for (arrow, physical, spark_type, sql) in cases {
            assert_eq!(read_as(arrow, &[physical]), (format!("\"{spark_type}\""), sql.to_owned()));
        }
    }

    #[test]
    fn nested_values_are_made_of_what_is_in_them() {
        let seconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
        let (_, sql) = read_as(list(list(seconds.clone())), &[Physical::Int64]);
        assert_eq!(sql, "transform(x, i0 -> transform(i0, i1 -> timestamp_micros((i1 div 1000L))))");
        let fields = Fields::from(vec![Field::new("a'b", DataType::Int8, true), Field::new("t", seconds, true)]);
        let (spark_type, sql) = read_as(DataType::Struct(fields), &[Physical::Int32, Physical::Int64]);
        assert_eq!(
            sql,
            "CASE WHEN x IS NOT NULL THEN named_struct(CAST(X'612762' AS STRING), x.`a'b`, 't', timestamp_micros((x.`t` div 1000L))) END"
        );
        assert!(spark_type.contains(r#""name":"t","nullable":true,"type":"long""#), "{spark_type}");
        assert_eq!(read_as(list(DataType::Utf8), &[Physical::Other]).1, "x");
        let (_, sql) = read_as(list(DataType::Date32), &[Physical::Int32]);
        assert_eq!(sql, "transform(x, i0 -> date_from_unix_date(try_cast(i0 AS INT)))");
    }
}
