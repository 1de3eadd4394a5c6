//! Taking a quarantined file again.
//!
//! A file of which nothing was published begins anew, as it is now. One that was quarantined midway goes on behind the rows that
//! are published: those keep their outcome. Either way it gets a new number, behind the files that came meanwhile, in the same
//! append that gives up its old one.

use std::sync::Arc;

use millstream_core::config::Config;
use millstream_core::config::clean::DedupWithin;
use millstream_core::plan::check::rules_hash;
use millstream_core::progress::{FilePhase, FileProgress};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::find::NewFile;
use super::list::Listing;
use super::untrusted::Guard;
use super::{FoundFile, read};
use crate::clock::now_micros;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Names of files, as the ledger has them.
    pub(crate) files: Vec<String>,
    /// Whether a file that was changed may go on behind its published rows.
    #[serde(default)]
    pub(crate) keep_published: bool,
}

/// What became of one file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The file.
    pub(crate) file: String,
    /// The row from which it is read.
    pub(crate) from_row: Option<u64>,
    /// Why it is not taken.
    pub(crate) refused: Option<String>,
}

/// A request on its way to the finder.
#[derive(Debug)]
pub(crate) struct Retry {
    /// Names of files.
    pub(crate) files: Vec<String>,
    /// As in [`Request`].
    pub(crate) keep_published: bool,
    /// Where the answer goes, once it is durable.
    pub(crate) reply: oneshot::Sender<Vec<Answer>>,
}

/// The way from those who ask to the finder; it outlives a finder that begins anew.
#[derive(Debug)]
pub(crate) struct Retries {
    sender: mpsc::Sender<Retry>,
    receiver: Mutex<mpsc::Receiver<Retry>>,
}

impl Default for Retries {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl Retries {
    /// Asks, and waits until what was taken is durable.
    ///
    /// # Errors
    /// The source is at its end.
    pub(crate) async fn ask(&self, request: Request) -> Result<Vec<Answer>, String> {
        let over = "the pipeline takes no more files, for it is about to end: ask again once it has ended".to_owned();
        let Request { files, keep_published } = request;
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(Retry { files, keep_published, reply }).await;
        sent.map_err(|_| over.clone())?;
        answer.await.map_err(|_| over)
    }

    /// The next request. Cancel safe.
    pub(crate) async fn next(&self) -> Retry {
        match self.receiver.lock().await.recv().await {
            Some(retry) => retry,
            // It was closed: there will be none.
            None => std::future::pending().await,
        }
    }

    /// No request is answered from here on.
    pub(crate) async fn close(&self) {
        let mut receiver = self.receiver.lock().await;
        receiver.close();
        while receiver.recv().await.is_some() {}
    }
}

/// What decides whether a file can be taken again.
#[derive(Debug)]
pub(crate) struct Terms {
    rules_hash: String,
    within_file: bool,
}

impl Terms {
    /// As the pipeline file says.
    pub(crate) fn of(config: &Config) -> Self {
        let within_file = config.clean.dedup.as_ref().is_some_and(|dedup| dedup.within == DedupWithin::File);
        Self { rules_hash: rules_hash(&config.clean), within_file }
    }

    /// Looks at a file as it is now.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub(crate) async fn take(
        &self,
        listing: &Listing,
        guard: &Arc<Guard>,
        before: FileProgress,
        keep_published: bool,
    ) -> Result<NewFile, String> {
        check_phase(&before)?;
        let found = FoundFile {
            file: before.file.as_str().into(),
            location: listing.location(&before.file),
            size: before.size,
            tag: before.tag.clone(),
        };
        let found = read::as_it_is_now(&*listing.store(), found).await.map_err(|error| error.reason())?;
        let open = read::open(listing.store(), found.clone(), guard).await;
        let rows = open.map_err(|error| format!("it still cannot be read: {}", error.reason()))?.rows();
        self.check(&before, &found, rows, keep_published)?;
        Ok(NewFile { found, found_at_micros: now_micros(), rows: Ok(rows), before: Some(Box::new(before)) })
    }

    /// Whether its published rows can stay as they are.
    fn check(&self, before: &FileProgress, found: &FoundFile, rows: u64, keep_published: bool) -> Result<(), String> {
        let published = before.next_row;
        if published == 0 {
            return Ok(());
        }
        let instead = "to have all of it read, give it a new name: then these rows come twice";
        if self.within_file {
            return Err(format!(
                "{published} of its rows are published, and `clean.dedup.within = \"file\"` does not know their keys any more; {instead}"
            ));
        }
        if before.rules_hash.as_ref().is_some_and(|hash| *hash != self.rules_hash) {
            return Err(format!(
                "{published} of its rows are published under other rules: bring those back until it is finished; or {instead}"
            ));
        }
        if rows < published {
            return Err(format!("{published} of its rows are published, and it has {rows} now; {instead}"));
        }
        let changed = found.size != before.size || found.tag != before.tag;
        if changed && !keep_published {
            return Err(format!(
                "{published} of its rows are published, and it was changed: if these rows are what they were, say `--keep-published` to \
                 go on behind them; {instead}"
            ));
        }
        Ok(())
    }
}

fn check_phase(before: &FileProgress) -> Result<(), String> {
    match before.phase {
        FilePhase::Quarantined { .. } => Ok(()),
        FilePhase::Accepted => Err("it is not quarantined: it waits for its turn".to_owned()),
        FilePhase::Started => Err("it is not quarantined: it is being read".to_owned()),
        FilePhase::Finished => Err("it is not quarantined: all of its rows have their place".to_owned()),
    }
}

/// A file that was never found.
pub(crate) fn unknown(file: &str) -> String {
    format!("`{file}` is no file that the pipeline knows: `millstream status` names those that are quarantined")
}

/// What is answered of a file.
pub(crate) fn answer(file: String, taken: &Result<NewFile, String>) -> Answer {
    match taken {
        Ok(new) => {
            let from_row = new.before.as_ref().map(|before| before.next_row);
            Answer { file, from_row, refused: None }
        }
        Err(reason) => Answer { file, from_row: None, refused: Some(reason.clone()) },
    }
}

/// The progress of a file that is taken again, under a new number.
pub(crate) fn again(
    before: FileProgress,
    found: FoundFile,
    rows: Result<u64, String>,
    found_at_micros: i64,
    sequence: u64,
) -> FileProgress {
    let known = rows.as_ref().ok().copied();
    let phase = match rows {
        Ok(_) if before.next_row > 0 => FilePhase::Started,
        Ok(_) => FilePhase::Accepted,
        Err(reason) => FilePhase::Quarantined { reason },
    };
    FileProgress {
        sequence,
        size: found.size,
        tag: found.tag,
        found_at_micros,
        phase,
        rows: known.or(before.rows),
        retried_from_row: Some(before.next_row),
        ..before
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::progress::Outcomes;

    use super::*;

    fn before(next_row: u64) -> FileProgress {
        FileProgress {
            file: "a.parquet".to_owned(),
            sequence: 3,
            size: 10,
            tag: "1".to_owned(),
            found_at_micros: 0,
            phase: FilePhase::Quarantined { reason: "r".to_owned() },
            rows: Some(100),
            next_row,
            rules_hash: Some("h".to_owned()),
            engine: None,
            outcomes: Outcomes::default(),
            retried_from_row: None,
        }
    }

    fn found(tag: &str) -> FoundFile {
        FoundFile {
            file: "a.parquet".into(),
            location: object_store::path::Path::default(),
            size: 10,
            tag: tag.to_owned(),
        }
    }

    #[test]
    fn rows_that_are_published_stay_and_are_never_taken_for_others() {
        let terms = |hash: &str, within_file| Terms { rules_hash: hash.to_owned(), within_file };
        let same = terms("h", false);
        assert!(same.check(&before(0), &found("2"), 5, false).is_ok(), "nothing of it is published");
        assert!(same.check(&before(50), &found("1"), 100, false).is_ok());
        assert!(same.check(&before(50), &found("2"), 100, true).is_ok());
        let cases = [
            (same.check(&before(50), &found("2"), 100, false), "--keep-published"),
            (same.check(&before(50), &found("2"), 40, true), "it has 40 now"),
            (terms("other", false).check(&before(50), &found("1"), 100, false), "under other rules"),
            (terms("h", true).check(&before(50), &found("1"), 100, false), "clean.dedup.within"),
        ];
        for (refused, part) in cases {
            assert!(refused.as_ref().is_err_and(|reason| reason.contains(part)), "{part}: {refused:?}");
        }
    }

    #[test]
    fn a_file_goes_on_behind_its_published_rows_under_a_new_number() {
        let on = again(before(50), found("1"), Ok(100), 7, 9);
        assert_eq!((on.phase, on.next_row, on.sequence, on.retried_from_row), (FilePhase::Started, 50, 9, Some(50)));
        let anew = again(before(0), found("2"), Ok(5), 7, 9);
        assert_eq!((anew.phase, anew.next_row, anew.tag.as_str(), anew.rows), (FilePhase::Accepted, 0, "2", Some(5)));
    }
}
