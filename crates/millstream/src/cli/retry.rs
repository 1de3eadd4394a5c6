//! `millstream retry`: quarantined files are taken again, by the process that publishes, or by the next one.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::config::Config;
use reqwest::Method;

use super::client::{Client, block_on};
use super::failure::Failure;
use super::{file_name, out};
use crate::chain::chain;
use crate::clock::now_micros;
use crate::data_dir::DataDir;
use crate::durable::Durable;
use crate::pipeline::PipelineError;
use crate::source::list::Listing;
use crate::source::retry::{self, Answer, Request, Terms};
use crate::source::untrusted::Guard;
use crate::stream::{Access, Append, PublisherId};

/// Has files taken again and prints what became of each.
pub(super) fn retry(config: &Config, files: &[PathBuf], keep_published: bool) -> Result<(), Failure> {
    if config.is_foreign() {
        let text = "another program writes this topic (`stream.kafka.foreign`): there are no files to take";
        return Err(Failure::Refused(text.to_owned()));
    }
    let listing = Listing::of(config)?;
    let names = files.iter().map(|file| file_name(&listing, config, file)).collect();
    let request = Request { files: names, keep_published };
    let answers = match Client::find(config)? {
        Some(client) => block_on(async {
            let request = client.request(Method::POST, "/api/retry").json(&request);
            client.send(request).await?.json::<Vec<Answer>>().await.map_err(|error| client.lost(&error))
        })?,
        None if config.stream.kafka.is_some() => {
            return Err(Failure::Refused(
                "the pipeline does not run, and over Kafka only a publisher may write its progress: start it, and ask again".to_owned(),
            ));
        }
        None => at_rest(config, &listing, request)?,
    };
    let mut refused = 0;
    for Answer { file, from_row, refused: reason } in &answers {
        match (reason, from_row) {
            (Some(reason), _) => {
                refused += 1;
                out::line(&format!("`{file}` is not taken: {reason}"))?;
            }
            (None, Some(row)) if *row > 0 => out::line(&format!("`{file}` is taken again, from row {row} on"))?,
            (None, _) => out::line(&format!("`{file}` is taken again"))?,
        }
    }
    match refused {
        0 => Ok(()),
        1 => Err(Failure::Refused("a file was not taken".to_owned())),
        count => Err(Failure::Refused(format!("{count} files were not taken"))),
    }
}

/// Takes files of a pipeline that does not run: its next start reads them.
fn at_rest(config: &Config, listing: &Listing, request: Request) -> Result<Vec<Answer>, Failure> {
    let _data_dir = DataDir::open(config)?;
    let failed = |error: &dyn std::error::Error| PipelineError::Failed(chain(error));
    block_on(async {
        let access = Access::Publish(PublisherId::ONLY);
        let Durable { log, .. } = Durable::open(config, access, Arc::new(|_, _| {})).await?;
        let recovered = log.recover().await.map_err(|error| failed(&error))?;
        let (guard, terms) = (Guard::of(config), Terms::of(config));
        let mut append = Append::default();
        let mut publisher = recovered.publisher;
        let mut answers = Vec::new();
        for name in request.files {
            let before = recovered.files.iter().find(|file| file.file == name);
            let is_twice = append.files.iter().any(|file| file.file == name);
            let taken = match before {
                _ if is_twice => continue,
                Some(before) => terms.take(listing, &guard, before.clone(), request.keep_published).await,
                None => Err(retry::unknown(&name)),
            };
            answers.push(retry::answer(name, &taken));
            let Ok(new) = taken else { continue };
            let Some(before) = new.before else { continue };
            append.given_up.push(before.sequence);
            append.files.push(retry::again(*before, new.found, new.rows, now_micros(), publisher.next_sequence));
            publisher.next_sequence += 1;
        }
        if !append.files.is_empty() {
            append.publisher = Some(publisher);
            log.append(append).await.map_err(|error| failed(&error))?;
        }
        Ok(answers)
    })
}
