//! The domain: plain types without I/O, which every other folder may use.
//!
//! A value is parsed once, into a type of its own. The command line, the configuration file, the control protocol and
//! the database rows all use this parser.
#![forbid(unsafe_code)]

mod alarm;
mod destination;
mod emergency_user;
mod entry_list;
mod event;
mod methods;
mod node;
mod node_name;
mod origin;
mod percent;
mod policy;
mod prefix;
mod scope;
mod shielded;
mod since;
mod switch;
mod table_name;
mod time;
mod why;

pub use filter_reply::{ReasonPhrase, Refusal, RetryAfter, StatusCode, TagSecret};

#[cfg(test)]
pub(crate) use self::alarm::alarm_samples;
pub use self::alarm::{Alarm, Alarms, Raised, Subject};
pub use self::destination::{Destination, InvalidDestination};
pub use self::emergency_user::{EmergencyUser, InvalidUser};
pub use self::entry_list::{Change, Changed, Edit, Entry, EntryList, InvalidEntry, ListKind};
pub use self::event::{Event, NOBODY};
pub use self::methods::{InvalidMethods, Methods};
pub use self::node::{Node, NodeReport};
pub use self::node_name::{InvalidNodeName, NodeName};
pub use self::origin::{Channel, Origin};
pub use self::percent::{InvalidPercent, Percent};
pub use self::policy::{InvalidPlannedEnd, Policy, parse_planned_end};
pub use self::prefix::{InvalidPrefix, Prefix};
pub use self::scope::Scope;
pub use self::shielded::{InvalidShielded, InvalidShieldedAddress, Shielded, ShieldedAddress};
pub use self::since::Since;
pub use self::switch::{Action, Hosts, InvalidHosts, Switch};
pub use self::table_name::{TableName, TableNameError};
pub use self::time::display_utc;
pub use self::why::{InvalidWhy, Why};
