//! The column types that users write, and their Arrow form.

/// Type of a column after cleaning. Text form as in `type = "decimal(10,2)"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `int8`
    Int8,
    /// `int16`
    Int16,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float32`
    Float32,
    /// `float64`
    Float64,
    /// `decimal(p,s)`
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, 0 to `precision`.
        scale: u8,
    },
    /// `boolean`
    Boolean,
    /// `string`
    Text,
    /// `binary`
    Binary,
    /// `date`
    Date,
    /// `timestamp`: microseconds, UTC
    Timestamp,
}
