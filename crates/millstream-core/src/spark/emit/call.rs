//! Functions of the closed list.

use super::Emitter;
use crate::expr::Expr;
use crate::expr::functions::Function;
use crate::expr::literal::{Literal, Value};
use crate::types::{ColumnType, ValueType};

const MICROS_PER_MINUTE: i64 = 60_000_000;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// A call as Spark writes it. The tree keeps times where both engines have a calendar.
pub(super) fn call(emitter: &Emitter<'_>, function: Function, args: &[Expr]) -> Result<String, String> {
    let of = operand_type(function, args);
    let operand = |arg: &Expr| {
        // Lengths and places are plain integers for Spark.
        if let Expr::Literal(Literal { value: Value::Integer(count), .. }) = arg
            && of == ValueType::Scalar(ColumnType::Text)
        {
            return Ok(count.to_string());
        }
        emitter.emit_as(arg, &of)
    };
    let operands = args.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
    let listed = operands.join(", ");
    let named = |name: &str| format!("{name}({listed})");
    Ok(match function {
        Function::Lower => named("lower"),
        Function::Upper => named("upper"),
        Function::Trim => named("trim"),
        Function::TrimStart => named("ltrim"),
        Function::TrimEnd => named("rtrim"),
        Function::Length => named("char_length"),
        Function::PadStart => named("lpad"),
        Function::PadEnd => named("rpad"),
        Function::SplitPart => named("split_part"),
        Function::Replace => named("replace"),
        Function::Concat => format!("({})", operands.join(" || ")),
        Function::ConcatWs => named("concat_ws"),
        Function::Coalesce => named("coalesce"),
        Function::Year => named("year"),
        Function::Month => named("month"),
        Function::Day => named("day"),
        Function::Hour => named("hour"),
        Function::Minute => named("minute"),
        Function::TruncateMinute => cut(&listed, MICROS_PER_MINUTE),
        Function::TruncateHour => cut(&listed, MICROS_PER_HOUR),
        Function::TruncateDay => cut(&listed, MICROS_PER_DAY),
        Function::TruncateMonth => first_day(&listed, "MONTH"),
        Function::TruncateYear => first_day(&listed, "YEAR"),
    })
}

/// The type that a bare NULL takes as an operand.
fn operand_type(function: Function, args: &[Expr]) -> ValueType {
    match function {
        Function::Coalesce => function.value_type(args),
        Function::Year
        | Function::Month
        | Function::Day
        | Function::Hour
        | Function::Minute
        | Function::TruncateMinute
        | Function::TruncateHour
        | Function::TruncateDay
        | Function::TruncateMonth
        | Function::TruncateYear => ValueType::Scalar(ColumnType::Timestamp),
        Function::Lower
        | Function::Upper
        | Function::Trim
        | Function::TrimStart
        | Function::TrimEnd
        | Function::Length
        | Function::PadStart
        | Function::PadEnd
        | Function::SplitPart
        | Function::Replace
        | Function::Concat
        | Function::ConcatWs => ValueType::Scalar(ColumnType::Text),
    }
}

/// A time without what is beyond a multiple of so many microseconds; NULL if that is no time any more.
fn cut(time: &str, micros: i64) -> String {
    format!("timestamp_micros(try_subtract(unix_micros({time}), pmod(unix_micros({time}), {micros}L)))")
}

fn first_day(time: &str, unit: &str) -> String {
    format!("CAST(trunc(CAST({time} AS DATE), '{unit}') AS TIMESTAMP)")
}
