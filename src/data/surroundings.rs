//! What lies around the lungs of one film put around those of another: what gives the hospital away beside the lungs then
//! says nothing of the finding.

use crate::preprocess::MeanLungs;

/// From which frequency of lung on a place begins to keep what it has, and from which on it keeps all of it: a tenth takes in
/// 97.5 % of the lungs, see [`MeanLungs`], and the slope before it leaves no edge to know the films by.
const FADES: [f32; 2] = [0.02, 0.1];

/// Puts the surroundings of one film around the lungs of another, the lungs being where they are in most films.
///
/// # Source
/// Xiao et al., Noise or Signal: The Role of Image Backgrounds in Object Recognition, arXiv:2006.09994, where backgrounds
/// are exchanged in this way.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// How much of a place stays, row-major `[height, width]`, in `[0, 1]`.
    stays: Vec<f32>,
}

impl Surroundings {
    /// For films of `height` × `width` pixels.
    pub fn new(height: usize, width: usize) -> Self {
        let [from, to] = FADES;
        let lungs = MeanLungs::built_in().stretched(height, width);
        Self { stays: lungs.into_iter().map(|lung| ((lung - from) / (to - from)).clamp(0.0, 1.0)).collect() }
    }

    /// Puts those of `other` around the lungs of `film`, in place.
    ///
    /// # Shapes
    /// both row-major `[height, width]`
    ///
    /// # Panics
    /// When they have another size than given to [`Self::new`].
    pub fn exchange(&self, film: &mut [f32], other: &[f32]) {
        assert_eq!((film.len(), other.len()), (self.stays.len(), self.stays.len()));
        for ((own, other), stays) in film.iter_mut().zip(other).zip(&self.stays) {
            *own = *other + stays * (*own - other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lungs_stay_and_what_is_around_them_is_the_other_films() {
        const SIDE: usize = 40;
        let mut film = vec![0.25; SIDE * SIDE];
        Surroundings::new(SIDE, SIDE).exchange(&mut film, &[0.75; SIDE * SIDE]);
        let at = |y: usize, x: usize| film[y * SIDE + x];
        // The middle of either lung, and the middle of each edge.
        assert_eq!([at(20, 12), at(20, 28)], [0.25; 2]);
        assert_eq!([at(0, 20), at(39, 20), at(20, 0), at(20, 39)], [0.75; 4]);
        assert!(film.iter().any(|v| (0.4..0.6).contains(v)), "a slope, not an edge");
        // What stays whole is the mask's 59 % of a film, and 2 % of a slope from pixels that lie across its edge.
        let whole = film.iter().filter(|v| **v == 0.25).count() as f64 / film.len() as f64;
        assert!((0.52..0.62).contains(&whole), "{whole}");
    }
}
