//! The weights of a network in training, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Variables that a model asked for while it was built, each drawn from a generator of its own.
///
/// The draw depends on the seed and the variable's name alone, so neither the order of layers nor a layer added
/// elsewhere changes the others' start. (candle's own generator cannot be seeded on the CPU.)
#[derive(Clone)]
pub struct Variables {
    seed: u64,
    by_name: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl Variables {
    /// No variables yet; they appear as a model is built from [`builder`](Self::builder).
    pub fn new(seed: u64) -> Self {
        Self { seed, by_name: Arc::default() }
    }

    /// What a model is built from.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, Device::Cpu)
    }

    /// All variables, sorted by name.
    pub fn all(&self) -> BTreeMap<String, Var> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn draw(&self, name: &str, shape: &Shape, init: Init, device: &Device) -> Result<Var> {
        let values: Vec<f32> = match init {
            Init::Const(value) => vec![value as f32; shape.elem_count()],
            Init::Uniform { lo, up } => {
                let mut hash = Sha256::new();
                hash.update(self.seed.to_le_bytes());
                hash.update(name);
                let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
                (0..shape.elem_count()).map(|_| rng.random_range(lo as f32..up as f32)).collect()
            }
            other => bail!("{name}: initialisation {other:?} is not supported"),
        };
        Var::from_tensor(&Tensor::from_vec(values, shape, device)?)
    }
}

impl SimpleBackend for Variables {
    fn get(&self, shape: Shape, name: &str, init: Init, _dtype: DType, device: &Device) -> Result<Tensor> {
        let mut all = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(var) = all.get(name) {
            return Ok(var.as_tensor().clone());
        }
        let var = self.draw(name, &shape, init, device)?;
        let tensor = var.as_tensor().clone();
        all.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _dtype: DType, _device: &Device) -> Result<Tensor> {
        match self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => bail!("no variable `{name}`"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `names` after asking for them in that order.
    fn drawn(seed: u64, names: &[&str]) -> BTreeMap<String, Vec<f32>> {
        let variables = Variables::new(seed);
        for name in names {
            variables.builder().get_with_hints(8, name, Init::Uniform { lo: -1.0, up: 1.0 }).unwrap();
        }
        variables.all().into_iter().map(|(name, var)| (name, var.to_vec1().unwrap())).collect()
    }

    #[test]
    fn neither_order_nor_other_variables_change_a_draw() {
        let all = drawn(1, &["a", "b", "c"]);
        assert_eq!(all, drawn(1, &["c", "a", "b"]));
        assert_eq!(all["b"], drawn(1, &["b"])["b"]);
        assert_ne!(all["a"], all["b"]);
        assert_ne!(all["a"], drawn(2, &["a"])["a"]);
    }

    #[test]
    fn asking_twice_gives_the_same_weights_to_train() {
        let variables = Variables::new(1);
        let ask = || variables.builder().get_with_hints(3, "w", Init::Const(0.5)).unwrap();
        let (first, second) = (ask(), ask());
        variables.all()["w"].set(&Tensor::new(&[1.0_f32, 2.0, 3.0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(first.to_vec1::<f32>().unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(second.to_vec1::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn an_initialisation_that_is_not_ours_is_an_error() {
        let refused = Variables::new(1).builder().get_with_hints(3, "w", candle_nn::init::DEFAULT_KAIMING_NORMAL);
        assert!(refused.unwrap_err().to_string().contains("w: initialisation"));
    }
}
