//! Buffers that are used again: fresh ones of this size would be fresh pages each time, which the system clears first.

/// Buffers that nobody uses at the moment, the smallest first.
#[derive(Debug, Default)]
pub(super) struct Arena(Vec<Vec<f32>>);

impl Arena {
    /// A buffer of `len` floats whose contents are whatever was left in it: the smallest that holds them, else the
    /// largest, which grows.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        let fitting = self.0.iter().position(|buffer| buffer.capacity() >= len);
        let mut buffer = match fitting {
            Some(at) => self.0.remove(at),
            None => self.0.pop().unwrap_or_default(),
        };
        buffer.resize(len, 0.0);
        buffer
    }

    /// Takes back what [`take`](Self::take) gave.
    pub fn give(&mut self, buffer: Vec<f32>) {
        let at = self.0.iter().position(|other| other.capacity() >= buffer.capacity()).unwrap_or(self.0.len());
        self.0.insert(at, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_taken_again() {
        let mut arena = Arena::default();
        let (small, large) = (arena.take(10), arena.take(1000));
        let places = (small.as_ptr(), large.as_ptr());
        arena.give(large);
        arena.give(small);
        let (small, large) = (arena.take(10), arena.take(900));
        assert_eq!((small.as_ptr(), large.as_ptr()), places);
        assert_eq!(arena.take(5).len(), 5);
    }
}
