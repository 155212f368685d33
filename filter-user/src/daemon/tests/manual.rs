//! Tests of the manual's page on the control protocol, whose examples are compared with the replies of a daemon.

use std::collections::{BTreeMap, BTreeSet};

use filter_common::verdict::Verdict;
use filter_reply::Unanswered;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::replies::Daemon;
use crate::dataplane::{AttachMode, Counters, InterfaceStatus, QueueStatus, SocketMode};
use crate::domain::alarm_samples;
use crate::kamailio;
use crate::protocol::{Alarm, Method, Request, method};
use crate::responder::Frames;

const PAGE: &str = include_str!("../../../../docs/manual/control-protocol.md");

/// Members whose values differ from one daemon to the next, or with time.
const VOLATILE: [&str; 10] = ["actor", "applied", "at", "heard_ms", "pid", "read", "started", "url", "version", "who"];

/// An example of the page.
struct Example {
    method: String,
    request: Value,
    reply: Value,
}

/// Returns the examples in the order of the page.
fn examples() -> Vec<Example> {
    let parts = PAGE.split("\nRequest `").skip(1).map(|part| {
        let method = part.split('`').next().unwrap();
        let (request, reply) = part.split_once(&format!("\nReply to `{method}`:")).unwrap();
        Example { method: method.to_owned(), request: block(request), reply: block(reply) }
    });
    parts.collect()
}

/// Returns the first block of JSON in `text`.
fn block(text: &str) -> Value {
    let text = text.split_once("\n```json\n").unwrap().1.split_once("\n```").unwrap().0;
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Returns the object in a block of text that has this member.
fn object_with(member: &str) -> Value {
    let blocks = PAGE.split("\n```text\n").skip(1).map(|block| block.split_once("\n```").unwrap().0);
    let mut objects = blocks.filter_map(|block| serde_json::from_str::<Value>(block).ok());
    objects.find(|object| object.get(member).is_some()).unwrap()
}

/// Compares names of members and types, in both directions, and values as far as they are the same in each daemon.
#[track_caller]
fn assert_same(path: &str, documented: &Value, real: &Value, values: bool) {
    match (documented, real) {
        (Value::Object(documented), Value::Object(real)) => {
            let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(documented), names(real), "members of {path}");
            for (name, documented) in documented {
                let values = values && !VOLATILE.contains(&name.as_str());
                assert_same(&format!("{path}.{name}"), documented, &real[name], values);
            }
        }
        (Value::Array(documented), Value::Array(real)) => {
            assert_eq!(documented.len(), real.len(), "number of elements of {path}");
            for (index, (documented, real)) in documented.iter().zip(real).enumerate() {
                assert_same(&format!("{path}[{index}]"), documented, real, values);
            }
        }
        (Value::Number(_), Value::Number(_)) | (Value::String(_), Value::String(_)) if !values => {}
        (Value::Bool(_), Value::Bool(_)) if !values => {}
        (documented, real) => assert_eq!(documented, real, "value of {path}"),
    }
}

/// Returns counters as a data plane has them.
fn counters() -> Counters {
    let reasons = Unanswered::ALL.iter().map(|reason| reason.name());
    Counters {
        verdicts: Verdict::ALL.iter().map(|verdict| (verdict.name().to_owned(), 0)).collect(),
        responder: reasons.chain(["answered", "lost", "send_errors"]).map(|name| (name.to_owned(), 0)).collect(),
    }
}

#[test]
fn page_says_why_a_request_gets_no_response_for_each_reason() {
    let table = PAGE.split_once("### Reasons without a response").unwrap().1.split("\n#").next().unwrap();
    let reasons = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let mut documented: Vec<&str> =
        reasons.flat_map(|names| names.split(", ")).map(|name| name.trim_matches(['`', ' '])).collect();
    let mut real: Vec<&str> = Unanswered::ALL.iter().map(|reason| reason.name()).collect();
    documented.sort_unstable();
    real.sort_unstable();
    assert_eq!(documented, real);
}

/// Returns an interface as a data plane has it.
fn interface() -> InterfaceStatus {
    let queue = QueueStatus {
        queue: 0,
        socket: SocketMode::Copy,
        cpu: None,
        busy_poll: None,
        lease_remaining_ms: Some(900),
        answered: 0,
        unanswered: Unanswered::ALL.iter().map(|reason| (reason.name().to_owned(), 0)).collect(),
        lost: 0,
        send_errors: 0,
        frames: Frames::default(),
    };
    InterfaceStatus {
        name: "eth0".into(),
        ifindex: 2,
        bond: None,
        mode: Some(AttachMode::Native),
        program: Some(1),
        queues: vec![queue],
    }
}

/// Compares the part of a reply that comes from the data plane, which the daemon of these tests lacks, and removes it
/// from both.
#[track_caller]
fn take_data_plane(example: &mut Value, real: &mut Value) {
    let counters = counters();
    let plane = [
        ("interfaces", json!([interface()])),
        ("verdicts", json!(counters.verdicts)),
        ("responder", json!(counters.responder)),
    ];
    for (name, value) in plane {
        let Some(documented) = example.as_object_mut().and_then(|object| object.remove(name)) else { continue };
        assert!(real.as_object_mut().unwrap().remove(name).is_some(), "no {name} in {real}");
        assert_same(name, &documented, &value, false);
    }
}

#[tokio::test]
async fn daemon_replies_to_each_documented_request_as_documented() {
    let daemon = Daemon::start().await;
    for Example { method, request, reply: mut documented } in examples() {
        let mut real = daemon.exchange(request).await;
        take_data_plane(&mut documented["result"], &mut real["result"]);
        assert_same(&format!("the reply to {method}"), &documented, &real, true);
    }
}

#[test]
fn each_method_has_one_documented_example() {
    let mut documented: BTreeMap<String, usize> = BTreeMap::new();
    for example in examples() {
        *documented.entry(example.method).or_default() += 1;
    }
    let expected = Request::METHODS.iter().map(|method| ((*method).to_owned(), 1)).collect();
    assert_eq!(documented, expected);
}

/// Reading a documented reply and writing it again changes nothing: the client knows all of its members, and no other.
#[test]
fn client_knows_the_members_of_each_documented_reply() {
    #[track_caller]
    fn check<M: Method>() {
        let mut examples = examples();
        let example = examples.iter_mut().find(|example| example.method == M::NAME).unwrap();
        assert_round_trip::<M::Reply>(&example.reply["result"]);
    }
    check::<method::On>();
    check::<method::Off>();
    check::<method::Reload>();
    check::<method::Status>();
    check::<method::Stats>();
    check::<method::History>();
    check::<method::Nodes>();
    check::<method::BypassList>();
    check::<method::BypassAdd>();
    check::<method::BypassRemove>();
    check::<method::EmergencyList>();
    check::<method::EmergencyAdd>();
    check::<method::EmergencyRemove>();
    check::<method::ScopeList>();
    check::<method::ScopeAdd>();
    check::<method::ScopeRemove>();
    assert_round_trip::<kamailio::Status>(&object_with("dbmode"));
    assert_round_trip::<Alarm>(&object_with("kind"));
}

#[track_caller]
fn assert_round_trip<T: Serialize + DeserializeOwned>(documented: &Value) {
    let reply: T = serde_json::from_value(documented.clone()).unwrap();
    assert_eq!(&serde_json::to_value(reply).unwrap(), documented);
}

#[test]
fn members_of_each_kind_of_alarm_are_documented() {
    let section = PAGE.split_once("\n## Alarms\n").unwrap().1;
    for alarm in alarm_samples() {
        let row = section.lines().find(|line| line.starts_with(&format!("| `{}` |", alarm.kind())));
        let row = row.unwrap_or_else(|| panic!("no row for the alarm {}", alarm.kind()));
        let documented: BTreeSet<&str> = row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2).collect();
        let json = serde_json::to_value(&alarm).unwrap();
        let real: BTreeSet<&str> =
            json.as_object().unwrap().keys().map(String::as_str).filter(|name| *name != "kind").collect();
        assert_eq!(documented, real, "members of the alarm {}", alarm.kind());
    }
}
