//! Tables with an entry for each byte, computed at compile time.

/// A table with an entry for each byte. [`byte_table`] creates it.
pub(crate) struct ByteTable<T>(pub(crate) [T; 256]);

impl<T: Copy> ByteTable<T> {
    /// Returns the entry for `byte`.
    #[expect(clippy::indexing_slicing, reason = "a byte is less than 256, and the compiler omits the check")]
    #[inline(always)]
    pub(crate) const fn get(&self, byte: u8) -> T {
        self.0[byte as usize]
    }
}

/// Creates a [`ByteTable`] from a `const fn` that returns the entry for a byte.
macro_rules! byte_table {
    ($entry:path) => {{
        let mut table = [$entry(0); 256];
        let mut byte = 0;
        #[expect(clippy::indexing_slicing, reason = "the loop runs at compile time")]
        while byte < table.len() {
            table[byte] = $entry(byte as u8);
            byte += 1;
        }
        $crate::byte_table::ByteTable(table)
    }};
}

pub(crate) use byte_table;
