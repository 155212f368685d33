//! Which requests are refused.

use std::fmt;
use std::str::FromStr;

use filter_common::sip::Method;
use serde::{Deserialize, Serialize};

/// A set of methods that may be refused. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Methods {
    bits: u32,
}

/// Why a text is no list of methods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMethods {
    /// An INVITE is answered for it, it ends a call, or it belongs to one that is up.
    #[error("{0} is never refused: it belongs to calls that are up, or being set up or ended")]
    Never(String),
    /// No method that may be refused.
    #[error("{0:?} is none of the methods that can be refused: {list}", list = refusable())]
    Unknown(String),
}

fn refusable() -> String {
    let names: Vec<&str> = Method::REFUSABLE.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}

impl Methods {
    /// The methods, as [`filter_common::maps::Policy::methods`] has them.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// Whether `method` is among them.
    pub const fn contains(self, method: Method) -> bool {
        self.bits & method.bit() != 0
    }
}

impl Default for Methods {
    /// INVITE alone.
    fn default() -> Self {
        Self { bits: Method::Invite.bit() }
    }
}

impl FromStr for Methods {
    type Err = InvalidMethods;

    /// Names separated by commas, with white space around them or not. Methods are case-sensitive (RFC 3261 section 7.1).
    fn from_str(text: &str) -> Result<Self, InvalidMethods> {
        let mut bits = 0;
        for name in text.split(',').map(str::trim) {
            bits |= match Method::from_bytes(name.as_bytes()) {
                Some(method) if method.is_refusable() => method.bit(),
                Some(_) => return Err(InvalidMethods::Never(name.to_owned())),
                None => return Err(InvalidMethods::Unknown(name.to_owned())),
            };
        }
        Ok(Self { bits })
    }
}

impl TryFrom<String> for Methods {
    type Error = InvalidMethods;

    fn try_from(text: String) -> Result<Self, InvalidMethods> {
        text.parse()
    }
}

impl From<Methods> for String {
    fn from(methods: Methods) -> Self {
        methods.to_string()
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Method::REFUSABLE.iter().filter(|method| self.contains(**method)).map(|method| method.as_str());
        f.write_str(names.next().unwrap_or_default())?;
        names.try_for_each(|name| write!(f, ",{name}"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{InvalidMethods, Methods};

    #[rstest]
    #[case("INVITE", "INVITE")]
    #[case("INVITE,OPTIONS", "INVITE,OPTIONS")]
    #[case(" OPTIONS , REGISTER,SUBSCRIBE,MESSAGE,PUBLISH", "REGISTER,SUBSCRIBE,MESSAGE,PUBLISH,OPTIONS")]
    #[case("INVITE,INVITE", "INVITE")]
    fn lists(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(text.parse::<Methods>().unwrap().to_string(), shown);
    }

    #[rstest]
    #[case("")]
    #[case("INVITE,")]
    #[case("invite")]
    #[case("INVITE OPTIONS")]
    #[case("FOO")]
    fn what_is_no_list(#[case] text: &str) {
        assert!(matches!(text.parse::<Methods>(), Err(InvalidMethods::Unknown(_))));
    }

    #[rstest]
    fn what_must_never_be_refused(
        #[values("CANCEL", "ACK", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY", "REFER")] method: &str,
    ) {
        let list = format!("INVITE,{method}");
        assert_eq!(list.parse::<Methods>(), Err(InvalidMethods::Never(method.to_owned())));
    }
}
