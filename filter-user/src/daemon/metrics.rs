//! The metrics of the daemon: the contents of `status` and `stats` for monitoring. `docs/manual/metrics.md` lists them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use super::plane::Plane;
use super::raised;
use crate::dataplane::{AttachMode, InterfaceStatus, PlaneStatus, QueueStatus};
use crate::domain::{Alarm, Raised};
use crate::kamailio::Status;
use crate::metrics::{Exposition, Kind, Source};
use crate::sync::Snapshot;

/// The source of the metrics, which are read for each scrape.
pub(super) struct Metrics {
    snapshot: watch::Receiver<Snapshot>,
    kamailio: Option<watch::Receiver<Status>>,
    /// Locked by one scrape at a time, so that a flood of them does not take up the threads for blocking work.
    plane: Mutex<Plane>,
}

impl Metrics {
    pub(super) fn new(
        snapshot: watch::Receiver<Snapshot>,
        kamailio: Option<watch::Receiver<Status>>,
        plane: Plane,
    ) -> Self {
        Self { snapshot, kamailio, plane: Mutex::new(plane) }
    }
}

impl Source for Metrics {
    async fn metrics(&self) -> Result<String, String> {
        let plane = self.plane.lock().await;
        let alarms = plane.alarms().await;
        let plane = plane.status().await.map_err(|error| error.to_string())?;
        let snapshot = self.snapshot.borrow().clone();
        let raised = raised(&snapshot, self.kamailio.as_ref(), &alarms);
        Ok(text(&snapshot, &raised, &plane))
    }
}

fn text(snapshot: &Snapshot, raised: &[Raised], PlaneStatus { interfaces, counters }: &PlaneStatus) -> String {
    let mut to = Exposition::default();
    daemon(&mut to, !raised.is_empty());
    policy(&mut to, snapshot);
    database(&mut to, snapshot);
    alarms(&mut to, raised);
    let mut packets =
        to.family(Kind::Counter, "sip_filter_packets_total", "Packets that the XDP program has seen, by verdict.");
    for (verdict, count) in &counters.verdicts {
        packets.sample(&[("verdict", verdict)], count);
    }
    queues(&mut to, interfaces);
    unanswered(&mut to, interfaces);
    to.into_text()
}

fn daemon(to: &mut Exposition, degraded: bool) {
    to.family(Kind::Gauge, "sip_filter_build_info", "Always 1; the label is the version of the daemon.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    to.family(Kind::Gauge, "sip_filter_degraded", "Whether an alarm is raised (1).").sample(&[], u8::from(degraded));
}

fn policy(to: &mut Exposition, snapshot: &Snapshot) {
    let policy = &snapshot.policy;
    let mut gauge = |name, help, value: usize| to.family(Kind::Gauge, name, help).sample(&[], value);
    gauge("sip_filter_maintenance", "Whether maintenance is in force on this host (1).", policy.maintenance.into());
    gauge(
        "sip_filter_policy_percent",
        "Share of new calls that is refused while maintenance is on, in percent.",
        policy.percent.get().into(),
    );
    gauge("sip_filter_bypass_prefixes", "Prefixes whose calls are never refused.", policy.bypass.len());
    gauge("sip_filter_emergency_numbers", "Numbers to which calls are never refused.", policy.emergency.len());
    let scope = policy.scope.as_ref();
    let sources = scope.map_or(0, |scope| scope.sources.len());
    gauge("sip_filter_scope_sources", "Prefixes of callers whose calls are in the scope of maintenance.", sources);
    let destinations = scope.map_or(0, |scope| scope.destinations.len());
    gauge("sip_filter_scope_destinations", "Addresses to which calls are in the scope of maintenance.", destinations);
    let mut until = to.family(
        Kind::Gauge,
        "sip_filter_policy_until_timestamp_seconds",
        "Planned end of maintenance in Unix time; absent without one.",
    );
    if let Some(at) = policy.until {
        until.sample(&[], unix(at));
    }
}

fn database(to: &mut Exposition, snapshot: &Snapshot) {
    let help = "Whether the database can be read (1); otherwise the last known policy stays in force.";
    to.family(Kind::Gauge, "sip_filter_database_up", help).sample(&[], u8::from(snapshot.reachable));
    let mut read = to.family(
        Kind::Gauge,
        "sip_filter_database_last_read_timestamp_seconds",
        "Time at which the rows were last read, at the start and after each change, in Unix time; absent if never.",
    );
    if let Some(at) = snapshot.read {
        read.sample(&[], unix(at));
    }
}

fn alarms(to: &mut Exposition, raised: &[Raised]) {
    let mut family = to.family(Kind::Gauge, "sip_filter_alarm", "Whether an alarm of this kind is raised (1).");
    for kind in Alarm::KINDS {
        let raised = raised.iter().any(|raised| raised.alarm.kind() == *kind);
        family.sample(&[("kind", kind)], u8::from(raised));
    }
}

fn queues(to: &mut Exposition, interfaces: &[InterfaceStatus]) {
    let mut info = to.family(
        Kind::Gauge,
        "sip_filter_interface_info",
        "Always 1; the label is where the XDP program runs: native, generic, or none if it is not attached.",
    );
    for interface in interfaces {
        info.sample(&[("interface", &interface.name), ("mode", interface.mode.map_or("none", AttachMode::name))], 1);
    }
    let queues: Vec<_> = interfaces
        .iter()
        .flat_map(|interface| interface.queues.iter().map(|queue| (&*interface.name, queue.queue.to_string(), queue)))
        .collect();
    let mut lease = to.family(
        Kind::Gauge,
        "sip_filter_queue_lease_seconds",
        "Remaining lease of the RX queue's responder, if it makes no progress; 0: its new calls go to the proxy.",
    );
    for (interface, number, queue) in &queues {
        let seconds = queue.lease_remaining_ms.map_or(0.0, |ms| ms as f64 / 1000.0);
        lease.sample(&[("interface", interface), ("queue", number)], seconds);
    }
    let mut counter = |name, help, value: fn(&QueueStatus) -> u64| {
        let mut family = to.family(Kind::Counter, name, help);
        for (interface, number, queue) in &queues {
            family.sample(&[("interface", interface), ("queue", number)], value(queue));
        }
    };
    counter("sip_filter_queue_answered_total", "Requests that were refused with a response.", |queue| queue.answered);
    counter("sip_filter_queue_lost_total", "Requests that the socket had no room for.", |queue| queue.lost);
    counter("sip_filter_queue_send_errors_total", "Times that the kernel did not accept responses at once.", |queue| {
        queue.send_errors
    });
}

/// Adds the counts of all queues, by reason: some thirty reasons for each of dozens of queues would be too many series.
fn unanswered(to: &mut Exposition, interfaces: &[InterfaceStatus]) {
    let mut reasons = BTreeMap::new();
    for (reason, count) in interfaces.iter().flat_map(|interface| &interface.queues).flat_map(|queue| &queue.unanswered)
    {
        *reasons.entry(reason.as_str()).or_insert(0) += count;
    }
    let mut family = to.family(
        Kind::Counter,
        "sip_filter_responder_unanswered_total",
        "Requests that reached a responder and got no response, by reason, on all queues together.",
    );
    for (reason, count) in reasons {
        family.sample(&[("reason", reason)], count);
    }
}

/// Returns the seconds since the epoch.
fn unix(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::text;
    use crate::dataplane::{AttachMode, Counters, InterfaceStatus, PlaneStatus, QueueStatus, SocketMode};
    use crate::domain::{Alarm, Alarms, Policy, Scope, Subject};
    use crate::responder::Frames;
    use crate::sync::{Snapshot, Source};

    fn snapshot() -> Snapshot {
        let policy = Policy { maintenance: true, percent: 30.try_into().unwrap(), ..Policy::default() }.into();
        let (source, alarms) = (Source::Default, Alarms::default());
        Snapshot { policy, since: None, source, reachable: true, read: None, own_flag: false, alarms }
    }

    fn interface(name: &str, lease_remaining_ms: Option<u64>, answered: u64, no_via: u64) -> InterfaceStatus {
        let queue = QueueStatus {
            queue: 0,
            socket: SocketMode::Copy,
            cpu: None,
            busy_poll: None,
            lease_remaining_ms,
            answered,
            unanswered: [("no_via".to_owned(), no_via)].into(),
            lost: 0,
            send_errors: 0,
            frames: Frames::default(),
        };
        InterfaceStatus {
            name: name.into(),
            ifindex: 2,
            bond: None,
            mode: Some(AttachMode::Native),
            program: Some(7),
            queues: vec![queue],
        }
    }

    fn plane(verdicts: &[(&str, u64)], interfaces: &[InterfaceStatus]) -> PlaneStatus {
        let verdicts = verdicts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let counters = Counters { verdicts, ..Counters::default() };
        PlaneStatus { interfaces: interfaces.to_vec(), counters }
    }

    #[track_caller]
    fn assert_has(text: &str, sample: &str) {
        assert!(text.lines().any(|line| line == sample), "no {sample} in\n{text}");
    }

    #[test]
    fn metrics_show_the_policy_in_force() {
        let mut snapshot = snapshot();
        let shown = text(&snapshot, snapshot.alarms.raised(), &plane(&[("off", 7), ("redirected", 0)], &[]));
        assert_has(&shown, concat!("sip_filter_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"));
        assert_has(&shown, "sip_filter_maintenance 1");
        assert_has(&shown, "sip_filter_policy_percent 30");
        assert_has(&shown, "sip_filter_bypass_prefixes 0");
        assert_has(&shown, "sip_filter_emergency_numbers 3");
        assert_has(&shown, "sip_filter_scope_sources 0");
        assert_has(&shown, "sip_filter_scope_destinations 0");
        assert_has(&shown, "sip_filter_packets_total{verdict=\"off\"} 7");
        assert_has(&shown, "sip_filter_packets_total{verdict=\"redirected\"} 0");
        for absent in ["sip_filter_policy_until_timestamp_seconds ", "sip_filter_database_last_read_timestamp_seconds "]
        {
            assert!(!shown.lines().any(|line| line.starts_with(absent)), "{shown}");
        }

        let policy = Arc::make_mut(&mut snapshot.policy);
        policy.until = Some(Timestamp::from_second(1_800_000_000).unwrap());
        policy.scope = Some(Scope {
            sources: ["198.18.0.0/15".parse().unwrap(), "2001:db8::/32".parse().unwrap()].into(),
            destinations: ["198.18.0.2:5060".parse().unwrap()].into(),
        });
        snapshot.read = Some(Timestamp::from_millisecond(1_700_000_000_250).unwrap());
        let shown = text(&snapshot, snapshot.alarms.raised(), &plane(&[], &[]));
        assert_has(&shown, "sip_filter_policy_until_timestamp_seconds 1800000000");
        assert_has(&shown, "sip_filter_scope_sources 2");
        assert_has(&shown, "sip_filter_scope_destinations 1");
        assert_has(&shown, "sip_filter_database_last_read_timestamp_seconds 1700000000.25");
    }

    #[test]
    fn each_kind_of_alarm_has_a_sample_raised_or_not() {
        let mut snapshot = snapshot();
        snapshot.reachable = false;
        let error = || "cannot \"open\"".to_owned();
        snapshot.alarms.set(Subject::Database, [Alarm::Database { database: "sqlite:///a".into(), error: error() }]);
        let shown = text(&snapshot, snapshot.alarms.raised(), &plane(&[], &[]));
        assert_has(&shown, "sip_filter_database_up 0");
        assert_has(&shown, "sip_filter_degraded 1");
        for kind in Alarm::KINDS {
            assert_has(&shown, &format!("sip_filter_alarm{{kind=\"{kind}\"}} {}", u8::from(*kind == "database")));
        }
    }

    #[test]
    fn manual_describes_each_metric_and_each_kind_of_alarm() {
        let page = include_str!("../../../docs/manual/metrics.md");
        let shown = text(&snapshot(), &[], &plane(&[], &[]));
        let names: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert!(names.len() > 10, "{shown}");
        for name in names.iter().chain(Alarm::KINDS) {
            assert!(page.contains(&format!("`{name}`")), "docs/manual/metrics.md does not describe {name}");
        }
    }

    #[test]
    fn queues_have_samples_of_their_own_and_reasons_are_added_up() {
        let interfaces = [interface("eth0", Some(750), 5, 1), interface("eth1.7", None, 0, 2)];
        let shown = text(&snapshot(), &[], &plane(&[], &interfaces));
        assert_has(&shown, "sip_filter_interface_info{interface=\"eth0\",mode=\"native\"} 1");
        assert_has(&shown, "sip_filter_queue_lease_seconds{interface=\"eth0\",queue=\"0\"} 0.75");
        assert_has(&shown, "sip_filter_queue_lease_seconds{interface=\"eth1.7\",queue=\"0\"} 0");
        assert_has(&shown, "sip_filter_queue_answered_total{interface=\"eth0\",queue=\"0\"} 5");
        assert_has(&shown, "sip_filter_responder_unanswered_total{reason=\"no_via\"} 3");
        assert_has(&shown, "sip_filter_degraded 0");
    }
}
