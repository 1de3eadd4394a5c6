//! Panics that are expected of a library, caught without a word on the terminal; all others are logged.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use futures::FutureExt;
use tracing::error;

thread_local! {
    static QUIET: Cell<u32> = const { Cell::new(0) };
}

/// What a panic came with.
pub(crate) type Panic = Box<dyn Any + Send>;

/// As long as it lives, panics of this thread are not told: somebody catches them.
struct Quiet;

impl Quiet {
    fn begin() -> Self {
        QUIET.set(QUIET.get() + 1);
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(QUIET.get().saturating_sub(1));
    }
}

/// Has panics told by the log, where they are told at all. Once, at the start.
pub(crate) fn install_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if QUIET.get() > 0 {
            return;
        }
        if !tracing::dispatcher::has_been_set() {
            return default(panic);
        }
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "panic: {}; this is a defect of millstream", panic.payload_as_str().unwrap_or("no text"));
    }));
}

/// Awaits what may panic by a library's fault.
pub(crate) async fn caught<F: Future>(work: F) -> Result<F::Output, Panic> {
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    poll_fn(|context| {
        let _quiet = Quiet::begin();
        work.as_mut().poll(context)
    })
    .await
}

/// Does at once what may panic by a library's fault.
pub(crate) fn caught_now<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    let _quiet = Quiet::begin();
    catch_unwind(AssertUnwindSafe(work))
}

/// What a panic says.
pub(crate) fn text(panic: Panic) -> String {
    let text = panic.downcast::<String>().map(|text| *text);
    text.or_else(|panic| panic.downcast::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
