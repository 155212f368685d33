//! The tick: updates everything that changes with time, and detects failures since the last tick.

use super::{DataPlane, Error, lock};

impl DataPlane {
    /// Updates what depends on the time and the interfaces, and checks for failures. Has to be called once a second.
    ///
    /// * `Retry-After` is shortened as the planned end comes nearer, and the 32 s after maintenance end.
    /// * A thread of the refusal log that has ended is replaced. Calls are still refused meanwhile.
    /// * The responders follow the MTU of their interface.
    ///
    /// A responder that has ended, an interface that has gone, and a program that is no longer attached are errors.
    /// They are reported again by each call. After [`stop`](Self::stop) there is nothing to fail.
    pub fn tick(&self) -> Result<(), Error> {
        lock(&self.kernel).tick();
        lock(&self.logs).check();
        lock(&self.interfaces).check(self.program_id)
    }
}
