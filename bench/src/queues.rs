//! Responses per second by the number of RX queues, with pinned responders (`--cpus`) and with polling ones
//! (`--busy-poll`).

use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::wire::PROXY_INTERFACE;

use crate::layout::RESPONSES;
use crate::loss_free::{FAST, Search};
use crate::report::{Report, Rounds};
use crate::stage::{SECOND_PROXY_INTERFACE, Stage};
use crate::{Effort, cpu, servers};

/// Duration for which the CPUs are filled with the work of their queues.
const FILL: Duration = Duration::from_millis(500);

/// The RX queues of the proxy's host.
#[derive(Clone, Copy)]
struct Queues {
    two_nics: bool,
    /// Number of queues of each NIC.
    per_nic: u32,
}

const ONE: Queues = Queues { two_nics: false, per_nic: 1 };
const TWO: Queues = Queues { two_nics: false, per_nic: 2 };
const FOUR: Queues = Queues { two_nics: true, per_nic: 2 };
/// Two queues on two NICs. A veth selects the queue by the CPU that sends, so one CPU cannot load two queues of one
/// veth.
const TWO_FROM_ONE_CPU: Queues = Queues { two_nics: true, per_nic: 1 };

const BOTH: &[usize] = &[cpu::GENERATOR, cpu::ANSWERER];

/// A case in which the load, the receive work and the responder of a queue share one CPU.
struct SharedCpu {
    name: &'static str,
    queues: Queues,
    /// CPUs on which load is generated.
    cpus: &'static [usize],
    arguments: &'static [&'static str],
    /// Frames answered per second.
    responses: Rounds,
    /// Share of the frames sent that were answered, in percent.
    answered: Rounds,
    /// CPU time of the daemon per response, in microseconds.
    cpu: Rounds,
}

/// A case in which the load and the receive work are on one CPU, and the responders on the other.
struct SeparateCpus {
    name: &'static str,
    queues: Queues,
    arguments: &'static [&'static str],
    loss_free: Rounds,
    /// CPU time of the daemon and of the receive work per response, in microseconds, at nine tenths of the loss-free
    /// rate.
    cpu: Rounds,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let mut shared = shared_cpu_cases();
    let mut separate = separate_cpus_cases();
    // A round takes half a minute, so there are a third of the rounds of other subjects.
    for _ in 0..effort.rounds.div_ceil(3) {
        for case in &mut shared {
            case.round(effort).context(case.name)?;
        }
        for case in &mut separate {
            case.round(effort).context(case.name)?;
        }
    }
    let [one, two, four, ..] = &shared;
    let growth = |more: &SharedCpu| more.responses.zip_with(&one.responses, |more, one| more / one);
    report.figure("queues", "CPUs filled, --cpus: answers of 2 queues on 2 CPUs by 1 on 1", "", growth(two));
    report.figure("queues", "CPUs filled, --cpus: answers of 4 queues on 2 CPUs by 1 on 1", "", growth(four));
    for SharedCpu { name, responses, answered, cpu, .. } in shared {
        report.figure("queues", format!("{name}: answers"), "1/s", responses);
        report.figure("queues", format!("{name}: answered"), "%", answered);
        report.figure("queues", format!("{name}: responders' time per answer"), "µs", cpu);
    }
    for SeparateCpus { name, loss_free, cpu, .. } in separate {
        report.figure("queues", format!("responders apart, {name}: loss-free rate"), "1/s", loss_free);
        report.figure("queues", format!("responders apart, {name}: CPU time per answer"), "µs", cpu);
    }
    Ok(())
}

/// Returns the cases. The first three, pinned with one, two and four queues, are those whose growth is reported.
fn shared_cpu_cases() -> [SharedCpu; 6] {
    let one_cpu: &[usize] = &[cpu::ANSWERER];
    let case = |name, queues, cpus, arguments| SharedCpu {
        name,
        queues,
        cpus,
        arguments,
        responses: Rounds::default(),
        answered: Rounds::default(),
        cpu: Rounds::default(),
    };
    [
        case("1 CPU filled, 1 queue, --cpus", ONE, one_cpu, &["--cpus", "1"]),
        case("2 CPUs filled, 2 queues, --cpus", TWO, BOTH, &["--cpus", "0,1"]),
        case("2 CPUs filled, 4 queues, --cpus", FOUR, BOTH, &["--cpus", "0,1"]),
        case("1 CPU filled, 1 queue, not kept anywhere", ONE, one_cpu, &[]),
        case("2 CPUs filled, 2 queues, not kept anywhere", TWO, BOTH, &[]),
        case("2 CPUs filled, 4 queues, not kept anywhere", FOUR, BOTH, &[]),
    ]
}

fn separate_cpus_cases() -> [SeparateCpus; 4] {
    let case = |name, queues, arguments| SeparateCpus {
        name,
        queues,
        arguments,
        loss_free: Rounds::default(),
        cpu: Rounds::default(),
    };
    [
        case("1 queue, --cpus", ONE, &["--cpus", "1"]),
        case("1 queue, --cpus and --busy-poll 50", ONE, &["--cpus", "1", "--busy-poll", "50"]),
        case("2 queues, --cpus", TWO_FROM_ONE_CPU, &["--cpus", "1"]),
        case("2 queues, --cpus and --busy-poll 50", TWO_FROM_ONE_CPU, &["--cpus", "1", "--busy-poll", "50"]),
    ]
}

impl SharedCpu {
    fn round(&mut self, effort: Effort) -> Result<()> {
        let stage = self.queues.create_stage()?;
        let (daemon, _files) = self.queues.start(&stage, self.arguments, cpu::HIGHER_PRIORITY)?;
        let before = cpu::process_seconds(daemon.pid())?;
        let probe = stage.fill(self.cpus, FILL / effort.divisor.min(5), RESPONSES)?;
        let seconds = cpu::process_seconds(daemon.pid())? - before;
        self.responses.add(probe.answer_rate);
        self.answered.add(probe.answered as f64 / probe.sent as f64 * 100.0);
        self.cpu.add(seconds * 1e6 / probe.answered as f64);
        Ok(())
    }
}

impl SeparateCpus {
    fn round(&mut self, effort: Effort) -> Result<()> {
        let mut stage = self.queues.create_stage()?;
        let (daemon, _files) = self.queues.start(&stage, self.arguments, cpu::PRIORITY)?;
        let cpu_seconds = || anyhow::Ok(cpu::process_seconds(daemon.pid())? + cpu::receiving_seconds()?);
        let mut search = Search::new(&mut stage, RESPONSES, FAST, effort);
        let loss_free = search.loss_free()?;
        self.loss_free.add(loss_free);
        self.cpu.add(search.cpu_us_per_response(loss_free, cpu_seconds)?);
        Ok(())
    }
}

impl Queues {
    /// Creates a stage with these queues.
    fn create_stage(self) -> Result<Stage> {
        if self.two_nics { Stage::with_two_wires(self.per_nic) } else { Stage::new(self.per_nic) }
    }

    /// Starts the daemon on all queues, with this real-time priority. It may run on either CPU, unless `arguments` pin
    /// it.
    fn start(self, stage: &Stage, arguments: &[&str], priority: i32) -> Result<(Daemon, Installation)> {
        let both = format!("{PROXY_INTERFACE},{SECOND_PROXY_INTERFACE}");
        let interfaces = if self.two_nics { &both } else { PROXY_INTERFACE };
        cpu::run_unpinned(priority, || Ok(servers::sip_filter(stage, interfaces, arguments)))
    }
}
