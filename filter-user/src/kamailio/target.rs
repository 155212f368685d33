//! Which Kamailio, and which of its htables.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `sun_path` of a unix socket's address, less the NUL (unix(7)).
const MAX_PATH: usize = 107;
/// Far longer than names that people give; it keeps a request in one small datagram.
const MAX_NAME: usize = 64;

/// A running Kamailio, as the flag reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its socket.
    pub socket: Socket,
    /// The htable with the key `maint`.
    pub htable: HtableName,
}

/// `unix:PATH`: the datagram socket of Kamailio's module `jsonrpcs` (its parameter `dgram_socket`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Socket(PathBuf);

/// The name of an htable, as Kamailio's script has it: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HtableName(String);

/// Not what it should be.
#[derive(Debug, Error)]
pub enum InvalidTarget {
    /// Not a socket of Kamailio.
    #[error(
        "{0:?} names no socket of Kamailio: unix:PATH is wanted, PATH from the root, at most {MAX_PATH} bytes; for example unix:/run/kamailio/kamailio_rpc.sock"
    )]
    Socket(String),
    /// Not a name.
    #[error("{0:?} is not the name of an htable (1 to {MAX_NAME} visible ASCII characters)")]
    Htable(String),
}

impl Socket {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for Socket {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0') => {
                Ok(Self(path.into()))
            }
            _ => Err(InvalidTarget::Socket(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Socket {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        text.parse()
    }
}

impl HtableName {
    /// As it stands.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for HtableName {
    fn default() -> Self {
        Self("config".into())
    }
}

impl FromStr for HtableName {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let valid = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidTarget::Htable(text.to_owned())) }
    }
}

impl TryFrom<String> for HtableName {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        text.parse()
    }
}
