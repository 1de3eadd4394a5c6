//! Segments as a table that DataFusion scans: segments whose times cannot match are passed over unread.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use millstream_core::record::INGESTED_AT;

use crate::table::segment::{Segment, conform};

/// Segments under one schema.
#[derive(Debug)]
pub(super) struct SegmentTable {
    schema: SchemaRef,
    segments: Vec<Arc<Segment>>,
    event_time: Option<String>,
}

impl SegmentTable {
    /// A table over segments, whose columns are brought to `schema`.
    pub(super) fn new(schema: SchemaRef, segments: Vec<Arc<Segment>>, event_time: Option<String>) -> Self {
        Self { schema, segments, event_time }
    }

    /// Whether a segment can hold rows for which `filter` is true.
    fn can_match(&self, segment: &Segment, filter: &Expr) -> bool {
        let Some((column, operator, micros)) = time_comparison(filter) else { return true };
        let range = if column == INGESTED_AT {
            Some(segment.ingested_at_micros)
        } else if Some(column) == self.event_time.as_deref() {
            // A segment without any event time has only NULLs there, for which no comparison is true.
            match segment.event_time_micros {
                Some(range) => Some(range),
                None => return false,
            }
        } else {
            None
        };
        let Some((low, high)) = range else { return true };
        match operator {
            Operator::Gt => high > micros,
            Operator::GtEq => high >= micros,
            Operator::Lt => low < micros,
            Operator::LtEq => low <= micros,
            Operator::Eq => low <= micros && micros <= high,
            _ => true,
        }
    }
}

#[async_trait]
impl TableProvider for SegmentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let wanted =
            self.segments.iter().filter(|segment| filters.iter().all(|filter| self.can_match(segment, filter)));
        let mut partitions = vec![Vec::new(); state.config().target_partitions().max(1)];
        for (index, segment) in wanted.enumerate() {
            let partition = index % partitions.len();
            partitions[partition].push(conform(&segment.batch, &schema)?);
        }
        Ok(MemorySourceConfig::try_new_exec(&partitions, schema, None)?)
    }
}

/// A comparison of a column with a fixed time, the column on the left.
fn time_comparison(filter: &Expr) -> Option<(&str, Operator, i64)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => Some((column.name(), *op, micros(value)?)),
        (Expr::Literal(value, _), Expr::Column(column)) => Some((column.name(), op.swap()?, micros(value)?)),
        _ => None,
    }
}

fn micros(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Some(*micros),
        _ => None,
    }
}
