//! The slots of the XSKMAP: which are free.

use filter_common::maps::MAX_QUEUES;

/// The slots that sockets occupy.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// True for each occupied slot.
    occupied: Vec<bool>,
}

impl Slots {
    /// Occupies the first free slot. Returns `None` if there is none.
    pub(super) fn occupy(&mut self) -> Option<u32> {
        let slot = self.occupied.iter().position(|occupied| !occupied).unwrap_or(self.occupied.len());
        if slot >= MAX_QUEUES as usize {
            return None;
        }
        match self.occupied.get_mut(slot) {
            Some(occupied) => *occupied = true,
            None => self.occupied.push(true),
        }
        Some(slot as u32)
    }

    /// Frees a slot.
    pub(super) fn free(&mut self, slot: u32) {
        if let Some(occupied) = self.occupied.get_mut(slot as usize) {
            *occupied = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use filter_common::maps::MAX_QUEUES;

    use super::Slots;

    #[test]
    fn freed_slots_are_occupied_again_from_the_first_on() {
        let mut slots = Slots::default();
        assert_eq!([slots.occupy(), slots.occupy(), slots.occupy()], [Some(0), Some(1), Some(2)]);
        slots.free(1);
        assert_eq!([slots.occupy(), slots.occupy()], [Some(1), Some(3)]);
    }

    #[test]
    fn there_are_as_many_slots_as_the_map_has() {
        let mut slots = Slots::default();
        assert_eq!(std::iter::from_fn(|| slots.occupy()).count(), MAX_QUEUES as usize);
        slots.free(MAX_QUEUES - 1);
        assert_eq!(slots.occupy(), Some(MAX_QUEUES - 1));
    }
}
