//! Where the responder threads run (`--cpus`) and how they wait (`--busy-poll`).
//!
//! The machine has to have the CPUs 0 and 1.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::daemon::Daemon;
use filter_lab::lab::Lab;
use filter_lab::wire::{End, Family, PROXY_INTERFACE, WireOptions, wait_until_up};
use filter_lab::{process, wait};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::{Value, json};

/// Frames of a queue's UMEM.
const FRAMES: u64 = 4096;

/// The daemon on the proxy's end of the wire, with these arguments more.
fn start(lab: &Lab, arguments: &[&str]) -> Result<Daemon> {
    lab.filter.start(&[&["--iface", PROXY_INTERFACE], arguments].concat())
}

/// The folders in `/proc` of the daemon's threads, by the names of the threads.
fn threads(daemon: &Daemon) -> Result<BTreeMap<String, String>> {
    let mut threads = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
        let folder = thread?.path().display().to_string();
        threads.insert(fs::read_to_string(format!("{folder}/comm"))?.trim().to_owned(), folder);
    }
    Ok(threads)
}

/// The folder in `/proc` of the thread of a queue of the proxy's interface.
fn responder(daemon: &Daemon, queue: u32) -> Result<String> {
    let name = format!("{PROXY_INTERFACE}/{queue}");
    let threads = threads(daemon)?;
    threads.get(&name).cloned().with_context(|| format!("no thread {name} among {:?}", threads.keys()))
}

/// `Cpus_allowed_list` of a process or thread.
fn allowed(folder: &str) -> Result<String> {
    let status = fs::read_to_string(format!("{folder}/status"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(list.context("no Cpus_allowed_list")?.trim().to_owned())
}

/// The CPU time that a thread has used, in ticks of 10 ms.
fn ticks(folder: &str) -> Result<u64> {
    let stat = fs::read_to_string(format!("{folder}/stat"))?;
    // proc_pid_stat(5): utime and stime are the fields 14 and 15; the name in brackets is the second.
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || anyhow::Ok(times.next().context("no times in stat")??);
    Ok(next()? + next()?)
}

/// A member of each queue of an interface, by its place, as `status` shows it.
fn of_queues(status: &Value, interface: usize, member: &str) -> Vec<Value> {
    let queues = status["interfaces"][interface]["queues"].as_array();
    queues.into_iter().flatten().map(|queue| queue[member].clone()).collect()
}

#[rstest]
#[case::one("1", 1, &[1])]
#[case::one_each("0-1", 2, &[0, 1])]
#[case::as_they_are_named("1,0", 2, &[1, 0])]
#[case::more_cpus_than_queues("1,0", 1, &[1])]
#[case::in_turn("0-1", 4, &[0, 1, 0, 1])]
fn each_responder_is_kept_on_its_cpu(#[case] list: &str, #[case] queues: u32, #[case] cpus: &[u32]) -> Result<()> {
    let lab = Lab::with(WireOptions { queues, ..WireOptions::default() })?;
    let daemon = start(&lab, &["--cpus", list])?;
    let mut told = Vec::new();
    for (queue, cpu) in cpus.iter().enumerate() {
        assert_eq!(allowed(&responder(&daemon, queue as u32)?)?, cpu.to_string(), "queue {queue}");
        told.push(format!("queue {queue} on CPU {cpu}"));
    }
    assert_eq!(allowed(&format!("/proc/{}", daemon.pid()))?, allowed("/proc/self")?, "the rest stays where it was");
    assert_eq!(json!(of_queues(&lab.filter.status()?, 0, "cpu")), json!(cpus));
    assert!(daemon.log().contains(&told.join(", ")), "{}", daemon.log());

    lab.filter.done(&["on"])?;
    for _ in 0..8 {
        lab.is_refused(&lab.caller(Family::V4)?)?;
    }
    Ok(())
}

#[test]
fn without_a_list_responders_run_anywhere_and_status_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = lab.start("native")?;
    assert_eq!(allowed(&responder(&daemon, 0)?)?, allowed("/proc/self")?);
    let status = lab.filter.status()?;
    assert_eq!(of_queues(&status, 0, "cpu"), [Value::Null]);
    assert_eq!(of_queues(&status, 0, "busy_poll"), [Value::Null]);
    Ok(())
}

#[test]
fn the_next_interface_goes_on_with_the_next_cpu() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = start(&lab, &["--iface", "lo", "--cpus", "1,0"])?;
    assert_eq!(allowed(&responder(&daemon, 0)?)?, "1");
    let threads = threads(&daemon)?;
    assert_eq!(allowed(threads.get("lo/0").context("no thread for lo")?)?, "0");
    let status = lab.filter.status()?;
    assert_eq!([of_queues(&status, 0, "cpu"), of_queues(&status, 1, "cpu")], [[json!(1)], [json!(0)]]);
    Ok(())
}

#[rstest]
#[case::two_on_one_cpu(&["--cpus", "1", "--busy-poll", "50"], true)]
#[case::each_on_its_own(&["--cpus", "0,1", "--busy-poll", "50"], false)]
#[case::without_polling(&["--cpus", "1"], false)]
fn responders_that_poll_on_one_cpu_are_warned_of(#[case] arguments: &[&str], #[case] warned: bool) -> Result<()> {
    let lab = Lab::new()?;
    let daemon = start(&lab, &[&["--iface", "lo"], arguments].concat())?;
    let log = daemon.log();
    assert_eq!(log.contains("WARN") && log.contains("2 responders for 1 CPU,"), warned, "{log}");
    Ok(())
}

#[test]
fn the_table_of_status_shows_cpu_and_polling() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = start(&lab, &["--cpus", "1", "--busy-poll", "50"])?;
    let shown = lab.filter.done(&["status"])?;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<_> = shown.lines().map(words).collect();
    let head =
        lines.iter().position(|line| line.first().is_some_and(|word| word == "INTERFACE")).context("no table")?;
    assert_eq!(lines[head][..7], ["INTERFACE", "MODE", "QUEUE", "SOCKET", "CPU", "BUSY", "POLL"], "{shown}");
    assert_eq!(lines[head + 1][..6], [PROXY_INTERFACE, "native", "0", "copy", "1", "50"], "{shown}");
    Ok(())
}

#[test]
fn a_cpu_that_is_not_there_is_named_before_anything_is_attached() -> Result<()> {
    let lab = Lab::new()?;
    let answer = lab.filter.cli(&["run", "--iface", PROXY_INTERFACE, "--cpus", "0,1023"])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    let online = fs::read_to_string("/sys/devices/system/cpu/online")?;
    let usable = format!("can use {}", online.trim());
    assert!(answer.stderr.contains("CPU 1023") && answer.stderr.contains(&usable), "{answer:#?}");
    assert!(!answer.stderr.contains("attach") && !answer.stdout.contains("ready"), "{answer:#?}");
    assert_eq!(lab.attached()?, None);
    Ok(())
}

#[rstest]
#[case::file("cpus = \"1\"\nbusy-poll = 40", &[], &[], (1, 40))]
#[case::environment("cpus = \"1\"\nbusy-poll = 40", &[("CPUS", "0"), ("BUSY_POLL", "30")], &[], (0, 30))]
#[case::flag("cpus = \"1\"\nbusy-poll = 40", &[("CPUS", "1"), ("BUSY_POLL", "30")], &["--cpus", "0", "--busy-poll", "20"], (0, 20))]
fn a_flag_wins_over_the_environment_and_that_over_the_file(
    #[case] file: &str,
    #[case] environment: &[(&str, &str)],
    #[case] flags: &[&str],
    #[case] (cpu, busy_poll_us): (u32, u32),
) -> Result<()> {
    let lab = Lab::new()?;
    fs::write(lab.filter.config(), format!("[run]\n{file}\n"))?;
    let variables: Vec<_> =
        environment.iter().map(|(name, value)| (format!("SIP_FILTER_{name}"), (*value).to_owned())).collect();
    let arguments = [&["--iface", PROXY_INTERFACE], flags].concat();
    let _daemon = Daemon::start_with(&lab.filter, &arguments, &variables)?;
    let status = lab.filter.status()?;
    assert_eq!(of_queues(&status, 0, "cpu"), [json!(cpu)]);
    assert_eq!(of_queues(&status, 0, "busy_poll")[0]["us"], busy_poll_us);
    Ok(())
}

#[rstest]
#[case::native("native", &[])]
#[case::generic_without_napi("generic", &[])]
#[case::kept_on_a_cpu("native", &["--cpus", "1"])]
fn calls_are_refused_with_busy_polling(#[case] mode: &str, #[case] arguments: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let daemon = start(&lab, &[&["--mode", mode, "--busy-poll", "50"], arguments].concat())?;
    assert_eq!(of_queues(&lab.filter.status()?, 0, "busy_poll")[0]["us"], 50, "the kernel has the option");
    assert!(daemon.log().contains("polled for 50 us"), "{}", daemon.log());

    let (v4, v6) = (lab.caller(Family::V4)?, lab.caller(Family::V6)?);
    let mut call = lab.goes_through(&v4)?;
    lab.filter.done(&["on"])?;
    for _ in 0..20 {
        lab.is_refused(&v4)?;
        lab.is_refused(&v6)?;
    }
    v4.reinvite(&mut call)?;
    // After a pause, in which the thread has gone to sleep.
    sleep(Duration::from_millis(300));
    lab.is_refused(&v4)?;
    assert_eq!(lab.filter.stats()?.responder("answered")?, 41);
    lab.filter.done(&["off"])?;
    lab.goes_through(&v4)?;
    Ok(())
}

#[test]
fn counters_add_up_and_frames_are_conserved_with_busy_polling() -> Result<()> {
    let lab = Lab::with(WireOptions { quiet: true, ..WireOptions::default() })?;
    let _daemon = start(&lab, &["--busy-poll", "100000"])?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;
    let sent = lab.send_bursts(&caller)?;
    // What the wire itself drops (the ring of a veth queue holds 256) comes to nobody's notice. One INVITE was first.
    let arrived = sent + 1 - lab.interface_counter(End::Caller, "tx", "dropped")?;
    let stats = lab.counted(arrived)?;
    assert_eq!(stats.seen(), arrived, "{stats:?}");
    assert_eq!(stats.handled(), stats.verdict("redirected")?, "{stats:?}");
    wait::until("all frames to be back", Duration::from_secs(2), || {
        let frames = &lab.filter.status()?["interfaces"][0]["queues"][0]["frames"];
        let of = |member: &str| frames[member].as_u64().with_context(|| format!("{member} in {frames}"));
        assert_eq!(of("free")? + of("receiving")? + of("sending")?, FRAMES);
        Ok(of("sending")? == 0)
    })?;
    Ok(())
}

#[rstest]
#[case::without_polling(&[])]
#[case::after_polling(&["--busy-poll", "50"])]
fn an_idle_responder_sleeps(#[case] arguments: &[&str]) -> Result<()> {
    let lab = Lab::new()?;
    let daemon = start(&lab, arguments)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&lab.caller(Family::V4)?)?;
    let thread = responder(&daemon, 0)?;
    let before = ticks(&thread)?;
    sleep(Duration::from_secs(1));
    let used = ticks(&thread)? - before;
    assert!(used <= 10, "{used} ticks of 10 ms in a second without a call");
    Ok(())
}

#[test]
fn after_a_call_a_polling_responder_stays_awake() -> Result<()> {
    let lab = Lab::new()?;
    let daemon = start(&lab, &["--busy-poll", "1000000"])?;
    lab.filter.done(&["on"])?;
    let thread = responder(&daemon, 0)?;
    let before = ticks(&thread)?;
    sleep(Duration::from_millis(300));
    assert!(ticks(&thread)? - before <= 5, "it does not poll before there was a call");
    let caller = lab.caller(Family::V4)?;
    wait::until("the responder to use its CPU", Duration::from_secs(10), || {
        lab.is_refused(&caller)?;
        let before = ticks(&thread)?;
        sleep(Duration::from_millis(500));
        Ok(ticks(&thread)? - before >= 10)
    })?;
    Ok(())
}

/// Packets that the kernel has handled in threads that polled a driver, on the proxy's host.
fn polled_packets(lab: &Lab) -> Result<u64> {
    let text = lab.inside.sh("cat /proc/net/netstat")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let names = lines.next().context("no names in netstat")?.split(' ');
    let mut counters = names.zip(lines.next().context("no values in netstat")?.split(' '));
    let (_, value) = counters.find(|(name, _)| *name == "BusyPollRxPackets").context("no BusyPollRxPackets")?;
    Ok(value.parse()?)
}

/// Which kernel knows a NAPI instance for a veth in copy mode, is the kernel's matter (`responder/busy_poll.rs`); that the
/// operator is told, is ours.
#[test]
fn status_is_right_about_whether_there_is_a_driver_to_poll() -> Result<()> {
    let lab = Lab::new()?;
    // So that the sender's own softirq is not always the first.
    let defer = "mount -t sysfs none /sys && cd \"/sys/class/net/$0\" \
                 && echo 2 > napi_defer_hard_irqs && echo 200000 > gro_flush_timeout";
    let mut command = lab.inside.command("unshare");
    process::output(command.args(["--mount", "sh", "-c", defer, PROXY_INTERFACE]))?;
    let _daemon = start(&lab, &["--mode", "native", "--busy-poll", "1000000"])?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    for _ in 0..50 {
        lab.is_refused(&caller)?;
    }
    let known = of_queues(&lab.filter.status()?, 0, "busy_poll")[0]["napi_id"].is_u64();
    let shown = lab.filter.done(&["status"])?;
    assert_eq!(known, !shown.contains("1000000 us, no NAPI"), "{shown}");
    if known {
        wait::until("packets to be polled", Duration::from_secs(10), || {
            lab.is_refused(&caller)?;
            Ok(polled_packets(&lab)? > 0)
        })?;
    } else {
        assert_eq!(polled_packets(&lab)?, 0);
    }
    Ok(())
}

#[test]
fn without_busy_polling_no_packet_is_polled() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    for _ in 0..50 {
        lab.is_refused(&caller)?;
    }
    assert_eq!(polled_packets(&lab)?, 0);
    Ok(())
}

#[test]
fn an_interface_that_goes_down_while_it_is_polled_is_filtered_again() -> Result<()> {
    let lab = Lab::new()?;
    let mut daemon = start(&lab, &["--busy-poll", "1000000"])?;
    lab.filter.done(&["on"])?;
    let caller = lab.caller(Family::V4)?;
    lab.is_refused(&caller)?;
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} down"))?;
    sleep(Duration::from_millis(300));
    assert!(daemon.is_running()?);
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} up"))?;
    wait_until_up(&lab.inside, PROXY_INTERFACE)?;
    lab.until_calls_are(true, &caller, Duration::from_secs(3))?;
    lab.is_refused(&caller)?;
    let status = daemon.end(Signal::SIGTERM)?;
    assert_eq!(status.code(), Some(0), "{status}: it ends at once although it is awake");
    Ok(())
}
