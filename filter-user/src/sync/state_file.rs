//! The state file: the last policy in force, for a start while the database is down.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use filter_reply::TagSecret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::{Policy, Since};

/// Version of the file that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The state that a daemon needs to continue after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Policy in force.
    pub(super) policy: Arc<Policy>,
    /// Last switch of maintenance; `None` if there has been none.
    pub(super) since: Option<Since>,
    /// Number of the last switch that was seen in the database; `None` without any.
    pub(super) last_event: Option<i64>,
    /// The cluster's To tag: the responses after a restart have to be the same as before it.
    pub(super) tag: TagSecret,
}

/// The reason why a state file cannot be read or written.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// A system call failed.
    #[error("cannot {doing} it: {source}")]
    Io {
        /// The step that failed.
        doing: &'static str,
        /// Error of the system call.
        source: io::Error,
    },
    /// The file is not JSON, or was not written by sip-filter.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The To tag in the file is not valid.
    #[error("it is damaged: its To tag is not valid")]
    InvalidTag,
    /// The file was written by a later version.
    #[error("it is of version {0}, which this version of sip-filter does not know")]
    UnknownVersion(u32),
}

/// Contents of the file. `P` is [`Policy`], or a reference to one.
#[derive(Serialize, Deserialize)]
struct Contents<P> {
    version: u32,
    written: Timestamp,
    policy: P,
    since: Option<Since>,
    last_event: Option<i64>,
    tag_prefix: String,
    tag_key: String,
}

/// The version alone, which has to be known before the rest is parsed.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A state file, which may not exist.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// Creates a handle to the state file at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file; `None` if there is none.
    pub(super) fn load(&self) -> Result<Option<State>, Error> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { doing: "read", source }),
        };
        let Version { version } = serde_json::from_slice(&bytes)?;
        if version != VERSION {
            return Err(Error::UnknownVersion(version));
        }
        let contents: Contents<Policy> = serde_json::from_slice(&bytes)?;
        let tag = TagSecret::from_text(&contents.tag_prefix, &contents.tag_key);
        Ok(Some(State {
            policy: Arc::new(contents.policy),
            since: contents.since,
            last_event: contents.last_event,
            tag: tag.ok_or(Error::InvalidTag)?,
        }))
    }

    /// Replaces the file atomically: at any moment, even after a power cut, it has either its old or its new contents.
    pub(super) fn save(&self, state: &State) -> Result<(), Error> {
        let (tag_prefix, tag_key) = state.tag.to_text();
        let contents = Contents {
            version: VERSION,
            written: Timestamp::now(),
            policy: &*state.policy,
            since: state.since.clone(),
            last_event: state.last_event,
            tag_prefix,
            tag_key,
        };
        let mut text = serde_json::to_vec_pretty(&contents)?;
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
        // Not readable by others, since the tag's key is a secret.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use jiff::Timestamp;
    use rstest::rstest;
    use tempfile::TempDir;

    use super::{Error, State, StateFile, TagSecret};
    use crate::domain::{Policy, Refusal, Scope, Since};

    fn state() -> State {
        State {
            policy: Arc::new(Policy {
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
                scope: Some(Scope {
                    sources: ["192.0.2.0/24".parse().unwrap()].into(),
                    destinations: ["[2001:db8::2]:5060".parse().unwrap()].into(),
                }),
            }),
            since: Some(Since { at: Timestamp::now(), who: Some("alice".into()), why: None }),
            last_event: Some(17),
            tag: TagSecret::from_random(&[7; 24]),
        }
    }

    #[test]
    fn saved_state_is_loaded_and_others_cannot_read_the_file() {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("not/there/yet/state.json"));
        assert!(file.load().unwrap().is_none());
        let (first, second) = (state(), State { policy: Arc::default(), since: None, ..state() });
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
    #[case::cut_off(|text: String| text.chars().take(text.len() / 2).collect())]
    #[case::not_json(|_| "maintenance = on".into())]
    #[case::header_injection(|text: String| text.replace("Wartung läuft", "Wartung\\r\\nX: y"))]
    #[case::no_code_of_a_refusal(|text: String| text.replace("480", "200"))]
    #[case::no_share(|text: String| text.replace("\"percent\": 30", "\"percent\": 0"))]
    #[case::a_method_that_is_never_refused(|text: String| text.replace("INVITE,OPTIONS", "INVITE,BYE"))]
    #[case::no_prefix(|text: String| text.replace("198.18.0.0/15", "198.18.1.7/15"))]
    #[case::no_user_part(|text: String| text.replace("\"110\"", "\"a@b\""))]
    #[case::no_source(|text: String| text.replace("192.0.2.0/24", "192.0.2.7/24"))]
    #[case::no_destination(|text: String| text.replace("[2001:db8::2]:5060", "[2001:db8::2]:0"))]
    #[case::no_tag(|text: String| text.replace("tag_key\": \"", "tag_key\": \"x"))]
    fn damaged_state_file_is_an_error(#[case] damage: fn(String) -> String) {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("state.json"));
        file.save(&state()).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let damaged = damage(text.clone());
        assert_ne!(damaged, text);
        std::fs::write(file.path(), damaged).unwrap();
        assert!(matches!(file.load(), Err(Error::Damaged(_) | Error::InvalidTag)));
    }

    /// Version 0.1 wrote such files before there were shares, methods, exemptions and a scope.
    #[test]
    fn state_file_of_version_0_1_is_loaded_with_defaults_for_the_missing_members() {
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
        assert_eq!(*state.policy, Policy { maintenance: true, refusal, ..Policy::default() });
        assert_eq!((state.policy.percent.get(), state.policy.emergency.len()), (100, 3));
        assert_eq!(state.policy.scope, None);
        assert_eq!(state.last_event, Some(17));
    }

    #[test]
    fn state_file_of_a_later_version_is_an_error() {
        let directory = TempDir::new().unwrap();
        let file = StateFile::new(directory.path().join("state.json"));
        std::fs::write(file.path(), r#"{"version": 2, "policy": "something else"}"#).unwrap();
        assert!(matches!(file.load(), Err(Error::UnknownVersion(2))));
    }
}
