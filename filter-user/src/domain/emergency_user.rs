//! The user parts of Request-URIs that are emergency numbers.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use filter_common::sip::UserPart;
use serde::{Deserialize, Serialize};

/// A user part as it stands in the Request-URI: `911` of `sip:911@example.com` and of `tel:911`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmergencyUser(String);

/// Why a text is no user part that can be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no user part: it has 1 to {max} printable ASCII characters, and none of @ : ;", max = UserPart::MAX_LEN)]
pub struct InvalidUser(String);

impl EmergencyUser {
    /// The numbers of North America, of Europe and of GSM, and of the United Kingdom: the set of a new database.
    pub fn defaults() -> BTreeSet<Self> {
        ["911", "112", "999"].into_iter().map(|user| Self(user.to_owned())).collect()
    }

    /// The key of the kernel's map.
    pub fn key(&self) -> Option<UserPart> {
        UserPart::new(&self.0)
    }
}

impl FromStr for EmergencyUser {
    type Err = InvalidUser;

    fn from_str(text: &str) -> Result<Self, InvalidUser> {
        match UserPart::new(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(InvalidUser(text.to_owned())),
        }
    }
}

impl TryFrom<String> for EmergencyUser {
    type Error = InvalidUser;

    fn try_from(text: String) -> Result<Self, InvalidUser> {
        text.parse()
    }
}

impl From<EmergencyUser> for String {
    fn from(user: EmergencyUser) -> Self {
        user.0
    }
}

impl fmt::Display for EmergencyUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
