//! Stand-in for the data plane, to be replaced at the merge.
#![allow(missing_docs, reason = "thrown away at the merge")]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Auto,
    Native,
    Generic,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub interfaces: Vec<String>,
    pub ports: Vec<u16>,
    pub mode: Mode,
    pub zero_copy: bool,
    pub lease: Duration,
    pub tag: TagSecret,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSecret {
    pub prefix: [u8; 8],
    pub key: [u8; 16],
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

#[derive(Clone, Debug, Serialize)]
pub struct QueueStatus {
    pub queue: u32,
    pub socket: &'static str,
    pub lease_remaining_ms: Option<u64>,
    pub answered: u64,
    pub refused: u64,
    pub lost: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct InterfaceStatus {
    pub name: String,
    pub ifindex: u32,
    pub mode: &'static str,
    pub program_id: u32,
    pub queues: Vec<QueueStatus>,
}

pub struct DataPlane {
    interfaces: Vec<InterfaceStatus>,
}

impl DataPlane {
    pub fn start(options: &Options, _policy: &Policy) -> Result<Self, Error> {
        let interface = |name: &String| {
            if name == "fail" {
                return Err(Error("interface fail: there is no such interface".into()));
            }
            let queue = QueueStatus {
                queue: 0,
                socket: "copy",
                lease_remaining_ms: Some(950),
                answered: 0,
                refused: 0,
                lost: 0,
            };
            Ok(InterfaceStatus { name: name.clone(), ifindex: 2, mode: "native", program_id: 17, queues: vec![queue] })
        };
        Ok(Self { interfaces: options.interfaces.iter().map(interface).collect::<Result<_, _>>()? })
    }

    pub fn apply(&mut self, _policy: &Policy) -> Result<(), Error> {
        Ok(())
    }

    pub fn status(&self) -> Vec<InterfaceStatus> {
        self.interfaces.clone()
    }

    pub fn verdicts(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        Ok(filter_common::verdict::Verdict::ALL.iter().map(|verdict| (verdict.name(), 0)).collect())
    }

    pub fn responder_counters(&self) -> Vec<(&'static str, u64)> {
        vec![("answered", 0), ("lost", 0)]
    }

    pub fn failure(&mut self) -> Option<Error> {
        None
    }

    pub fn stop(self) -> Result<(), Error> {
        Ok(())
    }
}
