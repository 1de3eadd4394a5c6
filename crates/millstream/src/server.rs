//! The page and the API: status, ledger, tables, views, SQL that only reads, a stream of changes, metrics.
//!
//! The server changes nothing but that a quarantined file is taken again, or rejects are redriven, when somebody asks for it (the publisher does it), never runs a query itself and keeps nothing for a client but one place in each of
//! the feed's channels. Who may ask is decided in `guard`, before any route, and who may change something in `routes`.

pub(crate) mod answer;
mod api;
mod details;
mod export;
mod feed;
mod guard;
mod history;
mod login;
mod metrics;
mod page;
mod plain;
mod redrive;
mod routes;
pub(crate) mod rows;
mod sending;
mod stream;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_core::config::Config;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use self::feed::Feed;
use self::guard::Guard;
use self::history::History;
use self::login::Login;
use crate::pipeline::Running;
use crate::users::UsersError;

/// Queries that run at once; more wait for their turn.
const QUERIES_AT_ONCE: usize = 8;

/// Exports that are made or sent at once, each with a file: more are refused.
const EXPORTS_AT_ONCE: usize = 4;

/// How long answers that are under way may take when the server stops.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The address cannot be bound.
    #[error("cannot listen on `{address}` (`server.http`; port 0 takes any free one)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bound socket cannot be used.
    #[error("cannot use the socket on `{address}`")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Who may log in is not known.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Others could reach it, and nobody may.
    #[error(
        "`server.http` is reachable from other machines (`{address}`), and nobody may log in: make a user with `millstream user add`, or \
         set `server.token`"
    )]
    Nobody {
        /// The address.
        address: SocketAddr,
    },
}

impl ServerError {
    /// Whether another process has the address.
    pub(crate) fn is_taken(&self) -> bool {
        match self {
            Self::Bind { source, .. } => source.kind() == std::io::ErrorKind::AddrInUse,
            Self::Socket { .. } | Self::Users(_) | Self::Nobody { .. } => false,
        }
    }
}

/// What the handlers share.
struct App {
    /// None while the pipeline starts.
    running: OnceLock<Running>,
    /// What the streams of changes are fed from.
    feed: Feed,
    /// The last minutes.
    history: History,
    /// Places for queries.
    queries: Semaphore,
    /// Places for exports.
    exports: Arc<Semaphore>,
    /// `limits.query_rows`.
    query_rows: usize,
    /// Who may ask.
    login: Arc<Login>,
    /// How far the end has come.
    stop: watch::Receiver<Stopping>,
}

/// How far the end of a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    /// It goes on.
    No,
    /// The feed says its last word.
    Feed,
    /// Streams end, nothing new is accepted.
    All,
}

/// A server that listens. Until [`Server::attach`], only `/livez`, `/readyz` and the page answer.
pub(crate) struct Server {
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<Stopping>,
    handle: Handle,
    serving: JoinHandle<std::io::Result<()>>,
    feeding: OnceLock<JoinHandle<()>>,
}

impl Server {
    /// Binds `server.http` and serves on the runtime behind `handle`.
    pub(crate) fn start(config: &Config, handle: &Handle) -> Result<Self, ServerError> {
        let wanted = config.server.http;
        let login = Arc::new(Login::new(config, wanted.ip())?);
        if !login.lets_somebody_in() {
            return Err(ServerError::Nobody { address: wanted });
        }
        let listener = TcpListener::bind(wanted).map_err(|source| ServerError::Bind { address: wanted, source })?;
        let socket_failed = |source| ServerError::Socket { address: wanted, source };
        let address = listener.local_addr().map_err(socket_failed)?;
        listener.set_nonblocking(true).map_err(socket_failed)?;
        let listener = {
            let _context = handle.enter();
            tokio::net::TcpListener::from_std(listener).map_err(socket_failed)?
        };
        let (stop, stopped) = watch::channel(Stopping::No);
        let app = Arc::new(App {
            running: OnceLock::new(),
            feed: Feed::new(),
            history: History::default(),
            queries: Semaphore::new(QUERIES_AT_ONCE),
            exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE)),
            query_rows: config.limits.query_rows.get(),
            login: Arc::clone(&login),
            stop: stopped.clone(),
        });
        let router = routes::router(Arc::clone(&app), Guard::new(address, login));
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = handle.spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stop_told(stopped, Stopping::All)).await
        });
        Ok(Self { address, app, stop, handle: handle.clone(), serving, feeding: OnceLock::new() })
    }

    /// Gives the server the pipeline whose rows can be queried now. Once.
    pub(crate) fn attach(&self, running: Running) {
        assert!(self.app.running.set(running).is_ok(), "a server is attached to one pipeline");
        let feeding = self.handle.spawn(feed::run(Arc::clone(&self.app)));
        assert!(self.feeding.set(feeding).is_ok(), "a server is attached to one pipeline");
    }

    /// Where clients on this machine find it.
    pub(crate) fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// What commands of this machine show it; another one at each start.
    pub(crate) fn run_token(&self) -> &str {
        self.app.login.run_token()
    }

    /// Ends streams, lets answers that are under way finish within a deadline, and closes.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(Stopping::Feed);
        if let Some(feeding) = self.feeding.into_inner()
            && let Err(error) = feeding.await
        {
            tracing::error!(%error, "the feed of the page ended by itself");
        }
        self.stop.send_replace(Stopping::All);
        let mut serving = self.serving;
        match tokio::time::timeout(STOP_DEADLINE, &mut serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the server ended with an error"),
            Ok(Err(error)) => tracing::error!(%error, "the server ended by itself"),
            // A client that does not read must not hold up the end.
            Err(_elapsed) => serving.abort(),
        }
    }
}

/// Waits until the end has come as far as `stage`. Cancel safe.
async fn stop_told(mut stop: watch::Receiver<Stopping>, stage: Stopping) {
    // An error means that the server is gone.
    let _ = stop.wait_for(|now| *now >= stage).await;
}
