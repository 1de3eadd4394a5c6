//! `GET /api/stream`: what changes, as server-sent events.
//!
//! A stream starts with the whole state, so a client that comes back needs nothing that it missed; ids only order events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::{Interval, interval};

use super::api::ApiError;
use super::feed::{Item, Kind};
use super::login::Login;
use super::{App, Stopping, stop_told};

/// Most clients at once.
const MAX_STREAMS: usize = 64;
/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long who may not ask any more still hears.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// One client's place in the feed.
struct Client {
    places: [watch::Receiver<Option<Item>>; Kind::ALL.len()],
    /// Ids of the last events that it got.
    sent: [u64; Kind::ALL.len()],
    stop: watch::Receiver<Stopping>,
    login: Arc<Login>,
    /// By which it came in.
    headers: HeaderMap,
    look_again: Interval,
}

/// The stream of changes.
pub(super) async fn stream(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    app.pipeline()?;
    if app.feed.listeners() >= MAX_STREAMS {
        let text = format!("{MAX_STREAMS} clients follow this pipeline already; close one of them");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let client = Client {
        places: app.feed.subscribe(),
        sent: [0; Kind::ALL.len()],
        stop: app.stop.clone(),
        login: Arc::clone(&app.login),
        headers,
        look_again: interval(LOOK_AGAIN),
    };
    let events = Sse::new(events(client)).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"));
    // Proxies that collect answers would hold events back.
    Ok(([(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")], events)
        .into_response())
}

/// Made while the client reads: what it does not read is never made for it.
fn events(client: Client) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(client, |mut client| async move {
        let (kind, item) = client.next().await?;
        let event = Event::default().event(kind.name()).id(item.id.to_string()).data(&*item.data);
        Some((Ok(event), client))
    })
}

impl Client {
    /// The next event; none when the server stops, or a session has ended. Cancel safe.
    async fn next(&mut self) -> Option<(Kind, Item)> {
        loop {
            if !matches!(self.login.caller(&self.headers), Ok(Some(_))) {
                return None;
            }
            if let Some(event) = self.oldest() {
                return Some(event);
            }
            let [status, ledger, rows, archive] = &mut self.places;
            // The feed is gone when the server is: then the stop is told too.
            let changed = tokio::select! {
                biased;
                changed = status.changed() => changed,
                changed = ledger.changed() => changed,
                changed = rows.changed() => changed,
                changed = archive.changed() => changed,
                () = stop_told(self.stop.clone(), Stopping::All) => return None,
                _ = self.look_again.tick() => continue,
            };
            changed.ok()?;
        }
    }

    /// What was made first among what the client has not got.
    fn oldest(&mut self) -> Option<(Kind, Item)> {
        let waiting = Kind::ALL.into_iter().filter_map(|kind| {
            let item = self.places[kind as usize].borrow().clone()?;
            (item.id > self.sent[kind as usize]).then_some((kind, item))
        });
        let (kind, item) = waiting.min_by_key(|(_, item)| item.id)?;
        self.sent[kind as usize] = item.id;
        Some((kind, item))
    }
}
