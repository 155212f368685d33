//! The state file: the last applied policy, for a start during a database outage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::{Policy, Since};
use filter_reply::TagSecret;

/// The version of the file that we write, and the only one that we read.
const VERSION: u32 = 1;

/// What a daemon knows of the state that it went down in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The policy that was in force.
    pub policy: Policy,
    /// Since when, by whom and why maintenance was on or off; `None` if it never changed.
    pub since: Option<Since>,
    /// The last event that was seen in the database.
    pub last_event: Option<i64>,
    /// The cluster's To tag: the answers after a restart have to be the same as before it.
    pub tag: TagSecret,
}

/// Why the state file is of no use.
#[derive(Debug, Error)]
pub enum Error {
    /// Read or written.
    #[error("cannot {doing} it: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Not JSON, or not ours.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Of a later version.
    #[error("it is of version {0}, which this version of sip-filter does not know")]
    Version(u32),
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    written: Timestamp,
    policy: Policy,
    since: Option<Since>,
    last_event: Option<i64>,
    tag_prefix: String,
    tag_key: String,
}

/// Only the version, which has to be known before the rest can be understood.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A state file, by its path.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The state file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; `None` if there is none.
    pub fn load(&self) -> Result<Option<State>, Error> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { doing: "read", source }),
        };
        let damaged = |error: serde_json::Error| Error::Damaged(error.to_string());
        let Version { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let file: OnDisk = serde_json::from_slice(&bytes).map_err(damaged)?;
        let tag = TagSecret::from_text(&file.tag_prefix, &file.tag_key);
        Ok(Some(State {
            policy: file.policy,
            since: file.since,
            last_event: file.last_event,
            tag: tag.ok_or_else(|| Error::Damaged("its To tag is none".into()))?,
        }))
    }

    /// Writes it so that at any moment, also after a power cut, either the old or the new one is there whole.
    pub fn save(&self, state: &State) -> Result<(), Error> {
        let (tag_prefix, tag_key) = state.tag.to_text();
        let file = OnDisk {
            version: VERSION,
            written: Timestamp::now(),
            policy: state.policy.clone(),
            since: state.since.clone(),
            last_event: state.last_event,
            tag_prefix,
            tag_key,
        };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|error| Error::Damaged(error.to_string()))?;
        text.push(b'\n');
        self.replace(&text).map_err(|source| Error::Io { doing: "write", source })
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".new");
        // Others may not read it: the tag's key is a secret.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::Timestamp;
    use rstest::rstest;
    use tempfile::TempDir;

    use super::{Error, State, StateFile, TagSecret};
    use crate::domain::{Policy, Refusal, Since};

    fn state() -> State {
        State {
            policy: Policy {
                maintenance: true,
                refusal: Refusal {
                    code: 480.try_into().unwrap(),
                    reason: "Wartung läuft".parse().unwrap(),
                    retry_after: 0.try_into().unwrap(),
                },
                percent: 30.try_into().unwrap(),
                methods: "INVITE,OPTIONS".parse().unwrap(),
                until: Some(Timestamp::from_second(4_000_000_000).unwrap()),
                bypass: ["198.18.0.0/15".parse().unwrap()].into(),
                emergency: ["110".parse().unwrap()].into(),
            },
            since: Some(Since { at: Timestamp::now(), who: Some("alice".into()), why: None }),
            last_event: Some(17),
            tag: TagSecret::from_random(&[7; 24]),
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_is_no_others_business() {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("not/there/yet/state.json"));
        assert!(file.load().unwrap().is_none());
        let (first, second) = (state(), State { policy: Policy::default(), since: None, ..state() });
        file.save(&first).unwrap();
        assert_eq!(file.load().unwrap(), Some(first));
        file.save(&second).unwrap();
        assert_eq!(file.load().unwrap(), Some(second));
        assert_eq!(file.path().metadata().unwrap().permissions().mode() & 0o777, 0o640);
        let names: Vec<_> = file.path().parent().unwrap().read_dir().unwrap().collect();
        assert_eq!(names.len(), 1, "the temporary file is gone: {names:?}");
    }

    #[rstest]
    #[case::empty(|_: String| String::new())]
    #[case::cut_off(|text: String| text[..text.len() / 2].into())]
    #[case::not_json(|_| "maintenance = on".into())]
    #[case::header_injection(|text: String| text.replace("Wartung läuft", "Wartung\\r\\nX: y"))]
    #[case::no_code_of_a_refusal(|text: String| text.replace("480", "200"))]
    #[case::no_share(|text: String| text.replace("\"percent\": 30", "\"percent\": 0"))]
    #[case::a_method_that_is_never_refused(|text: String| text.replace("INVITE,OPTIONS", "INVITE,BYE"))]
    #[case::no_prefix(|text: String| text.replace("198.18.0.0/15", "198.18.1.7/15"))]
    #[case::no_user_part(|text: String| text.replace("\"110\"", "\"a@b\""))]
    #[case::no_tag(|text: String| text.replace("tag_key\": \"", "tag_key\": \"x"))]
    fn a_damaged_file_is_an_error_and_no_state(#[case] damage: fn(String) -> String) {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("state.json"));
        file.save(&state()).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let damaged = damage(text.clone());
        assert_ne!(damaged, text);
        std::fs::write(file.path(), damaged).unwrap();
        assert!(matches!(file.load(), Err(Error::Damaged(_))));
    }

    /// As version 0.1 wrote it before there were shares, methods and exemptions: nothing of it is lost, and what it
    /// does not say is the default.
    #[test]
    fn an_older_file_is_loaded_with_the_defaults_for_what_it_lacks() {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("state.json"));
        let older = r#"{"version": 1, "written": "2026-11-24T14:56:09.847Z",
            "policy": {"maintenance": true, "refusal": {"code": 480, "reason": "Moving", "retry_after": 7}},
            "since": {"at": "2026-11-24T14:56:09.847Z", "who": "alice", "why": null}, "last_event": 17,
            "tag_prefix": "abcdefgh", "tag_key": "00112233445566778899aabbccddeeff"}"#;
        std::fs::write(file.path(), older).unwrap();
        let state = file.load().unwrap().unwrap();
        let refusal = Refusal {
            code: 480.try_into().unwrap(),
            reason: "Moving".parse().unwrap(),
            retry_after: 7.try_into().unwrap(),
        };
        assert_eq!(state.policy, Policy { maintenance: true, refusal, ..Policy::default() });
        assert_eq!((state.policy.percent.get(), state.policy.emergency.len()), (100, 3));
        assert_eq!(state.last_event, Some(17));
    }

    #[test]
    fn a_file_of_a_later_version_is_no_state() {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("state.json"));
        std::fs::write(file.path(), r#"{"version": 2, "policy": "something else"}"#).unwrap();
        assert!(matches!(file.load(), Err(Error::Version(2))));
    }
}
