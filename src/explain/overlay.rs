//! Heat maps in colour, alone and over their film.

use super::HeatMap;
use crate::image::Radiograph;
use crate::preprocess::resize;

/// Colours from cold to hot at equal distances, black first: as bright as they are hot, and told apart with any kind of
/// colour vision.
///
/// # Source
/// `inferno` of matplotlib 3.11.2 at 0, 1/8, …, 1.
const STOPS: [[f32; 3]; 9] = [
    [0.0, 0.0, 4.0],
    [33.0, 12.0, 74.0],
    [87.0, 16.0, 110.0],
    [138.0, 34.0, 106.0],
    [188.0, 55.0, 84.0],
    [228.0, 90.0, 49.0],
    [249.0, 142.0, 9.0],
    [249.0, 203.0, 53.0],
    [252.0, 255.0, 164.0],
];

/// The map as pixels for a layer over its film: row-major `[height, width, 4]`, alpha not premultiplied. Alpha is the value
/// itself, so that what does not count stays the film.
pub fn colours(map: &HeatMap) -> Vec<u8> {
    let pixel = |value: &f32| {
        let [red, green, blue] = colour(*value);
        [red, green, blue, 255.0 * value].map(|part| part.round() as u8)
    };
    map.values.iter().flat_map(pixel).collect()
}

/// The film with the map over it at `opacity` in `[0, 1]`: row-major `[height, width, 3]` in the film's size.
pub fn overlay(film: &Radiograph, map: &HeatMap, opacity: f32) -> Vec<u8> {
    let heat = resize(&map.values, map.height, map.width, film.height(), film.width());
    let blend = |(luma, heat): (&f32, &f32)| {
        let (share, grey) = (opacity * heat, 255.0 * luma);
        colour(*heat).map(|part| (grey + share * (part - grey)).round() as u8)
    };
    film.luma().iter().zip(&heat).flat_map(blend).collect()
}

/// The colour of a value in `[0, 1]`, each part in `[0, 255]`.
fn colour(value: f32) -> [f32; 3] {
    let place = value * (STOPS.len() - 1) as f32;
    let stop = (place as usize).min(STOPS.len() - 2);
    let share = place - stop as f32;
    std::array::from_fn(|i| STOPS[stop][i] + share * (STOPS[stop + 1][i] - STOPS[stop][i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_run_through_the_stops_and_alpha_is_the_value() {
        let map = HeatMap { height: 1, width: 4, values: vec![0.0, 1.0, 0.5, 0.0625] };
        let pixels = colours(&map);
        // The last lies half way between the first two stops; 0.0625 · 255 = 15.94.
        assert_eq!(pixels, [0, 0, 4, 0, 252, 255, 164, 255, 188, 55, 84, 128, 17, 6, 39, 16]);
    }

    #[test]
    fn the_film_is_seen_where_the_map_is_cold_and_wherever_it_is_transparent() {
        let film = Radiograph::new(2, 2, vec![0.0, 1.0, 0.4, 0.4]).unwrap();
        let map = HeatMap { height: 2, width: 2, values: vec![0.0, 0.0, 1.0, 0.5] };
        // 0.4 · 255 = 102; half way from there to [252, 255, 164], and a quarter of the way to [188, 55, 84].
        let expected = [[0; 3], [255; 3], [177, 179, 133], [124, 90, 98]].concat();
        assert_eq!(overlay(&film, &map, 0.5), expected);
        assert_eq!(overlay(&film, &map, 0.0), [[0; 3], [255; 3], [102; 3], [102; 3]].concat());
    }

    #[test]
    fn a_map_of_another_size_is_laid_over_the_whole_film() {
        let film = Radiograph::new(30, 50, vec![0.5; 1500]).unwrap();
        let map = HeatMap { height: 2, width: 2, values: vec![0.0, 1.0, 0.0, 1.0] };
        let pixels = overlay(&film, &map, 1.0);
        assert_eq!(pixels.len(), 3 * 1500);
        assert_eq!((&pixels[..3], &pixels[3 * 49..3 * 50]), (&[128; 3][..], &[252, 255, 164][..]));
    }
}
