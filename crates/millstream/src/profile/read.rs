//! Reading for a profile: the footers of all files, and the rows of a sample.

use std::sync::Arc;

use futures::StreamExt;
use millstream_core::profile::Profile;
use millstream_core::profile::names::FileColumns;
use millstream_core::types::source_type;

use super::sample::{Groups, Piece, choose};
use crate::source::list::Listing;
use crate::source::read;
use crate::source::untrusted::Guard;
use crate::source::untrusted::quiet::caught;
use crate::source::{FoundFile, SourceError};

/// Rows that are looked at as one.
const BATCH_ROWS: usize = 8192;
/// Values that a sample has at most, so that many columns mean fewer rows.
const MOST_VALUES: u64 = 50_000_000;

/// A profile and how it came about.
#[derive(Debug)]
pub(crate) struct Profiled {
    /// The profile.
    pub(crate) profile: Profile,
    /// The files that it is of.
    pub(crate) files: Vec<FoundFile>,
    /// Files that could not be read, and why.
    pub(crate) broken: Vec<(String, String)>,
}

/// Profiles files: at most about `most` rows of them, or all. `tell` hears how many rows were read, of how many.
pub(crate) async fn profile(
    (listing, guard): (&Listing, &Arc<Guard>),
    found: &[FoundFile],
    most: Option<u64>,
    tell: impl Fn(u64, u64),
) -> Profiled {
    let (mut files, mut columns, mut groups, mut broken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for file in found {
        match read::open(listing.store(), file.clone(), guard).await {
            Ok(open) => {
                let schema = open.metadata.schema();
                let typed = schema.fields().iter().map(|field| {
                    let becomes = source_type(field.data_type()).ok().map(|source| source.becomes);
                    (field.name().clone(), becomes)
                });
                columns.push(FileColumns { file: file.file.to_string(), rows: open.rows(), columns: typed.collect() });
                groups.push(Groups::of(&open));
                files.push(file.clone());
            }
            Err(error) => broken.push((file.file.to_string(), error.reason())),
        }
    }
    let mut profile = Profile::new(&columns);
    let most = most.map(|most| most.min(MOST_VALUES / (profile.columns.len() as u64).max(1)));
    let chosen = choose(&groups, most);
    let wanted: u64 = chosen.iter().flatten().map(|piece| piece.rows.end - piece.rows.start).sum();
    for (number, pieces) in chosen.iter().enumerate() {
        let work = observe((listing, guard), &files[number], number, pieces, &mut profile, |rows| tell(rows, wanted));
        // A panic of the Parquet library over the pages of a file is the file's fault.
        let ended = caught(work).await;
        if let Err(error) = ended.unwrap_or_else(|panic| Err(SourceError::panicked(&files[number], panic))) {
            broken.push((files[number].file.to_string(), error.reason()));
        }
    }
    Profiled { profile, files, broken }
}

async fn observe(
    (listing, guard): (&Listing, &Arc<Guard>),
    file: &FoundFile,
    number: usize,
    pieces: &[Piece],
    profile: &mut Profile,
    tell: impl Fn(u64),
) -> Result<(), SourceError> {
    if pieces.is_empty() {
        return Ok(());
    }
    let open = Arc::new(read::open(listing.store(), file.clone(), guard).await?);
    let schema = open.metadata.schema();
    let is_known = |place: &usize| source_type(schema.field(*place).data_type()).is_ok();
    let columns: Vec<usize> = (0..schema.fields().len()).filter(is_known).collect();
    let names: Vec<String> = columns.iter().map(|&place| schema.field(place).name().clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for piece in pieces {
        let mut rows = read::rows(listing.store(), &piece.split(&open), &columns, BATCH_ROWS);
        let mut fresh = true;
        while let Some(next) = rows.next().await {
            let (_, batch) = next?;
            profile.observe(number, batch.num_rows(), &names, batch.columns(), fresh);
            fresh = false;
            tell(profile.rows);
        }
    }
    Ok(())
}
