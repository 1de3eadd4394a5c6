//! Statistics of a column's values, bounded whatever comes.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};

use super::shape::Shapes;

/// Different values that are counted one by one; past it a column has many.
const MOST_VALUES: usize = 512;
/// Bytes of a text past which values are not counted.
const LONGEST_VALUE: usize = 64;
/// Values that quantiles are taken of.
const RESERVOIR: usize = 1 << 14;
/// Extreme values that are kept at either end.
const EXTREMES: usize = 4;

/// What the values of a column look like.
#[derive(Debug, Default)]
pub struct ColumnStats {
    /// Rows that were looked at.
    pub rows: u64,
    /// NULL among them.
    pub nulls: u64,
    /// Numbers, times (microseconds) and dates (days).
    pub numbers: Numbers,
    /// Texts.
    pub shapes: Shapes,
    /// Each value and how often it is there; none if there are too many.
    pub values: Values,
    /// Whether each value is one more than that before, in every piece of consecutive rows.
    pub counts_up: Option<bool>,
    last: Option<f64>,
}

/// Statistics of numbers.
#[derive(Debug, Default)]
pub struct Numbers {
    /// How many.
    pub count: u64,
    /// NaN, which is no number.
    pub nans: u64,
    /// Below 0.
    pub negatives: u64,
    /// Equal to 0.
    pub zeros: u64,
    /// With a fraction.
    pub fractions: u64,
    /// Smallest values, ascending, and how often each was seen since it is among them.
    pub smallest: Vec<(f64, u64)>,
    /// Largest values, descending, likewise.
    pub largest: Vec<(f64, u64)>,
    /// Some of them, for quantiles.
    pub some: Reservoir,
}

/// Values and how often they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// All of them.
    Few(BTreeMap<Value, u64>),
    /// Too many to count.
    Many,
}

impl Default for Values {
    fn default() -> Self {
        Self::Few(BTreeMap::new())
    }
}

/// A value that is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// A fair sample of a stream of numbers, the same each time.
#[derive(Debug, Default)]
pub struct Reservoir {
    kept: Vec<f64>,
    seen: u64,
    state: u64,
}

impl Reservoir {
    /// Takes in a number.
    pub fn add(&mut self, value: f64) {
        self.seen += 1;
        if self.kept.len() < RESERVOIR {
            self.kept.push(value);
            return;
        }
        // SplitMix64: no clock, no seed from outside, so that a profile comes out alike each time.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let place = usize::try_from((mixed ^ (mixed >> 31)) % self.seen).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = value;
        }
    }

    /// The values at these shares of the order, 0 to 1; none without values.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    pub fn quantiles<const N: usize>(&self, shares: [f64; N]) -> Option<[f64; N]> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some(shares.map(|share| sorted[((share * last as f64).round() as usize).min(last)]))
    }
}

impl ColumnStats {
    /// Takes in values; `fresh` says that they do not follow those before.
    pub fn observe(&mut self, array: &ArrayRef, fresh: bool) {
        self.rows += array.len() as u64;
        self.nulls += (array.len() - present(array)) as u64;
        if fresh {
            self.last = None;
        }
        let array = &plain(array);
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing is said of other types")]
        match array.data_type() {
            DataType::Utf8 => {
                for text in array.as_string::<i32>().iter().flatten() {
                    self.shapes.observe(text);
                    self.values.count(|| (text.len() <= LONGEST_VALUE).then(|| Value::Text(text.to_owned())));
                }
            }
            DataType::Timestamp(..) => {
                let Some(times) = micros(array) else { return };
                #[allow(clippy::cast_precision_loss, reason = "a microsecond more or less is the same to a profile")]
                for time in times.iter().flatten() {
                    self.numbers.observe(time as f64);
                }
                self.values = Values::Many;
            }
            DataType::Boolean => {}
            _ => self.observe_numbers(array),
        }
    }

    fn observe_numbers(&mut self, array: &ArrayRef) {
        let Ok(numbers) = cast(array, &DataType::Float64) else { return };
        for number in numbers.as_primitive::<Float64Type>() {
            let Some(number) = number else {
                self.last = None;
                continue;
            };
            #[allow(clippy::float_cmp, reason = "whole numbers below 2^53 are exact")]
            let follows = self.last.is_none_or(|last| number == last + 1.0);
            self.counts_up = Some(self.counts_up.unwrap_or(true) && follows);
            self.last = Some(number);
            self.numbers.observe(number);
            self.values.count(|| whole(number).map(Value::Number));
        }
    }

    /// Values that are there and are not NULL.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.rows - self.nulls
    }

    /// How often a text is there; 0 also where values are too many to know.
    #[must_use]
    pub fn count_of(&self, text: &str) -> u64 {
        match &self.values {
            Values::Few(values) => values.get(&Value::Text(text.to_owned())).copied().unwrap_or(0),
            Values::Many => 0,
        }
    }
}

impl Numbers {
    fn observe(&mut self, number: f64) {
        if number.is_nan() {
            self.nans += 1;
            return;
        }
        self.count += 1;
        self.negatives += u64::from(number < 0.0);
        self.zeros += u64::from(number == 0.0);
        self.fractions += u64::from(number.fract() != 0.0);
        keep_extreme(&mut self.smallest, number, |a, b| a < b);
        keep_extreme(&mut self.largest, number, |a, b| a > b);
        self.some.add(number);
    }
}

#[allow(clippy::float_cmp, reason = "the same value again, not nearly the same")]
fn keep_extreme(kept: &mut Vec<(f64, u64)>, number: f64, is_before: impl Fn(f64, f64) -> bool) {
    if kept.len() == EXTREMES && kept.last().is_some_and(|(last, _)| is_before(*last, number)) {
        return;
    }
    let place = kept.iter().position(|(other, _)| !is_before(*other, number)).unwrap_or(kept.len());
    match kept.get_mut(place) {
        Some((other, count)) if *other == number => *count += 1,
        Some(_) | None => {
            kept.insert(place, (number, 1));
            kept.truncate(EXTREMES);
        }
    }
}

impl Values {
    fn count(&mut self, value: impl FnOnce() -> Option<Value>) {
        let Self::Few(values) = self else { return };
        let Some(value) = value() else {
            *self = Self::Many;
            return;
        };
        *values.entry(value).or_insert(0) += 1;
        if values.len() > MOST_VALUES {
            *self = Self::Many;
        }
    }
}

/// The number, if it is whole and exact.
#[allow(clippy::cast_possible_truncation, reason = "below 2^53")]
#[must_use]
pub fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// Times as microseconds, with or without a zone; none if the array holds no times.
pub(super) fn micros(array: &ArrayRef) -> Option<TimestampMicrosecondArray> {
    if !matches!(array.data_type(), DataType::Timestamp(..)) {
        return None;
    }
    let times = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
    Some(times.as_primitive::<TimestampMicrosecondType>().clone())
}

/// Rows of an array that are not NULL, by what is in it rather than by its type.
pub(super) fn present(array: &ArrayRef) -> usize {
    array.len() - array.logical_null_count()
}

/// Out of dictionaries, large and view types.
pub(super) fn plain(array: &ArrayRef) -> ArrayRef {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others stay as they are")]
    let to = match array.data_type() {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, value) => match value.as_ref() {
            DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            other => other.clone(),
        },
        _ => return array.clone(),
    };
    cast(array, &to).unwrap_or_else(|_| array.clone())
}
