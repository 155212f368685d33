//! The tick: keeps up to date what changes with time, and notices what has failed since the last one.

use super::{DataPlane, Error, lock};

impl DataPlane {
    /// Follows the time and the interfaces, and checks that nothing has failed for good. To be called once a second.
    ///
    /// * `Retry-After` is shortened as the planned end comes nearer, and the 32 s after maintenance end.
    /// * A thread that writes a log and has ended is replaced: refused calls go on being refused meanwhile.
    /// * The responders follow the MTU of their interface.
    ///
    /// A responder that has ended, an interface that has gone, and a program that is no longer attached are errors. They
    /// are reported again by each call. After [`stop`](Self::stop) there is nothing to fail.
    pub fn tick(&self) -> Result<(), Error> {
        lock(&self.kernel).tick();
        lock(&self.logs).check();
        lock(&self.interfaces).check(self.program_id)
    }
}
