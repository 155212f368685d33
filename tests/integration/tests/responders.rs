//! CPUs of the responder threads (`--cpus`), and how the threads wait for packets (`--busy-poll`).
//!
//! The machine must have the CPUs 0 and 1.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use filter_common::verdict::Verdict;
use filter_integration::interrupt_link;
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::wire::{End, Family, PROXY_INTERFACE, WireOptions};
use filter_lab::{process, wait};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::{Value, json};

/// Number of frames of a queue's UMEM.
const FRAMES: u64 = 4096;

/// Time within which a responder must change what it does: sleep, poll, give frames back.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Starts the daemon on the proxy's end of the wire, with these additional arguments.
#[track_caller]
fn start(lab: &Lab, arguments: &[&str]) -> Daemon {
    lab.filter.start(&[&["--iface", PROXY_INTERFACE], arguments].concat())
}

/// A thread or process, by its folder in `/proc`.
struct Thread {
    folder: String,
}

impl Thread {
    /// Returns the threads of the daemon by their names.
    #[track_caller]
    fn all(daemon: &Daemon) -> BTreeMap<String, Self> {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("the threads of the daemon");
        let threads = tasks.flatten().map(|task| Self { folder: task.path().display().to_string() });
        threads.map(|thread| (thread.read("comm").trim().to_owned(), thread)).collect()
    }

    /// Returns the thread of the first queue of an interface.
    #[track_caller]
    fn of_interface(daemon: &Daemon, interface: &str) -> Self {
        Self::of_queue(daemon, interface, 0)
    }

    /// Returns the thread of a queue of an interface.
    #[track_caller]
    fn of_queue(daemon: &Daemon, interface: &str, queue: u32) -> Self {
        let (name, mut threads) = (format!("{interface}/{queue}"), Self::all(daemon));
        let thread = threads.remove(&name);
        thread.unwrap_or_else(|| panic!("no thread {name} among {:?}", threads.keys()))
    }

    #[track_caller]
    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("{}/{file}", self.folder)).expect("a file of a thread in /proc")
    }

    /// Returns a member of `status` (`proc_pid_status(5)`).
    #[track_caller]
    fn status(&self, member: &str) -> String {
        let status = self.read("status");
        let value = status.lines().find_map(|line| line.strip_prefix(member)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {member} in {status}")).trim().to_owned()
    }

    /// Returns the list of the CPUs on which the thread may run.
    #[track_caller]
    fn allowed_cpus(&self) -> String {
        self.status("Cpus_allowed_list")
    }

    /// Returns the number of times that the thread went to sleep.
    #[track_caller]
    fn sleeps(&self) -> u64 {
        self.status("voluntary_ctxt_switches").parse().expect("a number of context switches")
    }

    /// Returns the CPU time that the thread has used, in ticks of 10 ms.
    #[track_caller]
    fn ticks(&self) -> u64 {
        let stat = self.read("stat");
        // proc_pid_stat(5): utime and stime are the fields 14 and 15; the name in parentheses is the second.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in stat");
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number of ticks")).sum()
    }

    /// Waits until the thread has gone to sleep `count` times more, and returns the CPU time that it used meanwhile, in
    /// ticks of 10 ms.
    ///
    /// An idle responder wakes up four times a second, to renew its lease.
    #[track_caller]
    fn ticks_of_sleeps(&self, count: u64) -> u64 {
        let (ticks, sleeps) = (self.ticks(), self.sleeps());
        wait::until(format_args!("a responder to sleep {count} times"), TIMEOUT, || self.sleeps() >= sleeps + count);
        self.ticks() - ticks
    }

    /// Waits until the thread has gone to sleep, or has used 10 ticks of CPU time without that. Returns whether it has
    /// stayed awake.
    #[track_caller]
    fn stays_awake(&self) -> bool {
        let (ticks, sleeps) = (self.ticks(), self.sleeps());
        let mut is_asleep = false;
        wait::until("a responder to sleep or to use its CPU", TIMEOUT, || {
            is_asleep = self.sleeps() > sleeps;
            is_asleep || self.ticks() >= ticks + 10
        });
        !is_asleep
    }
}

/// Returns a member of each queue of an interface, as `status` has it.
fn of_queues(status: &Value, interface: usize, member: &str) -> Vec<Value> {
    let queues = status["interfaces"][interface]["queues"].as_array();
    queues.into_iter().flatten().map(|queue| queue[member].clone()).collect()
}

/// Returns whether a line of the daemon's log contains all of these texts.
fn has_logged(daemon: &Daemon, texts: &[&str]) -> bool {
    daemon.log().lines().any(|line| texts.iter().all(|text| line.contains(text)))
}

#[rstest]
#[case::one("1", 1, &[1])]
#[case::one_each("0-1", 2, &[0, 1])]
#[case::in_the_order_of_the_list("1,0", 2, &[1, 0])]
#[case::more_cpus_than_queues("1,0", 1, &[1])]
#[case::more_queues_than_cpus("0-1", 4, &[0, 1, 0, 1])]
fn each_responder_is_pinned_to_its_cpu(#[case] list: &str, #[case] queues: u32, #[case] cpus: &[u32]) {
    let lab = Lab::with_wire(WireOptions { queues, ..WireOptions::default() });
    let daemon = start(&lab, &["--cpus", list]);
    let mut facts = vec![PROXY_INTERFACE.to_owned()];
    for (queue, cpu) in (0..).zip(cpus) {
        let thread = Thread::of_queue(&daemon, PROXY_INTERFACE, queue);
        assert_eq!(thread.allowed_cpus(), cpu.to_string(), "queue {queue}");
        facts.push(format!("queue {queue} on CPU {cpu}"));
    }
    let [process, test] = [daemon.pid(), std::process::id()].map(|pid| Thread { folder: format!("/proc/{pid}") });
    assert_eq!(process.allowed_cpus(), test.allowed_cpus(), "the daemon's main thread is pinned");
    assert_eq!(json!(of_queues(&lab.filter.status(), 0, "cpu")), json!(cpus));
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    assert!(has_logged(&daemon, &facts), "{facts:?}");

    lab.filter.run(&["on"]);
    for _ in 0..8 {
        lab.expect_call_refused(&lab.caller(Family::V4));
    }
}

#[test]
fn responders_run_on_any_cpu_without_a_list_and_status_says_so() {
    let lab = Lab::new();
    let daemon = lab.start("native");
    let test = Thread { folder: "/proc/self".to_owned() };
    assert_eq!(Thread::of_interface(&daemon, PROXY_INTERFACE).allowed_cpus(), test.allowed_cpus());
    let status = lab.filter.status();
    assert_eq!(of_queues(&status, 0, "cpu"), [Value::Null]);
    assert_eq!(of_queues(&status, 0, "busy_poll"), [Value::Null]);
}

#[test]
fn second_interface_continues_with_the_next_cpu_of_the_list() {
    let lab = Lab::new();
    let daemon = start(&lab, &["--iface", "lo", "--cpus", "1,0"]);
    assert_eq!(Thread::of_interface(&daemon, PROXY_INTERFACE).allowed_cpus(), "1");
    assert_eq!(Thread::of_interface(&daemon, "lo").allowed_cpus(), "0");
    let status = lab.filter.status();
    assert_eq!([of_queues(&status, 0, "cpu"), of_queues(&status, 1, "cpu")], [[json!(1)], [json!(0)]]);
}

#[rstest]
#[case::two_on_one_cpu(&["--cpus", "1", "--busy-poll", "50"], true)]
#[case::each_on_its_own(&["--cpus", "0,1", "--busy-poll", "50"], false)]
#[case::without_polling(&["--cpus", "1"], false)]
fn responders_that_poll_on_one_cpu_raise_a_warning(#[case] arguments: &[&str], #[case] is_warned: bool) {
    let lab = Lab::new();
    let daemon = start(&lab, &[&["--iface", "lo"], arguments].concat());
    assert_eq!(has_logged(&daemon, &["WARN", "--busy-poll"]), is_warned);
    assert_eq!(has_logged(&daemon, &["WARN", "2 responders", "1 CPU"]), is_warned);
}

#[test]
fn table_of_status_shows_cpu_and_busy_polling() {
    let lab = Lab::new();
    let _daemon = start(&lab, &["--cpus", "1", "--busy-poll", "50"]);
    let shown = lab.filter.run(&["status"]);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<_> = shown.lines().map(words).collect();
    let head = lines.iter().position(|line| line.first().is_some_and(|word| word == "INTERFACE")).expect("a table");
    assert_eq!(lines[head][..7], ["INTERFACE", "MODE", "QUEUE", "SOCKET", "CPU", "BUSY", "POLL"], "{shown}");
    assert_eq!(lines[head + 1][..6], [PROXY_INTERFACE, "native", "0", "copy", "1", "50"], "{shown}");
}

#[test]
fn missing_cpu_is_named_before_anything_is_attached() {
    let lab = Lab::new();
    let output = lab.filter.output(&["run", "--iface", PROXY_INTERFACE, "--cpus", "0,1023"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    for fact in ["CPU 1023", "--cpus", online.trim()] {
        assert!(output.stderr.contains(fact), "no {fact:?} in {output:#?}");
    }
    // The line about an interface that is attached names the interface.
    assert!(!output.stderr.contains(PROXY_INTERFACE) && !output.stdout.contains("ready"), "{output:#?}");
    assert_eq!(lab.attached_program(), None);
}

#[rstest]
#[case::file("cpus = \"1\"\nbusy-poll = 40", &[], &[], (1, 40))]
#[case::environment("cpus = \"1\"\nbusy-poll = 40", &[("CPUS", "0"), ("BUSY_POLL", "30")], &[], (0, 30))]
#[case::flag(
    "cpus = \"1\"\nbusy-poll = 40",
    &[("CPUS", "1"), ("BUSY_POLL", "30")],
    &["--cpus", "0", "--busy-poll", "20"],
    (0, 20)
)]
fn flag_wins_over_environment_and_environment_over_file(
    #[case] file: &str,
    #[case] environment: &[(&str, &str)],
    #[case] flags: &[&str],
    #[case] (cpu, busy_poll_us): (u32, u32),
) {
    let lab = Lab::new();
    fs::write(lab.filter.config(), format!("[run]\n{file}\n")).unwrap();
    let variables: Vec<_> =
        environment.iter().map(|(name, value)| (format!("SIP_FILTER_{name}"), (*value).to_owned())).collect();
    let arguments = [&["--iface", PROXY_INTERFACE], flags].concat();
    let _daemon = Daemon::start_with_env(&lab.filter, &arguments, &variables);
    let status = lab.filter.status();
    assert_eq!(of_queues(&status, 0, "cpu"), [json!(cpu)]);
    assert_eq!(of_queues(&status, 0, "busy_poll")[0]["us"], busy_poll_us);
}

#[rstest]
#[case::native("native", &[])]
#[case::generic_without_napi("generic", &[])]
#[case::pinned_to_a_cpu("native", &["--cpus", "1"])]
fn calls_are_refused_with_busy_polling(#[case] mode: &str, #[case] arguments: &[&str]) {
    let lab = Lab::new();
    let daemon = start(&lab, &[&["--mode", mode, "--busy-poll", "50"], arguments].concat());
    assert_eq!(of_queues(&lab.filter.status(), 0, "busy_poll")[0]["us"], 50, "the option in the kernel");
    assert!(has_logged(&daemon, &[PROXY_INTERFACE, "50 us"]));

    let (v4, v6) = (lab.caller(Family::V4), lab.caller(Family::V6));
    let mut call = lab.expect_call_accepted(&v4);
    lab.filter.run(&["on"]);
    for _ in 0..20 {
        lab.expect_call_refused(&v4);
        lab.expect_call_refused(&v6);
    }
    v4.reinvite(&mut call);
    // Once the thread has gone to sleep.
    Thread::of_interface(&daemon, PROXY_INTERFACE).ticks_of_sleeps(2);
    lab.expect_call_refused(&v4);
    assert_eq!(lab.filter.stats().answered(), 41);
    lab.filter.run(&["off"]);
    lab.expect_call_accepted(&v4);
}

#[test]
fn counters_add_up_and_frames_are_conserved_with_busy_polling() {
    let lab = Lab::with_wire(WireOptions { quiet: true, ..WireOptions::default() });
    let _daemon = start(&lab, &["--busy-poll", "100000"]);
    let caller = lab.caller(Family::V4);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&caller);
    let sent = lab.send_bursts(&caller);
    // The filter does not see what the wire itself drops (the ring of a veth queue holds 256). One INVITE came first.
    let arrived = sent + 1 - lab.interface_counter(End::Caller, "tx", "dropped");
    let stats = lab.wait_for_stats(arrived);
    assert_eq!(stats.seen(), arrived, "{stats:?}");
    assert_eq!(stats.handled(), stats.verdict(Verdict::Redirected), "{stats:?}");
    wait::until("all frames to be sent", TIMEOUT, || {
        let frames = &lab.filter.status()["interfaces"][0]["queues"][0]["frames"];
        let count = |member: &str| frames[member].as_u64().unwrap_or_else(|| panic!("no {member} in {frames}"));
        assert_eq!(count("free") + count("receiving") + count("sending"), FRAMES);
        count("sending") == 0
    });
}

#[rstest]
#[case::without_polling(&[])]
#[case::after_polling(&["--busy-poll", "50"])]
fn idle_responder_sleeps(#[case] arguments: &[&str]) {
    let lab = Lab::new();
    let daemon = start(&lab, arguments);
    lab.filter.run(&["on"]);
    lab.expect_call_refused(&lab.caller(Family::V4));
    let used = Thread::of_interface(&daemon, PROXY_INTERFACE).ticks_of_sleeps(5);
    assert!(used <= 10, "{used} ticks of 10 ms in a second without a call");
}

#[test]
fn polling_responder_sleeps_before_the_first_call_and_stays_awake_after_a_call() {
    let lab = Lab::new();
    let daemon = start(&lab, &["--busy-poll", "1000000"]);
    lab.filter.run(&["on"]);
    let thread = Thread::of_interface(&daemon, PROXY_INTERFACE);
    let used = thread.ticks_of_sleeps(3);
    assert!(used <= 5, "{used} ticks of 10 ms before the first call");
    let caller = lab.caller(Family::V4);
    wait::until("the responder to stay awake after a call", TIMEOUT, || {
        lab.expect_call_refused(&caller);
        thread.stays_awake()
    });
}

/// Returns the number of packets that the kernel has handled in threads that polled a driver, on the proxy's host.
#[track_caller]
fn polled_packets(lab: &Lab) -> u64 {
    let text = lab.inside.exec("cat /proc/net/netstat");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next().expect("names in netstat"), lines.next().expect("values in netstat"));
    let mut counters = names.split(' ').zip(values.split(' '));
    let (_, value) = counters.find(|(name, _)| *name == "BusyPollRxPackets").expect("BusyPollRxPackets in netstat");
    value.parse().expect("a counter")
}

/// The version of the kernel decides whether a veth in copy mode has a NAPI instance (`responder/busy_poll.rs`).
#[test]
fn status_reports_correctly_whether_there_is_a_driver_to_poll() {
    let lab = Lab::new();
    // Otherwise the sender's softirq would always take the packets before a poll does.
    let defer = "mount -t sysfs none /sys && cd \"/sys/class/net/$0\" \
                 && echo 2 > napi_defer_hard_irqs && echo 200000 > gro_flush_timeout";
    let mut command = lab.inside.command("unshare");
    process::stdout(command.args(["--mount", "sh", "-c", defer, PROXY_INTERFACE]));
    let _daemon = start(&lab, &["--mode", "native", "--busy-poll", "1000000"]);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    for _ in 0..50 {
        lab.expect_call_refused(&caller);
    }
    let is_known = of_queues(&lab.filter.status(), 0, "busy_poll")[0]["napi_id"].is_u64();
    let shown = lab.filter.run(&["status"]);
    let row = shown.lines().find(|line| line.starts_with(PROXY_INTERFACE)).expect("a row in the table of status");
    assert_eq!(is_known, !row.contains("NAPI"), "{shown}");
    if is_known {
        wait::until("packets to be polled", TIMEOUT, || {
            lab.expect_call_refused(&caller);
            polled_packets(&lab) > 0
        });
    } else {
        assert_eq!(polled_packets(&lab), 0);
    }
}

#[test]
fn no_packet_is_polled_without_busy_polling() {
    let lab = Lab::new();
    let _daemon = lab.start("native");
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    for _ in 0..50 {
        lab.expect_call_refused(&caller);
    }
    assert_eq!(polled_packets(&lab), 0);
}

#[test]
fn interface_that_goes_down_while_it_is_polled_is_filtered_again() {
    let lab = Lab::new();
    let mut daemon = start(&lab, &["--busy-poll", "1000000"]);
    lab.filter.run(&["on"]);
    let caller = lab.caller(Family::V4);
    lab.expect_call_refused(&caller);
    interrupt_link(&lab, &mut daemon);
    lab.wait_for_status(503, &caller, Duration::from_secs(3));
    lab.expect_call_refused(&caller);
    let status = daemon.end(Signal::SIGTERM);
    assert_eq!(status.code(), Some(0), "a thread that is awake ends the daemon with {status}");
}
