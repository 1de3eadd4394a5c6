//! Who may log in: the file of users, which `millstream user` writes and servers read.
//!
//! It holds hashes, never a password or a token. It is replaced as a whole, so that a reader sees the old one or the new one.

pub(crate) mod secrets;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDirError;
use crate::data_dir::files::{create_private_dir, failed, private_file, read_if_there, write_atomically};

use self::secrets::{HashError, hash_password, hash_token, random_hex};

/// The format that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
const MAX_USERS: usize = 1000;
const MAX_TOKENS: usize = 100;
/// Letters of the id of a token, by which it is found.
const TOKEN_ID_BYTES: usize = 4;
const TOKEN_BYTES: usize = 32;
const TOKEN_PREFIX: &str = "mill";

/// What somebody may do; each may also do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Read all there is: status, SQL that only reads, exports
    Viewer,
    /// And change what can be changed: have files or rows taken again
    Operator,
}

impl Role {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// All who may log in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Users {
    format: u32,
    users: Vec<User>,
}

/// One who may log in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// 1 to 64 letters, digits, `.`, `_`, `-`, `@`.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
    /// Hash of the password.
    pub(crate) password: String,
    /// By chance, another one with each password: sessions that know an older one have ended.
    pub(crate) generation: String,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// Tokens for programs, which may do what the user may.
    #[serde(default)]
    pub(crate) tokens: Vec<ApiToken>,
}

/// A token for programs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiToken {
    /// Its public part.
    pub(crate) id: String,
    /// What it is for, in the words of whoever made it.
    pub(crate) label: String,
    hash: String,
    /// RFC 3339.
    pub(crate) created_at: String,
}

/// Why users cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] DataDirError),
    /// The file is not one of users.
    #[error(
        "`{}` is no file of users that this version of millstream can read ({reason}): restore it from a backup, or remove it and make \
         the users again with `millstream user add`",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else could let themselves in.
    #[error("others than its owner can write `{}`: take that away (`chmod 600`), and see who is in it (`millstream user list`)", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// The key of sessions is none.
    #[error("`{}` is no key of sessions ({reason}): remove it, and everybody has to log in anew", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is one of that name.
    #[error(
        "there is a user `{name}`: give them another password with `millstream user password`, or remove them first"
    )]
    Exists {
        /// The name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no user `{name}`; there {}", told(.known))]
    Unknown {
        /// The name.
        name: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// There is no such token.
    #[error("no user has a token `{id}`: `millstream user list` shows them")]
    UnknownToken {
        /// What was asked for.
        id: String,
    },
    /// A name that cannot be.
    #[error("`{name}` cannot be the name of a user; allowed: 1 to 64 letters (a-z, A-Z), digits, `.`, `_`, `-`, `@`")]
    Name {
        /// The name.
        name: String,
    },
    /// More than the file is made for.
    #[error("there are {most} {what} already: remove one first")]
    TooMany {
        /// Users, or tokens of a user.
        what: &'static str,
        /// So many there may be.
        most: usize,
    },
    /// A password or token cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

fn told(known: &[String]) -> String {
    if known.is_empty() {
        return "is none yet".to_owned();
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("are: {}", names.join(", "))
}

impl Default for Users {
    fn default() -> Self {
        Self { format: FORMAT, users: Vec::new() }
    }
}

/// The users of a file; none where there is no file. Blocks.
///
/// # Errors
/// The file cannot be read or understood, or others can write it.
pub(crate) fn read(path: &Path) -> Result<Users, UsersError> {
    let Some(text) = read_if_there(path)? else { return Ok(Users::default()) };
    let mode = std::fs::metadata(path).map_err(failed("looking at", path))?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(UsersError::OpenToOthers { path: path.to_owned() });
    }
    let damaged = |reason: String| UsersError::Damaged { path: path.to_owned(), reason };
    let users: Users = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if users.format != FORMAT {
        return Err(damaged(format!("its format is {}, and {FORMAT} is known", users.format)));
    }
    Ok(users)
}

/// Whether somebody may log in by this file. A file that cannot be read counts: whoever needs it says what is wrong with it.
pub(crate) fn any(path: &Path) -> bool {
    read(path).map_or(true, |users| !users.is_empty())
}

/// Changes the users of a file; durable when it returns. Changes at one time are one after the other. Blocks.
///
/// # Errors
/// What `change` says, or the file cannot be read or written; then it stays as it was.
pub(crate) fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut Users) -> Result<T, UsersError>,
) -> Result<T, UsersError> {
    if let Some(folder) = path.parent() {
        create_private_dir(folder)?;
    }
    // Beside the file, for that one is replaced.
    let lock_path = path.with_extension("lock");
    let lock = private_file().create(true).truncate(false).open(&lock_path).map_err(failed("opening", &lock_path))?;
    File::lock(&lock).map_err(failed("locking", &lock_path))?;
    let mut users = read(path)?;
    let changed = change(&mut users)?;
    let text = serde_json::to_string_pretty(&users)
        .map_err(|error| UsersError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    write_atomically(path, &(text + "\n"))?;
    Ok(changed)
}

impl Users {
    /// Whether nobody is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// In the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.iter()
    }

    /// The user of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The user whose token this is, and the token.
    pub(crate) fn of_token(&self, shown: &str) -> Option<(&User, &ApiToken)> {
        let id = shown.strip_prefix(TOKEN_PREFIX)?.strip_prefix('_')?.split_once('_')?.0;
        let mut all = self.users.iter().flat_map(|user| user.tokens.iter().map(move |token| (user, token)));
        all.find(|(_, token)| token.id == id).filter(|(_, token)| secrets::is_of(&token.hash, shown))
    }

    /// The user of a name, who must be there.
    pub(crate) fn named(&self, name: &str) -> Result<&User, UsersError> {
        self.get(name).ok_or_else(|| self.unknown(name))
    }

    /// Whether a user of this name can be added.
    pub(crate) fn check_new(&self, name: &str) -> Result<(), UsersError> {
        let known = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
        if name.is_empty() || name.len() > 64 || !name.chars().all(known) {
            return Err(UsersError::Name { name: name.to_owned() });
        }
        if self.get(name).is_some() {
            return Err(UsersError::Exists { name: name.to_owned() });
        }
        if self.users.len() >= MAX_USERS {
            return Err(UsersError::TooMany { what: "users", most: MAX_USERS });
        }
        Ok(())
    }

    /// Adds a user. Takes the time of a hash.
    pub(crate) fn add(&mut self, name: &str, role: Role, password: &str, now: String) -> Result<(), UsersError> {
        self.check_new(name)?;
        self.users.push(User {
            name: name.to_owned(),
            role,
            password: hash_password(password)?,
            generation: new_generation(),
            created_at: now,
            tokens: Vec::new(),
        });
        Ok(())
    }

    /// Gives a user another password, which ends their sessions. Takes the time of a hash.
    pub(crate) fn set_password(&mut self, name: &str, password: &str) -> Result<(), UsersError> {
        let user = self.get_mut(name)?;
        user.password = hash_password(password)?;
        user.generation = new_generation();
        Ok(())
    }

    /// Gives a user another role; it holds at once, also for their sessions and tokens.
    pub(crate) fn set_role(&mut self, name: &str, role: Role) -> Result<(), UsersError> {
        self.get_mut(name)?.role = role;
        Ok(())
    }

    /// Takes a user out, with their sessions and tokens.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        self.named(name)?;
        self.users.retain(|user| user.name != name);
        Ok(())
    }

    /// Makes a token for programs. It is told here, and known to nobody afterwards.
    pub(crate) fn add_token(&mut self, name: &str, label: &str, now: String) -> Result<String, UsersError> {
        let id = random_hex::<TOKEN_ID_BYTES>();
        let token = format!("{TOKEN_PREFIX}_{id}_{}", random_hex::<TOKEN_BYTES>());
        let user = self.get_mut(name)?;
        if user.tokens.len() >= MAX_TOKENS {
            return Err(UsersError::TooMany { what: "tokens of this user", most: MAX_TOKENS });
        }
        user.tokens.push(ApiToken { id, label: label.to_owned(), hash: hash_token(&token)?, created_at: now });
        Ok(token)
    }

    /// Takes a token out; gives its user and its label.
    pub(crate) fn revoke(&mut self, id: &str) -> Result<(String, String), UsersError> {
        for user in &mut self.users {
            if let Some(at) = user.tokens.iter().position(|token| token.id == id) {
                let token = user.tokens.remove(at);
                return Ok((user.name.clone(), token.label));
            }
        }
        Err(UsersError::UnknownToken { id: id.to_owned() })
    }

    fn get_mut(&mut self, name: &str) -> Result<&mut User, UsersError> {
        let at = self.users.iter().position(|user| user.name == name);
        let at = at.ok_or_else(|| self.unknown(name))?;
        Ok(&mut self.users[at])
    }

    fn unknown(&self, name: &str) -> UsersError {
        let known = self.users.iter().map(|user| user.name.clone()).collect();
        UsersError::Unknown { name: name.to_owned(), known }
    }
}

fn new_generation() -> String {
    random_hex::<16>()
}

#[cfg(test)]
mod tests;
