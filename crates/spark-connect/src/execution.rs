//! An execution of a plan, and what it yields.

mod decode;
mod operation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use self::operation::Operation;
use crate::error::Error;
use crate::options::Options;
use crate::proto::relation::Plan;
use crate::proto::service::{ArrowBatch, ObservedMetrics, ResponseKind};
use crate::session::Identity;
use crate::value::Value;
use crate::wire::Wire;

/// What an observation came to: values by the names of its expressions.
pub type Metrics = BTreeMap<String, Value>;

/// A plan that is executed. Its rows are asked for batch by batch, and a batch is read from the network when it is asked for; at most
/// [`Options::window_bytes`] come ahead.
///
/// A result is whole when [`next`](Self::next) returned `None`, and not before. Breaks of the connection on the way are mended: the server
/// keeps what was not received. When it cannot be mended `next` says so, and rows that came until then are a part of nothing.
///
/// **Who does not read on calls [`cancel`](Self::cancel).** A mere drop tells the server nothing (that would need a task of its own in the
/// background); it goes on executing until it notices that nobody asks any more, which takes it 5 minutes by default.
pub struct Execution {
    operation: Operation,
    rows: u64,
    schema: Option<SchemaRef>,
    metrics: BTreeMap<String, Metrics>,
    /// Decoded and not handed out yet: a message can hold several.
    batches: VecDeque<RecordBatch>,
}

impl Execution {
    pub(crate) fn new(wire: Arc<dyn Wire>, identity: Arc<Identity>, options: &Options, plan: Plan) -> Self {
        Self {
            operation: Operation::new(wire, identity, options, plan),
            rows: 0,
            schema: None,
            metrics: BTreeMap::new(),
            batches: VecDeque::new(),
        }
    }

    /// The next batch with rows; `None` when the server has said that the result is complete.
    ///
    /// Cancel safe: a call that is dropped loses nothing.
    ///
    /// # Errors
    /// When the query fails, or when the rest of the result cannot be had; see [`Error::is_passing`]. The execution is over then.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            if let Some(batch) = self.batches.pop_front() {
                return Ok(Some(batch));
            }
            let Some(response) = self.operation.next().await? else { return Ok(None) };
            for observed in response.observed_metrics {
                self.observe(observed)?;
            }
            if let Some(ResponseKind::Batch(batch)) = response.kind {
                self.take(batch)?;
            }
        }
    }

    /// Reads on to the end without keeping rows, as is wanted of commands. Returns how many rows there were in all.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn finish(&mut self) -> Result<u64, Error> {
        while self.next().await?.is_some() {}
        Ok(self.rows)
    }

    /// The columns; known from the first message with rows on, which also comes when there are none.
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// How many rows came.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What observations ([`Relation::observe`](crate::Relation::observe)) came to, by their names. Whole once `next` has returned `None`.
    #[must_use]
    pub fn metrics(&self) -> &BTreeMap<String, Metrics> {
        &self.metrics
    }

    /// The operation's id, by which the server's logs and pages know it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.operation.id()
    }

    /// Stops executing, and lets the server forget the result. Best effort: a server that does not answer is not waited for longer than
    /// [`Options::call_timeout`], and ends the operation by itself later.
    pub async fn cancel(self) {
        self.operation.cancel().await;
    }

    fn take(&mut self, batch: ArrowBatch) -> Result<(), Error> {
        let wrong = |message: String| Err(Error::Protocol { message });
        if batch.chunks_in_batch.is_some_and(|chunks| chunks > 1) {
            return wrong("it sends batches in pieces, which it was not asked to".to_owned());
        }
        if let Some(start) = batch.start_offset
            && u64::try_from(start).ok() != Some(self.rows)
        {
            return wrong(format!("rows from {start} on came where row {} was next", self.rows));
        }
        let (schema, batches) = decode::decode(batch.data).map_err(Error::Decode)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if i64::try_from(rows).ok() != Some(batch.row_count) {
            return wrong(format!("{rows} rows came in a batch of {}", batch.row_count));
        }
        self.rows += rows as u64;
        self.schema = schema.or_else(|| self.schema.take());
        self.batches.extend(batches.into_iter().filter(|batch| batch.num_rows() > 0));
        Ok(())
    }

    fn observe(&mut self, observed: ObservedMetrics) -> Result<(), Error> {
        let name = observed.name;
        if observed.root_error.is_some() {
            let message = format!("the observation `{name}` failed");
            let error = Error::Query { class: None, sql_state: None, message };
            return Err(error.with_details(observed.root_error, &observed.errors));
        }
        if observed.keys.len() != observed.values.len() {
            let message = format!("{} names for {} values of `{name}`", observed.keys.len(), observed.values.len());
            return Err(Error::Protocol { message });
        }
        let values = observed.values.into_iter().map(Value::from_proto);
        self.metrics.entry(name).or_default().extend(observed.keys.into_iter().zip(values));
        Ok(())
    }
}
