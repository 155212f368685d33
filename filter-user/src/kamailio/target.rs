//! Address of a Kamailio, and the name of the htable with the flag.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Maximum length of the path of a Unix socket in bytes: `sun_path` without the NUL (unix(7)).
const MAX_PATH: usize = 107;
/// Maximum length of an htable's name in bytes: far longer than usual names, and short enough for a small datagram.
const MAX_NAME: usize = 64;

/// A running Kamailio and its flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Socket for requests.
    pub socket: Socket,
    /// Htable with the key `maint`.
    pub htable: HtableName,
}

/// The datagram socket of Kamailio's module `jsonrpcs` (its parameter `dgram_socket`), written `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Socket(PathBuf);

/// The name of an htable in Kamailio's script: 1 to 64 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HtableName(String);

/// The error of a text that is not a socket or an htable.
#[derive(Debug, Error)]
pub enum InvalidTarget {
    /// The text is not a socket of Kamailio.
    #[error(
        "{0:?} is not a socket of Kamailio: give unix:PATH, with an absolute path of at most {MAX_PATH} bytes; for \
         example unix:/run/kamailio/kamailio_rpc.sock"
    )]
    Socket(String),
    /// The text is not the name of an htable.
    #[error("{0:?} is not the name of an htable (1 to {MAX_NAME} visible ASCII characters)")]
    Htable(String),
}

impl Socket {
    /// Returns the path.
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
    /// Returns the name.
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
