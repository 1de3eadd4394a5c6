//! Whether the SQL of views can be carried out, without a row: syntax alone, or planned over the columns that a run would have.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::DFParser;
use millstream_core::config::Config;
use millstream_core::lists::text_list_type;
use millstream_core::plan::KnownSchema;
use millstream_core::plan::check::Problem;
use millstream_core::record::{FILE, INGESTED_AT, ROW};
use serde::Serialize;

use crate::table::segment::time_type;

/// A view and what it gives.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedView {
    /// Its name.
    pub(crate) name: String,
    /// Columns and their types.
    pub(crate) columns: Vec<(String, String)>,
}

/// What is wrong with the form of a view's SQL.
pub(crate) fn syntax_problem(sql: &str) -> Option<String> {
    match DFParser::parse_sql(sql) {
        Ok(statements) if statements.len() == 1 => None,
        Ok(statements) => Some(format!("a view is one SELECT, and here are {} statements", statements.len())),
        Err(error) => Some(said(&error)),
    }
}

/// Plans every view over tables with these columns.
pub(crate) async fn plan(
    config: &Config,
    known: &KnownSchema,
) -> Result<(Vec<PlannedView>, Vec<Problem>), DataFusionError> {
    let session = SessionConfig::new().set_bool("datafusion.sql_parser.collect_spans", true);
    let context = SessionContext::new_with_config(session);
    let rows = schema(known.arrow_schema().fields().iter().cloned().collect());
    for table in ["live", "archive", "events"] {
        context.register_table(table, Arc::new(EmptyTable::new(Arc::clone(&rows))))?;
    }
    let rejects = ["rules", "reasons"].map(|name| Field::new(name, text_list_type(), true));
    let original = Field::new("original", DataType::Utf8, true);
    let rejects = schema(rejects.into_iter().chain([original]).map(Arc::new).collect());
    context.register_table("rejects", Arc::new(EmptyTable::new(rejects)))?;
    let (mut planned, mut problems) = (Vec::new(), Vec::new());
    for (number, view) in config.views.iter().enumerate() {
        match context.sql_with_options(&view.sql, crate::view::only_reads()).await {
            Ok(frame) => {
                let fields = frame.schema().fields().iter();
                let columns = fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect();
                planned.push(PlannedView { name: view.name.clone(), columns });
                context.register_table(view.name.as_str(), frame.into_view())?;
            }
            Err(error) => problems.push(Problem { key: format!("view[{number}].sql"), text: said(&error) }),
        }
    }
    for (number, view) in config.views.iter().enumerate() {
        let Some(chart) = &view.chart else { continue };
        let Some(planned) = planned.iter().find(|planned| planned.name == view.name) else { continue };
        for (key, column) in [("x", &chart.x), ("y", &chart.y), ("series", &chart.series)] {
            if let Some(column) = column
                && !planned.columns.iter().any(|(name, _)| name == column)
            {
                let names: Vec<&str> = planned.columns.iter().map(|(name, _)| name.as_str()).collect();
                let text = format!("the view has no column `{column}`; it has: {}", names.join(", "));
                problems.push(Problem { key: format!("view[{number}].chart.{key}"), text });
            }
        }
    }
    Ok((planned, problems))
}

/// The columns with those that every row has.
fn schema(mut fields: Vec<Arc<Field>>) -> SchemaRef {
    fields.push(Arc::new(Field::new(FILE, DataType::Utf8, true)));
    fields.push(Arc::new(Field::new(ROW, DataType::Int64, true)));
    fields.push(Arc::new(Field::new("_marks", text_list_type(), true)));
    fields.push(Arc::new(Field::new(INGESTED_AT, time_type(), true)));
    Arc::new(Schema::new(fields))
}

/// What an error says, with the place in the SQL at its end if it knows one.
fn said(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = ["SQL error: ", "Error during planning: ", "Schema error: ", "This feature is not implemented: "]
        .iter()
        .find_map(|head| text.strip_prefix(head))
        .unwrap_or(&text);
    let text = match text.strip_prefix("ParserError(\"").and_then(|inner| inner.strip_suffix("\")")) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => text.trim_end_matches('.').to_owned(),
    };
    let text = text.replace("datafusion.public.", "").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    match span {
        Some(span) if !text.contains(" at Line: ") => {
            format!("{text} at Line: {}, Column: {}", span.start.line, span.start.column)
        }
        Some(_) | None => text,
    }
}
