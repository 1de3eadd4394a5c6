//! `millstream user`: who may log in to a pipeline's page and API. A running pipeline notices at once.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use millstream_core::config::Config;
use serde::Serialize;

use super::failure::Failure;
use super::terminal::Terminal;
use super::{load_without_users, out};
use crate::clock::{now_micros, rfc3339};
use crate::users::secrets::{MAX_PASSWORD_BYTES, MIN_PASSWORD_LETTERS};
use crate::users::{self, Role, Users};

/// What is done with users.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add somebody who may log in; asks for a password twice
    #[command(after_help = "Example:\n  millstream user add ada --role operator pipeline.toml")]
    Add {
        /// Letters, digits, `.`, `_`, `-`, `@`
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: Role,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
    /// Show users and the tokens of each
    #[command(after_help = "Example:\n  millstream user list pipeline.toml --json | jq .[].name")]
    List {
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
    /// Give a user another password, which ends their sessions
    #[command(after_help = "Example:\n  millstream user password ada pipeline.toml")]
    Password {
        /// The user
        name: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
    /// Give a user another role, also in sessions that they have
    #[command(after_help = "Example:\n  millstream user role ada viewer pipeline.toml")]
    Role {
        /// The user
        name: String,
        /// What they may do from now on
        #[arg(value_enum)]
        role: Role,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
    /// Take a user out, with their sessions and tokens
    #[command(after_help = "Example:\n  millstream user remove ada pipeline.toml")]
    Remove {
        /// The user
        name: String,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
    /// Make a token for a script, which may do what its user may; shown once
    #[command(after_help = "Example:\n  millstream user token ada --label reports pipeline.toml > token.txt")]
    Token {
        /// The user
        name: String,
        /// What it is for
        #[arg(long, value_parser = label)]
        label: String,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
    /// Take a token back
    #[command(after_help = "Example:\n  millstream user revoke 1f4c0a9b pipeline.toml")]
    Revoke {
        /// Its id, as `millstream user list` shows it
        id: String,
        #[command(flatten)]
        pipeline: OfPipeline,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct OfPipeline {
    /// The pipeline file
    #[arg(value_name = "PIPELINE", default_value = "pipeline.toml")]
    path: PathBuf,
}

/// Where a password comes from.
#[derive(Debug, clap::Args)]
pub(super) struct Password {
    /// Read it from the standard input, instead of asking
    #[arg(long)]
    password_stdin: bool,
}

/// One user as `list --json` shows them.
#[derive(Debug, Serialize)]
struct Listed<'u> {
    name: &'u str,
    role: Role,
    created_at: &'u str,
    tokens: Vec<ListedToken<'u>>,
}

#[derive(Debug, Serialize)]
struct ListedToken<'u> {
    id: &'u str,
    label: &'u str,
    created_at: &'u str,
}

/// Does it.
pub(super) fn user(action: Action, terminal: &Terminal) -> Result<(), Failure> {
    match action {
        Action::Add { name, role, password, pipeline } => add(&pipeline.load()?, &name, role, &password, terminal),
        Action::List { json, pipeline } => list(&pipeline.load()?.server.users, json),
        Action::Password { name, password, pipeline } => {
            let path = pipeline.load()?.server.users;
            // Nobody types a password for a user that is not there.
            users::read(&path)?.named(&name)?;
            let password = password.read(&name, terminal)?;
            users::change(&path, |users| users.set_password(&name, &password))?;
            out::line(&format!("`{name}` has another password; their sessions have ended"))
        }
        Action::Role { name, role, pipeline } => {
            users::change(&pipeline.load()?.server.users, |users| users.set_role(&name, role))?;
            out::line(&format!("`{name}` is {} from now on", role.name()))
        }
        Action::Remove { name, pipeline } => remove(&pipeline.load()?, &name, terminal),
        Action::Token { name, label, pipeline } => {
            let now = rfc3339(now_micros());
            let add = |users: &mut Users| users.add_token(&name, &label, now);
            let token = users::change(&pipeline.load()?.server.users, add)?;
            terminal.say("this is the only time that it is shown; send it as `Authorization: Bearer TOKEN`");
            out::line(&token)
        }
        Action::Revoke { id, pipeline } => {
            let (name, label) = users::change(&pipeline.load()?.server.users, |users| users.revoke(&id))?;
            out::line(&format!("the token `{id}` ({label}) of `{name}` lets nobody in any more"))
        }
    }
}

impl OfPipeline {
    fn load(&self) -> Result<Config, Failure> {
        load_without_users(&self.path)
    }
}

fn add(config: &Config, name: &str, role: Role, password: &Password, terminal: &Terminal) -> Result<(), Failure> {
    let path = &config.server.users;
    let before = users::read(path)?;
    before.check_new(name)?;
    let password = password.read(name, terminal)?;
    let now = rfc3339(now_micros());
    users::change(path, |users| users.add(name, role, &password, now))?;
    out::line(&format!("`{name}` may log in as {} (`{}`)", role.name(), path.display()))?;
    if before.is_empty() {
        terminal
            .say("from now on the page and the API of this pipeline are for those who log in, also on this machine");
    }
    Ok(())
}

fn remove(config: &Config, name: &str, terminal: &Terminal) -> Result<(), Failure> {
    let path = &config.server.users;
    let is_empty = users::change(path, |users| {
        users.remove(name)?;
        Ok(users.is_empty())
    })?;
    out::line(&format!("`{name}` is out: their sessions and tokens have ended"))?;
    if is_empty && config.server.token.is_none() {
        terminal.say(if config.server.http.ip().is_loopback() {
            "nobody is left: a pipeline that runs lets nobody in, and after its next start it lets everybody on this machine in"
        } else {
            "nobody is left: a pipeline that runs lets nobody in, and the next start is refused until there is a user"
        });
    }
    Ok(())
}

fn list(path: &Path, json: bool) -> Result<(), Failure> {
    let users = users::read(path)?;
    if json {
        let listed: Vec<Listed<'_>> = users.iter().map(Listed::of).collect();
        let text = serde_json::to_string_pretty(&listed).map_err(|error| Failure::failed(&error))?;
        return out::line(&text);
    }
    if users.is_empty() {
        return out::line(&format!(
            "no users in `{}`; `millstream user add NAME --role viewer` adds one",
            path.display()
        ));
    }
    for user in users.iter() {
        out::line(&format!("{}  {}  since {}", user.name, user.role.name(), user.created_at))?;
        for token in &user.tokens {
            out::line(&format!("  token {}  {}  since {}", token.id, token.label, token.created_at))?;
        }
    }
    Ok(())
}

impl<'u> Listed<'u> {
    fn of(user: &'u users::User) -> Self {
        let tokens = user.tokens.iter();
        let tokens =
            tokens.map(|token| ListedToken { id: &token.id, label: &token.label, created_at: &token.created_at });
        Self { name: &user.name, role: user.role, created_at: &user.created_at, tokens: tokens.collect() }
    }
}

impl Password {
    fn read(&self, name: &str, terminal: &Terminal) -> Result<String, Failure> {
        let failed = |error| Failure::Failed(format!("reading the password: {error}"));
        if self.password_stdin {
            let mut text = String::new();
            // One byte more than there may be tells that it is too long.
            let most = MAX_PASSWORD_BYTES as u64 + 3;
            std::io::stdin().lock().take(most).read_to_string(&mut text).map_err(failed)?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Refused(
                "nobody to ask for a password, for the input is not a terminal: say `--password-stdin`, and pipe it in"
                    .to_owned(),
            ));
        }
        terminal.say(&format!("a password for `{name}`, of {MIN_PASSWORD_LETTERS} letters at least"));
        let first = rpassword::prompt_password("password: ").map_err(failed)?;
        let second = rpassword::prompt_password("again: ").map_err(failed)?;
        if first == second { Ok(first) } else { Err(Failure::Refused("those were two different passwords".to_owned())) }
    }
}

/// A line for a person.
fn label(text: &str) -> Result<String, String> {
    let is_line = !text.trim().is_empty() && text.len() <= 100 && !text.chars().any(char::is_control);
    if is_line { Ok(text.to_owned()) } else { Err("a label is one line of up to 100 bytes".to_owned()) }
}
