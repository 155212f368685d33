//! The flows that were seen last, with what the daemon's tables say about them: whether they are this host's, and
//! whether their new calls are exempt by source or scope.
//!
//! Most calls come from a few peers, and the answer stays the same until the daemon changes a table. The three lookups
//! in the kernel's hash maps that this saves took a third of the time of a new call. One in a trie with thousands of
//! prefixes takes as long again.
#![expect(unsafe_code, reason = "a map element is lent as a reference, and filled by volatile writes")]

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use filter_common::maps::{InterfaceState, Policy};
use filter_common::verdict::Verdict;

use crate::packet::{Endpoints, Flow};
use crate::{exemptions, maps, ownership};

/// Number of flows that each CPU remembers, as a power of two.
const BITS: u32 = 10;

#[map]
static FLOWS: PerCpuArray<KnownFlow> = PerCpuArray::with_max_entries(1 << BITS, 0);

/// A number that is no [`Verdict`]: the tables give no reason to pass.
const NONE: u32 = u32::MAX;

/// A flow, and what the tables say about it.
#[repr(C)]
pub(crate) struct KnownFlow {
    flow: [u64; 7],
    /// Generation of the maps of what is this host's in which `passed` and `interface` hold.
    ownership_generation: u32,
    /// Verdict on each request of the flow, as a number, or [`NONE`].
    passed: u32,
    interface: InterfaceState,
    /// Generation of the policy in which `exempted` holds.
    policy_generation: u32,
    /// Verdict on each new request of the flow, as a number, or [`NONE`].
    exempted: u32,
}

impl KnownFlow {
    /// Returns what is known about the flow of a request. Looks it up in the maps if it is not known.
    #[inline(always)]
    pub(crate) fn new(endpoints: &Endpoints) -> Option<&'static mut Self> {
        let flow = endpoints.flow();
        // SAFETY: the pointer is to this CPU's element. Nothing else uses it while the program runs, and the program
        // calls this function once for a packet. Any content is valid: all members are integers.
        let known = unsafe { &mut *FLOWS.get_ptr_mut(slot(flow))? };
        // Read before the maps: if the daemon changes them meanwhile, the answer is forgotten with the next packet.
        let generation = maps::ownership_generation()?;
        if known.ownership_generation != generation || !known.is(flow) {
            known.learn(flow, generation);
        }
        Some(known)
    }

    /// Returns the verdict if each request of the flow passes.
    #[inline(always)]
    pub(crate) fn passed(&self) -> Option<Verdict> {
        verdict(self.passed)
    }

    /// Returns the interface on which the flow arrives, unless it passes.
    #[inline(always)]
    pub(crate) fn interface(&self) -> &InterfaceState {
        &self.interface
    }

    /// Returns the verdict if each new request of the flow passes by the operator's lists.
    #[inline(always)]
    pub(crate) fn exempted(&mut self, flow: &Flow, policy: &Policy) -> Option<Verdict> {
        let generation = policy.generation;
        if self.policy_generation != generation {
            let exempted = exemptions::by_flow(flow, policy).map_or(NONE, |verdict| verdict as u32);
            // SAFETY: a reference is valid for writes. Volatile, as in `learn`.
            unsafe { (&raw mut self.exempted).write_volatile(exempted) };
            self.policy_generation = generation;
        }
        // SAFETY: a reference is valid for reads. Volatile, as in `learn`.
        verdict(unsafe { (&raw const self.exempted).read_volatile() })
    }

    /// Returns whether this is about `flow`.
    #[inline(always)]
    fn is(&self, flow: &Flow) -> bool {
        // One comparison at the end, since each would be a path for the verifier.
        let pairs = self.flow.into_iter().zip(flow.words());
        pairs.fold(0, |different, (known, word)| different | (known ^ word)) == 0
    }

    /// Looks the flow up in the maps of what is this host's.
    #[inline(always)]
    fn learn(&mut self, flow: &Flow, generation: u32) {
        let (passed, interface) = match ownership::check(flow) {
            Ok(interface) => (NONE, interface),
            Err(passed) => (passed as u32, InterfaceState::default()),
        };
        let known = Self {
            flow: flow.words(),
            ownership_generation: generation,
            passed,
            interface,
            // The daemon's first generation is 1.
            policy_generation: 0,
            exempted: NONE,
        };
        // SAFETY: a reference is valid for writes. Volatile, so that LLVM reads the answer back from the map and does
        // not go on with each of the values in registers: the paths join here (see `scratch`).
        unsafe { (&raw mut *self).write_volatile(known) };
    }
}

#[inline(always)]
fn verdict(number: u32) -> Option<Verdict> {
    Verdict::ALL.get(number as usize).copied()
}

/// Returns the element for a flow.
///
/// The upper bits of a product depend on all bits of its factors. The factors of the sum are odd numbers without a
/// pattern: the golden ratio and the square root of 2.
#[inline(always)]
fn slot(flow: &Flow) -> u32 {
    let [source, destination] = [flow.source(), flow.destination()].map(|[high, low]| high ^ low);
    let arrival = (u64::from(flow.ifindex()) << 16) | u64::from(flow.destination_port());
    let sum = source
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((destination ^ arrival).wrapping_mul(0x6a09_e667_f3bc_c909));
    (sum >> (u64::BITS - BITS)) as u32
}
