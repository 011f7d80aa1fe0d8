//! Where a network looked: heat maps of one class over a film.
//!
//! Such a map shows which places raised a class, not whether there is disease there: a marker inside the lung field, or the
//! way a hospital's machine draws its edges, lights up like an opacity. [`energy_inside`] measures how much of a map lies
//! where it could be disease at all.

mod grad_cam;
mod overlay;

pub use grad_cam::grad_cam;
pub use overlay::{colours, overlay};

/// How much each place of a film counts, row-major `[height, width]`, in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Rows, those of the network's input.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// No unit: the largest is 1, or they are all 0.
    pub values: Vec<f32>,
}

impl HeatMap {
    /// The mean with another map of the same film, its largest value 1 again.
    ///
    /// # Panics
    /// When `other` has another number of values.
    pub fn mean(mut self, other: &[f32]) -> Self {
        assert_eq!(self.values.len(), other.len());
        self.values.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        let largest = self.values.iter().copied().fold(0.0, f32::max);
        if largest > 0.0 {
            self.values.iter_mut().for_each(|v| *v /= largest);
        }
        self
    }
}

/// The share of a map that lies inside `mask`, `Σ map · mask / Σ map`, in `[0, 1]`; `None` for a map of zeros.
///
/// A share is to be read beside that of the mask's area, which an even map has.
///
/// # Shapes
/// `mask`: `[height, width]` as the map, the share of each pixel that is inside, in `[0, 1]`: a mask of the film, stretched to
/// the size of the network's input as the film was
///
/// # Panics
/// When the mask has another number of values than the map.
pub fn energy_inside(map: &HeatMap, mask: &[f32]) -> Option<f64> {
    assert_eq!(map.values.len(), mask.len());
    let all: f64 = map.values.iter().map(|v| f64::from(*v)).sum();
    let inside: f64 = map.values.iter().zip(mask).map(|(v, m)| f64::from(*v) * f64::from(*m)).sum();
    (all > 0.0).then(|| inside / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_two_maps_reaches_up_to_one() {
        let map = HeatMap { height: 1, width: 3, values: vec![1.0, 0.5, 0.0] };
        // Means ½, ½, ¼, divided by the largest.
        assert_eq!(map.mean(&[0.0, 0.5, 0.5]).values, [1.0, 1.0, 0.5]);
        let zero = HeatMap { height: 1, width: 1, values: vec![0.0] };
        assert_eq!(zero.mean(&[0.0]).values, [0.0]);
    }

    #[test]
    fn energy_is_the_share_of_the_map_inside_the_mask() {
        let map = |values: [f32; 4]| HeatMap { height: 2, width: 2, values: values.to_vec() };
        let mask = [1.0, 0.5, 0.0, 1.0];
        // (1 · 1 + 0.5 · 0.5) / (1 + 0.5 + 0.5).
        assert_eq!(energy_inside(&map([1.0, 0.5, 0.5, 0.0]), &mask), Some(0.625));
        // An even map has the mask's area.
        assert_eq!(energy_inside(&map([1.0; 4]), &mask), Some(0.625));
        assert_eq!(energy_inside(&map([0.0, 0.0, 1.0, 0.0]), &mask), Some(0.0));
        assert_eq!(energy_inside(&map([0.0; 4]), &mask), None);
    }
}
