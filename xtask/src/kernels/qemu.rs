//! The emulated machine: two CPUs, NICs connected to each other, a serial line, and a device that ends QEMU.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail};
use filter_lab::failure::catch;
use filter_lab::guest::plan::{BINARY, DONE_STATUS, EXIT_PORT, GuestReport, Plan, REPORT_PREFIX};
use filter_lab::installation::BINARY_VARIABLE as SIP_FILTER_BIN;
use filter_lab::namespace::Namespace;

/// The NICs of a machine.
pub(super) struct Machine {
    /// QEMU's name of the device, with options; `None` for a machine without NICs.
    pub(super) device: Option<&'static str>,
    /// Number of NICs.
    pub(super) nics: u32,
    /// Queue pairs of the NIC's backend. More than one requires TAP devices.
    pub(super) queues: u32,
    /// Selects TAP devices in a network namespace as backends, which virtio needs for offloads and several queues.
    /// Otherwise a hub connects the NICs.
    pub(super) tap: bool,
}

/// The outcome of a machine.
pub(super) struct Outcome {
    /// Reports of the guest, in the order of their arrival.
    pub(super) reports: Vec<GuestReport>,
    /// Reason why the guest did not finish its plan, if so.
    pub(super) trouble: Option<String>,
    /// Time from start to end.
    pub(super) took: Duration,
    /// File with the output of the serial line.
    pub(super) log: PathBuf,
}

/// QEMU, unpacked into a folder.
pub(super) struct Qemu {
    folder: PathBuf,
}

/// Returns the time that a machine may take for `plan`. It normally takes seconds; a busy host takes longer.
pub(super) fn timeout(plan: &Plan) -> Duration {
    let fixtures = if plan.fixtures { 660 } else { 0 };
    Duration::from_secs(60 + 60 * plan.cells.len() as u64 + 240 * plan.scenarios.len() as u64 + fixtures)
}

impl Qemu {
    /// Creates a `Qemu` from the folder into which its packages are unpacked.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Boots a machine and waits for its end, killing it after `timeout`. The serial line is copied to the file `log`.
    pub(super) fn boot(
        &self,
        kernel: &Path,
        initramfs: &Path,
        machine: &Machine,
        timeout: Duration,
        log: PathBuf,
    ) -> Result<Outcome> {
        let namespace = catch(Namespace::new).map_err(Error::msg)?;
        let mut command = self.command(&namespace, kernel, initramfs);
        command.args(network(&namespace, machine)?);
        let errors = create(&log.with_extension("errors"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let start = Instant::now();
        let mut child = command.spawn().context("cannot start QEMU")?;

        let output = child.stdout.take().context("QEMU has no standard output")?;
        let (lines, reader) = copy_lines(output, create(&log)?);
        let (reports, timed_out) = collect_reports(&lines, start, timeout)?;
        if timed_out {
            child.kill().context("cannot kill QEMU")?;
        }
        let status = child.wait().context("cannot wait for QEMU")?;
        // The reader ends with QEMU's output. If it panicked, its lines are missing and the plan counts as unfinished.
        let _ = reader.join();
        let trouble =
            if timed_out { Some(format!("the machine was killed after {timeout:?}")) } else { early_end(status) };
        Ok(Outcome { reports, trouble, took: start.elapsed(), log })
    }

    /// Returns the command for a machine without NICs. QEMU is killed when the calling thread ends.
    fn command(&self, namespace: &Namespace, kernel: &Path, initramfs: &Path) -> Command {
        // With its own loader and libraries, because the host may run another Debian release.
        let libraries = self.folder.join("usr/lib/x86_64-linux-gnu");
        let mut command = namespace.command(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(self.folder.join("usr/bin/qemu-system-x86_64"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.folder.join(data));
        }
        command.args(["-M", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"]);
        // Without -nodefaults there would be another NIC.
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
        // The kernel passes parameters that it does not know to the environment of its first process.
        let environment = format!("PATH=/usr/sbin:/usr/bin:/sbin:/bin {SIP_FILTER_BIN}={BINARY}");
        command.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 mitigations=off {environment}"));
        command.arg("-device").arg(format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04"));
        command
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Starts a thread that copies `output` to `log` and sends each line.
fn copy_lines(output: impl Read + Send + 'static, mut log: File) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            // The log is for people. Without it, the reports still arrive.
            let _ = log.write_all(&line);
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    (lines, reader)
}

/// Collects the guest's reports until its output ends. Returns them, and whether `timeout` expired before.
fn collect_reports(lines: &Receiver<String>, start: Instant, timeout: Duration) -> Result<(Vec<GuestReport>, bool)> {
    let mut reports = Vec::new();
    loop {
        match lines.recv_timeout(timeout.saturating_sub(start.elapsed())) {
            Ok(line) => reports.extend(parse_report(&line)?),
            Err(RecvTimeoutError::Disconnected) => return Ok((reports, false)),
            Err(RecvTimeoutError::Timeout) => return Ok((reports, true)),
        }
    }
}

/// Parses a line of the serial line. Returns `None` for a line that is not a report.
fn parse_report(line: &str) -> Result<Option<GuestReport>> {
    let Some(report) = line.trim().strip_prefix(REPORT_PREFIX) else { return Ok(None) };
    serde_json::from_str(report).map(Some).with_context(|| format!("cannot parse the guest's report: {report}"))
}

/// Returns a description of QEMU's end, unless the guest has finished its plan.
fn early_end(status: ExitStatus) -> Option<String> {
    (status.code() != Some(DONE_STATUS))
        .then(|| format!("the machine ended before it finished its plan (QEMU: {status})"))
}

/// Returns QEMU's options for the NICs, and creates the backends if these are TAP devices.
fn network(namespace: &Namespace, machine: &Machine) -> Result<Vec<String>> {
    let Some(device) = machine.device else { return Ok(Vec::new()) };
    if machine.tap {
        catch(|| create_bridge(namespace, machine)).map_err(Error::msg)?;
    } else if machine.queues != 1 {
        bail!("a hub has one queue per NIC: {} queues require TAP devices", machine.queues);
    }
    let mut options = Vec::new();
    for end in 0..machine.nics {
        // The slots are not adjacent, because igb's virtual functions take the slots 16 and 17 above its own.
        let slot = 4 * (end + 1);
        let netdev = if machine.tap {
            format!("tap,id=end{end},ifname={},script=no,downscript=no,queues={}", tap(end), machine.queues)
        } else {
            format!("hubport,id=end{end},hubid=0")
        };
        let mac = format!("02:00:00:00:01:0{}", end + 1);
        // No boot ROM, because the machine does not boot from the network.
        let device = format!("{device},netdev=end{end},mac={mac},addr={slot:#x},romfile=");
        options.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), device]);
    }
    Ok(options)
}

/// Returns the name of the TAP device behind the NIC `end`.
fn tap(end: u32) -> String {
    format!("end{end}")
}

/// Creates TAP devices and a bridge between them.
fn create_bridge(namespace: &Namespace, machine: &Machine) {
    /// Larger than any MTU that a scenario sets in the machine.
    const MTU: u32 = 9216;
    // Keeps the host's IPv6 from sending router solicitations and the like on this wire.
    namespace.set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    namespace.ip("link add wire type bridge stp_state 0 mcast_snooping 0");
    for end in 0..machine.nics {
        let multi = if machine.queues > 1 { " multi_queue" } else { "" };
        namespace.ip(&format!("tuntap add dev {} mode tap vnet_hdr{multi}", tap(end)));
        namespace.ip(&format!("link set {} master wire mtu {MTU} up", tap(end)));
    }
    namespace.ip("link set wire up");
}
