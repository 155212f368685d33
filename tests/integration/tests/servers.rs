//! The daemon on real database servers: what they say is in force, and what happens to them changes nothing but the alarms.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use filter_lab::daemon::Daemon;
use filter_lab::database::{Kind, Network, Server};
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{End, Family, PROXY_INTERFACE};
use nix::sys::signal::Signal;
use rstest::rstest;

/// By when a change has to be in force on a busy test machine.
const IN_FORCE: Duration = Duration::from_secs(3);
/// By when an outage has to be told.
const TOLD: Duration = Duration::from_secs(5);
/// By when a database is found again that is back: the longest pause between two attempts, and some.
const FOUND: Duration = Duration::from_secs(10);

/// A laboratory on a server that listens on a socket.
fn lab(kind: Kind) -> Result<(Server, Lab)> {
    let server = Server::start(kind)?;
    let lab = Lab::new()?.on_database(server.url())?;
    Ok((server, lab))
}

/// A laboratory on a server that is reached over the wire, so that this can be cut.
fn lab_over_the_wire(kind: Kind, tls: bool) -> Result<(Server, Lab)> {
    let lab = Lab::new()?;
    let address = SocketAddr::new(End::Caller.address(Family::V4), if kind == Kind::Mariadb { 3306 } else { 5432 });
    let server = Server::on(kind, Network { namespace: lab.outside.clone(), address, tls })?;
    let url = server.network_url()?;
    Ok((server, lab.on_database(url)?))
}

fn start(lab: &Lab, node: &str) -> Result<Daemon> {
    lab.filter.start(&["--iface", PROXY_INTERFACE, "--mode", "native", "--node", node])
}

fn set_row(server: &Server, key: &str, value: &str) -> Result<()> {
    server.sql(&format!("DELETE FROM htable_config WHERE key_name = '{key}'"))?;
    server.sql(&format!("INSERT INTO htable_config (key_name, key_value) VALUES ('{key}', '{value}')"))?;
    Ok(())
}

/// The alarms in force, as one text.
fn alarms(lab: &Lab) -> Result<String> {
    let status = lab.filter.status()?;
    let texts = status["alarms"].as_array().into_iter().flatten().filter_map(|alarm| alarm["text"].as_str());
    Ok(texts.collect::<Vec<_>>().join("\n"))
}

/// Waits until the outage is told, and returns what is told.
fn outage(lab: &Lab) -> Result<String> {
    wait::for_some("an alarm about the database", TOLD, || {
        Ok(Some(alarms(lab)?).filter(|alarms| alarms.contains("cannot be read")))
    })
}

fn recovers(lab: &Lab) -> Result<()> {
    wait::until("the alarm to end", FOUND, || Ok(alarms(lab)?.is_empty())).map(drop)
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn a_row_changed_from_outside_is_in_force_and_so_is_a_command(#[case] kind: Kind) -> Result<()> {
    let (server, lab) = lab(kind)?;
    let _daemon = start(&lab, "sbc1")?;
    let caller = lab.caller(Family::V4)?;
    lab.goes_through(&caller)?;
    for (value, refused) in [("1", true), ("0", false), ("1", true)] {
        set_row(&server, "maint", value)?;
        lab.until_calls_are(refused, &caller, IN_FORCE)?;
    }
    lab.filter.done(&["off"])?;
    lab.goes_through(&caller)?;
    lab.filter.done(&["on", "--code", "480"])?;
    caller.expect(&caller.invite(), 480)?;
    assert_eq!(server.sql("SELECT key_value FROM htable_config WHERE key_name = 'maint'")?, "1");
    // Its own row wins, and may be of the other kind of value.
    set_row(&server, "maint@sbc1", "0")?;
    lab.until_calls_are(false, &caller, IN_FORCE)?;
    set_row(&server, "maint@sbc2", "1")?;
    lab.filter.done(&["reload"])?;
    lab.goes_through(&caller)?;
    server.sql("DELETE FROM htable_config WHERE key_name = 'maint@sbc1'")?;
    wait::until("maint to count again", IN_FORCE, || {
        let response = caller.ask_for(&caller.invite(), Duration::from_millis(50))?;
        Ok(response.and_then(|response| response.status()) == Some(480))
    })?;
    Ok(())
}

#[rstest]
#[case::killed(Server::kill, Server::begin)]
#[case::stopped(Server::stop, Server::begin)]
#[case::hung(|server: &mut Server| server.signal(Signal::SIGSTOP), |server: &mut Server| server.signal(Signal::SIGCONT))]
#[case::out_of_connections(
    |server: &mut Server| { server.limit_connections(1)?; server.disconnect() },
    |server: &mut Server| server.limit_connections(0)
)]
#[case::password_changed(
    |server: &mut Server| { server.change_password("another")?; server.disconnect() },
    |server: &mut Server| server.change_password("s3cret")
)]
fn an_outage_changes_nothing_is_told_and_ends_by_itself(
    #[values(Kind::Mariadb, Kind::Postgres)] kind: Kind,
    #[case] begin: fn(&mut Server) -> Result<()>,
    #[case] end: fn(&mut Server) -> Result<()>,
) -> Result<()> {
    let (mut server, lab) = lab(kind)?;
    let mut daemon = start(&lab, "sbc1")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;

    begin(&mut server)?;
    let told = outage(&lab)?;
    assert!(!format!("{told}{}", daemon.log()).contains("s3cret"), "{told}");
    lab.is_refused(&caller)?;
    assert!(daemon.is_running()?);

    end(&mut server)?;
    set_row(&server, "maint", "0")?;
    lab.until_calls_are(false, &caller, FOUND)?;
    recovers(&lab)
}

/// A server that answers, and a table that does not: nobody waits for it longer than for a server that is gone. The
/// table of migrations is read when the database is opened anew.
#[rstest]
fn a_table_that_somebody_has_locked_is_an_outage(
    #[values(Kind::Mariadb, Kind::Postgres)] kind: Kind,
    #[values("htable_config", "sip_filter_migration")] table: &str,
) -> Result<()> {
    let (server, lab) = lab(kind)?;
    let _daemon = start(&lab, "sbc1")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    let lock = server.lock(table)?;
    server.disconnect()?;
    outage(&lab)?;
    let begin = Instant::now();
    let answer = lab.filter.cli(&["off"])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}: {answer:#?}", begin.elapsed());
    lab.is_refused(&caller)?;

    drop(lock);
    recovers(&lab)?;
    lab.filter.done(&["off"])?;
    lab.goes_through(&caller)?;
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn a_table_that_is_gone_is_an_outage_and_made_by_migrate_alone(#[case] kind: Kind) -> Result<()> {
    let (server, lab) = lab(kind)?;
    let _daemon = start(&lab, "sbc1")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    server.sql("DROP TABLE htable_config")?;
    let told = outage(&lab)?;
    assert!(told.contains("sip-filter migrate"), "{told}");
    lab.is_refused(&caller)?;
    lab.filter.done(&["migrate"])?;
    recovers(&lab)?;
    // The trigger is there again, or the poll is: empty means off.
    lab.until_calls_are(false, &caller, FOUND)?;
    set_row(&server, "maint", "1")?;
    lab.until_calls_are(true, &caller, IN_FORCE)?;
    Ok(())
}

/// By TLS, with the server's certificate verified; then the cable is pulled, so that nothing comes back, not even an RST.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn a_network_that_is_cut_is_told_and_found_again(#[case] kind: Kind) -> Result<()> {
    let (server, lab) = lab_over_the_wire(kind, true)?;
    let mut daemon = start(&lab, "sbc1")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on"])?;
    lab.is_refused(&caller)?;
    assert!(daemon.is_running()?);

    lab.outside.ip(&format!("link set dev {} down", End::Caller.interface()))?;
    outage(&lab)?;
    assert_eq!(lab.filter.status()?["policy"]["maintenance"], true);
    set_row(&server, "maint", "0")?;
    lab.outside.ip(&format!("link set dev {} up", End::Caller.interface()))?;
    wait::until("maintenance to be off", FOUND, || Ok(lab.filter.status()?["policy"]["maintenance"] == false))?;
    recovers(&lab)
}

#[rstest]
#[case::mariadb(Kind::Mariadb, "ssl-mode=DISABLED")]
#[case::postgres(Kind::Postgres, "sslmode=disable")]
fn a_server_that_wants_tls_gets_it_or_nothing(#[case] kind: Kind, #[case] without: &str) -> Result<()> {
    let (server, lab) = lab_over_the_wire(kind, true)?;
    lab.filter.done(&["migrate"])?;
    let url = server.network_url()?;
    let (base, _) = url.split_once('?').unwrap_or((&url, ""));
    let lab = lab.on_database(format!("{base}?{without}"))?;
    let answer = lab.filter.cli(&["migrate"])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(!format!("{answer:?}").contains("s3cret"), "{answer:#?}");
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn a_daemon_without_its_server_comes_up_in_the_state_it_went_down_in(#[case] kind: Kind) -> Result<()> {
    let (mut server, lab) = lab(kind)?;
    let caller = lab.caller(Family::V4)?;
    let mut daemon = start(&lab, "sbc1")?;
    lab.filter.done(&["on"])?;
    daemon.end(Signal::SIGKILL)?;
    server.kill()?;

    let mut daemon = start(&lab, "sbc1")?;
    lab.is_refused(&caller)?;
    assert_eq!(lab.filter.status()?["source"], "state_file");
    assert!(daemon.log().contains("from the state file"), "{}", daemon.log());
    daemon.end(Signal::SIGKILL)?;

    fs::remove_file(lab.filter.state())?;
    let _daemon = start(&lab, "sbc1")?;
    lab.goes_through(&caller)?;
    assert_eq!(lab.filter.status()?["source"], "default");
    server.begin()?;
    lab.until_calls_are(true, &caller, FOUND)?;
    Ok(())
}

/// The planned end comes although nobody can read it any more, and stands in the table when somebody can.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn maintenance_ends_as_planned_with_the_server_down(#[case] kind: Kind) -> Result<()> {
    let (mut server, lab) = lab(kind)?;
    let _daemon = start(&lab, "sbc1")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on", "--for", "3s"])?;
    server.kill()?;
    lab.is_refused(&caller)?;
    lab.until_calls_are(false, &caller, Duration::from_secs(10))?;
    server.begin()?;
    let flag = "SELECT key_value FROM htable_config WHERE key_name = 'maint'";
    wait::until("the row to say so", FOUND, || Ok(server.sql(flag)? == "0"))?;
    let via = server.sql("SELECT via, action FROM sip_filter_event ORDER BY id DESC LIMIT 1")?;
    assert_eq!(via, "planned\toff");
    lab.goes_through(&caller)?;
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn two_hosts_share_a_database_and_wait_for_each_other(#[case] kind: Kind) -> Result<()> {
    let (server, one) = lab(kind)?;
    let two = Lab::new()?.on_database(server.url())?;
    let (_first, second) = (start(&one, "sbc1")?, start(&two, "sbc2")?);
    let (caller_one, caller_two) = (one.caller(Family::V4)?, two.caller(Family::V4)?);

    let done = one.filter.done(&["on", "--wait", "--why", "upgrade"])?;
    assert!(done.contains("all that are alive"), "{done}");
    one.is_refused(&caller_one)?;
    two.is_refused(&caller_two)?;

    one.filter.done(&["off", "--node", "sbc2", "--wait"])?;
    one.is_refused(&caller_one)?;
    two.goes_through(&caller_two)?;
    let status = two.filter.done(&["status"])?;
    assert!(status.contains("maint@sbc2"), "{status}");
    one.filter.done(&["on", "--all", "--wait"])?;
    two.is_refused(&caller_two)?;

    // One that hangs is named, and the others have applied it.
    second.signal(Signal::SIGSTOP)?;
    let answer = one.filter.cli(&["off", "--wait=1s"])?;
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    assert!(answer.stdout.contains("NOT APPLIED") && answer.stdout.contains("sbc2"), "{answer:#?}");
    one.goes_through(&caller_one)?;
    second.signal(Signal::SIGCONT)?;
    two.until_calls_are(false, &caller_two, FOUND)?;

    let nodes = two.filter.done(&["nodes"])?;
    assert!(nodes.contains("sbc1") && nodes.contains("sbc2") && nodes.contains("maintenance off"), "{nodes}");
    let history = two.filter.done(&["history"])?;
    let actions: Vec<_> = history.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(actions, ["off", "on", "off", "on"], "{history}");
    assert!(history.contains("upgrade") && history.contains("root"), "{history}");
    Ok(())
}

/// Two operators, each on a host of their own: whoever comes last, both hosts do what the row says.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn hosts_toggled_at_the_same_instant_end_in_the_same_state(#[case] kind: Kind) -> Result<()> {
    let (server, one) = lab(kind)?;
    let two = Lab::new()?.on_database(server.url())?;
    let (_first, _second) = (start(&one, "sbc1")?, start(&two, "sbc2")?);
    for _ in 0..5 {
        thread::scope(|scope| {
            let on = scope.spawn(|| one.filter.done(&["on"]));
            let off = scope.spawn(|| two.filter.done(&["off"]));
            [on, off].into_iter().try_for_each(|done| done.join().expect("no panic").map(drop))
        })?;
        let row = server.sql("SELECT key_value FROM htable_config WHERE key_name = 'maint'")?;
        for lab in [&one, &two] {
            wait::until("the host to do what the row says", IN_FORCE, || {
                Ok(lab.filter.status()?["policy"]["maintenance"] == (row == "1"))
            })?;
        }
    }
    Ok(())
}

/// Others can see the arguments of a process, and read its log.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn the_password_is_nowhere_to_be_seen(#[case] kind: Kind) -> Result<()> {
    let (_server, lab) = lab(kind)?;
    let daemon = start(&lab, "sbc1")?;
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.pid()))?;
    let status = format!("{}{}", lab.filter.done(&["status"])?, lab.filter.status()?);
    let seen = format!("{}{status}{}", String::from_utf8_lossy(&arguments), daemon.log());
    assert!(seen.contains("sip_filter:***@"), "{seen}");
    assert!(!seen.contains("s3cret"), "{seen}");
    Ok(())
}
