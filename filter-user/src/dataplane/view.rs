//! The state of the interfaces, which any thread can read at any time, whatever else the data plane does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::interface::Interface;
use super::queue::QueueView;
use super::status::{InterfaceStatus, QueueStatus};
use crate::domain::Alarm;
use crate::network::AttachMode;

/// The state of all interfaces as of the last change.
#[derive(Default)]
pub(super) struct View {
    /// Interfaces that are served.
    pub(super) interfaces: Vec<InterfaceView>,
    /// Counters of responders that have ended.
    pub(super) retired: ResponderCounters,
    /// Problems of the interfaces.
    pub(super) alarms: Vec<Alarm>,
    /// Alarms for the case that calls pass as `vlan_stripped`.
    pub(super) vlan_alarms: Vec<Alarm>,
}

/// An interface as of the last change, and its queues as they are.
pub(super) struct InterfaceView {
    name: String,
    ifindex: u32,
    bond: Option<String>,
    mode: Option<AttachMode>,
    program: Option<u32>,
    queues: Vec<Arc<QueueView>>,
}

/// Sums of the counters of responders, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponderCounters(BTreeMap<String, u64>);

impl View {
    /// Returns the interfaces for `status`.
    pub(super) fn status(&self) -> Vec<InterfaceStatus> {
        self.interfaces.iter().map(InterfaceView::status).collect()
    }

    /// Returns the alarms for queues whose calls are not refused now.
    pub(super) fn queue_alarms(&self) -> Vec<Alarm> {
        let queues = self.interfaces.iter().flat_map(|interface| {
            let name = &interface.name;
            interface.queues.iter().map(move |queue| (name.clone(), queue))
        });
        queues.filter_map(|(interface, queue)| queue.alarm(interface)).collect()
    }
}

impl InterfaceView {
    /// Creates the view of an interface, on which the program with this id may be attached.
    pub(super) fn new(interface: &Interface, program_id: u32) -> Self {
        Self {
            name: interface.device.name.clone(),
            ifindex: interface.device.ifindex,
            bond: interface.bond.clone(),
            mode: interface.mode(),
            program: interface.is_attached().then_some(program_id),
            queues: interface.queues().map(Arc::clone).collect(),
        }
    }

    fn status(&self) -> InterfaceStatus {
        InterfaceStatus {
            name: self.name.clone(),
            ifindex: self.ifindex,
            bond: self.bond.clone(),
            mode: self.mode,
            program: self.program,
            queues: self.queues.iter().map(|queue| queue.status()).collect(),
        }
    }
}

impl ResponderCounters {
    /// Adds the counters of a queue.
    pub(super) fn add(&mut self, queue: &QueueStatus) {
        let mut add = |name: &str, count: u64| *self.0.entry(name.to_owned()).or_insert(0) += count;
        add("answered", queue.answered);
        add("lost", queue.lost);
        add("send_errors", queue.send_errors);
        queue.unanswered.iter().for_each(|(reason, count)| add(reason, *count));
    }

    /// Returns the sums by name.
    pub(super) fn into_map(self) -> BTreeMap<String, u64> {
        self.0
    }
}
