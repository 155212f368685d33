//! How answers per second grow with RX queues, and what it does to keep responders on CPUs (`--cpus`) or have them poll
//! (`--busy-poll`).

use std::time::Duration;

use anyhow::{Context as _, Result};
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::wire::PROXY_INTERFACE;

use crate::layout::ANSWERS;
use crate::loss_free::{FAST, Search};
use crate::report::{Report, Rounds};
use crate::stage::{SECOND_PROXY_INTERFACE, Stage};
use crate::{Effort, cpu, servers};

/// How long a CPU is filled with all the work of its queues.
const FILL: Duration = Duration::from_millis(500);

/// RX queues.
#[derive(Clone, Copy)]
struct Queues {
    two_nics: bool,
    of_each: u32,
}

const ONE: Queues = Queues { two_nics: false, of_each: 1 };
const TWO: Queues = Queues { two_nics: false, of_each: 2 };
const FOUR: Queues = Queues { two_nics: true, of_each: 2 };
/// A NIC each: a veth spreads frames over its queues by the CPU that sends them, and here that is one.
const TWO_FROM_ONE_CPU: Queues = Queues { two_nics: true, of_each: 1 };

const BOTH: &[usize] = &[cpu::GENERATOR, cpu::ANSWERER];

/// The load, the receive work and the responder of a queue are all on one CPU.
struct Whole {
    name: &'static str,
    queues: Queues,
    /// Where load is made.
    cpus: &'static [usize],
    arguments: &'static [&'static str],
    answers: Rounds,
    /// Answered of what was sent, in percent.
    answered: Rounds,
    /// What the daemon's threads have run for an answer, in microseconds.
    cpu: Rounds,
}

/// The load and the receive work are on the one CPU, the responders on the other.
struct Apart {
    name: &'static str,
    queues: Queues,
    arguments: &'static [&'static str],
    loss_free: Rounds,
    /// At nine tenths of that: the daemon's threads and the receive work, for an answer, in microseconds.
    cpu: Rounds,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let mut whole = whole();
    let mut apart = apart();
    // A round takes half a minute: a third of the rounds that others have.
    for _ in 0..effort.rounds.div_ceil(3) {
        for case in &mut whole {
            case.round(effort).context(case.name)?;
        }
        for case in &mut apart {
            case.round(effort).context(case.name)?;
        }
    }
    let [one, two, four, ..] = &whole;
    let growth = |more: &Whole| more.answers.against(&one.answers, |more, one| more / one);
    report.figure("queues", "CPUs filled, --cpus: answers of 2 queues on 2 CPUs by 1 on 1", "", growth(two));
    report.figure("queues", "CPUs filled, --cpus: answers of 4 queues on 2 CPUs by 1 on 1", "", growth(four));
    for Whole { name, answers, answered, cpu, .. } in whole {
        report.figure("queues", format!("{name}: answers"), "1/s", answers);
        report.figure("queues", format!("{name}: answered"), "%", answered);
        report.figure("queues", format!("{name}: responders' time per answer"), "µs", cpu);
    }
    for Apart { name, loss_free, cpu, .. } in apart {
        report.figure("queues", format!("responders apart, {name}: loss-free rate"), "1/s", loss_free);
        report.figure("queues", format!("responders apart, {name}: CPU time per answer"), "µs", cpu);
    }
    Ok(())
}

/// Those whose growth is reported come first: pinned, one, two and four queues.
fn whole() -> [Whole; 6] {
    let one_cpu: &[usize] = &[cpu::ANSWERER];
    let case = |name, queues, cpus, arguments| Whole {
        name,
        queues,
        cpus,
        arguments,
        answers: Rounds::default(),
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

fn apart() -> [Apart; 4] {
    let case = |name, queues, arguments| Apart {
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

impl Whole {
    fn round(&mut self, effort: Effort) -> Result<()> {
        let mut stage = self.queues.stage()?;
        let (daemon, _files) = self.queues.start(&stage, self.arguments, cpu::MORE_PRECEDENCE)?;
        let before = cpu::process_seconds(daemon.pid())?;
        let probe = stage.fill(self.cpus, FILL / effort.divisor.min(5), ANSWERS)?;
        let seconds = cpu::process_seconds(daemon.pid())? - before;
        self.answers.add(probe.answer_rate);
        self.answered.add(probe.answered as f64 / probe.sent as f64 * 100.0);
        self.cpu.add(seconds * 1e6 / probe.answered as f64);
        Ok(())
    }
}

impl Apart {
    fn round(&mut self, effort: Effort) -> Result<()> {
        let mut stage = self.queues.stage()?;
        let (daemon, _files) = self.queues.start(&stage, self.arguments, cpu::PRECEDENCE)?;
        let cpu_seconds = || anyhow::Ok(cpu::process_seconds(daemon.pid())? + cpu::receiving_seconds()?);
        let mut search = Search::new(&mut stage, ANSWERS, FAST, effort);
        let loss_free = search.loss_free()?;
        self.loss_free.add(loss_free);
        self.cpu.add(search.cpu_us(loss_free, cpu_seconds)?);
        Ok(())
    }
}

impl Queues {
    fn stage(self) -> Result<Stage> {
        if self.two_nics { Stage::with_two_wires(self.of_each) } else { Stage::new(self.of_each) }
    }

    /// The daemon on all of them, with this real-time priority. It may run on either CPU, but for what its arguments say.
    fn start(self, stage: &Stage, arguments: &[&str], priority: i32) -> Result<(Daemon, Installation)> {
        let both = format!("{PROXY_INTERFACE},{SECOND_PROXY_INTERFACE}");
        let interfaces = if self.two_nics { &both } else { PROXY_INTERFACE };
        cpu::anywhere(priority, || servers::sip_filter(stage, interfaces, arguments))
    }
}
