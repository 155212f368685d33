//! The emulated machine: two CPUs, two NICs that are connected with each other, a serial line, and an end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail};
use filter_lab::failure::catch;
use filter_lab::guest::plan::{BINARY, DONE_STATUS, EXIT_PORT, MARK, Plan, Said};
use filter_lab::installation::BINARY_VARIABLE as SIP_FILTER_BIN;
use filter_lab::namespace::Namespace;

/// The NICs of a machine.
pub(super) struct Machine {
    /// QEMU's device, with its options; none if there are no NICs.
    pub(super) device: Option<&'static str>,
    /// How many queue pairs the NIC's other side has: more than one takes TAP devices, which are in a network namespace.
    pub(super) queues: u32,
    /// Whether the other side is a TAP device, as it is for virtio to have offloads and queues.
    pub(super) tap: bool,
}

/// What came of a machine.
pub(super) struct Outcome {
    /// What the guest said, in that order.
    pub(super) said: Vec<Said>,
    /// Why it did not come to its end, if so.
    pub(super) trouble: Option<String>,
    pub(super) took: Duration,
}

/// QEMU, unpacked.
pub(super) struct Qemu {
    folder: PathBuf,
}

/// How long a machine may take for a plan. It takes some seconds where nothing goes wrong; a busy host needs more.
pub(super) fn patience(plan: &Plan) -> Duration {
    let fixtures = if plan.fixtures { 660 } else { 0 };
    Duration::from_secs(60 + 60 * plan.cells.len() as u64 + fixtures)
}

impl Qemu {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Boots a machine and waits until it has ended, at most for `patience`. What it prints goes to `log`.
    pub(super) fn boot(
        &self,
        kernel: &Path,
        initramfs: &Path,
        machine: &Machine,
        patience: Duration,
        log: &Path,
    ) -> Result<Outcome> {
        let namespace = catch(Namespace::new).map_err(Error::msg)?;
        let network = network(&namespace, machine)?;
        // By its own loader and with its own libraries: they are of another Debian release than the host's may be. The
        // command is killed when we end, in whatever way.
        let libraries = self.folder.join("usr/lib/x86_64-linux-gnu");
        let mut command = namespace.command(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(self.folder.join("usr/bin/qemu-system-x86_64"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.folder.join(data));
        }
        // Without -nodefaults there would be a NIC more.
        command.args(["-M", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
        // What the kernel does not know goes into the environment of its first process.
        let environment = format!("PATH=/usr/sbin:/usr/bin:/sbin:/bin {SIP_FILTER_BIN}={BINARY}");
        command.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 mitigations=off {environment}"));
        command.arg("-device").arg(format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04"));
        command.args(network).stdin(Stdio::null()).stdout(Stdio::piped());
        let errors = File::create(log.with_extension("errors")).context("create a log")?;
        let mut child = command.stderr(errors).spawn().context("cannot start QEMU")?;

        let start = Instant::now();
        let output = child.stdout.take().context("QEMU has no output")?;
        let mut log = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let (lines, read) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let _ = log.write_all(&line);
                if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let mut said = Vec::new();
        let late = loop {
            match read.recv_timeout(patience.saturating_sub(start.elapsed())) {
                Ok(line) => said.extend(heard(&line)?),
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => break true,
            }
        };
        if late {
            child.kill().context("cannot kill QEMU")?;
        }
        let status = child.wait().context("QEMU is gone")?;
        let _ = reader.join();
        let trouble = if late {
            Some(format!("the machine had not ended after {patience:?}"))
        } else if status.code() != Some(DONE_STATUS) {
            Some(format!("the machine ended too early (QEMU: {status})"))
        } else {
            None
        };
        Ok(Outcome { said, trouble, took: start.elapsed() })
    }
}

/// What a line of the serial line has for us.
fn heard(line: &str) -> Result<Option<Said>> {
    let Some(said) = line.trim().strip_prefix(MARK) else { return Ok(None) };
    serde_json::from_str(said).map(Some).with_context(|| format!("the guest said what we do not understand: {said}"))
}

/// The options for the NICs, and what they are connected by.
fn network(namespace: &Namespace, machine: &Machine) -> Result<Vec<String>> {
    let Some(device) = machine.device else { return Ok(Vec::new()) };
    if machine.tap {
        catch(|| lay_bridge(namespace, machine.queues)).map_err(Error::msg)?;
    } else if machine.queues != 1 {
        bail!("a hub has one queue for each NIC");
    }
    let mut options = Vec::new();
    // Apart from each other: igb has virtual functions, which take the slots 16 and 17 after its own.
    for (end, slot) in [(0, 4), (1, 8)] {
        let netdev = if machine.tap {
            format!("tap,id=end{end},ifname={},script=no,downscript=no,queues={}", tap(end), machine.queues)
        } else {
            format!("hubport,id=end{end},hubid=0")
        };
        let mac = format!("02:00:00:00:01:0{}", end + 1);
        // No boot ROM: the machine does not boot from its NICs.
        let device = format!("{device},netdev=end{end},mac={mac},addr={slot:#x},romfile=");
        options.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), device]);
    }
    Ok(options)
}

fn tap(end: u32) -> String {
    format!("end{end}")
}

/// Two TAP devices with a bridge between them.
fn lay_bridge(namespace: &Namespace, queues: u32) {
    // The host's own IPv6 has nothing to say on this wire.
    namespace.set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    namespace.ip("link add wire type bridge stp_state 0 mcast_snooping 0");
    for end in [0, 1] {
        let multi = if queues > 1 { " multi_queue" } else { "" };
        namespace.ip(&format!("tuntap add dev {} mode tap vnet_hdr{multi}", tap(end)));
        namespace.ip(&format!("link set {} master wire up", tap(end)));
    }
    namespace.ip("link set wire up");
}
