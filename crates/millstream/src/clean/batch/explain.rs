//! Rejects of another engine: that one says which rows broke what; why, and what the rows held, is told here as for the rows of
//! this engine.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;

use super::rejects::{Breach, Broken};
use super::{BatchCleaner, CleanError, Numbers, batch, evaluate, rejects};

impl BatchCleaner {
    /// Rejects of the rows of `raw`, whose numbers in the file are `numbers`. What each of them broke is `broken`, ascending: the
    /// number of a typed column, behind those of a derived column, behind those of a rule.
    pub(crate) fn explain(
        &self,
        raw: &RecordBatch,
        numbers: &[u64],
        broken: &[Vec<usize>],
    ) -> Result<RecordBatch, CleanError> {
        let rows = raw.num_rows();
        let mut under = self.under(raw, Numbers::Each(numbers));
        self.type_columns(&mut under)?;
        let typed = batch(&self.typed_schema, under.values.clone(), rows)?;
        self.derive(&mut under, &typed)?;
        let seen = batch(&self.rule_schema, under.values.clone(), rows)?;
        let kinds = self.plan.columns.len() + self.plan.derived.len() + self.plan.rules.len();
        under.breaches.clear();
        for kind in 0..kinds {
            let rows = BooleanBuffer::collect_bool(rows, |row| broken[row].contains(&kind));
            if rows.count_set_bits() > 0 {
                under.breaches.push(Breach { what: self.broken(kind, &typed)?, rows });
            }
        }
        rejects::batch(&self.plan, &under, &seen, &BooleanBuffer::new_set(rows))
    }

    fn broken(&self, kind: usize, typed: &RecordBatch) -> Result<Broken, CleanError> {
        let (columns, derived) = (self.plan.columns.len(), self.plan.derived.len());
        if kind < columns {
            return Ok(Broken::Column(kind));
        }
        let Some(rule) = kind.checked_sub(columns + derived) else {
            let place = kind - columns;
            let (raw, steps) = &self.derived[place];
            let values: ArrayRef = evaluate(&steps.name, raw, typed)?;
            return Ok(Broken::Derived(place, values));
        };
        Ok(Broken::Rule(rule))
    }
}
