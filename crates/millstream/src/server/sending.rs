//! Bodies that are sent piece by piece, to clients that read: one that takes too long over a piece is given up, and what was held for it
//! (files, places, memory of queries) is let go. A body that was given up ends with an error, never as if it were whole.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How long a client may take over one piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pieces on their way: the next is made while one is sent.
const PIECES_AHEAD: usize = 1;

/// A piece of a body, or its end: a channel that closes without one was given up.
enum Piece {
    Bytes(Bytes),
    End,
}

/// A body of these pieces. `held` is let go when the last is sent, or the client is given up.
pub(super) fn body<E: Send + 'static>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    held: impl Send + 'static,
) -> Body {
    Body::from_stream(sent(pieces, held, PIECE_TIMEOUT))
}

fn sent<E: Send + 'static>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    held: impl Send + 'static,
    timeout: Duration,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    let (to, from) = mpsc::channel(PIECES_AHEAD);
    // It ends with the body: when that is dropped, nobody takes the next piece.
    Handle::current().spawn(async move {
        hand_on(pieces, to, timeout).await;
        drop(held);
    });
    stream::unfold(Some(from), |from| async move {
        let mut from = from?;
        match from.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(from))),
            Some(Piece::End) => None,
            None => Some((Err(Error::new(ErrorKind::TimedOut, "the answer was not sent to its end")), None)),
        }
    })
}

/// Hands pieces on until one cannot be made, or is not taken in time.
async fn hand_on<E>(pieces: impl Stream<Item = Result<Bytes, E>>, to: mpsc::Sender<Piece>, timeout: Duration) {
    let pieces = pieces.map(|piece| piece.map(Piece::Bytes)).chain(stream::iter([Ok(Piece::End)]));
    tokio::pin!(pieces);
    while let Some(Ok(piece)) = pieces.next().await {
        if !matches!(tokio::time::timeout(timeout, to.send(piece)).await, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt;

    use super::*;

    fn pieces(count: u8) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        stream::iter((0..count).map(|number| Ok(Bytes::from(vec![number]))))
    }

    /// Waits until nobody else holds it.
    async fn let_go(held: &Arc<()>) {
        while Arc::strong_count(held) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn all_pieces_come_in_order_and_then_nothing_is_held() {
        let held = Arc::new(());
        let sent = sent(pieces(9), Arc::clone(&held), PIECE_TIMEOUT);
        let sent: Vec<u8> = sent.map_ok(|piece| piece[0]).try_collect().await.unwrap();
        assert_eq!(sent, (0..9).collect::<Vec<_>>());
        let_go(&held).await;
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up_and_finds_an_error_behind_what_it_has() {
        let held = Arc::new(());
        let sent = sent(pieces(9), Arc::clone(&held), Duration::from_millis(10));
        let_go(&held).await;
        let taken: Vec<Result<Bytes, Error>> = sent.collect().await;
        assert_eq!(taken.iter().filter(|piece| piece.is_ok()).count(), PIECES_AHEAD);
        assert_eq!(taken.last().map(Result::is_err), Some(true));
    }

    #[tokio::test]
    async fn what_fails_on_the_way_is_no_end() {
        let failing = pieces(2).chain(stream::iter([Err(Error::other("the file is gone"))]));
        let taken: Vec<Result<Bytes, Error>> = sent(failing, (), PIECE_TIMEOUT).collect().await;
        assert_eq!(taken.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
    }

    #[tokio::test]
    async fn nothing_is_held_for_a_client_that_is_gone() {
        let held = Arc::new(());
        drop(sent(pieces(9), Arc::clone(&held), PIECE_TIMEOUT));
        let_go(&held).await;
    }
}
