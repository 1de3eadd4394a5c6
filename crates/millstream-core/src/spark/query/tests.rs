//! The query of small files.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::*;
use crate::config::Config;
use crate::plan::KnownSchema;
use crate::spark::schema::Physical;

fn plan(clean: &str, fields: Vec<(&str, DataType)>) -> FilePlan {
    let text = format!("[pipeline]\nname = \"x\"\n[source]\npath = \"x.parquet\"\n{clean}");
    let config = Config::parse(&text, std::path::Path::new("pipeline.toml"), &|_| None).unwrap();
    let fields: Vec<Field> = fields.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
    FilePlan::new(&config.clean, None, &KnownSchema::default(), &Schema::new(fields)).unwrap()
}

fn leaves(physical: &[Physical]) -> Vec<Leaf> {
    physical.iter().enumerate().map(|(root, physical)| Leaf { root, physical: *physical }).collect()
}

fn text(query: &Query) -> String {
    let list = |named: &[Named]| {
        named.iter().map(|named| format!("    {} AS {}", named.sql, named.alias)).collect::<Vec<_>>().join("\n")
    };
    let layer = |layer: &Layer| match layer {
        Layer::Project(columns) => format!("project\n{}", list(columns)),
        Layer::Filter(condition) => format!("filter {condition}"),
        Layer::Observe { name, metrics } => format!("observe {name}\n{}", list(metrics)),
    };
    query.layers.iter().map(layer).collect::<Vec<_>>().join("\n")
}
