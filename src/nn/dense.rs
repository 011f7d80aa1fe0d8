//! Fully connected layer, its weight whole or as a product of two thin factors.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use super::{Activation, glorot_uniform};
use crate::error::{Error, Result};
use crate::kernels::custom_op;

/// `activation(input · weightᵀ + bias)`.
///
/// A model trains with the whole weight. A compressed file may hold `weight.u` `[out, r]` and `weight.v` `[r, in]`
/// instead; the layer then computes `(input · vᵀ) · uᵀ`, which is the same function of the product `u · v` with
/// `r (in + out)` weights to read rather than `in · out`.
#[derive(Debug, Clone)]
pub struct Dense {
    factors: Vec<(Tensor, Tensor)>,
    activation: Activation,
}

impl Dense {
    /// Reads `weight` `[outputs, inputs]`, or its factors where `vb` has them, and `bias` `[outputs]`.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] or [`Error::TensorShape`].
    pub fn new(vb: VarBuilder<'_>, [inputs, outputs]: [usize; 2], activation: Activation) -> Result<Self> {
        let init = glorot_uniform(inputs, outputs);
        let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
        let factors = if vb.contains_tensor("weight.v") {
            let v = vb.get_unchecked("weight.v")?;
            let &[rank, _] = v.dims() else {
                let name = vb.pp("weight.v").prefix();
                return Err(Error::TensorShape { name, expected: vec![1, inputs], found: v.dims().to_vec() });
            };
            let v = vb.get_with_hints((rank, inputs), "weight.v", init)?;
            let u = vb.get_with_hints((outputs, rank), "weight.u", init)?;
            let none = Tensor::zeros(rank, bias.dtype(), bias.device())?;
            vec![(v, none), (u, bias)]
        } else {
            vec![(vb.get_with_hints((outputs, inputs), "weight", init)?, bias)]
        };
        Ok(Self { factors, activation })
    }

    /// `[n, in]` to `[n, out]`.
    ///
    /// # Errors
    /// When the input has another width.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let last = self.factors.len() - 1;
        let mut x = input.clone();
        for (i, (weight, bias)) in self.factors.iter().enumerate() {
            x = custom_op::dense(&x, weight, bias, i == last && self.activation == Activation::Relu)?;
        }
        Ok(x)
    }
}
