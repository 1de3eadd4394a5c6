//! Who asks, and what they may do: by a session (name and password), by a token, or by nothing where nobody has to say who they are.
//!
//! The file of users is looked at with each request, so that who is taken out of it is out. Passwords are compared on threads of their
//! own, two at a time. No secret is ever logged.

mod attempts;
pub(super) mod routes;
mod session;
mod watched;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use millstream_core::config::{Config, Secret};
use tokio::sync::Semaphore;

use self::attempts::Attempts;
use self::session::{Keys, Session};
use self::watched::{Unreadable, Watched};
use super::api::ApiError;
use crate::clock::now_micros;
use crate::users::secrets::{MAX_PASSWORD_BYTES, is_password, random_hex};
use crate::users::{self, Role, Users, UsersError};

/// Passwords that are compared at once: each takes a processor and 19 MiB.
const CHECKS_AT_ONCE: usize = 2;
/// Logins that wait for their turn, and those whose turn it is.
const LOGINS_AT_ONCE: usize = 16;

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// A user's; none of those who came by another way.
    pub(super) name: Option<String>,
    /// What they may do.
    pub(super) role: Role,
    /// How they came in.
    pub(super) by: Way,
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// Nobody has to say who they are.
    None,
    /// `Authorization: Bearer …`
    Token,
    /// Name and password, then a cookie.
    Password,
}

/// How a login ended.
enum Attempt {
    /// With a cookie to be set.
    In(Caller, String),
    Wrong,
    /// Too many failed; not before this.
    Later(Duration),
}

/// What a server knows of those who may ask.
pub(super) struct Login {
    is_loopback: bool,
    /// `[server] token`.
    token: Option<Secret>,
    /// What commands on this machine find in `run.json`; another one at each start.
    run_token: Secret,
    users: Watched<Users>,
    keys: Keys,
    /// Whether this process ever saw a user. When the last one is taken out, the door does not open for everybody.
    had_users: AtomicBool,
    attempts: Mutex<Attempts>,
    logins: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

impl Login {
    /// Of a server that listens on `address`.
    ///
    /// # Errors
    /// The file of users cannot be read.
    pub(super) fn new(config: &Config, address: IpAddr) -> Result<Self, UsersError> {
        let path = &config.server.users;
        // What is wrong with it ends the start, and is told only once later.
        let found = users::read(path)?;
        Ok(Self {
            is_loopback: address.is_loopback(),
            token: config.server.token.clone(),
            run_token: Secret::new(random_hex::<32>()),
            users: Watched::new(path, users::read),
            keys: Keys::new(&config.pipeline.data_dir),
            had_users: AtomicBool::new(!found.is_empty()),
            attempts: Mutex::new(Attempts::new()),
            logins: Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        })
    }

    /// Whether anybody could get in from outside.
    pub(super) fn lets_somebody_in(&self) -> bool {
        self.is_loopback || self.token.is_some() || self.had_users.load(Ordering::Relaxed)
    }

    /// Lets the commands of this machine in.
    pub(super) fn run_token(&self) -> &str {
        self.run_token.reveal()
    }

    /// How people come in.
    pub(super) fn way(&self) -> Result<Way, Unreadable> {
        Ok(self.way_of(&*self.users()?))
    }

    fn way_of(&self, users: &Users) -> Way {
        let is_open = self.is_loopback && self.token.is_none() && !self.had_users.load(Ordering::Relaxed);
        match (users.is_empty(), is_open) {
            (false, _) => Way::Password,
            (true, true) => Way::None,
            (true, false) => Way::Token,
        }
    }

    /// Who asks, by the headers of a request; none who would have to log in.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Unreadable> {
        let bearer = bearer(headers);
        let is_known = |token: &Secret| bearer.is_some_and(|shown| same_bytes(shown, token.reveal()));
        if is_known(&self.run_token) || self.token.as_ref().is_some_and(is_known) {
            return Ok(Some(Caller { name: None, role: Role::Operator, by: Way::Token }));
        }
        let users = self.users()?;
        if self.way_of(&users) == Way::None {
            return Ok(Some(Caller { name: None, role: Role::Operator, by: Way::None }));
        }
        let (user, by) = if let Some(shown) = bearer {
            (users.of_token(shown).map(|(user, _)| user), Way::Token)
        } else {
            let session = self.keys.session(headers, now_micros())?;
            let user = session
                .and_then(|Session { name, generation }| users.get(&name).filter(|user| user.generation == generation));
            (user, Way::Password)
        };
        Ok(user.map(|user| Caller { name: Some(user.name.clone()), role: user.role, by }))
    }

    /// Compares a name and a password that came from `address`. With `is_secure` the cookie is for TLS only. Cancel safe: an attempt whose
    /// client went away counts as a failed one.
    async fn log_in(
        &self,
        address: IpAddr,
        name: String,
        password: String,
        is_secure: bool,
    ) -> Result<Attempt, ApiError> {
        let later = |_| ApiError::later("too many logins at this moment", Duration::from_secs(1));
        let _place = self.logins.try_acquire().map_err(later)?;
        let now = Instant::now();
        if let Err(wait) = self.attempts().begin(address, &name, now) {
            return Ok(Attempt::Later(wait));
        }
        let user = self.users()?.get(&name).cloned();
        let kept = user.as_ref().map(|user| user.password.clone());
        let turn = Arc::clone(&self.checks).acquire_owned().await;
        let turn = turn.map_err(|_closed| ApiError::internal("the server is stopping".to_owned()))?;
        let compared = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also when nobody waits for it any more.
            let _turn = turn;
            password.len() <= MAX_PASSWORD_BYTES && is_password(kept.as_deref(), &password)
        });
        let is_right = compared.await.map_err(|error| ApiError::internal(format!("comparing a password: {error}")))?;
        let Some(user) = user.filter(|_| is_right) else {
            return Ok(Attempt::Wrong);
        };
        self.attempts().succeeded(address, &name, now);
        let cookie = self.keys.cookie(&user.name, &user.generation, is_secure, now_micros())?;
        Ok(Attempt::In(Caller { name: Some(user.name), role: user.role, by: Way::Password }, cookie))
    }

    fn users(&self) -> Result<Arc<Users>, Unreadable> {
        let users = self.users.current()?;
        if !users.is_empty() {
            self.had_users.store(true, Ordering::Relaxed);
        }
        Ok(users)
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        // A panic elsewhere leaves counts that are right or one off.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Unreadable> for ApiError {
    fn from(Unreadable: Unreadable) -> Self {
        // What is wrong with which file is in the log: it is not for everybody.
        let text = "the server cannot tell who may log in; its log says why";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
    }
}

/// The token that a request shows.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares in a time that tells nothing but the length.
fn same_bytes(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    let difference = pairs.fold(0_u8, |difference, (left, right)| difference | (left ^ right));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests;
