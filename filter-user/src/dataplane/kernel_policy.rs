//! The policy in the form of the kernel and of the responders: maps of the XDP program, and the response template.

use std::io;
use std::sync::Arc;
use std::thread;

use arc_swap::ArcSwap;
use filter_common::maps;
use filter_common::sip::Method;
use filter_reply::{ResponseTemplate, TagSecret};
use jiff::Timestamp;

use super::lists::Lists;
use super::map::GRACE;
use super::switch_steps::{Step, steps};
use super::{Error, Program};
use crate::domain::Policy;
use crate::responder::monotonic_ns;

/// Puts policies in force.
pub(super) struct KernelPolicy {
    program: Program,
    template: Arc<ArcSwap<ResponseTemplate>>,
    tag: TagSecret,
    forces_rport: bool,
    /// Contents of the map of the policy. Before the first policy, only the end of the 32 s after a switch is set.
    in_force: maps::Policy,
    /// The policy that was applied last; `None` before the first one, and after one that was not applied as a whole.
    applied: Option<Arc<Policy>>,
}

impl KernelPolicy {
    /// Creates the template for `policy`. [`apply`](Self::apply) puts the policy in force.
    pub(super) fn new(program: Program, policy: &Policy, tag: TagSecret, forces_rport: bool) -> Self {
        Self {
            program,
            template: Arc::new(ArcSwap::from_pointee(template(policy, &tag, forces_rport))),
            tag,
            forces_rport,
            in_force: maps::Policy { tail_until_ns: tail_end(monotonic_ns()), ..maps::Policy::default() },
            applied: None,
        }
    }

    /// Returns the program.
    pub(super) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Returns the template that the responders use.
    pub(super) fn template(&self) -> Arc<ArcSwap<ResponseTemplate>> {
        Arc::clone(&self.template)
    }

    /// Puts `policy` in force. When it returns, the next packet is decided by it.
    pub(super) fn apply(&mut self, policy: &Arc<Policy>) -> Result<(), Error> {
        let before = self.applied.take();
        // There may be thousands of entries, and a switch must not wait for those that stay.
        let has_policy = before.is_some();
        let has_same_lists = before.is_some_and(|before| has_same_lists(&before, policy));
        let lists = (!has_same_lists).then(|| Lists::from(&**policy));
        let next = self.kernel_policy(policy, lists.as_ref());
        let contents = self.program.lists().contents();
        for step in steps(&self.in_force, &next, lists.as_ref().map(|lists| (contents, lists))) {
            match step {
                Step::Policy(step) if has_policy && step == self.in_force => {}
                Step::Policy(step) => self.set_policy_and_wait(step)?,
                Step::List(update) => self.program.lists().write(update)?,
            }
        }
        self.template.store(Arc::new(template(policy, &self.tag, self.forces_rport)));
        self.set_policy(next)?;
        if lists.is_some() {
            // A program that ran meanwhile may have seen the new generation and the old lists, because processors
            // reorder reads. What it remembers of them is forgotten with the next generation.
            thread::sleep(GRACE);
            self.set_policy(next)?;
        }
        self.applied = Some(Arc::clone(policy));
        Ok(())
    }

    /// Lets all new calls pass, whatever the policy, because the program will be detached.
    pub(super) fn pass_all(&mut self) -> Result<(), Error> {
        self.set_policy(maps::Policy { maintenance: 0, tail_until_ns: 0, ..self.in_force })
    }

    /// Returns whether new calls are refused.
    pub(super) fn refuses(&self) -> bool {
        self.in_force.maintenance != 0
    }

    /// Shortens `Retry-After` as the planned end comes nearer, and ends the 32 s after maintenance.
    pub(super) fn tick(&mut self) {
        if let Some(policy) = self.applied.as_ref().filter(|policy| policy.until.is_some()) {
            self.template.store(Arc::new(template(policy, &self.tag, self.forces_rport)));
        }
        if let Err(error) = self.end_tail(monotonic_ns()) {
            // This is harmless, and the next tick tries again.
            tracing::warn!("the XDP program still reads the clock for each ACK: {error}");
        }
    }

    /// Clears the end of the 32 s after maintenance if it is not later than `now`: the XDP program stops reading the
    /// clock. Does nothing if the clock could not be read.
    fn end_tail(&mut self, now: io::Result<u64>) -> Result<(), Error> {
        if now.is_ok_and(|now| is_tail_over(&self.in_force, now)) {
            self.set_policy(maps::Policy { tail_until_ns: 0, ..self.in_force })?;
        }
        Ok(())
    }

    fn set_policy(&mut self, kernel_policy: maps::Policy) -> Result<(), Error> {
        self.program.set_policy(kernel_policy)?;
        self.in_force = kernel_policy;
        Ok(())
    }

    /// Writes a step to the next policy. While calls are refused, waits until each packet is decided by this step or a
    /// later one. Otherwise a call might be refused by the old flag and the new scope.
    fn set_policy_and_wait(&mut self, kernel_policy: maps::Policy) -> Result<(), Error> {
        let was_refusing = self.refuses();
        self.set_policy(kernel_policy)?;
        if was_refusing {
            thread::sleep(GRACE);
        }
        Ok(())
    }

    /// Returns `policy` in the layout of the XDP program. `lists` are its lists, if they differ from those in force.
    fn kernel_policy(&self, policy: &Policy, lists: Option<&Lists>) -> maps::Policy {
        let mut next = maps::Policy {
            maintenance: policy.maintenance.into(),
            methods: policy.methods.bits(),
            percent: policy.percent.get().into(),
            lists: lists.map_or(self.in_force.lists, |lists| lists.bits(policy.scope.is_some())),
            tag_prefix: u64::from_le_bytes(self.tag.prefix()),
            emergency: lists.map_or(self.in_force.emergency, Lists::emergency_bits),
            tail_until_ns: self.in_force.tail_until_ns,
            ..maps::Policy::default()
        };
        if refuses_invites(&self.in_force) && !refuses_invites(&next) {
            next.tail_until_ns = tail_end(monotonic_ns());
        }
        next
    }
}

/// Returns whether the kernel's maps have the same contents for both policies.
fn has_same_lists(before: &Policy, policy: &Policy) -> bool {
    before.bypass == policy.bypass && before.emergency == policy.emergency && before.scope == policy.scope
}

/// Returns the template of the responses for `policy`, as of now.
fn template(policy: &Policy, tag: &TagSecret, forces_rport: bool) -> ResponseTemplate {
    let template = ResponseTemplate::new(&policy.refusal, tag).with_forced_rport(forces_rport);
    match policy.until {
        // Two seconds less, because the template is renewed once a second and may be more than a second old.
        Some(until) => {
            let seconds = until.duration_since(Timestamp::now()).as_secs() - 2;
            template.ending_in(seconds.clamp(0, u32::MAX.into()) as u32)
        }
        None => template,
    }
}

/// Returns whether new INVITEs are refused.
fn refuses_invites(policy: &maps::Policy) -> bool {
    policy.maintenance != 0 && policy.methods & Method::Invite.bit() != 0
}

/// Returns the end of the 32 s after a switch that happened at `now`; 0, for no such time, if the clock cannot be read.
///
/// The start of a daemon counts as such a switch: the previous daemon may have ended just before, and the ACK to its
/// last response may be under way.
fn tail_end(now: io::Result<u64>) -> u64 {
    now.map_or(0, |now| now + maps::TRANSACTION_NS)
}

/// Returns whether `policy` still has the end of the 32 s after a switch, although that is not later than `now`.
fn is_tail_over(policy: &maps::Policy, now: u64) -> bool {
    let maps::Policy { maintenance, tail_until_ns, .. } = *policy;
    maintenance == 0 && tail_until_ns != 0 && now >= tail_until_ns
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use filter_common::maps::{Policy, TRANSACTION_NS};
    use filter_reply::TagSecret;

    use super::{KernelPolicy, Lists, is_tail_over, tail_end};
    use crate::dataplane::{Program, ProgramSettings};
    use crate::domain::{self, Shielded};
    use crate::responder::monotonic_ns;

    /// Returns a program with its policy, just after maintenance ended.
    #[track_caller]
    fn after_off() -> KernelPolicy {
        let shielded = &Shielded::Local;
        let settings = ProgramSettings { ports: &[5060], transactions: 1024, hash_seed: 0, shielded, debug: false };
        let program = Program::load(&settings)
            .unwrap_or_else(|error| panic!("{error}\nThis test loads a BPF program, for which it must run as root."));
        let off = Arc::new(domain::Policy::default());
        let on = Arc::new(domain::Policy { maintenance: true, ..domain::Policy::default() });
        let mut kernel = KernelPolicy::new(program, &off, TagSecret::new(*b"sipfiltr", [0; 16]).unwrap(), false);
        kernel.apply(&on).unwrap();
        kernel.apply(&off).unwrap();
        kernel
    }

    #[test]
    fn tick_clears_the_end_of_the_tail_in_the_kernel_when_it_has_passed_and_not_before() {
        let before = monotonic_ns().unwrap();
        let mut kernel = after_off();
        let end = kernel.program.policy().tail_until_ns;
        assert!((before..=monotonic_ns().unwrap()).contains(&(end - TRANSACTION_NS)), "{end}");
        for now in [Ok(end - 1), Err(io::Error::other("no clock"))] {
            kernel.end_tail(now).unwrap();
            assert_eq!(kernel.program.policy().tail_until_ns, end);
        }
        kernel.end_tail(Ok(end)).unwrap();
        assert_eq!(kernel.program.policy().tail_until_ns, 0);
    }

    #[test]
    fn tail_begins_too_when_maintenance_goes_on_without_invite() {
        let mut kernel = after_off();
        let on = domain::Policy { maintenance: true, ..domain::Policy::default() };
        kernel.apply(&Arc::new(on.clone())).unwrap();
        let before = monotonic_ns().unwrap();
        kernel.apply(&Arc::new(domain::Policy { methods: "OPTIONS".parse().unwrap(), ..on })).unwrap();
        assert!(kernel.program.policy().tail_until_ns >= before + TRANSACTION_NS);
    }

    #[test]
    fn lists_and_scope_are_in_the_kernel_when_a_policy_is_in_force_and_are_gone_with_the_next() {
        let mut kernel = after_off();
        let scope = domain::Scope {
            sources: ["2001:db8::/32".parse().unwrap()].into(),
            destinations: ["198.18.0.2:5060".parse().unwrap()].into(),
        };
        let bypass = ["198.18.0.0/15".parse().unwrap()].into();
        let on = domain::Policy { maintenance: true, bypass, scope: Some(scope), ..domain::Policy::default() };
        kernel.apply(&Arc::new(on.clone())).unwrap();
        let all = Policy::SOURCES_IPV4 | Policy::SOURCES_IPV6 | Policy::DESTINATIONS | Policy::SCOPE;
        assert_eq!((kernel.program.policy().lists, kernel.program.policy().maintenance), (all, 1));
        assert_eq!(*kernel.program.lists().contents(), Lists::from(&on));

        let empty = domain::Policy { scope: Some(domain::Scope::default()), ..domain::Policy::default() };
        kernel.apply(&Arc::new(empty)).unwrap();
        assert_eq!(kernel.program.policy().lists, Policy::SCOPE, "a scope of nothing is a scope");
        kernel.apply(&Arc::new(domain::Policy::default())).unwrap();
        assert_eq!(kernel.program.policy().lists, 0);
        let numbers = Lists::from(&domain::Policy::default());
        assert_eq!(*kernel.program.lists().contents(), numbers);
        assert_eq!(kernel.program.policy().emergency, numbers.emergency_bits());
    }

    #[test]
    fn policy_without_a_change_of_the_lists_keeps_their_bits() {
        let mut kernel = after_off();
        let bypass = ["198.18.0.0/15".parse().unwrap()].into();
        let off = domain::Policy { bypass, scope: Some(domain::Scope::default()), ..domain::Policy::default() };
        kernel.apply(&Arc::new(off.clone())).unwrap();
        let before = kernel.program.policy();
        kernel.apply(&Arc::new(domain::Policy { maintenance: true, ..off })).unwrap();
        let after = kernel.program.policy();
        assert_eq!((after.lists, after.emergency), (Policy::SOURCES_IPV4 | Policy::SCOPE, before.emergency));
    }

    #[test]
    fn tick_leaves_the_tail_that_has_not_passed() {
        let mut kernel = after_off();
        kernel.tick();
        assert_ne!(kernel.program.policy().tail_until_ns, 0);
    }

    #[test]
    fn tail_after_off_is_over_32_s_later_and_not_before() {
        let policy = Policy { tail_until_ns: tail_end(Ok(5)), ..Policy::default() };
        assert_eq!(TRANSACTION_NS, 32_000_000_000);
        assert!(!is_tail_over(&policy, 5 + TRANSACTION_NS - 1));
        assert!(is_tail_over(&policy, 5 + TRANSACTION_NS));
    }

    #[test]
    fn tail_is_not_over_during_maintenance_or_if_none_is_set() {
        let policy = Policy { tail_until_ns: tail_end(Ok(5)), ..Policy::default() };
        assert!(!is_tail_over(&Policy { maintenance: 1, ..policy }, u64::MAX));
        assert!(!is_tail_over(&Policy { tail_until_ns: 0, ..policy }, u64::MAX));
    }
}
