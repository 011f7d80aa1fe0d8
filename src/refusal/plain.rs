//! What needs no network: size, contrast and colour.

use super::{Reason, Refusal};
use crate::image::Radiograph;

/// Pixels that the shorter side needs: half of the smallest input of the networks that refuse. Below it the film has to be
/// enlarged so much that edges and textures are those of the enlargement.
pub const MINIMUM_SIDE: usize = 96;

/// Standard deviation of the grey values that a picture needs, 1 being the step from black to white. The least of 500
/// validation films has 0.055.
pub const MINIMUM_CONTRAST: f32 = 0.02;

/// Share of coloured pixels ([`Radiograph::coloured`]) from which on a picture is a colour picture: more than arrows and
/// letters on a film take. 74 % of 426 photographs have more.
pub const MAXIMUM_COLOURED: f32 = 0.1;

/// The first reason against a picture, if there is one.
pub fn refuse(film: &Radiograph) -> Option<Refusal> {
    let side = film.height().min(film.width());
    if side < MINIMUM_SIDE {
        return Some(Reason::TooSmall.refusal(side as f32, MINIMUM_SIDE as f32));
    }
    let contrast = deviation(film.luma());
    if contrast < MINIMUM_CONTRAST {
        return Some(Reason::Blank.refusal(contrast, MINIMUM_CONTRAST));
    }
    if film.coloured() > MAXIMUM_COLOURED {
        return Some(Reason::ColourPhoto.refusal(film.coloured(), MAXIMUM_COLOURED));
    }
    None
}

/// Standard deviation, summed in f64.
fn deviation(values: &[f32]) -> f32 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for value in values.iter().copied().map(f64::from) {
        sum += value;
        squares += value * value;
    }
    let n = values.len() as f64;
    (squares / n - (sum / n).powi(2)).max(0.0).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(height: usize, width: usize, grey: impl Fn(usize) -> f32) -> Radiograph {
        Radiograph::new(height, width, (0..height * width).map(grey).collect()).unwrap()
    }

    fn reason(film: &Radiograph) -> Option<Reason> {
        refuse(film).map(|refusal| refusal.reason)
    }

    #[test]
    fn a_picture_with_contrast_and_enough_pixels_passes() {
        assert_eq!(refuse(&film(96, 96, |i| (i % 96) as f32 / 95.0)), None);
    }

    #[test]
    fn each_reason_comes_with_its_number() {
        let small = refuse(&film(95, 400, |i| (i % 2) as f32)).unwrap();
        assert_eq!((small.reason, small.value, small.limit), (Reason::TooSmall, 95.0, 96.0));
        assert!(small.message.contains("95 pixels"), "{}", small.message);
        // Half 0.4 and half 0.43: a deviation of 0.015.
        let pale = refuse(&film(100, 100, |i| 0.4 + 0.03 * (i % 2) as f32)).unwrap();
        assert_eq!(pale.reason, Reason::Blank);
        assert!((pale.value - 0.015).abs() < 1e-5, "{}", pale.value);
        let striped = film(100, 100, |i| (i % 2) as f32);
        assert_eq!(reason(&striped.clone().with_coloured(0.1)), None);
        let coloured = refuse(&striped.with_coloured(0.62)).unwrap();
        assert_eq!(coloured.reason, Reason::ColourPhoto);
        assert!(coloured.message.contains("62 %"), "{}", coloured.message);
    }
}
