//! `millstream check`: whether a pipeline file is right and what it matches. Changes nothing.

use std::collections::BTreeSet;
use std::path::Path;

use millstream_core::config::Config;
use millstream_core::plan::{FilePlan, KnownSchema};

use super::client::block_on;
use super::failure::Failure;
use super::number::{bytes, counted};
use super::out;
use crate::chain::chain;
use crate::clean::spark::{check_address, refusal};
use crate::source::list::{Listed, Listing};
use crate::source::untrusted::Guard;
use crate::source::{FoundFile, read};

/// Reasons that are told why Spark would not clean files.
const REASONS: usize = 20;

/// Prints the source files of a pipeline file that parsed.
pub(super) fn check(config: &Config, pipeline_file: &Path) -> Result<(), Failure> {
    out::line(&format!("`{}` reads well: pipeline `{}`", pipeline_file.display(), config.pipeline.name))?;
    if let Some(spark) = &config.spark {
        check_address(spark).map_err(|error| Failure::Refused(chain(&error)))?;
    }
    if config.is_foreign() {
        let topic = &config.stream.topic;
        return out::line(&format!(
            "rows come from the Kafka topic `{topic}`, which another program writes: there are no files to check"
        ));
    }
    let listing = Listing::of(config)?;
    let Listed { files: found, problems: unseen } = block_on(async { Ok(listing.list().await?) })?;
    for problem in unseen {
        out::line(&format!("! {problem}"))?;
    }
    if found.is_empty() {
        let text = format!("nothing matches `source.path` = {}", listing.patterns());
        if config.source.watch {
            return out::line(&format!("{text}; with `watch = true` a run waits for files"));
        }
        return Err(Failure::Refused(text + "; correct it, or set `watch = true` to wait for files"));
    }
    let Checked { problems, absent, not_by_spark } = block_on(plan(config, &listing, &found))?;
    let size = found.iter().map(|file| file.size).sum();
    out::line(&format!("`source.path` matches {}, {}:", counted(found.len() as u64, "file"), bytes(size)))?;
    for (file, problem) in found.iter().zip(&problems) {
        out::line(&format!("  {:>10}  {}", bytes(file.size), file.file))?;
        if let Some(problem) = problem {
            out::line(&format!("              ! {problem}"))?;
        }
    }
    for column in absent {
        out::line(&format!(
            "! `clean.columns.{column}`: no file has this column, so all of it will be NULL or `fill`; is its name, or `from`, right?"
        ))?;
    }
    for reason in not_by_spark {
        out::line(&format!("! {reason}; DataFusion cleans it, and with `[clean.spark]` it would be quarantined"))?;
    }
    match problems.iter().flatten().count() {
        0 => Ok(()),
        count => Err(Failure::Refused(format!("{} would be quarantined or stop a run", counted(count as u64, "file")))),
    }
}

/// What the footers tell.
struct Checked {
    /// What keeps each file from being cleaned.
    problems: Vec<Option<String>>,
    /// Declared columns that no file has, if any file can be cleaned.
    absent: Vec<String>,
    /// What keeps Spark from cleaning files that DataFusion cleans, each reason once.
    not_by_spark: BTreeSet<String>,
}

/// Looks at the files in the order in which a run would take them.
async fn plan(config: &Config, listing: &Listing, found: &[FoundFile]) -> Result<Checked, Failure> {
    let mut known = KnownSchema::default();
    let mut problems = Vec::with_capacity(found.len());
    let mut absent: Option<Vec<String>> = None;
    let mut not_by_spark = BTreeSet::new();
    let guard = Guard::of(config);
    for file in found {
        let open = read::open(listing.store(), file.clone(), &guard).await;
        let plan = open.map_err(|error| error.reason()).and_then(|open| {
            let event_time = config.source.event_time.as_deref();
            let plan = FilePlan::new(&config.clean, event_time, &known, open.metadata.schema());
            let plan = plan.map_err(|error| error.to_string())?;
            match refusal(&open, &plan) {
                Some(reason) if config.spark.is_some() => return Err(reason),
                Some(reason) => not_by_spark.extend((not_by_spark.len() < REASONS).then_some(reason)),
                None => {}
            }
            Ok(plan)
        });
        if let Ok(plan) = &plan {
            let lacking =
                plan.columns.iter().filter(|column| column.source.is_none()).map(|column| column.name.clone());
            let lacking: Vec<String> = lacking.collect();
            absent = Some(match absent {
                None => lacking,
                Some(before) => before.into_iter().filter(|name| lacking.contains(name)).collect(),
            });
        }
        problems.push(plan.map(|plan| known = plan.known).err());
    }
    let is_declared = |name: &String| config.clean.columns.iter().any(|column| column.name == *name);
    let absent = absent.unwrap_or_default().into_iter().filter(is_declared).collect();
    Ok(Checked { problems, absent, not_by_spark })
}
