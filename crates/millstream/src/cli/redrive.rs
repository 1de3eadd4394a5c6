//! `millstream redrive`: rejected rows are cleaned again, by the process that publishes, or here when none runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::config::Config;
use millstream_core::redrive::{Answer, Counts, FileAnswer, Preview, PreviewRequest, Request};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Client, block_on};
use super::failure::Failure;
use super::number::count;
use super::run::server_runtime;
use super::{file_name, out};
use crate::chain::chain;
use crate::data_dir::DataDir;
use crate::pipeline::{self, Role, Running, Until};
use crate::redrive::RedriveError;
use crate::source::list::Listing;
use crate::stop::{Phase, stop_channel};

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Only rows that this rule rejected (again for more)
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,
    /// Only rows of this file, as `millstream status` names it (again for more)
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only tell what would become of them (of the first 10,000 rows)
    #[arg(long)]
    preview: bool,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Has rejects cleaned again and prints what became of them.
pub(super) fn redrive(config: Config, options: Options) -> Result<(), Failure> {
    if config.is_foreign() {
        let text = "another program writes this topic (`stream.kafka.foreign`): its rows are in no files, so there is nothing to clean again";
        return Err(Failure::Refused(text.to_owned()));
    }
    let listing = Listing::of(&config)?;
    let Options { rules, files, preview, json } = options;
    let named = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
    let files = named(files.iter().map(|file| file_name(&listing, &config, file)).collect());
    let (rules, pipeline) = (named(rules), Some(config.file.to_string_lossy().into_owned()));
    if preview {
        let request = PreviewRequest { toml: None, files, rules, pipeline };
        let seen: Preview = match Client::find(&config)? {
            Some(client) => ask(&client, "/api/redrive/preview", &request)?,
            None => at_rest(config, async move |running| match running.redriver {
                Some(redriver) => Box::pin(redriver.preview(request)).await,
                None => Err(RedriveError::Ending),
            })?,
        };
        return show_preview(&seen, json);
    }
    let request = Request { files, rules, pipeline };
    let answer: Answer = match Client::find(&config)? {
        Some(client) => ask(&client, "/api/redrive", &request)?,
        None => at_rest(config, async move |running| match running.redriver {
            Some(redriver) => redriver.redrive(request).await,
            None => Err(RedriveError::Ending),
        })?,
    };
    show(&answer, json)
}

fn ask<T: DeserializeOwned>(client: &Client, path: &str, request: &impl Serialize) -> Result<T, Failure> {
    block_on(async {
        let request = client.request(Method::POST, path).json(request);
        client.send(request).await?.json().await.map_err(|error| client.lost(&error))
    })
}

/// Runs the stages of a pipeline that does not run, for as long as `work` takes: no file is looked for.
#[allow(clippy::disallowed_methods, reason = "it ends the run, which is waited for")]
fn at_rest<T, F>(config: Config, work: impl FnOnce(Running) -> F + Send + 'static) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, RedriveError>> + Send + 'static,
{
    if config.stream.kafka.is_some() {
        return Err(Failure::Refused(
            "the pipeline does not run, and over Kafka only a publisher may write its progress: start it, and ask again".to_owned(),
        ));
    }
    let _data_dir = DataDir::open(&config)?;
    let runtime = server_runtime()?;
    let (sender, stop) = stop_channel();
    // Held until the run has ended: one that is gone would have it aborted, and what was published would be archived by the next start only.
    let sender = Arc::new(sender);
    let hand = Arc::clone(&sender);
    let answer = Arc::new(Mutex::new(None));
    let given = Arc::clone(&answer);
    let started = |running: Running| {
        runtime.spawn(async move {
            let worked = work(running).await;
            *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(worked);
            hand.raise(Phase::Drain);
        });
    };
    let ran = pipeline::run(Arc::new(config), Role::Run, Until::Asked, stop, started);
    drop(sender);
    ran?;
    let worked = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    let worked = worked.unwrap_or(Err(RedriveError::Ending));
    worked.map_err(|error| match error {
        RedriveError::Refused(text) => Failure::Refused(text),
        RedriveError::Busy
        | RedriveError::Ending
        | RedriveError::Lost
        | RedriveError::ArchiveWaits
        | RedriveError::Archive(_)
        | RedriveError::Query(_) => Failure::Failed(chain(&error)),
    })
}

fn show(answer: &Answer, json: bool) -> Result<(), Failure> {
    if json {
        print_json(answer)?;
    } else {
        out::line(&sentence(answer.counts, "delivered"))?;
        show_refused(&answer.files)?;
    }
    let refused = answer.files.iter().filter(|file| file.refused.is_some()).count();
    match refused {
        0 => Ok(()),
        1 => Err(Failure::Refused("the rejects of a file were not cleaned again".to_owned())),
        files => Err(Failure::Refused(format!("the rejects of {files} files were not cleaned again"))),
    }
}

fn show_preview(preview: &Preview, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(preview);
    }
    out::line(&sentence(preview.counts, "would be delivered, as far as they are no duplicates"))?;
    for change in &preview.by_rule {
        out::line(&format!(
            "  `{}` rejected {}, and would reject {}",
            change.rule,
            count(change.before),
            count(change.after)
        ))?;
    }
    if preview.truncated {
        out::line(&format!("  (these are the first {} rows; there are more)", count(preview.looked_at)))?;
    }
    show_refused(&preview.files)
}

fn show_refused(files: &[FileAnswer]) -> Result<(), Failure> {
    for file in files {
        if let Some(reason) = &file.refused {
            out::line(&format!("`{}`: {} rows stay rejected, for {reason}", file.file, count(file.counts.rejected)))?;
        }
    }
    Ok(())
}

fn sentence(counts: Counts, delivered: &str) -> String {
    let Counts { rows, delivered: passed, duplicates, filtered, rejected } = counts;
    let mut parts = vec![format!("of {} rejected rows {} {delivered}", count(rows), count(passed))];
    for (rows, what) in [(duplicates, "duplicates"), (filtered, "filtered")] {
        parts.extend((rows > 0).then(|| format!("{} {what}", count(rows))));
    }
    parts.push(format!("{} still rejected", count(rejected)));
    parts.join(", ")
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(&error))?;
    out::line(&text)
}
