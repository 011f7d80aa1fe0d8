//! What the last layer reads of each film, kept: where nothing else learns and no film is changed, the layers before it
//! give the same of a film at every step, and they are nearly all of the work.

use super::{Freeze, TrainConfig, Trainer};
use crate::data::{Batch, Dataset, Origin};
use crate::error::Result;
use crate::preprocess::Preprocess;

/// The features of the films of one set and what they are trained towards, film by film as they are first asked for.
#[derive(Default)]
pub(super) struct Features(Vec<Option<Film>>);

struct Film {
    features: Vec<f32>,
    targets: Vec<f32>,
    origins: Option<Vec<Origin>>,
}

impl TrainConfig {
    /// Whether the last layer alone learns, on what the others make of each film once: they are run once a film then, not at
    /// every step. Not where films are changed as they are drawn, by [`augment`](Self::augment) or [`mixup`](Self::mixup).
    pub fn keeps_features(&self) -> bool {
        self.freeze == Freeze::Backbone && self.augment.is_none() && self.mixup == 0.0
    }
}

impl Features {
    /// A batch of the features of some films of `dataset`, always the same set; those not seen before go through `trainer`'s
    /// network.
    ///
    /// # Errors
    /// Those of [`Trainer::features`].
    pub fn batch(
        &mut self,
        trainer: &mut Trainer,
        dataset: &Dataset,
        preprocess: &Preprocess,
        films: impl Iterator<Item = usize>,
    ) -> Result<Batch> {
        self.0.resize_with(dataset.len(), || None);
        let (mut images, mut targets, mut origins, mut n) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for i in films {
            if self.0[i].is_none() {
                let image = dataset.batch_from(preprocess, i, 1).expect("a film of the set");
                let Batch { images: features, targets, origins, .. } = trainer.features(image)?;
                self.0[i] = Some(Film { features, targets, origins });
            }
            let film = self.0[i].as_ref().expect("just put there");
            images.extend_from_slice(&film.features);
            targets.extend_from_slice(&film.targets);
            origins.extend(film.origins.iter().flatten());
            n += 1;
        }
        let classes = dataset.classes().len();
        let origins = (!origins.is_empty()).then_some(origins);
        Ok(Batch { channels: images.len() / n.max(1), images, targets, origins, n, height: 1, width: 1, classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Collection, Shares};
    use crate::models::{Architecture, scratch_cnn};
    use crate::nn::{Graph, Training};
    use crate::preprocess::Augment;
    use crate::train::Run;

    const SIDE: usize = 32;

    fn config(change: impl FnOnce(&mut TrainConfig)) -> TrainConfig {
        let recipe = TrainConfig::recipe(Architecture::ScratchCnn, vec!["a".into(), "b".into()]);
        let mut config = recipe.learning(Freeze::Backbone);
        change(&mut config);
        config
    }

    /// Films of the two classes, to train on.
    fn films(preprocess: &Preprocess) -> Dataset {
        let mut films = Collection::new(preprocess.clone()).unwrap();
        for i in 0..20 {
            let grey = (0..SIDE * SIDE).map(|p| (p * (2 * i + 3) % 251) as u8).collect();
            films.insert(&format!("{}/{i}.png", ["a", "b"][i % 2]), grey).unwrap();
        }
        let shared = films.share(&Shares::default()).unwrap();
        films.dataset(&shared.train, &shared.report.classes)
    }

    /// Twelve steps from kept features end at the weights of twelve steps through the whole network, dropout and decay too;
    /// and what is kept is judged as the images are.
    #[test]
    fn the_last_layer_learns_from_kept_features_what_it_learns_from_the_films() {
        let networks: [(Graph, usize); 2] =
            [(scratch_cnn(SIDE, 2).unwrap(), 3), (Architecture::EfficientNetLite0Slim.graph_for(SIDE, 2).unwrap(), 1)];
        for (graph, channels) in networks {
            let config = config(|config| {
                (config.preprocess, config.batch_size) = (Preprocess::new(channels, SIDE, SIDE), 5);
                (config.dropout, config.weight_decay, config.label_smoothing) = (0.3, 0.01, 0.1);
            });
            let set = films(&config.preprocess);
            let loader = Run::loader(&config, &set).unwrap();
            let trainer = || Trainer::with_network(config.clone(), &graph, Training::new(&graph, 4));
            let (mut whole, mut last, mut kept) = (trainer(), trainer(), Features::default());
            for step in 0..12 {
                let films = loader.films(step).into_iter();
                let batch = kept.batch(&mut last, &set, &config.preprocess, films).unwrap();
                let (found, expected) =
                    (last.step_on_features(batch).unwrap(), whole.step(loader.batch(&set, step)).unwrap());
                assert_eq!((found.n, found.correct), (expected.n, expected.correct));
                assert!((found.loss - expected.loss).abs() < 1e-5, "step {step}: {found:?}, not {expected:?}");
            }
            let started = trainer().weights();
            let (last_weights, whole_weights) = (last.weights().0, whole.weights().0);
            for (name, tensor) in &whole_weights {
                let found = &last_weights[name].values;
                assert_eq!(*tensor != started.0[name], graph.is_last(name), "{name}");
                let most = found.iter().zip(&tensor.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // Twelve steps of 1e-3; Adam divides a gradient by its size, so that rounding counts where it is small.
                assert!(most < 1e-5, "{name}: off by {most}");
            }
            let all = kept.batch(&mut last, &set, &config.preprocess, 0..set.len()).unwrap();
            let images = set.batch_from(&config.preprocess, 0, set.len()).unwrap();
            let (found, expected) = (last.evaluate_features(all).unwrap(), last.evaluate(images).unwrap());
            assert!((found.loss - expected.loss).abs() < 1e-5 && found.correct == expected.correct);
        }
    }

    /// A film's features are the same bits whichever films were asked for before: a run that goes on has others to compute.
    #[test]
    fn features_do_not_depend_on_the_films_beside_them() {
        let graph = scratch_cnn(SIDE, 2).unwrap();
        let config = config(|config| config.preprocess = Preprocess::new(3, SIDE, SIDE));
        let set = films(&config.preprocess);
        let mut trainer = Trainer::with_network(config.clone(), &graph, Training::new(&graph, 4));
        let mut batch = |films: &[usize]| {
            let mut kept = Features::default();
            kept.batch(&mut trainer, &set, &config.preprocess, films.iter().copied()).unwrap().images
        };
        let (one, many) = (batch(&[3]), batch(&[5, 3, 7]));
        assert_eq!(one, many[one.len()..2 * one.len()]);
    }

    #[test]
    fn features_are_kept_where_they_stay_the_same() {
        assert!(config(|_| {}).keeps_features());
        assert!(!config(|config| config.freeze = Freeze::None).keeps_features());
        assert!(!config(|config| config.mixup = 0.2).keeps_features());
        assert!(!config(|config| config.augment = Augment::of_strength(1.0).unwrap()).keeps_features());
    }
}
