//! The tables over one snapshot.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, JoinType};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast as cast_expr, lit};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use millstream_core::config::Config;
use millstream_core::ids::Topic;
use millstream_core::record::{FILE, INGESTED_AT, RESOLVED, RESOLVED_AT, ROW};

use super::provider::SegmentTable;
use crate::archive::{ArchivedTable, PARTITION_COLUMN};
use crate::table::Snapshot;
use crate::table::segment::{Segment, conform, time_type};

/// Registers `live`, `archive`, `unarchived`, `events` and `rejects`.
pub(super) fn register(context: &SessionContext, snapshot: &Snapshot, config: &Config) -> Result<(), DataFusionError> {
    let event_time = config.source.event_time.as_deref();
    let rows = sides(snapshot, Topic::Rows, snapshot.archive.rows.as_ref(), event_time);
    let rejects = sides(snapshot, Topic::Rejects, snapshot.archive.rejects.as_ref(), event_time);
    for table in [&snapshot.archive.rows, &snapshot.archive.rejects].into_iter().flatten() {
        let state = context.state();
        table.table.update_datafusion_session(&state).map_err(|error| DataFusionError::External(Box::new(error)))?;
    }
    context.register_table("live", Arc::clone(&rows.live))?;
    context.register_table("archive", rows.archive())?;
    context.register_table("unarchived", Arc::clone(&rows.open))?;
    context.register_table("events", rows.union()?)?;
    context.register_table("rejects", without_resolved(rejects.union()?)?)?;
    Ok(())
}

/// The two sides of a union read.
struct Sides {
    /// Columns of both, plain.
    schema: SchemaRef,
    /// All segments.
    live: Arc<dyn TableProvider>,
    /// Segments that the archive does not hold.
    open: Arc<dyn TableProvider>,
    archived: Option<Arc<ArchivedTable>>,
}

fn sides(snapshot: &Snapshot, topic: Topic, archived: Option<&Arc<ArchivedTable>>, event_time: Option<&str>) -> Sides {
    let segments: Vec<Arc<Segment>> =
        snapshot.segments.iter().filter(|segment| segment.at.topic == topic).cloned().collect();
    let cut = |segment: &Segment| snapshot.archived.get(&segment.at).is_none_or(|&cut| segment.first >= cut);
    let open: Vec<Arc<Segment>> = segments.iter().filter(|segment| cut(segment)).cloned().collect();
    let schema = merged_schema(archived, &segments, topic);
    let table = |segments| -> Arc<dyn TableProvider> {
        Arc::new(SegmentTable::new(Arc::clone(&schema), segments, event_time.map(str::to_owned)))
    };
    Sides { live: table(segments), open: table(open), archived: archived.cloned(), schema }
}

impl Sides {
    fn archive(&self) -> Arc<dyn TableProvider> {
        match &self.archived {
            Some(table) => Arc::clone(&table.provider),
            None => Arc::new(SegmentTable::new(Arc::clone(&self.schema), Vec::new(), None)),
        }
    }

    /// Rows of the archive and the segments above its offsets.
    fn union(&self) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let Some(table) = &self.archived else { return Ok(Arc::clone(&self.open)) };
        let names = table.provider.schema();
        let archived: Vec<Expr> =
            self.schema.fields().iter().map(|field| side_column(field, &names)).collect::<Result<_, _>>()?;
        let archive = LogicalPlanBuilder::scan("archive", provider_as_source(Arc::clone(&table.provider)), None)?
            .project(archived)?
            .build()?;
        let open = LogicalPlanBuilder::scan("live", provider_as_source(Arc::clone(&self.open)), None)?
            .project(self.schema.fields().iter().map(|field| named(field.name())))?
            .build()?;
        let plan = LogicalPlanBuilder::from(archive).union(open)?.build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// The rejects of which nothing is said yet, without the words on the others. Both come from one snapshot.
fn without_resolved(rejects: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = rejects.schema();
    if schema.index_of(RESOLVED).is_err() {
        return Ok(rejects);
    }
    let scan = || LogicalPlanBuilder::scan("rejects", provider_as_source(Arc::clone(&rejects)), None);
    let words = scan()?
        .filter(named(RESOLVED).is_not_null())?
        .project([named(FILE), named(ROW)])?
        .alias("resolved")?
        .build()?;
    let kept = schema.fields().iter().filter(|field| ![RESOLVED, RESOLVED_AT].contains(&field.name().as_str()));
    let kept: Vec<Expr> = kept.map(|field| named(field.name())).collect();
    let rows = scan()?.filter(named(RESOLVED).is_null())?.project(kept)?.build()?;
    let keys = [FILE, ROW];
    let left = keys.map(|name| Column::new(Some("rejects"), name)).to_vec();
    let right = keys.map(|name| Column::new(Some("resolved"), name)).to_vec();
    let plan = LogicalPlanBuilder::from(rows).join(words, JoinType::LeftAnti, (left, right), None)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// A column of the archive as the union has it; null when the version does not have it yet.
fn side_column(field: &Field, names: &SchemaRef) -> Result<Expr, DataFusionError> {
    let expr = match names.field_with_name(field.name()) {
        Ok(found) if found.data_type() == field.data_type() => named(field.name()),
        Ok(_) => cast_expr(named(field.name()), field.data_type().clone()),
        Err(_) => lit(ScalarValue::try_from(field.data_type())?),
    };
    Ok(expr.alias(field.name()))
}

/// A column by its exact name, dots and capitals included.
fn named(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// Columns of the archive, then those that only segments have; the partition column is the archive's own.
pub(super) fn merged_schema(
    archived: Option<&Arc<ArchivedTable>>,
    segments: &[Arc<Segment>],
    topic: Topic,
) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    let mut add = |field: &Field| {
        let known = fields.iter().any(|known| known.name() == field.name());
        if !known && field.name() != PARTITION_COLUMN {
            fields.push(Arc::new(Field::new(field.name(), plain(field.data_type()), true)));
        }
    };
    if let Some(table) = archived {
        table.provider.schema().fields().iter().for_each(|field| add(field));
    }
    for segment in segments {
        segment.batch.schema_ref().fields().iter().for_each(|field| add(field));
    }
    // Before the first row there are the columns that every row has.
    add(&Field::new(FILE, DataType::Utf8, true));
    add(&Field::new(ROW, DataType::Int64, true));
    if topic == Topic::Rejects {
        let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        add(&Field::new("rules", texts.clone(), true));
        add(&Field::new("reasons", texts, true));
        add(&Field::new("original", DataType::Utf8, true));
    }
    add(&Field::new(INGESTED_AT, time_type(), true));
    Arc::new(Schema::new(fields))
}

/// The type as users see it: how texts are held in memory is no matter of theirs.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::List(item) => {
            DataType::List(Arc::new(Field::new(item.name(), plain(item.data_type()), item.is_nullable())))
        }
        other => other.clone(),
    }
}

/// The last rows of segments that come newest first, newest first.
pub(super) fn newest_rows(
    segments: &[Arc<Segment>],
    limit: usize,
) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
    let schema = merged_schema(None, segments, Topic::Rows);
    let mut left = limit;
    let mut parts = Vec::new();
    for segment in segments {
        let rows = u32::try_from(segment.batch.num_rows()).unwrap_or(u32::MAX);
        let taken = u32::try_from(left).unwrap_or(u32::MAX).min(rows);
        let backwards = UInt32Array::from_iter_values((rows - taken..rows).rev());
        parts.push(conform(&take_record_batch(&segment.batch, &backwards)?, &schema)?);
        left -= taken as usize;
        if left == 0 {
            break;
        }
    }
    let batch = concat_batches(&schema, &parts)?;
    Ok((schema, vec![batch]))
}
