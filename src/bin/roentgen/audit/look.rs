//! One pass over films: each is decoded once, and everything that the audit asks about is read from it.

use std::collections::HashMap;

use rayon::prelude::*;
use roentgen::audit::{Looked, View};
use roentgen::classifier::Classifier;
use roentgen::data::Sample;
use roentgen::error::Result;
use roentgen::image::Radiograph;
use roentgen::metrics::argmax;
use roentgen::preprocess::{LungMask, Preprocess};

use crate::films::{self, Outputs};

/// Pixels a side of the pictures that the probe without a network reads.
const PIXELS: usize = 8;

/// What a model finds in a film.
#[derive(Default)]
pub struct Seen {
    /// Its probabilities, of each view in order.
    pub scores: Vec<Vec<f32>>,
    /// The features of the whole film.
    pub features: Vec<f32>,
    /// The film in 8×8 pixels, without any network.
    pub pixels: Vec<f32>,
    /// The map of the class that it names, held against the place taken for lungs in every film.
    pub inside: Option<Looked>,
    /// The same, held against the film's own lungs, where they were drawn.
    pub inside_drawn: Option<Looked>,
}

/// A film as the network takes it.
struct Prepared<'a> {
    name: &'a str,
    views: Vec<Vec<f32>>,
    pixels: Vec<f32>,
}

/// All of it: every view, and the heat map of the whole film held against `lungs` and those of `drawn` that are the film's own,
/// by its name.
pub fn all<'a>(
    classifier: &Classifier,
    samples: &'a [Sample],
    lungs: &LungMask,
    drawn: &HashMap<&str, Vec<f32>>,
) -> Result<Outputs<'a, Seen>> {
    let preprocess = &classifier.card().preprocess;
    let everywhere = lungs.stretched(preprocess.height, preprocess.width);
    let prepare = |sample: &'a Sample, film: Radiograph| {
        let view = |view: View| preprocess.apply(&view.of(film.clone(), lungs));
        let views = View::ALL.into_iter().map(view).collect::<Result<_>>()?;
        Ok(Prepared { name: &sample.name, views, pixels: pixels(&film)? })
    };
    let see = |films: Vec<Prepared<'a>>| {
        // A view at a time: the network's buffers grow with what it is given.
        let view = |i: usize| films.iter().flat_map(|film| &film.views[i]).copied().collect::<Vec<f32>>();
        let views = 0..View::ALL.len();
        let scores = views.map(|i| classifier.scores(&view(i))).collect::<Result<Vec<_>>>()?;
        let features = classifier.features(&view(0))?;
        let n = films.len();
        let seen = films.into_par_iter().enumerate().map(|(i, film)| {
            let row = |of: &Vec<f32>| of.chunks_exact(of.len() / n).nth(i).expect("a row a film").to_vec();
            let scores: Vec<Vec<f32>> = scores.iter().map(row).collect();
            let class = argmax(&scores[0]);
            let map = classifier.heat_map(&film.views[0], class);
            let inside = |lungs: &Vec<f32>| Looked::of(&map, class, lungs);
            let (inside, inside_drawn) = (inside(&everywhere), drawn.get(film.name).and_then(inside));
            Seen { scores, features: row(&features), pixels: film.pixels, inside, inside_drawn }
        });
        Ok(seen.collect())
    };
    films::each(samples, preprocess, "test films", prepare, see)
}

/// Features and pixels alone.
pub fn features<'a>(classifier: &Classifier, samples: &'a [Sample]) -> Result<Outputs<'a, Seen>> {
    let prepare = |_: &'a Sample, film: Radiograph| Ok((classifier.card().preprocess.apply(&film)?, pixels(&film)?));
    let see = |films: Vec<(Vec<f32>, Vec<f32>)>| {
        let (images, pixels): (Vec<_>, Vec<_>) = films.into_iter().unzip();
        let features = classifier.features(&images.concat())?;
        let rows = features.chunks_exact(features.len() / pixels.len()).zip(pixels);
        Ok(rows.map(|(features, pixels)| Seen { features: features.to_vec(), pixels, ..Seen::default() }).collect())
    };
    films::each(samples, &classifier.card().preprocess, "validation films", prepare, see)
}

fn pixels(film: &Radiograph) -> Result<Vec<f32>> {
    Preprocess::new(1, PIXELS, PIXELS).apply(film)
}
