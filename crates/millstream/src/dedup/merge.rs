//! Several runs become one, a piece at a time, so that whoever waits for it never waits long.

use std::io;
use std::path::Path;
use std::sync::Arc;

use millstream_core::dedup::Claim;

use super::run::{Cursor, Run, RunWriter};

/// A merge on its way.
#[derive(Debug)]
pub(super) struct Merge {
    inputs: Vec<Cursor>,
    output: RunWriter,
    /// The claim that was merged last: another of the same key may follow.
    last: Option<Claim>,
}

impl Merge {
    pub(super) fn new(folder: &Path, inputs: &[Arc<Run>], has_times: bool, level: u32) -> io::Result<Self> {
        let cursors = inputs.iter().map(|run| Cursor::new(Arc::clone(run))).collect::<io::Result<_>>()?;
        Ok(Self { inputs: cursors, output: RunWriter::new(folder, has_times, level)?, last: None })
    }

    /// Whether it is made of this run.
    pub(super) fn reads(&self, run: &Arc<Run>) -> bool {
        self.inputs.iter().any(|input| Arc::ptr_eq(input.run(), run))
    }

    /// Merges so many claims at most, and leaves out those older than `oldest`. Tells whether it is done; then it can be finished.
    pub(super) fn advance(&mut self, claims: usize, oldest: i64) -> io::Result<bool> {
        for _ in 0..claims {
            let heads = self.inputs.iter().enumerate();
            let lowest =
                heads.filter_map(|(at, input)| input.claim.map(|claim| (at, claim))).min_by_key(|(_, claim)| claim.key);
            let Some((at, claim)) = lowest else { return Ok(true) };
            self.inputs[at].advance()?;
            if claim.time < oldest {
                continue;
            }
            match &mut self.last {
                Some(last) if last.key == claim.key => last.time = last.time.max(claim.time),
                Some(last) => self.output.put(std::mem::replace(last, claim))?,
                None => self.last = Some(claim),
            }
        }
        Ok(false)
    }

    /// The run that came out.
    pub(super) fn finish(mut self) -> io::Result<Run> {
        if let Some(last) = self.last {
            self.output.put(last)?;
        }
        self.output.finish()
    }
}
