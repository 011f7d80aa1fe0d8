//! What is done with a gradient the moment it is known, a register at a time: kept, or put straight into the weight.

use super::lanes::{Channels, Lanes, each_channel};

/// A rule for one weight, its gradient and what an optimiser keeps beside it.
pub trait Rule: Copy + Send + Sync {
    /// Values kept beside each weight, at most two.
    const SLOTS: usize;

    /// The new weight and the new values beside it.
    ///
    /// Must be `#[inline(always)]`.
    fn apply<L: Lanes>(self, grad: L, weight: L, slots: [L; 2]) -> (L, [L; 2]);
}

/// Weights with what is kept beside them; slices beyond a rule's [`SLOTS`](Rule::SLOTS) are not looked at.
#[derive(Debug)]
pub struct Weights<'a> {
    pub values: &'a mut [f32],
    pub slots: [&'a mut [f32]; 2],
}

impl Weights<'_> {
    /// Whether there is a place for every weight in every slot of `R`.
    pub fn fit<R: Rule>(&self) -> bool {
        self.slots[..R::SLOTS].iter().all(|slot| slot.len() == self.values.len())
    }

    /// Applies `rule` to the weights `at .. at + L::N`.
    ///
    /// # Safety
    /// Those weights exist, and [`fit`](Self::fit) holds.
    #[inline(always)]
    pub unsafe fn update<L: Lanes, R: Rule>(&mut self, rule: R, grad: L, weight: L, at: usize) {
        let mut slots = [L::splat(0.0); 2];
        // SAFETY: the caller vouches for the place.
        unsafe {
            for (slot, values) in slots.iter_mut().zip(&self.slots).take(R::SLOTS) {
                *slot = L::load(values.as_ptr().add(at));
            }
            let (weight, slots) = rule.apply(grad, weight, slots);
            weight.store(self.values.as_mut_ptr().add(at));
            for (slot, values) in slots.iter().zip(&mut self.slots).take(R::SLOTS) {
                slot.store(values.as_mut_ptr().add(at));
            }
        }
    }
}

/// Applies `rule` to every weight.
///
/// # Panics
/// When there is not one gradient and one value in each slot for every weight.
pub fn update<R: Rule>(rule: R, grad: &[f32], weights: Weights<'_>) {
    assert!(grad.len() == weights.values.len() && weights.fit::<R>());
    // SAFETY: every slice holds as many values.
    unsafe { each_channel(grad.len(), All { rule, grad, weights }) }
}

struct All<'a, R> {
    rule: R,
    grad: &'a [f32],
    weights: Weights<'a>,
}

impl<R: Rule> Channels for All<'_, R> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        // SAFETY: see `update`.
        unsafe {
            let (grad, weight) = (L::load(self.grad.as_ptr().add(at)), L::load(self.weights.values.as_ptr().add(at)));
            self.weights.update(self.rule, grad, weight, at);
        }
    }
}
