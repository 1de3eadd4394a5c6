//! Joins that can be interrupted. A join that compares every row with every other works through a whole batch of one side
//! before it lets anybody else have its thread: against a million rows that takes minutes, in which no time limit is noticed
//! and other queries wait. So it gets that side in small pieces, with a pause for others between them.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

/// Rows that are joined between two pauses.
const PIECE_ROWS: usize = 64;

/// Puts pauses under joins of every row with every other.
#[derive(Debug)]
pub(super) struct Interruptible;

impl PhysicalOptimizerRule for Interruptible {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let joins_all = [NestedLoopJoinExec::static_name(), CrossJoinExec::static_name()].contains(&plan.name());
            if !joins_all {
                return Ok(Transformed::no(plan));
            }
            let mut children: Vec<Arc<dyn ExecutionPlan>> = plan.children().into_iter().cloned().collect();
            if let Some(probed) = children.pop() {
                children.push(Arc::new(InPieces { input: probed }));
            }
            let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            plan.replace_children(children, recompute).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "interruptible"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Hands batches on in pieces, and lets others have the thread between them.
#[derive(Debug)]
struct InPieces {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for InPieces {
    fn fmt_as(&self, _form: DisplayFormatType, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "InPieces: rows={PIECE_ROWS}")
    }
}

impl ExecutionPlan for InPieces {
    fn name(&self) -> &'static str {
        "InPieces"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| DataFusionError::Internal("pieces of nothing".to_owned()))?;
        Ok(Arc::new(Self { input }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let schema = batches.schema();
        let pieces = batches.map_ok(|batch| {
            let rows = batch.num_rows();
            let piece = move |start| Ok(batch.slice(start, PIECE_ROWS.min(rows - start)));
            stream::iter((0..rows).step_by(PIECE_ROWS).map(piece))
        });
        let paused = pieces.try_flatten().then(async |piece| {
            tokio::task::yield_now().await;
            piece
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, paused)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::*;

    fn session() -> SessionContext {
        let builder = SessionStateBuilder::new().with_default_features();
        SessionContext::new_with_state(builder.with_physical_optimizer_rule(Arc::new(Interruptible)).build())
    }

    async fn ask(sql: &str) -> String {
        let batches = session().sql(sql).await.unwrap().collect().await.unwrap();
        arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
    }

    #[tokio::test]
    async fn joins_of_every_row_with_every_other_find_all_that_they_found_before() {
        let numbers = "(SELECT value AS n FROM generate_series(1, 1000))";
        let less = ask(&format!("SELECT count(*) AS n FROM {numbers} a JOIN {numbers} b ON a.n < b.n")).await;
        assert!(less.contains("| 499500 |"), "{less}");
        let all = ask(&format!("SELECT count(*) AS n, sum(a.n) AS s FROM {numbers} a, {numbers} b")).await;
        assert!(all.contains("| 1000000 | 500500000 |"), "{all}");
        let none =
            ask(&format!("SELECT count(*) AS n FROM {numbers} a LEFT JOIN {numbers} b ON a.n > b.n + 999")).await;
        assert!(none.contains("| 1000 |"), "{none}");
    }

    #[tokio::test]
    async fn a_join_that_would_take_hours_hears_its_time_limit() {
        let numbers = "(SELECT value AS n FROM generate_series(1, 1000000))";
        let join = format!("SELECT count(*) FROM {numbers} a JOIN {numbers} b ON a.n > b.n + 1000000");
        let frame = session().sql(&join).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), frame.collect()).await.is_err());
    }
}
